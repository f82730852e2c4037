// The log of requests: the latest first, filtered, and the detail of one.

import { act } from "./api.js";
import { $, clockText, fill, h, text } from "./dom.js";
import { describe } from "./faults.js";
import { windowed } from "./lists.js";
import { model, on } from "./model.js";

const HEIGHT = 28.3;
let selected = null;

function passes(request) {
	const operation = $("log-operation").value, status = $("log-status").value, wanted = $("log-text").value.toLowerCase();
	if (operation && request.operation !== operation) return false;
	if (status === "fault" ? !request.fault : status && !String(request.status).startsWith(status)) return false;
	if (!wanted) return true;
	return [request.method, request.path, request.operation, request.request_id, request.status, request.dialect, describe(request.fault)].join(" ").toLowerCase().includes(wanted);
}

const took = ({ duration }) => (duration === null ? "never" : duration < 1 ? `${(duration * 1000).toFixed(1)} ms` : `${duration.toFixed(1)} s`);
const answered = (request) => (request.ending === "normal" || request.ending === "truncated" ? String(request.status) : "no answer");
const grade = (request) => (answered(request) === "no answer" ? "s5" : `s${String(request.status)[0]}`);

function update(line, request) {
	const { number, operation, method, path } = request;
	line.dataset.number = number;
	line.className = number === selected ? "selected" : "";
	line.replaceChildren(
		h("td", {}, clockText(request.at)),
		h("td", {}, h("button", { class: "link", "aria-label": `Request ${number}: ${operation ?? path}`, onclick: () => open(number) }, operation ?? `${method} ${path}`)),
		h("td", {}, request.dialect ?? ""),
		h("td", {}, h("span", { class: `status ${grade(request)}` }, answered(request))),
		h("td", {}, describe(request.fault)),
		h("td", { class: "num" }, took(request)));
}

const log = {
	node: $("log"), items: [], key: "number", height: () => HEIGHT, build: () => h("tr"), update,
	place(line, index) { line.ariaRowIndex = index + 2; },
	pad(before, after) {
		$("log-before").style.height = `${before}px`;
		$("log-after").style.height = `${after}px`;
	},
};
const put = windowed($("log-none").parentNode, [log]);

function showAll() {
	log.items = model.requests.filter(passes);
	$("log").parentNode.ariaRowCount = log.items.length + 1;
	put();
	text($("requests-count"), String(model.recorded));
	$("log-none").hidden = log.items.length > 0;
	text($("log-none"), model.requests.length ? "No request passes the filter." : "Nothing yet.");
}
on("requests", showAll);
on("all-requests", () => {
	if (!model.requests.some((request) => request.number === selected)) close(false);
});
on("about", () => {
	const select = $("log-operation");
	if (select.options.length > 1) return;
	for (const name of model.about.operations) if (name !== "*") select.add(new Option(name, name));
});
for (const id of ["log-operation", "log-status", "log-text"]) $(id).addEventListener("input", showAll);
$("log-clear").addEventListener("click", () => act("DELETE", "/requests"));

async function open(number) {
	const request = await act("GET", `/requests/${number}`);
	if (!request) return;
	selected = number;
	for (const line of $("log").children) line.classList.toggle("selected", Number(line.dataset.number) === number);
	const part = (title, body) => (body ? [h("h4", {}, title), h("pre", { tabindex: 0, role: "group", "aria-label": title }, body)] : []);
	const query = request.query.map(([name, value]) => `${name}=${value}`).join("\n");
	const headers = request.headers.map(([name, value]) => `${name}: ${value}`).join("\n");
	fill("detail",
		h("div", { class: "head" }, h("h3", {}, `${request.method} ${request.path}`), h("button", { "aria-label": "Close the request", onclick: () => close() }, "×")),
		h("p", { class: "small" }, h("span", { class: `status ${grade(request)}` }, answered(request)), request.duration === null ? "" : ` ${took(request)}`, request.request_id ? ` · RequestId ${request.request_id}` : ""),
		request.fault ? h("p", { class: "bad small" }, describe(request.fault)) : null,
		part("Query", query), part("Headers", headers), part("Body", request.body), part("Answer", request.reply_body));
	$("detail").hidden = false;
	$("detail").focus();
}

function close(focus = true) {
	$("detail").hidden = true;
	const line = $("log").querySelector(".selected");
	if (focus) line?.querySelector("button").focus();
	line?.classList.remove("selected");
	selected = null;
}
$("detail").addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
