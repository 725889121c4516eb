"use strict";
(() => {
	// A curve is read at the point nearest to the pointer, or step by step from the keyboard.
	const read = new WeakMap();
	const pointsOf = svg => {
		if (!read.has(svg)) {
			const at = [...svg.querySelectorAll("polyline")].flatMap(l => l.getAttribute("points").trim().split(" ").map(p => p.split(",").map(Number)));
			read.set(svg, { at, step: svg.dataset.x.split(" "), value: svg.dataset.y.split(" ") });
		}
		return read.get(svg);
	};
	const place = (svg, i) => {
		const { at, step, value } = pointsOf(svg);
		i = Math.max(0, Math.min(at.length - 1, i));
		const shown = value[i].replaceAll("-", "−");
		const line = svg.querySelector("line.at"), dot = svg.querySelector("circle.at");
		line.setAttribute("x1", at[i][0]);
		line.setAttribute("x2", at[i][0]);
		dot.setAttribute("cx", at[i][0]);
		dot.setAttribute("cy", at[i][1]);
		svg.dataset.at = i;
		svg.setAttribute("aria-valuenow", i);
		svg.setAttribute("aria-valuetext", `step ${step[i]}: ${shown}`);
		const reading = svg.parentElement.querySelector(".reading strong");
		reading.dataset.last ??= reading.textContent;
		reading.textContent = `step ${step[i]}: ${shown}`;
	};
	const leave = svg => {
		delete svg.dataset.at;
		const reading = svg.parentElement.querySelector(".reading strong");
		if (reading.dataset.last) reading.textContent = reading.dataset.last;
	};
	const prepare = root => {
		for (const svg of root.querySelectorAll("svg.chart")) {
			const last = pointsOf(svg).at.length - 1;
			svg.setAttribute("role", "slider");
			svg.setAttribute("tabindex", "0");
			svg.setAttribute("aria-valuemin", "0");
			svg.setAttribute("aria-valuemax", last);
			svg.setAttribute("aria-valuenow", last);
		}
	};
	const chartAt = event => event.target.closest?.("svg.chart");
	const point = event => {
		const svg = chartAt(event);
		for (const other of document.querySelectorAll("svg.chart[data-at]")) {
			if (other !== svg && other !== document.activeElement) leave(other);
		}
		if (!svg) return;
		const box = svg.getBoundingClientRect();
		const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
		const { at } = pointsOf(svg);
		let near = 0;
		at.forEach((p, i) => { if (Math.abs(p[0] - x) < Math.abs(at[near][0] - x)) near = i; });
		place(svg, near);
	};
	document.addEventListener("pointermove", point);
	document.addEventListener("pointerdown", point);
	document.addEventListener("focusout", event => { const svg = chartAt(event); if (svg) leave(svg); });
	document.addEventListener("keydown", event => {
		const svg = chartAt(event);
		if (!svg || event.ctrlKey || event.altKey || event.metaKey) return;
		const last = pointsOf(svg).at.length - 1, now = Number(svg.dataset.at ?? last);
		const to = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, PageDown: now - 10, PageUp: now + 10, Home: 0, End: last }[event.key];
		if (event.key === "Escape") leave(svg);
		if (to === undefined) return;
		event.preventDefault();
		place(svg, to);
	});
	prepare(document);

	// A live page asks every second for itself, and takes over the parts that have changed.
	if (!document.body.hasAttribute("data-live")) return;
	const partsOf = page => [...page.querySelectorAll("[data-part]")];
	const fetched = new Map();
	const take = (was, part) => {
		const now = document.importNode(part, true);
		const nameOf = details => details.querySelector("summary").firstChild.textContent;
		const opened = [...was.querySelectorAll("details[open]")].map(nameOf), reading = [...was.querySelectorAll("svg.chart[data-at]")].map(svg => [svg.id, Number(svg.dataset.at)]);
		for (const d of now.querySelectorAll("details")) d.open = opened.includes(nameOf(d));
		const scrolled = [...was.querySelectorAll("pre, .scroll, .plate")].map(e => [e.scrollLeft, e.scrollTop]);
		const focused = was.contains(document.activeElement) && document.activeElement.id;
		was.replaceWith(now);
		prepare(now);
		now.querySelectorAll("pre, .scroll, .plate").forEach((e, i) => { if (scrolled[i]) [e.scrollLeft, e.scrollTop] = scrolled[i]; });
		if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
		for (const [id, at] of reading) {
			const again = document.getElementById(id);
			if (again) place(again, at);
		}
	};
	const update = page => {
		const parts = partsOf(page);
		for (const was of partsOf(document)) {
			if (!parts.some(p => p.id === was.id)) was.remove();
		}
		let before = null;
		for (const part of parts) {
			const was = document.getElementById(part.id);
			if (!was) {
				const now = document.importNode(part, true);
				if (before?.parentElement === document.querySelector("main")) before.after(now);
				else document.querySelector("main").prepend(now);
				prepare(now);
			} else if (fetched.get(part.id) !== part.outerHTML) {
				take(was, part);
			}
			fetched.set(part.id, part.outerHTML);
			before = document.getElementById(part.id);
		}
	};
	const news = document.getElementById("news");
	const tell = text => { if (news.textContent !== text) news.textContent = text; };
	let ended = false;
	const ask = async () => {
		if (ended) return;
		const text = await fetch(location.pathname, { cache: "no-store" }).then(answer => answer.ok ? answer.text() : null, () => null);
		setTimeout(ask, text === null ? 5000 : 1000);
		if (text === null) {
			tell("The run does not answer: it has ended, or cannot be reached. Its page is in its folder.");
			return;
		}
		const page = new DOMParser().parseFromString(text, "text/html");
		update(page);
		tell("");
		if (!page.body.hasAttribute("data-live")) {
			ended = true;
			document.body.removeAttribute("data-live");
			tell("The run has ended. This page is complete, and is also in its folder.");
		}
	};
	setTimeout(ask, 1000);
})();
