// The charges as cards: each shows the states it has reached and a clock that runs.

import { act } from "./api.js";
import { $, clockText, h, span, text } from "./dom.js";
import { windowed } from "./lists.js";
import { model, now, on } from "./model.js";
import { show } from "./stations.js";

const OVER_SHOWN = 30;
// Pixels with the margin, without and with a note.
const HEIGHT = 112.7, NOTED = 153;
const GLYPHS = { "start-requested": "◔", started: "⚡", "stop-requested": "◕", stopped: "✓", "failed-to-start": "✕", "failed-to-stop": "!" };
const STEPS = Object.keys(GLYPHS).slice(0, 4);

function build(charge) {
	const path = `/charges/${encodeURIComponent(charge.session_id)}`;
	const parts = {
		state: h("span"), glyph: h("span", { "aria-hidden": "true" }), clock: h("time"), steps: h("ol", { class: "steps", "aria-hidden": "true" }, STEPS.map(() => h("li"))),
		note: h("p", { class: "small" }),
		acts: h("div", { class: "group", role: "group", "aria-label": `Charge on ${charge.evse_id}` },
			h("button", { "data-act": "end", title: "The charge ends by itself: the car is full, or the plug is pulled", onclick: () => act("POST", `${path}/end`) }, "End"),
			h("button", { "data-act": "fail", title: "It fails to start; once it runs, its next stop fails", onclick: () => act("POST", `${path}/fail`, {}) }, "Fail")),
	};
	const chip = h("span", { class: "state" }, parts.glyph, parts.state);
	const card = h("li", { class: "card", "data-session": charge.session_id },
		h("div", { class: "row" }, h("button", { class: "link", onclick: () => { const found = model.byEvse.get(charge.evse_id); if (found) show(found.station.uid); } }, charge.evse_id), chip),
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
	parts.chip.className = `state ${charge.state}`;
	text(parts.glyph, GLYPHS[charge.state] ?? "?");
	text(parts.state, ` ${charge.state}`);
	const reached = new Set(charge.history.map((change) => change.state));
	const failed = charge.state.startsWith("failed");
	[...parts.steps.children].forEach((step, index) => {
		step.className = reached.has(STEPS[index]) ? (STEPS[index] === charge.state ? "here" : "done") : "";
		if (failed && index === (charge.state === "failed-to-start" ? 1 : 3)) step.className = "bad";
	});
	text(parts.note, noteOf(charge));
	parts.note.hidden = !parts.note.textContent;
	parts.acts.hidden = charge.is_over;
	tick(card, charge);
}

function tick({ parts }, charge) {
	const began = charge.started_at ?? charge.requested_at;
	const last = charge.history[charge.history.length - 1].at;
	if (charge.is_over) return text(parts.clock, charge.started_at === null ? clockText(last) : `${span(last - began)} until ${clockText(last)}`);
	const left = charge.next_change_at === null ? "" : ` · next in ${span(charge.next_change_at - now() + 0.999)}`;
	return text(parts.clock, `${span(now() - began)}${left}`);
}

const noteOf = ({ error, next_stop_fails }) => (error ? `${error.code}: ${error.message}` : next_stop_fails ? "The next stop fails." : "");

const list = (id) => ({
	node: $(id), items: [], key: "session_id", height: (charge) => (noteOf(charge) ? NOTED : HEIGHT), build, update,
	place(card, index) { [card.ariaPosInSet, card.ariaSetSize] = [index + 1, this.items.length]; },
	pad(before, after) { this.node.style.padding = `${before}px 0 ${after}px`; },
});
const open = list("charges-open"), over = list("charges-over");
const put = windowed(open.node.parentNode, [open, over]);

function sort() {
	const all = [...model.charges.values()].reverse();
	const ended = (charge) => charge.history[charge.history.length - 1].at;
	open.items = all.filter((charge) => !charge.is_over);
	over.items = all.filter((charge) => charge.is_over).sort((a, b) => ended(b) - ended(a)).slice(0, OVER_SHOWN);
	text($("charges-count"), open.items.length ? `${open.items.length} open` : "none open");
	$("charges-none").hidden = all.length > 0;
	$("over-title").hidden = !over.items.length;
	put();
}
on("charges", sort);

setInterval(() => {
	for (const card of open.node.children) tick(card, card.item);
}, 250);
