// The stations: map by mouse, finger and keyboard, search, legend, and the panel of one station.

import { act } from "./api.js";
import { $, fill, h, text } from "./dom.js";
import { MapView } from "./map.js";
import { model, on } from "./model.js";

const GLYPHS = { Available: "●", Occupied: "■", Unavailable: "▲", Unknown: "◆" };
const WORDS = { Available: "free", Occupied: "occupied", Unavailable: "out of order", Unknown: "unknown" };
const FOUND = 8;
const glyph = (status) => h("span", { "aria-hidden": "true" }, GLYPHS[status]);

const canvas = $("map");
const view = new MapView(canvas);
let wanted = null, asked = 0, latest = 0, focusing = false;

const chips = Object.keys(GLYPHS).map((status) => {
	const chip = h("button", { class: `chip ${status}`, "aria-pressed": "true", onclick: () => {
		view.shown[view.shown.has(status) ? "delete" : "add"](status);
		chip.ariaPressed = view.shown.has(status);
		view.redraw();
	} }, glyph(status), ` ${WORDS[status]} `, h("b"));
	return chip;
});
fill("legend", chips);

function showLegend() {
	const counts = {};
	for (const station of model.stations) counts[station.status] = (counts[station.status] ?? 0) + 1;
	chips.forEach((chip, index) => text(chip.lastChild, String(counts[Object.keys(GLYPHS)[index]] ?? 0)));
	text($("stations-count"), String(model.stations.length));
}

on("stations", () => {
	view.setPlaces(model.stations);
	showLegend();
	if (wanted) show(wanted, false);
});
let stale = false;
on("statuses", () => { stale = true; });
setInterval(() => {
	if (!stale) return;
	stale = false;
	view.redraw();
	showLegend();
}, 250);
on("evses", (stations) => {
	if ([...stations].some((station) => station.uid === wanted)) show(wanted, false);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view.readColors());

export async function show(uid, focus = true) {
	wanted = uid;
	focusing ||= focus;
	const mine = ++asked;
	const station = await act("GET", `/stations/${encodeURIComponent(uid)}`);
	if (!station || mine < latest) return; // closed, or a later answer is shown
	latest = mine;
	const panel = $("station");
	const focused = panel.contains(document.activeElement) ? document.activeElement.dataset.key : null;
	view.selected = model.stations.find((known) => known.uid === uid) ?? station;
	fill("station",
		h("div", { class: "head" }, h("h3", { tabindex: -1 }, `${station.street}, ${station.city}`), h("button", { "aria-label": "Close the station", "data-key": "close", onclick: close }, "×")),
		h("p", { class: "small" }, `${station.operator} · ${station.country} · uid ${station.uid}`),
		station.remark ? h("p", { class: "small" }, station.remark) : null,
		h("ul", { class: "evses" }, station.evses.map(evseItem)),
	);
	panel.hidden = false;
	view.redraw();
	if (focusing) panel.querySelector("h3").focus();
	else if (focused) panel.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
	focusing = false;
}

function evseItem(evse) {
	const power = evse.connectors.map((connector) => `${connector.type} ${connector.max_power} kW`).join(", ");
	const set = (status) => () => act("PUT", `/evses/${encodeURIComponent(evse.evse_id)}/status`, { status });
	const choices = ["Available", "Occupied", "Unavailable"].map((status) => h("button", {
		class: `chip ${status}`, "data-key": `${evse.evse_id} ${status}`, "aria-pressed": String(evse.idle_status === status), onclick: set(status),
	}, glyph(status), ` ${WORDS[status]}`));
	return h("li", {},
		h("div", { class: "row" }, h("code", {}, evse.evse_id), h("span", { class: `state ${evse.status}` }, glyph(evse.status), ` ${WORDS[evse.status]}`)),
		h("p", { class: "small" }, power + (evse.start_fails_with ? ` · a start fails with ${evse.start_fails_with}` : "")),
		h("div", { class: "group", role: "group", "aria-label": `Set ${evse.evse_id}` }, choices),
	);
}

function close() {
	$("station").hidden = true;
	wanted = view.selected = null;
	latest = ++asked;
	view.redraw();
	canvas.focus();
}
$("station").addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });

const pointers = new Map();
let moved = 0;
canvas.addEventListener("pointerdown", (event) => {
	canvas.setPointerCapture(event.pointerId);
	pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
	moved = 0;
});
canvas.addEventListener("pointermove", (event) => {
	const before = pointers.get(event.pointerId);
	if (!before) {
		canvas.style.cursor = view.at(event.offsetX, event.offsetY) ? "pointer" : "grab";
		return;
	}
	const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
	const dx = event.offsetX - before[0], dy = event.offsetY - before[1];
	if (other) {
		const far = Math.hypot(event.offsetX - other[0], event.offsetY - other[1]), was = Math.hypot(before[0] - other[0], before[1] - other[1]);
		if (was > 0) view.zoom(far / was, ...other);
	} else view.pan(dx, dy);
	moved += Math.abs(dx) + Math.abs(dy);
	pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
});
for (const kind of ["pointerup", "pointercancel"]) {
	canvas.addEventListener(kind, (event) => {
		const pressed = pointers.delete(event.pointerId);
		if (!pressed || kind !== "pointerup" || moved > 6) return;
		const found = view.at(event.offsetX, event.offsetY);
		if (found?.uid) show(found.uid);
		else if (found) view.open(found);
	});
}
canvas.addEventListener("wheel", (event) => {
	event.preventDefault();
	view.zoom(Math.exp(-event.deltaY * 0.0015), event.offsetX, event.offsetY);
}, { passive: false });
const PAN = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
canvas.addEventListener("keydown", (event) => {
	if (PAN[event.key]) view.pan(...PAN[event.key]);
	else if (event.key === "+" || event.key === "=") view.zoom(1.6);
	else if (event.key === "-") view.zoom(1 / 1.6);
	else if (event.key === "0") view.fit();
	else if (event.key === "Enter") {
		const station = view.nearest(view.width / 2, view.height / 2, 1e6);
		if (station) show(station.uid);
	} else return;
	event.preventDefault();
});
for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, () => view.redraw());
$("zoom-in").addEventListener("click", () => view.zoom(1.6));
$("zoom-out").addEventListener("click", () => view.zoom(1 / 1.6));
$("zoom-all").addEventListener("click", () => view.fit());

const search = $("search");

search.addEventListener("input", () => {
	const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
	const found = words.length ? model.stations.filter((station) => words.every((word) => station.words.includes(word))).slice(0, FOUND) : [];
	fill("found", found.map((station) => h("li", {}, h("button", { onclick: () => choose(station) },
		h("span", { class: `state ${station.status}` }, glyph(station.status)), ` ${station.street}, ${station.city} `, h("small", {}, station.operator)))),
		words.length && !found.length ? h("li", { role: "status" }, "No station has these words.") : null);
});

function choose(station) {
	fill("found");
	view.goTo(station);
	show(station.uid);
}

document.querySelector(".search").addEventListener("keydown", (event) => {
	const buttons = [...$("found").querySelectorAll("button")];
	const at = buttons.indexOf(document.activeElement);
	if (event.key === "Escape") fill("found");
	else if (event.key === "Enter" && at < 0) buttons[0]?.click();
	else if (event.key === "ArrowDown") buttons[at + 1]?.focus();
	else if (event.key === "ArrowUp") (buttons[at - 1] ?? search).focus();
	else return;
	event.preventDefault();
});
