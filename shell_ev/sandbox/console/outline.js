// Borders and coasts, from Natural Earth 1:50m (public domain), simplified. Each word is a line: steps of 1/20 degree.
const LINES = "F3Mw2z17x1ej3daI1i2mn3iew18e328c5b88sb1hgmgz15x123596iq782aa078h9aef95n71mU1h7j6g62C1m49628e04eG225dvd65b7y14W1325rvvbg2a5r7h2y27kdgx1K1n8jt4e0md47b9a3u6q95nvd67j3E13hft7_16pbB14f1bfj6z1dj0U1K1G10sm75 R7YD207k1b7vgg885 T7Qz2h1dedbtcA1s _8YA2u6g3ed75c065722bn5 ydOW10bd22dz1a9pnonlv2 U8KV19iv7E1O1q6 M9MX1y1048C1b SkIC25asw1lF1 EeWF2a32qoe QnwH229D1fo29bP1hv0u5b10B1bvjlF10f57nP102ejme158a6jcJ1W13qa2 D2ES1g517y19O1326u9 A2AR1e5K14 w4yR12j97z1hF19 R8EP1umd41cZ153el7 _aKQ12i1a915mY1oq7M14S19A14O15m2 SrMY1x26nf92x1717D11na ClUY18ao2gesa OnYZ1c3c8cfc0c8Q10w1b QkAW1x1b0dd32bl29675t0 AhAW1y13e8G1466 -qWQ18gd4nkhf KpOR1J1s woKS1c49ce4jcamd1 UnyU16ea0f83m QnKV1s8q1 GpQV1kd09ud5bubg6 OqyB2I17 Sr-z2B34 MoyA2eim4gc GpQV1y18A1M1ka OnYZ1bgz1828v647d5hc8634b1D1g75 MiO_18gfo0sheac5m UhKz2M2eeaQ1aA13b2gfu4 EeWF2l69mftd1b645X1vJ15X1u4ak5a6h4kiN1f6kA16h024 M7K_1d46ctcx11 E5Ew2t6y13dew1K1Q1iu2g5 w9Qy25pd1e79hx15addf6b GqyC2Q1e GqyC20usuk4 ydOW1m1a8A14afQ17 AhwV116h0B1baj996jK1pix1mhobE119fM1h GhKP1v4T1G1l4nmhG1P1gtjj5 I9SS16gt84kd8kede88 T7Qz26J1fn63p0H1fd207z17l0e8n3kat1ich4o256a6y16H15C1qJ1806g276c2b25gY10ggn2kio40bege395 QnKV1l7l2P1s AkOW1e60ga6b4q24c M9MX10mmw1T18fc w9Qy23888s049a6674ko1obvg3c92cabe WaQA2I11 CcOA2a757K115fm1M1kK1b4bg3 MiO_1j825D2j9774oz1I1p Eh-Y1179239p9anv8J1bn69998h0 YbMR12pdtf89uaak42c67 E9SS1P1rF1gd3v8x1p6h D2ES1c6gK1516A1ml9ifa623mp89c5ei2t426d8X16fae496e0h208W1cmbQ14hG1o04bE13m69228G1cea2qA18 C3Y_18de2oji10bg0a82dC19 SfUB2dd85b39hx1C1qa692ae6g119 WaQA21kh80E1k3aac12cvd58cay12kiq6bJ1q577f05fb043f95hc7 ClUY1f8j1D1adfp096 UnyU1daB28nbj81hY1P1ej wmSR1riz14vqa4he5kb892hj9q AnyR1V1mo3";

const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

export function outline() {
	return LINES.split(" ").map((word) => {
		const numbers = [];
		let value = 0, shift = 0;
		for (const letter of word) {
			const digit = DIGITS.indexOf(letter);
			value |= (digit & 31) << shift;
			shift += 5;
			if (digit < 32) {
				numbers.push(value & 1 ? -((value + 1) >> 1) : value >> 1);
				value = shift = 0;
			}
		}
		const points = [];
		for (let index = 0, lon = 0, lat = 0; index < numbers.length; index += 2) {
			points.push([(lon += numbers[index]) / 20, (lat += numbers[index + 1]) / 20]);
		}
		return points;
	});
}
