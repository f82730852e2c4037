// The clock, the lines to export, the tokens, and the reset.

import { act, ask } from "./api.js";
import { $, clockText, text } from "./dom.js";
import { model, now, on } from "./model.js";

const addSpeed = (speed) => $("speed").add(new Option(`${speed} ×`, speed));

function showClock() {
	const { paused, speed } = model.clock;
	$("pause").setAttribute("aria-pressed", String(paused));
	text($("pause"), paused ? "Run" : "Pause");
	const given = speed === null;
	for (const control of [$("pause"), $("speed")]) control.disabled = given;
	if (given) return;
	const select = $("speed");
	if (![...select.options].some((option) => Number(option.value) === speed)) addSpeed(speed);
	select.value = String(speed);
}

on("clock", showClock);
setInterval(() => {
	if (model.about) text($("now"), clockText(now()));
}, 100);

$("pause").addEventListener("click", () => act("PATCH", "/clock", { paused: !model.clock.paused }));
$("speed").addEventListener("change", (event) => act("PATCH", "/clock", { speed: Number(event.target.value) }));
for (const button of document.querySelectorAll("[data-step]")) {
	button.addEventListener("click", () => act("POST", "/clock/step", { seconds: Number(button.dataset.step) }));
}

function exportLines() {
	const { url, client_id, client_secret, same_port } = model.about;
	// Through a forwarded port the page knows better than the sandbox where it is reached.
	const base = same_port ? location.origin : url;
	return [`export SHELL_EV_BASE_URL=${base}`, `export SHELL_EV_CLIENT_ID=${client_id}`, `export SHELL_EV_CLIENT_SECRET=${client_secret}`].join("\n");
}

on("about", () => text($("exports"), exportLines()));
$("copy").addEventListener("click", async () => {
	try {
		await navigator.clipboard.writeText(exportLines());
		text($("copy"), "Copied");
	} catch {
		getSelection().selectAllChildren($("exports"));
		text($("copy"), "Selected");
	}
	setTimeout(() => text($("copy"), "Copy"), 1500);
});

for (const speed of [1, 10, 60, 600]) addSpeed(speed);
const showTokens = () => text($("tokens"), `Tokens: ${model.tokens.issued} issued, ${model.tokens.live} good`);
on("tokens", showTokens);
on("token-calls", () => ask("GET", "/tokens").then((tokens) => { model.tokens = tokens; showTokens(); }, () => {}));
$("revoke").addEventListener("click", () => act("DELETE", "/tokens"));

$("reset").addEventListener("click", () => {
	const sure = $("reset").textContent === "Sure?";
	text($("reset"), sure ? "Reset" : "Sure?");
	if (sure) act("POST", "/reset");
	else setTimeout(() => text($("reset"), "Reset"), 4000);
});
