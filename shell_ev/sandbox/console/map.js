// Drawing: coasts, names of cities and stations on a canvas, in the Mercator projection.

import { outline } from "./outline.js";

const DEGREE = Math.PI / 180;
export const project = (lon, lat) => [lon / 360 + 0.5, 0.5 - Math.log(Math.tan(Math.PI / 4 + (lat * DEGREE) / 2)) / (2 * Math.PI)];

const LINES = outline().map((line) => line.map(([lon, lat]) => project(lon, lat)));
const COLORS = { land: "land", line: "line", text: "ink", page: "panel", accent: "mark", Available: "good", Occupied: "busy", Unavailable: "bad", Unknown: "dim" };
const LEAST = 500, MOST = 4e6;

const polygon = (...corners) => (path, x, y, r) => {
	corners.forEach(([dx, dy], index) => path[index ? "lineTo" : "moveTo"](x + dx * r, y + dy * r));
	path.closePath();
};
// One shape per status, so that colour is never alone.
export const SHAPES = {
	Available: (path, x, y, r) => { path.moveTo(x + r, y); path.arc(x, y, r, 0, 7); },
	Occupied: polygon([-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]),
	Unavailable: polygon([0, -1.2], [1.15, 0.9], [-1.15, 0.9]),
	Unknown: polygon([0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]),
};

export class MapView {
	constructor(canvas) {
		this.canvas = canvas;
		this.context = canvas.getContext("2d");
		this.center = project(5, 52);
		this.scale = 4000;
		this.places = [];
		this.cities = [];
		this.shown = new Set(Object.keys(SHAPES));
		this.selected = null;
		this.pending = false;
		new ResizeObserver(() => this.resize()).observe(canvas);
		this.readColors();
	}

	readColors() {
		// Asked of an element, for a canvas cannot resolve variables and light-dark().
		const probe = this.canvas.parentNode.appendChild(document.createElement("i"));
		this.colors = {};
		for (const [name, variable] of Object.entries(COLORS)) {
			probe.style.color = `var(--${variable})`;
			this.colors[name] = getComputedStyle(probe).color;
		}
		probe.remove();
		this.redraw();
	}

	resize() {
		const { clientWidth: width, clientHeight: height } = this.canvas;
		const ratio = devicePixelRatio || 1;
		this.canvas.width = width * ratio;
		this.canvas.height = height * ratio;
		const first = !this.width;
		[this.width, this.height] = [width, height];
		if (first) this.fit();
		this.redraw();
	}

	setPlaces(stations) {
		this.places = stations.map((station) => ({ station, at: project(station.longitude, station.latitude) }));
		const cities = new Map();
		for (const { station, at } of this.places) {
			const city = cities.get(station.city) ?? { name: station.city, x: at[0], y: at[1], stations: [] };
			city.stations.push(station);
			cities.set(station.city, city);
		}
		this.cities = [...cities.values()].sort((a, b) => b.stations.length - a.stations.length);
		this.fit();
	}

	fit() {
		if (!this.places.length || !this.width) return;
		const xs = this.places.map(({ at }) => at[0]), ys = this.places.map(({ at }) => at[1]);
		const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
		this.center = [(left + right) / 2, (top + bottom) / 2];
		this.setScale(Math.min((this.width - 60) / (right - left || 1e-4), (this.height - 90) / (bottom - top || 1e-4)));
	}

	setScale(scale) {
		this.scale = Math.max(LEAST, Math.min(MOST, scale));
		this.redraw();
	}

	toScreen([x, y]) {
		return [(x - this.center[0]) * this.scale + this.width / 2, (y - this.center[1]) * this.scale + this.height / 2];
	}

	pan(dx, dy) {
		this.center = [this.center[0] - dx / this.scale, this.center[1] - dy / this.scale];
		this.redraw();
	}

	zoom(factor, x = this.width / 2, y = this.height / 2) {
		const before = 1 / this.scale;
		this.setScale(this.scale * factor);
		const moved = before - 1 / this.scale;
		this.center = [this.center[0] + (x - this.width / 2) * moved, this.center[1] + (y - this.height / 2) * moved];
	}

	goTo(station) {
		this.center = project(station.longitude, station.latitude);
		this.setScale(Math.max(this.scale, 400000));
		// Beside the panel of the station, or above it.
		if (this.width > 500) this.center[0] += this.width / 4 / this.scale;
		else this.center[1] += this.height / 4 / this.scale;
	}

	nearest(x, y, within = 18) {
		let best = null, distance = within * within;
		for (const place of this.places) {
			if (!this.shown.has(place.station.status)) continue;
			const [px, py] = this.toScreen(place.at);
			const found = (px - x) ** 2 + (py - y) ** 2;
			if (found < distance) [best, distance] = [place.station, found];
		}
		return best;
	}

	redraw() {
		if (this.pending) return;
		this.pending = true;
		requestAnimationFrame(() => {
			this.pending = false;
			this.draw();
		});
	}

	draw() {
		if (!this.width) return;
		const { context: pen, colors, width, height } = this;
		const ratio = devicePixelRatio || 1;
		pen.setTransform(ratio, 0, 0, ratio, 0, 0);
		pen.fillStyle = colors.land;
		pen.fillRect(0, 0, width, height);
		pen.strokeStyle = colors.line;
		pen.lineWidth = 1.3;
		pen.lineJoin = "round";
		const lines = new Path2D();
		for (const line of LINES) line.forEach((point, index) => lines[index ? "lineTo" : "moveTo"](...this.toScreen(point)));
		pen.stroke(lines);
		const radius = Math.max(4, Math.min(9, 2.6 + Math.log2(this.scale / 3000) * 0.9));
		if (this.bundled) this.drawBundles(pen);
		else this.drawPlaces(pen, radius);
		if (this.selected) {
			const [x, y] = this.toScreen(project(this.selected.longitude, this.selected.latitude));
			pen.beginPath();
			pen.arc(x, y, radius + 6, 0, 7);
			pen.lineWidth = 3;
			pen.strokeStyle = colors.accent;
			pen.stroke();
		}
		if (document.activeElement === this.canvas) {
			pen.strokeStyle = colors.accent;
			pen.lineWidth = 1.5;
			pen.strokeRect(width / 2 - 9, height / 2 - 9, 18, 18);
		}
	}

	// Far away the stations of a city are one ring of their statuses, with their number.
	get bundled() {
		return this.scale < 45000;
	}

	bundle() {
		this.bundles = [];
		for (const { name, x, y, stations } of this.cities) {
			const shown = stations.filter((station) => this.shown.has(station.status));
			if (!shown.length) continue;
			const [left, top] = this.toScreen([x, y]);
			const near = this.bundles.find((other) => Math.hypot(other.left - left, other.top - top) < other.radius + 12);
			if (near) near.stations.push(...shown);
			else this.bundles.push({ name, x, y, left, top, stations: shown, radius: 9 + Math.sqrt(shown.length) });
		}
	}

	drawBundles(pen) {
		this.bundle();
		pen.textAlign = "center";
		pen.textBaseline = "middle";
		pen.font = "600 10px system-ui, sans-serif";
		pen.lineWidth = 4;
		for (const { left, top, radius, stations } of this.bundles) {
			pen.beginPath();
			pen.arc(left, top, radius, 0, 7);
			pen.fillStyle = this.colors.page;
			pen.fill();
			let angle = -Math.PI / 2;
			for (const status of Object.keys(SHAPES)) {
				const part = stations.filter((station) => station.status === status).length / stations.length;
				if (!part) continue;
				pen.beginPath();
				pen.arc(left, top, radius - 2, angle, (angle += part * 2 * Math.PI));
				pen.strokeStyle = this.colors[status];
				pen.stroke();
			}
			pen.fillStyle = this.colors.text;
			pen.fillText(stations.length, left, top + 0.5);
		}
		pen.textBaseline = "alphabetic";
		this.drawNames(pen, this.bundles.map(({ name, left, top, radius }) => [name, left, top - radius - 4]), this.bundles);
	}

	at(x, y) {
		return this.bundled ? this.bundles?.find(({ left, top, radius }) => Math.hypot(left - x, top - y) < radius) : this.nearest(x, y);
	}

	open({ x, y }) {
		this.center = [x, y];
		this.setScale(Math.max(this.scale * 4, 45000));
	}

	drawPlaces(pen, radius) {
		pen.strokeStyle = this.colors.page;
		pen.lineWidth = radius / 5;
		for (const { station, at } of this.places) {
			const [x, y] = this.toScreen(at);
			if (x < -20 || y < -20 || x > this.width + 20 || y > this.height + 20 || !this.shown.has(station.status)) continue;
			pen.beginPath();
			SHAPES[station.status](pen, x, y, radius);
			pen.fillStyle = this.colors[station.status];
			pen.fill();
			pen.stroke();
		}
		this.drawNames(pen, this.cities.map((city) => [city.name, ...this.toScreen([city.x, city.y])]));
	}

	drawNames(pen, names, circles = []) {
		pen.font = "600 12px system-ui, sans-serif";
		pen.textAlign = "center";
		pen.lineWidth = 4;
		pen.strokeStyle = this.colors.land;
		pen.fillStyle = this.colors.text;
		const taken = [];
		for (const [name, x, y] of names) {
			const half = name.length * 3.6 + 6;
			if (taken.some((box) => Math.abs(box.x - x) < box.half + half && Math.abs(box.y - y) < 17)) continue;
			if (circles.some((other) => other.name !== name && Math.abs(other.left - x) < other.radius + half && Math.abs(other.top - y + 4) < other.radius + 6)) continue;
			taken.push({ x, y, half });
			pen.strokeText(name, x, y);
			pen.fillText(name, x, y);
		}
	}
}
