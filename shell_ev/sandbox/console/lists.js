// Long lists: only what is near the view has elements, and padding stands for the rest.

const NEAR = 200;

// A list: its node, its items, their key and height, how one is built and changed, how its place and the padding are set.
function put(list, begins, top, bottom) {
	const { node, items, key, height, shown } = list;
	const focused = document.activeElement;
	const near = new Map();
	let before = 0, after = 0, end = begins;
	items.forEach((item, index) => {
		const size = height(item), id = item[key];
		if ((end + size > top && end < bottom) || shown.get(id)?.contains(focused)) near.set(id, [item, index]);
		else if (near.size) after += size;
		else before += size;
		end += size;
	});
	for (const [id, element] of shown) {
		if (near.has(id)) continue;
		element.remove();
		shown.delete(id);
	}
	let next = node.firstElementChild;
	for (const [id, [item, index]] of near) {
		const element = shown.get(id) ?? list.build(item);
		shown.set(id, element);
		if (element.item !== item) list.update(element, item);
		element.item = item;
		list.place(element, index);
		if (element === next) next = next.nextElementSibling;
		else node.insertBefore(element, next);
	}
	list.pad(before, after);
	return end;
}

// Returns the function that shows the lists as they are now. Asking the page for the position would lay it out each time.
export function windowed(scroll, lists) {
	let top = 0, room = 0, asked = false;
	for (const list of lists) list.shown = new Map();
	const all = () => {
		asked = false;
		lists.reduce((end, list) => put(list, end, top - NEAR, top + room + NEAR), 0);
	};
	scroll.addEventListener("scroll", () => {
		top = scroll.scrollTop;
		if (!asked) requestAnimationFrame(all);
		asked = true;
	});
	new ResizeObserver(() => {
		room = scroll.clientHeight;
		all();
	}).observe(scroll);
	return all;
}
