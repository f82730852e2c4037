// Elements and their text. Everything shown goes through text nodes and attributes, so markup in it stays text.

export const $ = (id) => document.getElementById(id);

export function h(tag, given = {}, ...children) {
	const node = document.createElement(tag);
	for (const [name, value] of Object.entries(given)) {
		if (value == null || value === false) continue;
		if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
		else node.setAttribute(name, value === true ? "" : String(value));
	}
	node.append(...some(children));
	return node;
}

const some = (children) => children.flat(2).filter((child) => child != null);

export function fill(id, ...children) {
	$(id).replaceChildren(...some(children));
}

export function text(node, value) {
	if (node.textContent !== value) node.textContent = value;
}

let hiding = 0;

export function notice(message) {
	const box = $("notice");
	text(box, message);
	box.hidden = false;
	clearTimeout(hiding);
	hiding = setTimeout(() => (box.hidden = true), 6000);
}

export const clockText = (at) => new Date(at * 1000).toISOString().slice(11, 19);

export function span(seconds) {
	const whole = Math.max(0, Math.floor(seconds));
	const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
	return (whole >= 3600 ? `${Math.floor(whole / 3600)}:` : "") + parts.join(":");
}
