// The faults: what goes wrong next, ordered by a click, and the ones that wait.

import { act } from "./api.js";
import { $, fill, h } from "./dom.js";
import { model, on } from "./model.js";

const value = (id) => Number($(id).value);
const effect = () => ({ after_effect: $("fault-after").checked });
const retryAfter = () => { const given = $("fault-retry").value.trim(); return given === "" ? null : /^\d+(\.\d+)?$/.test(given) ? Number(given) : given; };

const KINDS = [
	["drop", "Lose the answer", effect],
	["reset", "Reset the connection", effect],
	["truncate", "Break off half-way", effect],
	["hang", "Never answer", effect],
	["delay", "Answer late", () => ({ seconds: value("fault-seconds") })],
	["status", "Answer the status", () => ({ status: value("fault-status"), ...effect() })],
	["rate_limit", "429 with Retry-After", () => ({ retry_after: retryAfter(), ...effect() })],
	["unavailable", "503 with Retry-After", () => ({ retry_after: retryAfter(), ...effect() })],
	["garbage", "Answer garbage", effect],
	["token_revoked", "Revoke its token", () => ({})],
];

export function describe(fault) {
	if (!fault) return "";
	const retry = fault.headers?.["Retry-After"];
	const says = {
		drop: "answer lost", reset: "connection reset", truncate: "broken off half-way", hang: "never answered", delay: `${fault.seconds} s late`,
		status: `status ${fault.status}${retry === undefined ? "" : `, Retry-After ${retry}`}`, garbage: "garbage", token_revoked: "token revoked",
	}[fault.kind] ?? fault.kind;
	return says + (fault.after_effect === false ? ", nothing done" : fault.after_effect && fault.kind === "status" ? ", after the effect" : "");
}

async function order(kind, parameters) {
	for (const id of ["fault-times", "fault-seconds", "fault-status"]) if (!$(id).reportValidity()) return;
	const body = { operation: $("fault-operation").value, times: value("fault-times"), fault: { kind, ...parameters() } };
	await act("POST", "/faults", body);
}

$("fault-kinds").append(...KINDS.map(([kind, label, parameters]) => h("button", { "data-kind": kind, onclick: () => order(kind, parameters) }, label)));

on("about", () => {
	const select = $("fault-operation");
	if (select.options.length) return;
	for (const name of model.about.operations) select.add(new Option(name === "*" ? "any operation" : name, name));
	select.value = "charging.start";
	for (const button of $("fault-kinds").children) button.title = model.about.fault_kinds[button.dataset.kind].says;
});

on("faults", () => {
	fill("fault-list", model.faults.map((waiting) => {
		const times = waiting.probability !== null ? `${waiting.probability * 100} % of` : waiting.times === null ? "every" : waiting.times === 1 ? "the next" : `the next ${waiting.times}`;
		const what = waiting.faults.map(describe).join(" or ");
		return h("li", {}, h("span", {}, `${times} ${waiting.operation === "*" ? (waiting.times === 1 ? "call" : "calls") : waiting.operation}: `, h("b", {}, what), waiting.after ? ` (after ${waiting.after})` : ""),
			waiting.probability === null ? h("button", { "aria-label": `Clear the faults of ${waiting.operation}`, onclick: () => act("DELETE", `/faults?operation=${encodeURIComponent(waiting.operation)}`) }, "×") : null);
	}));
	$("faults-clear").disabled = !model.faults.length;
});
$("faults-clear").addEventListener("click", () => act("DELETE", "/faults"));
