// The control API: one function per call, and the stream of events.

import { notice } from "./dom.js";

const ROOT = "/_sandbox/v1";

const refused = (status, message) => Object.assign(new Error(message), { status });

export async function ask(method, path, body) {
	const options = { method, credentials: "same-origin" };
	if (body !== undefined) {
		options.headers = { "Content-Type": "application/json" };
		options.body = JSON.stringify(body);
	}
	let reply;
	try {
		reply = await fetch(ROOT + path, options);
	} catch {
		throw refused(0, "The sandbox does not answer.");
	}
	if (reply.status === 204) return null;
	const document = await reply.json().catch(() => null);
	if (reply.ok) return document;
	throw refused(reply.status, document?.error?.message ?? `The sandbox answered ${reply.status}.`);
}

// For buttons: what goes wrong is shown.
export const act = (...call) => ask(...call).catch((error) => notice(error.message));

// The stream says hello first: what is fetched after that and what it brings later leave no gap.
export function follow({ hello, change, lost }) {
	const source = new EventSource(ROOT + "/events");
	source.addEventListener("hello", hello);
	source.addEventListener("change", (event) => change(JSON.parse(event.data)));
	source.addEventListener("error", () => lost(source.readyState === EventSource.CLOSED));
	return source;
}
