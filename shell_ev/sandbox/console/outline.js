// Borders and coasts, from Natural Earth 1:50m (public domain), simplified. Each word is a line: steps of 1/10 degree.
const LINES = "P1Ew1j3f89356ka2ab1a8g4632441344e7078c8z131152ae1e7546737bcs73b2822ka2368028C10njM10djf3e3n1w13c58hmb49d2g539k2e51bf52393k077f3v2b5r05794r7sok0c8 X3-z103c173f88441 X3Wx1717875d6ie L4Ky1o26733a13207b1 M6Et035027j63dbcb9f2 I4Us38f3koc4 U4Utg044i5 IaCz136eg9l A7YA1402cc8 WbMB123j7c055p9f0g1713x1b9r33bp028ba813464x1A10c40 z1Ar8303g3o122e3 y1Oq61o0 w2Mq3bD1f H4Qpgc7008v308b3 L5Eq0c303cuce3o0q3S10 YdEux14b7l303j0b4 QaIuA1i Ub-u814487c4o0g5 Gayth53ff4j1 O8yti1u8 MdIq48jc77 UcUqng wcEr605880986a71 Ybws4840741c WbUsq2 QcWscbe517e382 EdMy1o3 Ydwy1P10 Ecwy18ai8 QcWsi4ioa6 Ub-u38j424f223717624p833 E9Uv487c0g76463c Y8Ux1E2gk17287g0 A7YA1b43c7fb201rfn3tg24a36492aan728i472 U3Uv7048f4f0 Q2Aw1f4i358goo8o1 M4Gx13d506337f3477743 Adwz1s8 Adwz10ggg80 M6Etc0o647q3 O8Ms94j74nobkrc3k157o9 Q8Upf0rm92bc9kn8pb S4Ir28d42874c87844 X3Wx14l5fF1503h39064b1a4f0a692c01464g2l1icl4a85018s088b2cac003686331 WbUsl3pe yaEtcg50c246 U4Ut0ccgr474 M4Gx128e02564232ao5ne8676 I5Gy1o1 A6Ey14333o037c0o8o30780 E9Uv9421F1d32chmb Q8Mujd4bf4n5b435d4 -5Uq5r743ge62623 Q4Irpfl850f4hd49 z1Ar648m0iabbe0cfa3880d256t4746432809204u4a3q07mc005k1c236sa0ek4 Q1-v4560c9a103c407k3 Y7Yy1fjfic645888103 I5Gy10a740k81666106f71466g2c8c45ne3b33750553983 QaIuD1857h4 Ybws76x14b59407A1z1 wbYqd8h2fe40fm529b3e ObMqtcc1";

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
			points.push([(lon += numbers[index]) / 10, (lat += numbers[index + 1]) / 10]);
		}
		return points;
	});
}
