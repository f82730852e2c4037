// The charges as cards: each walks through its states, with a clock that runs while somebody can see it.

import { act } from "./api.js";
import { $, clockText, h, span, text } from "./dom.js";
import { model, now, on } from "./model.js";
import { show } from "./stations.js";

const OVER_SHOWN = 30;
const GLYPHS = { "start-requested": "◔", started: "⚡", "stop-requested": "◕", stopped: "✓", "failed-to-start": "✕", "failed-to-stop": "!" };
const STEPS = ["start-requested", "started", "stop-requested", "stopped"];

const cards = new Map();

function build(charge) {
	const path = `/charges/${encodeURIComponent(charge.session_id)}`;
	const parts = {
		state: h("span", {}), glyph: h("span", { "aria-hidden": "true" }), clock: h("time"), steps: h("ol", { class: "steps", "aria-hidden": "true" }, STEPS.map(() => h("li"))),
		note: h("p", { class: "small" }),
		acts: h("div", { class: "group", role: "group", "aria-label": `Charge on ${charge.evse_id}` },
			h("button", { "data-act": "end", title: "The charge ends by itself: the car is full, or the plug is pulled", onclick: () => act("POST", `${path}/end`) }, "End"),
			h("button", { "data-act": "fail", title: "It fails to start; once it runs, its next stop fails", onclick: () => act("POST", `${path}/fail`, {}) }, "Fail")),
	};
	const chip = h("span", { class: "state" }, parts.glyph, parts.state);
	const card = h("li", { class: "card", "data-session": charge.session_id },
		h("div", { class: "row" }, h("button", { class: "link", title: "Show its station", onclick: () => { const found = model.byEvse.get(charge.evse_id); if (found) show(found.station.uid); } }, charge.evse_id), chip),
		parts.steps,
		h("div", { class: "row" }, h("span", { class: "small" }, charge.ema_id), parts.clock),
		parts.note,
		h("div", { class: "row" }, h("code", { class: "id", title: charge.session_id }, charge.session_id),
			h("span", { class: "group" }, parts.acts, h("button", { "data-act": "forget", title: "The service no longer knows the session", "aria-label": `Forget the charge on ${charge.evse_id}`, onclick: () => act("DELETE", path) }, "Forget"))));
	card.parts = { ...parts, chip };
	return card;
}

function update(card, charge) {
	const { parts } = card;
	card.charge = charge;
	parts.chip.className = `state ${charge.state}`;
	text(parts.glyph, GLYPHS[charge.state] ?? "?");
	text(parts.state, ` ${charge.state}`);
	const reached = new Set(charge.history.map((change) => change.state));
	const failed = charge.state.startsWith("failed");
	[...parts.steps.children].forEach((step, index) => {
		step.className = reached.has(STEPS[index]) ? (STEPS[index] === charge.state ? "here" : "done") : "";
		if (failed && index === (charge.state === "failed-to-start" ? 1 : 3)) step.className = "bad";
	});
	const stopping = charge.next_stop_fails ? "The next stop fails." : "";
	text(parts.note, charge.error ? `${charge.error.code}: ${charge.error.message}` : stopping);
	parts.note.hidden = !parts.note.textContent;
	parts.acts.hidden = charge.is_over;
	tick(card);
}

function tick(card) {
	const { charge, parts } = card;
	const began = charge.started_at ?? charge.requested_at;
	const last = charge.history[charge.history.length - 1].at;
	if (charge.is_over) return text(parts.clock, charge.started_at === null ? clockText(last) : `${span(last - began)} until ${clockText(last)}`);
	const left = charge.next_change_at === null ? "" : ` · next in ${span(charge.next_change_at - now() + 0.999)}`;
	return text(parts.clock, `${span(now() - began)}${left}`);
}

function place(id) {
	const charge = model.charges.get(id);
	let card = cards.get(id);
	if (!charge) {
		if (card) drop(card);
		return;
	}
	const list = charge.is_over ? $("charges-over") : $("charges-open");
	if (!card) {
		card = build(charge);
		cards.set(id, card);
	}
	update(card, charge);
	if (card.parentNode !== list) list.prepend(card);
}

function drop(card) {
	cards.delete(card.dataset.session);
	card.remove();
}

function summary() {
	const over = $("charges-over");
	while (over.children.length > OVER_SHOWN) drop(over.lastElementChild);
	const open = $("charges-open").children.length;
	text($("charges-count"), open ? `${open} open` : "none open");
	$("charges-none").hidden = cards.size > 0;
	$("over-title").hidden = !over.children.length;
}

on("all-charges", () => {
	for (const card of [...cards.values()]) if (!model.charges.has(card.dataset.session)) drop(card);
	const all = [...model.charges.values()];
	const over = all.filter((charge) => charge.is_over).slice(-OVER_SHOWN);
	for (const charge of [...over, ...all.filter((charge) => !charge.is_over)]) place(charge.session_id);
	summary();
});
on("charges", (ids) => {
	ids.forEach(place);
	summary();
});
setInterval(() => {
	// All are asked before one is changed: each change would make the next question lay out the page.
	[...$("charges-open").children].filter((card) => card.checkVisibility({ contentVisibilityAuto: true })).forEach(tick);
}, 250);
