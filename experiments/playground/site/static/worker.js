// The worker learns: it runs the WebAssembly of package page, and answers messages of the page.
"use strict";

importScripts("wasm_exec.js");

let running = false, drawing = false;
let pointsAt = 0, viewAt = 0, viewCost = 0; // times in milliseconds

const channel = new MessageChannel(); // a turn of the event loop without the delay of timers
channel.port1.onmessage = turn;
const soon = () => channel.port2.postMessage(null);

function say(kind, values, buffers = []) {
  postMessage({ kind, ...values }, buffers);
}

// call is the answer of Go; an error ends what is going on.
function call(name, ...args) {
  const answer = cmf[name](...args);
  if (answer.error) {
    running = drawing = false;
    say("error", { text: answer.error });
    return null;
  }
  return answer;
}

function showPoints() {
  const p = call("points");
  if (p) say("points", p, [p.noise.buffer, p.image.buffer]);
  pointsAt = performance.now();
}

function showView() {
  const start = performance.now();
  const v = call("see");
  if (v) say("view", v);
  viewAt = performance.now();
  viewCost = viewAt - start;
}

// steps makes steps for a moment, and shows what has changed, as far as that is cheap.
function steps(patience, most) {
  const s = call("step", patience, most);
  if (!s) return;
  say("progress", s, [s.loss.buffer, s.residual.buffer]);
  const now = performance.now(), last = s.finished || !running;
  if (last || now - pointsAt > 80) showPoints();
  if (last || now - viewAt > Math.max(150, 6 * viewCost)) showView();
  if (s.finished && running) {
    running = false;
    say("finished", {});
  }
}

function turn() {
  if (drawing) {
    const start = performance.now();
    let d = null;
    while ((d = call("drawn")) && !d.points && performance.now() - start < 40);
    if (!d) return;
    if (d.points) {
      drawing = false;
      say("drawn", d, [d.points.buffer]);
    } else say("drawing", d);
  } else if (running) steps(30, 1e9);
  if (running || drawing) soon();
}

const orders = {
  learn({ task, points }) {
    running = drawing = false;
    const l = call("learn", JSON.stringify(task), points);
    if (!l) return;
    say("learning", l, [l.data.buffer]);
    showPoints();
    showView();
  },
  run() { if (!running) { running = true; soon(); } },
  stop() { running = drawing = false; },
  pause() { running = false; showPoints(); showView(); },
  step() { running = false; steps(0, 1); },
  loss({ loss }) { if (call("loss", loss)) say("swapped", { loss }); },
  draw({ count, mixing }) {
    running = false;
    if (call("draw", count, mixing)) { drawing = true; soon(); }
  },
  checkpoint() {
    const c = call("checkpoint");
    if (c) say("checkpoint", c, [c.file.buffer]);
  },
};

onmessage = e => orders[e.data.order](e.data);

// ready is called by Go when it can be.
function ready() { say("ready", {}); }

// all is what a stream holds.
async function all(stream, seen = () => {}) {
  const parts = [], reader = stream.getReader();
  let size = 0;
  for (let part; !(part = await reader.read()).done;) {
    parts.push(part.value);
    size += part.value.length;
    seen(size);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const p of parts) {
    bytes.set(p, at);
    at += p.length;
  }
  return bytes;
}

// module is WebAssembly, unpacked here unless the server or the browser has done so.
async function module(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: status ${response.status}`);
  const bytes = await all(response.body, size => { if (url.endsWith(".gz")) say("loading", { size }); });
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const unpacking = new DecompressionStream("gzip"), writer = unpacking.writable.getWriter();
  writer.write(bytes);
  writer.close();
  return all(unpacking.readable);
}

(async () => {
  try {
    const kernels = await WebAssembly.compile(await module("kernels.wasm"));
    const program = await WebAssembly.compile(await module("page.wasm.gz"));
    const go = new Go();
    // The program imports the kernels, and these its memory: calls go by way of linked.
    let linked;
    go.importObject.kernels = Object.fromEntries(WebAssembly.Module.exports(kernels).map(
      ({ name }) => [name, (a, b, c, d, e, f, g, h, i, j) => linked[name](a, b, c, d, e, f, g, h, i, j)]));
    const instance = await WebAssembly.instantiate(program, go.importObject);
    linked = (await WebAssembly.instantiate(kernels, { env: { memory: instance.exports.mem } })).exports;
    await go.run(instance);
    say("error", { text: "The program has ended. Reload the page.", fatal: true });
  } catch (e) {
    say("error", { text: `The program cannot be loaded: ${e.message}`, fatal: true });
  }
})();
