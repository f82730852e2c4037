// The page: loads, follows the stream, and puts the parts together.

import { ask, follow } from "./api.js";
import { $, notice, text } from "./dom.js";
import { apply, load } from "./model.js";
import "./bar.js";
import "./charges.js";
import "./faults.js";
import "./log.js";
import "./stations.js";

let waiting = null;
let loads = 0;

function live(state, label) {
	$("live").dataset.state = state;
	text($("live"), label);
}

async function begin() {
	waiting = [];
	const mine = ++loads;
	try {
		await load();
	} catch (error) {
		if (error.status === 401) return login();
		return notice(error.message);
	}
	if (mine !== loads) return; // a later one has begun
	const missed = waiting;
	waiting = null;
	missed.forEach(take);
	live("on", "live");
}

function take(change) {
	if (waiting) waiting.push(change);
	else if (change.reload) begin();
	else apply(change);
}

function connect() {
	follow({
		hello: begin,
		change: take,
		lost(closed) {
			live("off", "reconnecting");
			// A refusal ends the stream for good: the token is missing, or the sandbox has gone.
			if (closed) ask("GET", "/clock").catch((error) => error.status).then((status) => (status === 401 ? login() : setTimeout(connect, 1000)));
		},
	});
}

function login() {
	if (!$("login").open) $("login").showModal();
}

$("login-form").addEventListener("submit", async (event) => {
	event.preventDefault();
	try {
		await ask("POST", "/session", { token: $("token").value });
	} catch (error) {
		return text($("login-error"), error.message);
	}
	$("token").value = "";
	$("login").close();
	return connect();
});

connect();
