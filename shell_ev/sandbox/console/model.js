// What the page knows of the sandbox, bounded. Listeners run at most once per frame, however much has changed.

import { ask } from "./api.js";

const CHARGES = 1500;
const REQUESTS = 500;

export const model = {
	about: null, clock: { now: 0, speed: 1, paused: false }, tokens: { issued: 0, live: 0 },
	stations: [], byEvse: new Map(), charges: new Map(), requests: [], faults: [], recorded: 0,
};

const listeners = new Map();
const dirty = new Map();
let base = { now: 0, at: 0 };
let asked = false;

export function on(topic, listener) {
	listeners.set(topic, [...(listeners.get(topic) ?? []), listener]);
}

export function now() {
	const { speed, paused } = model.clock;
	return paused || speed === null ? base.now : base.now + ((performance.now() - base.at) / 1000) * speed;
}

// What takes longer than a millisecond waits for a frame of its own: its layout and its paint come on top.
function run() {
	const began = performance.now();
	for (const [topic, changed] of dirty) {
		dirty.delete(topic);
		for (const listener of listeners.get(topic) ?? []) listener(changed);
		if (performance.now() - began > 1) break;
	}
	asked = dirty.size > 0;
	if (asked) requestAnimationFrame(run);
}

function mark(topic, items = []) {
	if (!dirty.has(topic)) dirty.set(topic, new Set());
	for (const item of items) dirty.get(topic).add(item);
	if (!asked) requestAnimationFrame(run);
	asked = true;
}

function setTime(at) {
	base = { now: at, at: performance.now() };
}

function setStations(stations) {
	model.stations = stations;
	model.byEvse = new Map(stations.flatMap((station) => station.evses.map((evse) => [evse.evse_id, { station, evse }])));
	for (const station of stations) station.words = [station.city, station.street, station.operator, ...station.evses.map((evse) => evse.evse_id)].join(" ").toLowerCase();
}

const ORDER = ["Available", "Occupied", "Unavailable"];

function setEvse({ evse_id, status }) {
	const found = model.byEvse.get(evse_id);
	if (!found) return null;
	found.evse.status = status;
	const statuses = found.station.evses.map((evse) => evse.status);
	const before = found.station.status;
	found.station.status = ORDER.find((name) => statuses.includes(name)) ?? "Unknown";
	if (found.station.status !== before) mark("statuses");
	return found.station;
}

function trim() {
	for (const [id, charge] of model.charges) {
		if (model.charges.size <= CHARGES) return;
		if (charge.is_over) model.charges.delete(id);
	}
}

export async function load() {
	const [about, stations, charges, requests, faults] = await Promise.all([
		ask("GET", "/"), ask("GET", "/stations"), ask("GET", "/charges?limit=1000"),
		ask("GET", `/requests?limit=${REQUESTS}`), ask("GET", "/faults"),
	]);
	Object.assign(model, { about, clock: about.clock, tokens: about.tokens, faults: faults.waiting });
	setStations(stations.stations);
	model.charges = new Map(charges.charges.map((charge) => [charge.session_id, charge]));
	model.requests = requests.requests.reverse();
	model.recorded = requests.recorded;
	setTime(about.clock.now);
	for (const topic of ["about", "clock", "tokens", "faults", "stations", "charges", "all-requests", "requests"]) mark(topic);
}

export function apply(change) {
	setTime(change.clock?.now ?? change.now);
	if (model.clock.speed === null) mark("clock");
	for (const topic of ["clock", "tokens", "faults"]) {
		if (!(topic in change)) continue;
		model[topic] = change[topic];
		mark(topic);
	}
	for (const charge of change.charges ?? []) model.charges.set(charge.session_id, charge);
	for (const id of change.charges_forgotten ?? []) model.charges.delete(id);
	if (change.charges || change.charges_forgotten) {
		trim();
		mark("charges");
	}
	if (change.evses) mark("evses", change.evses.map(setEvse).filter(Boolean));
	if (change.requests_cleared) {
		model.requests = [];
		mark("all-requests");
		mark("requests");
	}
	if (change.requests) {
		const fresh = change.requests.reverse();
		model.requests = [...fresh, ...model.requests].slice(0, REQUESTS);
		model.recorded = fresh[0].number;
		if (change.requests.some((request) => request.operation === "token")) mark("token-calls");
		mark("requests");
	}
}
