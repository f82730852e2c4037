// The log of requests: the latest first, filtered, and the detail of one.

import { act } from "./api.js";
import { $, clockText, fill, h, text } from "./dom.js";
import { describe } from "./faults.js";
import { model, on } from "./model.js";

const SHOWN = 100;
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

function row(request) {
	const line = h("tr", { "data-number": request.number },
		h("td", {}, clockText(request.at)),
		h("td", {}, h("button", { class: "link", "aria-label": `Request ${request.number}: ${request.operation ?? request.path}`, onclick: () => open(request.number) }, request.operation ?? `${request.method} ${request.path}`)),
		h("td", {}, request.dialect ?? ""),
		h("td", {}, h("span", { class: `status ${grade(request)}` }, answered(request))),
		h("td", {}, describe(request.fault)),
		h("td", { class: "num" }, took(request)));
	if (request.number === selected) line.className = "selected";
	return line;
}

function summary() {
	text($("requests-count"), String(model.recorded));
	$("log-none").hidden = $("log").children.length > 0;
	text($("log-none"), model.requests.length ? "No request passes the filter." : "Nothing yet.");
}

function showAll() {
	$("log").replaceChildren(...model.requests.filter(passes).slice(0, SHOWN).map(row));
	summary();
}

on("all-requests", () => {
	if (!model.requests.some((request) => request.number === selected)) close(false);
	showAll();
});
on("requests", (fresh) => {
	const rows = [...fresh].sort((a, b) => b.number - a.number).filter(passes).slice(0, SHOWN).map(row);
	$("log").prepend(...rows);
	while ($("log").children.length > SHOWN) $("log").lastElementChild.remove();
	summary();
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
