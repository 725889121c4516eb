// The page shows what the worker learns. It draws on canvases, when the browser asks for a frame.
"use strict";
(() => {
const $ = id => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");

// ---- what is learned and how: the choices, in the address

const numbers = ["width", "layers", "batch", "steps", "seed"];
const options = { tab: "points", set: "moons", loss: "dual", potential: "icnn", source: "gibbs", sampler: "mala", width: 64, layers: 2, batch: 128, steps: 600, seed: 1 };
const names = Object.keys(options).filter(n => n !== "seed" && n !== "tab");
const tabs = ["points", "energy", "line"];
const reach = 2.5; // of the square to draw on
let drawn = [];    // points drawn here: x, y, x, y, …
let bumps = [[-1.1, -.6, .35], [1.1, -.5, .45], [.1, 1.1, .4]]; // of an energy: x, y, standard deviation
const mixture = { gap: 1.5, sd: .5, left: .5 };                // of the line
let file = null;   // { name, columns, points } of a file

// A drawn point has 12 bits a coordinate, so that a link holds it exactly.
const level = 4095;
const code = v => Math.max(0, Math.min(level, Math.round((v / reach + 1) / 2 * level)));
const decode = k => (2 * k / level - 1) * reach;

function packed(points) {
  let text = "";
  for (let i = 0; i < points.length; i += 2) {
    const a = code(points[i]), b = code(points[i + 1]);
    text += String.fromCharCode(a >> 4, (a & 15) << 4 | b >> 8, b & 255);
  }
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_");
}

function unpacked(text) {
  const bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/")), points = [];
  for (let i = 0; i + 2 < bytes.length; i += 3) {
    const [a, b, c] = [0, 1, 2].map(k => bytes.charCodeAt(i + k));
    points.push(decode(a << 4 | b >> 4), decode((b & 15) << 8 | c));
  }
  return points;
}

function writeLink() {
  const link = new URLSearchParams(options);
  if (options.tab === "points" && options.set === "drawing") link.set("points", packed(drawn));
  if (options.tab === "energy") link.set("bumps", bumps.flat().join(","));
  if (options.tab === "line") for (const [name, v] of Object.entries(mixture)) link.set(name, v);
  history.replaceState(null, "", "#" + link);
}

function readLink() {
  const link = new URLSearchParams(location.hash.slice(1));
  for (const name of names) {
    const value = link.get(name), known = [...$(name).options].some(o => o.value === value && !o.hidden);
    if (known) options[name] = numbers.includes(name) ? Number(value) : value;
  }
  if (tabs.includes(link.get("tab"))) options.tab = link.get("tab");
  for (const name of Object.keys(mixture)) if (link.has(name)) { $(name).value = link.get(name); mixture[name] = Number($(name).value); }
  const v = (link.get("bumps") ?? "").split(",").map(Number);
  if (v.length > 1 && v.length % 3 === 0 && v.every(Number.isFinite)) bumps = Array.from({ length: Math.min(mostBumps, v.length / 3) }, (_, k) => bump(...v.slice(3 * k, 3 * k + 3)));
  if (/^\d{1,15}$/.test(link.get("seed") ?? "")) options.seed = Number(link.get("seed"));
  try {
    if (link.has("points")) drawn = unpacked(link.get("points"));
  } catch { complain("The points of the link cannot be read."); }
}

const mostBumps = 24;
const within = (v, low, high) => Math.max(low, Math.min(high, v));
const bump = (x, y, sd) => [within(x, -reach, reach), within(y, -reach, reach), within(sd, .12, 1.2)].map(v => Math.round(1e3 * v) / 1e3);

const about = {
  points: "A potential is learned from points, by CMFGen.",
  energy: "A potential is learned from an energy alone, by CMFMA: its gradient solves a Monge–Ampère equation. The law is that of the bumps.",
  line: "On the line the exact potential is known, as a fixed point. The Gibbs factor of a conjugate moment measure follows the data; that of a moment measure is narrow where the data is wide.",
};
function showChoices() {
  const { tab } = options;
  const energy = options.loss.startsWith("monge");
  if (energy !== (tab === "energy")) options.loss = tab === "energy" ? "monge-ampere" : "dual";
  for (const name of names) $(name).value = options[name];
  for (const [name, v] of Object.entries(mixture)) $(name).value = $(name + "-value").value = v;
  for (const t of tabs) {
    $("tab-" + t).setAttribute("aria-selected", t === tab);
    $("tab-" + t).tabIndex = t === tab ? 0 : -1;
  }
  $("about").textContent = about[tab];
  for (const e of document.querySelectorAll(".of-points")) e.hidden = tab !== "points";
  for (const e of document.querySelectorAll(".of-line")) e.hidden = tab !== "line";
  for (const e of document.querySelectorAll(".of-plane")) e.hidden = tab === "line";
  for (const t of ["points", "energy"]) $("loss-" + t).hidden = $("loss-" + t).disabled = (t === "energy") !== (tab === "energy");
  for (const e of document.querySelectorAll(".of-energy")) e.hidden = tab !== "energy";
  document.body.dataset.tab = tab;
}

// ---- the worker

const worker = new Worker("worker.js");
let phase = "loading"; // loading, empty (of points), preparing, idle, running, paused, finished, sampling
let wanted = null;     // the phase after sampling
let runAtOnce = false; // after preparing
let lesson = null;     // data, center and scale of what is learned
const tell = (order, values = {}) => worker.postMessage({ order, ...values });
worker.onerror = e => complain(`The worker does not run: ${e.message ?? "its script cannot be loaded"}. Serve the folder by a web server; opened as a file it cannot work.`);

const drawing = () => options.tab === "points" && options.set === "drawing";
const own = () => drawing() ? drawn : options.tab === "points" && options.set === "file" ? file.points : null;

// task is what the worker learns.
function task() {
  const t = { ...options, bumps, mixture: [] };
  if (options.tab !== "points") Object.assign(t, { potential: "icnn", source: "gibbs" });
  if (options.tab === "line") t.mixture = [[mixture.left, -1], [1 - mixture.left, 1]].map(([Weight, side]) => ({ Weight, Mean: side * mixture.gap, SD: mixture.sd }));
  return t;
}

// begin learns anew.
function begin(run) {
  writeLink();
  complain("");
  const points = own();
  const few = points && points.length < 2 * 20 || options.tab === "energy" && !bumps.length;
  curves.clear();
  view = null; now = null; lesson = null; wanted = null;
  drawable();
  enter(few ? "empty" : "preparing");
  runAtOnce = run;
  if (phase === "empty") { tell("stop"); return; }
  tell("learn", { task: task(), points: points && Float32Array.from(points) });
}

function start() { tell("run"); enter("running"); news("Learning."); }
function pause() { tell("pause"); enter("paused"); news("Paused."); }

const doing = { loading: "loading", preparing: "preparing", idle: "ready", running: "learning", paused: "paused", finished: "learned", sampling: "drawing samples" };
function enter(next) {
  phase = next;
  $("doing").textContent = phase === "empty" ? options.tab === "energy" ? "put a bump down" : "draw at least 20 points" : doing[phase];
  const ready = !["loading", "empty", "preparing", "sampling"].includes(phase);
  for (const id of ["learn", "step", "reset", "samples", "model"]) $(id).disabled = !ready;
  $("step").disabled ||= phase === "running" || phase === "finished";
  $("seed").disabled = ["loading", "sampling"].includes(phase);
  $("learn").textContent = { running: "Pause", paused: "Go on", finished: "Learn again" }[phase] ?? "Learn";
  if (["empty", "preparing", "idle"].includes(phase)) { $("count").textContent = $("rate").textContent = ""; $("progress").value = 0; }
  document.body.dataset.phase = phase;
  touch();
}

const news = text => { $("news").textContent = text; };
function complain(text) { $("alert").textContent = text; $("alert").hidden = !text; }

let rate = null, quarter = 0;
const hear = {
  loading({ size }) { $("count").textContent = `${(size / 1e6).toFixed(1)} MB`; },
  ready() {
    document.body.dataset.ready = Math.round(performance.now());
    begin(false);
  },
  learning(m) { lesson = m; touch(); },
  progress(m) {
    const time = performance.now();
    if (!rate || m.step <= rate.step) rate = { step: m.step - m.loss.length, time };
    else if (time - rate.time > 700) {
      $("rate").textContent = `${Number(((m.step - rate.step) / (time - rate.time) * 1e3).toPrecision(2))} steps a second`;
      rate = { step: m.step, time };
    }
    $("count").textContent = `step ${m.step} of ${m.of}`;
    $("progress").value = m.step / m.of;
    const q = Math.floor(4 * m.step / m.of);
    if (q > quarter && q < 4) news(`${["", "A quarter", "Half", "Three quarters"][q]} of the steps are made.`);
    quarter = q;
    curves.add("loss", m.step, m.loss);
    curves.add("residual", m.step, m.residual);
    document.body.dataset.step = m.step;
  },
  points(m) { if (options.tab !== "line") arrive(m); curves.add("distance", Number(document.body.dataset.step ?? 0), [m.distance]); },
  view(m) {
    view = m;
    if (m.x) curves.add("uvp", Number(document.body.dataset.step ?? 0), [m.uvp]);
    else prepare();
    if (phase === "preparing") {
      enter("idle");
      if (runAtOnce) start();
    }
    touch();
  },
  finished() { enter("finished"); news("Learned: all steps are made."); },
  swapped({ loss }) { news(`The loss is now ${loss}.`); document.body.dataset.swapped = loss; },
  drawing({ done }) { $("doing").textContent = `drawing samples, ${Math.round(100 * done)} %`; },
  drawn({ points }) {
    enter(wanted);
    wanted = null;
    const line = options.tab === "line", columns = own() && options.set === "file" && file.columns || ["x", "y"];
    const lines = [line ? "x" : columns.map(quoted).join(",")];
    if (line) lines.push(...points);
    else for (let i = 0; i < points.length; i += 2) lines.push(`${points[i]},${points[i + 1]}`);
    save("samples.csv", "text/csv", lines.join("\n") + "\n");
  },
  checkpoint({ file }) { save("checkpoint.safetensors", "application/octet-stream", file); },
  error({ text, fatal }) {
    complain(text);
    if (wanted) wanted = null;
    enter(fatal ? "loading" : lesson ? "paused" : "empty");
    if (fatal || !lesson) $("doing").textContent = "stopped";
  },
};
worker.onmessage = e => hear[e.data.kind](e.data);

const quoted = name => /[",\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;

function save(name, type, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1e4);
  news(`${name} is downloaded.`);
}

// ---- pictures

let view = null;        // the last view of the model, with what prepare adds
let now = null;         // particles and images: where they were, where they are, and since when
let dirty = true;
const touch = () => { dirty = true; };
const hues = 24;
let palette = [], ink = {};

function readColours() {
  const style = getComputedStyle(document.documentElement), get = n => style.getPropertyValue(n).trim();
  palette = Array.from({ length: hues }, (_, k) => `oklch(${get("--lightness")} .15 ${(k + .5) * 360 / hues})`);
  ink = { data: get("--data"), level: get("--level"), line: get("--line"), ink: get("--ink"), exact: get("--accent"), learned: get("--learned"), moment: get("--moment"), soft: get("--soft"), accent: rgbOf(get("--accent")) };
  grey = heatOfBumps();
  if (view?.w) prepare();
  touch();
}

function rgbOf(hex) { return [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16)); }

function arrive({ noise, image }) {
  const n = Math.min(noise.length, 2 * 2048), centre = view?.noise ?? [0, 0, 1];
  const was = now && now.image.length === image.length ? images(shownAt()) : image.slice(0, n);
  const bins = Array.from({ length: hues }, () => []); // the particles of each colour
  for (let i = 0; i < n / 2; i++) bins[hueOf(noise[2 * i] - centre[0], noise[2 * i + 1] - centre[1])].push(i);
  now = { noise: noise.subarray(0, n), image: image.subarray(0, n), was, bins, since: performance.now() };
  document.body.dataset.particles = n / 2;
  touch();
}

const hueOf = (x, y) => Math.min(hues - 1, Math.floor((Math.atan2(y, x) / (2 * Math.PI) + .5) * hues));

// Images glide from one message to the next.
const glide = 90;
const shownAt = () => still.matches ? 1 : Math.min(1, (performance.now() - now.since) / glide);
function images(u) {
  if (u >= 1) return now.image;
  const out = new Float32Array(now.image.length);
  for (let i = 0; i < out.length; i++) out[i] = now.was[i] + u * (now.image[i] - now.was[i]);
  return out;
}

// prepare makes of a view what frames draw: a heat picture, level sets, and which lines of the grid lie in the noise.
function prepare() {
  const { w, density, cells, lines } = view;
  let least = Infinity;
  for (const v of w) least = Math.min(least, v);
  view.noiseHeat = heat(cells, i => .5 * Math.exp(least - w[i]));
  const ascending = Float32Array.from(density).sort();
  const bright = ascending.at(-1 - Math.floor(cells * cells / 250)) || ascending.at(-1) || 1; // so that a sharp peak does not darken the rest
  view.dataHeat = heat(cells, i => Math.min(1, Math.sqrt(density[i] / bright)));
  view.levels = new Path2D();
  for (let k = 1; k <= 9; k++) levelSet(view.levels, w, cells, least + k * k / 4);
  view.height = (i, j) => w[Math.min(cells - 1, Math.floor((i + .5) * cells / lines)) * cells + Math.min(cells - 1, Math.floor((j + .5) * cells / lines))] - least;
}

function heat(n, alpha, colour = ink.accent) {
  const canvas = new OffscreenCanvas(n, n), ctx = canvas.getContext("2d"), image = ctx.createImageData(n, n);
  for (let i = 0; i < n * n; i++) image.data.set([...colour, 255 * alpha(i)], 4 * i);
  ctx.putImageData(image, 0, 0);
  return canvas;
}

// levelSet adds the lines at which the (n, n) grid has the value c, by marching squares, in units of the whole square.
function levelSet(path, grid, n, c) {
  const at = k => (k + .5) / n;
  for (let i = 0; i + 1 < n; i++) {
    for (let j = 0; j + 1 < n; j++) {
      const a = grid[i * n + j] - c, b = grid[i * n + j + 1] - c, d = grid[(i + 1) * n + j] - c, e = grid[(i + 1) * n + j + 1] - c;
      const cuts = [];
      if (a < 0 !== b < 0) cuts.push(at(j + a / (a - b)), at(i));
      if (d < 0 !== e < 0) cuts.push(at(j + d / (d - e)), at(i + 1));
      if (a < 0 !== d < 0) cuts.push(at(j), at(i + a / (a - d)));
      if (b < 0 !== e < 0) cuts.push(at(j + 1), at(i + b / (b - e)));
      for (let k = 0; k + 3 < cuts.length; k += 4) {
        path.moveTo(cuts[k], cuts[k + 1]);
        path.lineTo(cuts[k + 2], cuts[k + 3]);
      }
    }
  }
}

const panels = Object.fromEntries(["data", "noise", "map", "density", "laws", "slopes"].map(id => [id, $(id).getContext("2d")]));

function sized(ctx) {
  const canvas = ctx.canvas, scale = Math.min(2, devicePixelRatio), size = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== size || canvas.height !== height) [canvas.width, canvas.height] = [size, height];
  ctx.clearRect(0, 0, size, height);
  return size;
}

// placing is the map from a square of the plane to pixels.
const placing = ([x, y, half], size) => {
  const s = size / (2 * half);
  return [s, (half - x) * s, (half + y) * s];
};

// dots draws points as small squares of whole pixels, all in one colour or each in that of its bin.
function dots(ctx, points, square, radius, colour, bins) {
  const [s, ox, oy] = placing(square, ctx.canvas.width), side = Math.max(1, Math.round(2 * radius * ctx.canvas.width / ctx.canvas.clientWidth));
  const dot = i => ctx.fillRect(Math.round(ox + s * points[2 * i] - side / 2), Math.round(oy - s * points[2 * i + 1] - side / 2), side, side);
  if (bins) {
    bins.forEach((bin, k) => { ctx.fillStyle = palette[k]; bin.forEach(dot); });
    return;
  }
  ctx.fillStyle = colour;
  for (let i = 0; i < points.length / 2; i++) dot(i);
}

// dataSquare is what the picture of the data shows, in units of learning.
function dataSquare() {
  if ((drawing() || options.tab === "energy") && lesson) return [-lesson.center[0] / lesson.scale, -lesson.center[1] / lesson.scale, reach / lesson.scale];
  return view?.data ?? [0, 0, reach];
}

function drawData() {
  const ctx = panels.data, size = sized(ctx), square = dataSquare();
  if (options.tab === "energy") {
    ctx.drawImage(grey, 0, 0, size, size);
    drawBumps(ctx, size);
    ctx.globalAlpha = .85;
    if (lesson && now && !["idle", "preparing"].includes(phase)) dots(ctx, images(shownAt()), square, 1.35, "", now.bins);
    ctx.globalAlpha = 1;
  } else if (drawing() && phase === "empty") {
    dots(ctx, drawn, [0, 0, reach], 1.6, ink.data);
  } else if (lesson) {
    ctx.globalAlpha = ["idle", "preparing"].includes(phase) ? .9 : .45;
    dots(ctx, lesson.data, square, 1.15, ink.data);
    ctx.globalAlpha = .85;
    if (now && !["idle", "preparing"].includes(phase)) dots(ctx, images(shownAt()), square, 1.35, "", now.bins);
    ctx.globalAlpha = 1;
  }
  if (cursor && document.activeElement === $("data") && $("data-figure").classList.contains("drawing")) {
    const [s, ox, oy] = placing([0, 0, reach], size), x = ox + s * cursor[0], y = oy - s * cursor[1], r = .03 * size;
    ctx.strokeStyle = ink.soft;
    ctx.lineWidth = size / 400;
    ctx.beginPath();
    ctx.moveTo(x - r, y); ctx.lineTo(x + r, y); ctx.moveTo(x, y - r); ctx.lineTo(x, y + r);
    ctx.stroke();
  }
}

// The law of the bumps, and a circle for each.
let grey = null, growing = null;
function heatOfBumps() {
  const n = 64, value = [];
  for (let i = 0; i < n * n; i++) {
    const x = ((i % n + .5) / n * 2 - 1) * reach, y = (1 - (Math.floor(i / n) + .5) / n * 2) * reach;
    value.push(bumps.reduce((sum, [a, b, s]) => sum + Math.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * s * s)) / (s * s), 0));
  }
  const most = Math.max(...value) || 1;
  return heat(n, i => .75 * Math.sqrt(value[i] / most), rgbOf(ink.data));
}

function drawBumps(ctx, size) {
  const [s, ox, oy] = placing([0, 0, reach], size);
  ctx.strokeStyle = ink.soft;
  ctx.lineWidth = size / ctx.canvas.clientWidth;
  for (const [x, y, sd] of growing ? [...bumps, growing] : bumps) {
    ctx.beginPath();
    ctx.arc(ox + s * x, oy - s * y, s * sd, 0, 2 * Math.PI);
    ctx.stroke();
  }
}

// ---- the line

// drawLines draws curves over a common axis.
function drawLines(ctx, x, lines, [low, high], axis) {
  const size = sized(ctx), height = ctx.canvas.height, unit = size / ctx.canvas.clientWidth, edge = 26 * unit;
  const px = v => (v - x[0]) / (x.at(-1) - x[0]) * size, py = v => height - edge - (v - low) / (high - low || 1) * (height - 2 * edge);
  ctx.lineWidth = unit;
  ctx.strokeStyle = ink.line;
  ctx.fillStyle = ink.soft;
  ctx.font = `${12 * unit}px ${getComputedStyle(document.body).fontFamily}`;
  ctx.textAlign = "center";
  for (let v = Math.ceil(x[0]); v < x.at(-1); v++) {
    ctx.beginPath(); ctx.moveTo(px(v), 0); ctx.lineTo(px(v), height - edge); ctx.stroke();
    if (px(v) > edge / 2 && px(v) < size - edge / 2) ctx.fillText(String(v).replace("-", "−"), px(v), height - 8 * unit);
  }
  if (axis) { ctx.beginPath(); ctx.moveTo(0, py(0)); ctx.lineTo(size, py(0)); ctx.stroke(); }
  for (const [values, colour, width, dash] of lines) {
    ctx.beginPath();
    values.forEach((v, i) => i ? ctx.lineTo(px(x[i]), py(v)) : ctx.moveTo(px(x[i]), py(v)));
    ctx.strokeStyle = colour;
    ctx.lineWidth = width * unit;
    ctx.setLineDash(dash ? [6 * unit, 5 * unit] : []);
    ctx.lineJoin = "round";
    ctx.stroke();
  }
  ctx.setLineDash([]);
}

function drawLine() {
  const v = view;
  if (!v?.x) return;
  const most = Math.max(...v.density, ...v.exact, ...v.moment), steep = Math.max(...v.exactSlope.map(Math.abs));
  drawLines(panels.laws, v.x, [[v.density, ink.data, 2.5], [v.moment, ink.moment, 2], [v.exact, ink.exact, 2.5], [v.learned, ink.learned, 2, true]], [0, 1.05 * most], true);
  drawLines(panels.slopes, v.x, [[v.momentSlope, ink.moment, 2], [v.exactSlope, ink.exact, 2.5], [v.learnedSlope, ink.learned, 2, true]], [-1.3 * steep, 1.3 * steep], true);
}

function drawNoise() {
  const ctx = panels.noise, size = sized(ctx);
  if (!view?.w) return;
  ctx.imageSmoothingEnabled = true;
  ctx.drawImage(view.noiseHeat, 0, 0, size, size);
  ctx.save();
  ctx.scale(size, size);
  ctx.lineWidth = 1 / ctx.canvas.clientWidth;
  ctx.strokeStyle = ink.level;
  ctx.stroke(view.levels);
  ctx.restore();
  ctx.globalAlpha = .85;
  if (now) dots(ctx, now.noise, view.noise, 1.35, "", now.bins);
  ctx.globalAlpha = 1;
}

function drawMap(t) {
  const ctx = panels.map, size = sized(ctx);
  if (!view?.w || !now) return;
  const n = view.lines, [nx, ny, nh] = view.noise, to = dataSquare();
  const square = view.noise.map((v, k) => v + t * (to[k] - v));
  const [s, ox, oy] = placing(square, size);
  const at = k => nh * (2 * k + 1 - n) / n;
  const x = new Float32Array(n * n), y = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const k = i * n + j;
      x[k] = ox + s * ((1 - t) * (nx + at(j)) + t * view.warped[2 * k]);
      y[k] = oy - s * ((1 - t) * (ny - at(i)) + t * view.warped[2 * k + 1]);
    }
  }
  const paths = Array.from({ length: hues }, () => new Path2D());
  const high = 5; // nats above the least of w, beyond which there is hardly any noise
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (view.height(i, j) > high) continue;
      const k = i * n + j, path = paths[hueOf(at(j), -at(i))];
      if (j + 1 < n && view.height(i, j + 1) <= high) { path.moveTo(x[k], y[k]); path.lineTo(x[k + 1], y[k + 1]); }
      if (i + 1 < n && view.height(i + 1, j) <= high) { path.moveTo(x[k], y[k]); path.lineTo(x[k + n], y[k + n]); }
    }
  }
  ctx.lineWidth = size / ctx.canvas.clientWidth;
  ctx.globalAlpha = .9;
  paths.forEach((p, k) => { ctx.strokeStyle = palette[k]; ctx.stroke(p); });
  const points = now.noise.map((v, i) => (1 - t) * v + t * now.image[i]);
  ctx.globalAlpha = .5;
  dots(ctx, points, square, .9, "", now.bins);
  ctx.globalAlpha = 1;
}

function drawDensity() {
  const ctx = panels.density, size = sized(ctx);
  if (!view?.w) return;
  const [s, ox, oy] = placing(dataSquare(), size), [x, y, half] = view.data;
  ctx.drawImage(view.dataHeat, ox + s * (x - half), oy - s * (y + half), 2 * s * half, 2 * s * half);
}

// The way from noise to data: by the slider, or back and forth.
let moving = false, movedFrom = 0;
const slider = $("t");
function setMoving(on) {
  moving = on;
  movedFrom = performance.now() - Math.acos(1 - 2 * slider.value) / Math.PI * sweep;
  $("move").setAttribute("aria-pressed", on);
}
const sweep = 2500; // milliseconds one way
slider.addEventListener("input", () => { setMoving(false); touch(); });
$("move").addEventListener("click", () => setMoving(!moving));

let frames = 0, glided = false;
function frame() {
  requestAnimationFrame(frame);
  if (phase === "running") document.body.dataset.frames = ++frames;
  const gliding = now && shownAt() < 1;
  if (moving) slider.value = (1 - Math.cos((performance.now() - movedFrom) / sweep * Math.PI)) / 2;
  if (options.tab === "line") {
    if (dirty) drawLine();
    dirty = false;
  } else if (dirty || gliding || glided || moving) {
    const all = dirty;
    dirty = false;
    if (all || gliding || glided) drawData();
    if (all || moving) drawMap(Number(slider.value));
    if (all) { drawNoise(); drawDensity(); }
  }
  glided = gliding;
  curves.draw();
}

const resized = new ResizeObserver(touch);
for (const id of ["pictures", "line"]) resized.observe($(id));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColours);

// ---- curves

const curves = (() => {
  const kinds = {
    uvp: { title: "Unexplained variance of w′, %", log: true },
    distance: { title: "Distance from the data" },
    loss: { title: "Loss" },
    residual: { title: "Residual of the conjugates", log: true },
  };
  let changed = true, at = 0;
  for (const [name, kind] of Object.entries(kinds)) {
    const card = document.createElement("div");
    card.className = "curve";
    card.innerHTML = '<p class="reading"><span></span><strong></strong></p><svg class="chart" viewBox="0 0 300 60" preserveAspectRatio="none" role="img"><line x1="0" x2="300" y1="58" y2="58"/><polyline/></svg>';
    card.querySelector("span").textContent = kind.title;
    $("curves").append(card);
    kind.card = card;
    kind.x = [];
    kind.y = [];
  }
  return {
    clear() {
      for (const [name, k] of Object.entries(kinds)) {
        k.x = [];
        k.y = [];
        document.body.dataset[name] = "";
      }
      changed = true;
    },
    add(name, last, values) {
      const k = kinds[name];
      values.forEach((v, i) => { k.x.push(last - values.length + 1 + i); k.y.push(v); });
      document.body.dataset[name] = k.y.at(-1) ?? "";
      changed = true;
    },
    draw() {
      if (!changed || performance.now() - at < 150) return;
      changed = false;
      at = performance.now();
      for (const [name, k] of Object.entries(kinds)) {
        k.card.hidden = (name === "uvp") !== (options.tab === "line") && (name === "uvp" || name === "distance");
        const n = k.y.length, bucket = Math.max(1, Math.ceil(n / 150)), line = [];
        for (let i = 0; i < n; i += bucket) {
          const part = k.y.slice(i, i + bucket).filter(v => Number.isFinite(v) && (!k.log || v > 0));
          if (part.length) line.push([k.x[Math.min(n - 1, i + bucket - 1)], part.map(v => k.log ? Math.log10(v) : v).reduce((a, b) => a + b) / part.length]);
        }
        const last = line.at(-1)?.[1], low = Math.min(...line.map(p => p[1])), high = Math.max(...line.map(p => p[1]));
        const shown = line.length ? (k.log ? 10 ** last : last).toPrecision(3).replace("-", "−") : "–";
        k.card.querySelector("strong").textContent = shown;
        const first = line[0]?.[0] ?? 0, width = (line.at(-1)?.[0] ?? 1) - first || 1;
        k.card.querySelector("polyline").setAttribute("points", line.map(([x, y]) => `${((x - first) / width * 300).toFixed(1)},${(55 - (y - low) / (high - low || 1) * 50).toFixed(1)}`).join(" "));
        k.card.querySelector("svg").setAttribute("aria-label", line.length ? `${k.title}, last ${shown}` : k.title);
      }
    },
  };
})();

// ---- points drawn here, and files

let cursor = null;
function drawable() {
  const energy = options.tab === "energy", on = drawing() || energy;
  $("data-figure").classList.toggle("drawing", on);
  $("hint").hidden = !on || !energy && drawn.length >= 2 * 20;
  $("hint").textContent = energy ? "Press and drag to put a bump down; with the keyboard arrows and space." : "Draw with the mouse or a finger. With the keyboard: arrows move, space puts points down.";
  $("clear").hidden = !on || !(energy ? bumps : drawn).length;
  if (energy) grey = heatOfBumps();
}

// put adds points about a place.
function put(x, y, count = 5) {
  const most = 2 * 3000;
  for (let k = 0; k < count && drawn.length < most; k++) {
    const r = .07 * Math.sqrt(-2 * Math.log(1 - Math.random())), a = 2 * Math.PI * Math.random();
    drawn.push(decode(code(x + r * Math.cos(a))), decode(code(y + r * Math.sin(a))));
  }
}

// paint ends a learning of fewer points.
function paint(x, y, count) {
  if (phase !== "empty") { tell("stop"); lesson = view = now = null; curves.clear(); enter("empty"); }
  put(x, y, count);
  touch();
}

const placeOf = e => {
  const box = $("data").getBoundingClientRect();
  return [(2 * (e.clientX - box.left) / box.width - 1) * reach, (1 - 2 * (e.clientY - box.top) / box.height) * reach];
};
let painting = false;
const canDraw = () => (drawing() || options.tab === "energy") && phase !== "loading" && phase !== "sampling";
$("data").addEventListener("pointerdown", e => {
  if (!canDraw() || e.button) return;
  painting = true;
  $("data").setPointerCapture(e.pointerId);
  if (drawing()) paint(...placeOf(e));
  else growing = bumps.length < mostBumps ? bump(...placeOf(e), .3) : null;
  touch();
  e.preventDefault();
});
$("data").addEventListener("pointermove", e => {
  if (!painting) return;
  if (drawing()) for (const p of e.getCoalescedEvents?.() ?? [e]) paint(...placeOf(p));
  else if (growing) {
    const [x, y] = placeOf(e), sd = Math.hypot(x - growing[0], y - growing[1]);
    if (sd > .05) growing = bump(growing[0], growing[1], sd);
    touch();
  }
});
for (const end of ["pointerup", "pointercancel"]) {
  $("data").addEventListener(end, () => {
    if (!painting) return;
    painting = false;
    if (growing) bumps.push(growing);
    growing = null;
    begin(false);
  });
}
$("data").addEventListener("keydown", e => {
  if (!canDraw()) return;
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
  cursor ??= [0, 0];
  if (move) cursor = cursor.map((v, k) => Math.max(-reach, Math.min(reach, v + .1 * move[k])));
  else if (e.key === " ") {
    if (drawing()) paint(...cursor, 12);
    else if (bumps.length < mostBumps) bumps.push(bump(...cursor, .35));
    begin(false);
  } else return;
  touch();
  e.preventDefault();
});
for (const event of ["focus", "blur"]) $("data").addEventListener(event, () => { cursor ??= [0, 0]; touch(); });
$("clear").addEventListener("click", () => {
  if (drawing()) drawn = [];
  else bumps = [];
  begin(false);
});

// readCSV is the first two columns of numbers; an error names the line.
function readCSV(text) {
  const lines = text.split(/\r\n|\n|\r/), points = [];
  let columns = null;
  for (const [i, line] of lines.entries()) {
    if (!line.trim() || line.startsWith("#")) continue;
    const words = (/[,;\t]/.test(line) ? line.split(/[,;\t]/) : line.trim().split(/\s+/)).map(w => w.trim().replace(/^"(.*)"$/, "$1"));
    const [x, y] = words.slice(0, 2).map(w => w === "" ? NaN : Number(w));
    if (words.length < 2) throw new Error(`line ${i + 1} has ${words.length} column; two are needed`);
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      if (!points.length && !columns) { columns = words.slice(0, 2); continue; }
      throw new Error(`line ${i + 1}: “${words[0]}”, “${words[1]}” are not two finite numbers`);
    }
    points.push(x, y);
    if (points.length > 4e5) throw new Error("it has more than 200 000 rows");
  }
  if (points.length < 2 * 20) throw new Error(`it has ${points.length / 2} points; at least 20 are needed`);
  return { columns, points };
}

async function open(f) {
  try {
    if (f.size > 5e7) throw new Error("it is larger than 50 MB");
    file = { name: f.name, ...readCSV(await f.text()) };
  } catch (e) {
    complain(`${f.name}: ${e.message}.`);
    return;
  }
  $("ownfile").hidden = false;
  $("ownfile").textContent = file.name;
  Object.assign(options, { tab: "points", set: "file" });
  showChoices();
  begin(false);
}
$("open").addEventListener("change", e => { if (e.target.files[0]) open(e.target.files[0]); e.target.value = ""; });
addEventListener("dragover", e => { e.preventDefault(); document.body.classList.add("over-drop"); });
addEventListener("dragleave", e => { if (!e.relatedTarget) document.body.classList.remove("over-drop"); });
addEventListener("drop", e => {
  e.preventDefault();
  document.body.classList.remove("over-drop");
  if (e.dataTransfer.files[0] && phase !== "loading") open(e.dataTransfer.files[0]);
});

// ---- controls

for (const name of names) {
  $(name).addEventListener("change", () => {
    const running = phase === "running";
    options[name] = numbers.includes(name) ? Number($(name).value) : $(name).value;
    if (phase === "loading") writeLink();
    else if (name === "loss" && lesson) { writeLink(); complain(""); tell("loss", { loss: options.loss }); }
    else begin(running && name !== "set");
  });
}
for (const name of Object.keys(mixture)) {
  $(name).addEventListener("input", () => { $(name + "-value").value = $(name).value; });
  $(name).addEventListener("change", () => {
    mixture[name] = Number($(name).value);
    if (phase === "loading") writeLink();
    else begin(phase === "running");
  });
}
function selectTab(tab) {
  options.tab = tab;
  showChoices();
  $("tab-" + tab).focus();
  if (phase === "loading") { writeLink(); drawable(); } else begin(false);
}
for (const [k, tab] of tabs.entries()) {
  $("tab-" + tab).addEventListener("click", () => selectTab(tab));
  $("tab-" + tab).addEventListener("keydown", e => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (by) selectTab(tabs[(k + by + tabs.length) % tabs.length]);
  });
}
$("learn").addEventListener("click", () => {
  if (phase === "running") pause();
  else if (phase === "finished") begin(true);
  else start();
});
$("step").addEventListener("click", () => { tell("step"); enter("paused"); });
$("reset").addEventListener("click", () => { begin(false); news("Back at the start."); });
$("seed").addEventListener("click", () => { options.seed++; begin(phase === "running"); news(`Seed ${options.seed}.`); });
$("samples").addEventListener("click", () => {
  wanted = phase === "running" ? "paused" : phase;
  tell("draw", { count: 2000, mixing: 100 });
  enter("sampling");
});
$("model").addEventListener("click", () => tell("checkpoint"));
$("link").addEventListener("click", async () => {
  writeLink();
  try {
    await navigator.clipboard.writeText(location.href);
    $("link").textContent = "Copied";
    setTimeout(() => { $("link").textContent = "Copy link"; }, 1500);
    news("The link is copied.");
  } catch { prompt("The link:", location.href); }
});
addEventListener("hashchange", () => { readLink(); showChoices(); if (phase !== "loading") begin(false); });

$("choices").open = matchMedia("(min-width: 46rem)").matches;
readLink();
readColours();
showChoices();
drawable();
frame();
})();
