// Curves and strips on canvases. Colours come from the style sheet, so that a theme changes them too.
import { day, hm, hms, figure, local, MARKS } from "./dom.js";

const REACH_MAX = 1.0; // limits further away than this share of the curve's own height are left out

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

let kept = null; // asking the style sheet lays the page out anew each time
export const forgetColours = () => { kept = null; };

function palette() {
  if (kept) return kept;
  const names = ["text", "dim", "grid", "curve", "usual", "reach", "warning", "critical", "warning-soft", "critical-soft", "card",
    "warning-text", "critical-text", "good", "good-text", "on-warning", "on-critical"];
  const found = Object.fromEntries(names.map((name) => [name, colour(name)]));
  kept = { ...found, unknown: found.grid, "on-unknown": found.dim };
  return kept;
}

function spread(values, into) {
  for (const v of values) if (v !== null && v !== undefined) { if (v < into[0]) into[0] = v; if (v > into[1]) into[1] = v; }
}

export function yRange(model) {
  const seen = [Infinity, -Infinity];
  spread(model.mean, seen);
  if (seen[0] === Infinity) return [0, 1];
  // A usual range may be wide: as much of it as the curve is high, or a tenth of its value, or nothing would be seen of the curve.
  const room = Math.max(seen[1] - seen[0], Math.max(Math.abs(seen[0]), Math.abs(seen[1])) * 0.1);
  const near = [seen[0] - room, seen[1] + room];
  if (model.usual) for (const v of [...model.usual.low, ...model.usual.high]) if (v !== null) spread([Math.min(Math.max(v, near[0]), near[1])], seen);
  if (model.extremes) { spread(model.low, seen); spread(model.high, seen); }
  const height = Math.max(seen[1] - seen[0], Math.abs(seen[1]) * 1e-3, 1e-6);
  const own = [...seen];
  for (const one of model.limits) {
    if (one.of !== "mean" && !model.extremes) continue;
    if (one.value <= own[1] + REACH_MAX * height && one.value >= own[0] - REACH_MAX * height) spread([one.value], seen);
  }
  const pad = Math.max(seen[1] - seen[0], height) * 0.08;
  return [seen[0] - pad, seen[1] + pad];
}

function area(u, at, low, high, fill) {
  const c = u.ctx, x = (v) => u.valToPos(v, "x", true), y = (v) => u.valToPos(v, "y", true);
  c.fillStyle = fill;
  let run = [];
  const flush = () => {
    if (run.length > 1) {
      c.beginPath();
      run.forEach((i, n) => (n ? c.lineTo(x(at[i]), y(high[i])) : c.moveTo(x(at[i]), y(high[i]))));
      for (const i of run.reverse()) c.lineTo(x(at[i]), y(low[i]));
      c.closePath();
      c.fill();
    }
    run = [];
  };
  for (let i = 0; i < at.length; i++) { if (low[i] === null || high[i] === null) flush(); else run.push(i); }
  flush();
}

// Spans that overlap become one, the worst on top: two washes of colour over each other would be a third.
export function merged(spans, from, to) {
  const inside = spans.map((s) => ({ ...s, from: Math.max(s.from, from), to: Math.min(s.to ?? to, to) })).filter((s) => s.to >= s.from && s.to >= from && s.from <= to);
  const union = (list) => list.sort((a, b) => a.from - b.from).reduce((done, s) => {
    const last = done.at(-1);
    if (last && s.from <= last.to) last.to = Math.max(last.to, s.to); else done.push({ ...s });
    return done;
  }, []);
  const critical = union(inside.filter((s) => s.severity === "critical"));
  let rest = union(inside.filter((s) => s.severity !== "critical"));
  for (const top of critical) {
    rest = rest.flatMap((s) => (s.to <= top.from || s.from >= top.to ? [s]
      : [{ ...s, to: top.from }, { ...s, from: top.to }].filter((part) => part.to > part.from)));
  }
  return [...rest, ...critical];
}

function below(u, model, p) {
  const c = u.ctx;
  c.save();
  c.beginPath(); c.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height); c.clip();
  if (model.usual) area(u, model.usual.at, model.usual.low, model.usual.high, p.usual);
  if (model.extremes) area(u, model.at, model.low, model.high, p.reach);
  for (const one of merged(model.incidents, model.from, model.to)) {
    const from = u.valToPos(one.from, "x", true), to = u.valToPos(one.to, "x", true);
    const wide = Math.max(to - from, 3 * devicePixelRatio);
    c.fillStyle = p[`${one.severity}-soft`]; c.fillRect(from, u.bbox.top, wide, u.bbox.height);
    c.fillStyle = p[one.severity]; c.fillRect(from, u.bbox.top, wide, 3 * devicePixelRatio);
  }
  c.restore();
}

function above(u, model, p) {
  const c = u.ctx, dpr = devicePixelRatio, [low, high] = [u.scales.y.min, u.scales.y.max];
  c.save();
  c.font = `600 ${11 * dpr}px system-ui, sans-serif`;
  c.textAlign = "left"; c.textBaseline = "alphabetic"; // uPlot leaves those of its axes
  const taken = []; // labels of two limits near each other stand side by side
  for (const one of model.limits) {
    if (one.value < low || one.value > high || (one.of !== "mean" && !model.extremes)) continue;
    const y = Math.round(u.valToPos(one.value, "y", true)) + 0.5;
    c.strokeStyle = p[one.severity]; c.lineWidth = 1.5 * dpr; c.setLineDash([5 * dpr, 4 * dpr]);
    c.beginPath(); c.moveTo(u.bbox.left, y); c.lineTo(u.bbox.left + u.bbox.width, y); c.stroke();
    const text = `${MARKS[one.severity]} ${one.above ? ">" : "<"} ${one.value}`;
    const inside = one.above ? y - 3 * dpr : y + 11 * dpr;
    const at = Math.min(Math.max(inside, u.bbox.top + 10 * dpr), u.bbox.top + u.bbox.height - 2 * dpr);
    c.setLineDash([]); c.lineJoin = "round"; c.lineWidth = 3 * dpr; c.strokeStyle = p.card;
    const right = taken.reduce((x, [begin, y_]) => (Math.abs(y_ - at) < 12 * dpr ? Math.min(x, begin - 8 * dpr) : x), u.bbox.left + u.bbox.width - 4 * dpr);
    const left = right - c.measureText(text).width;
    taken.push([left, at]);
    c.strokeText(text, left, at);
    c.fillStyle = p[`${one.severity}-text`];
    c.fillText(text, left, at);
  }
  if (model.filesEnd && model.filesEnd < model.to && model.filesEnd > model.from && !model.source) {
    const x = u.valToPos(model.filesEnd, "x", true);
    c.strokeStyle = p.dim; c.lineWidth = dpr; c.setLineDash([2 * dpr, 3 * dpr]);
    c.beginPath(); c.moveTo(x, u.bbox.top); c.lineTo(x, u.bbox.top + u.bbox.height); c.stroke();
  }
  c.restore();
}

const TICK = new Intl.NumberFormat("en-US", { maximumFractionDigits: 3 });

const timeTicks = (u, ticks) => {
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 0;
  return ticks.map((s) => (step >= 86400 || (step >= 21600 && local(s) % 86400 === 0) ? day(s).slice(5) : step && step < 60 ? hms(s) : hm(s)));
};

export const sizeOf = (box) => ({ width: Math.max(120, box.clientWidth), height: box.clientHeight || 84 });

export class Chart {
  // One sensor's curve in `box`. `big`: with room for dragging; `hover(index)` is told where the cursor is. `size` is that of
  // the box, for who makes many: measured one by one, in between, the page would be laid out for each.
  constructor(box, model, { big = false, hover = null, pick = null, size = sizeOf(box) } = {}) {
    this.box = box; this.model = model; this.big = big; this.hover = hover; this.pick = pick;
    this.make(size);
  }

  make(size = sizeOf(this.box)) {
    const p = palette(), m = this.model;
    const font = "11px system-ui, sans-serif";
    this.plot?.destroy();
    this.plot = new uPlot({
      ...size,
      legend: { show: false }, padding: [6, 4, 0, 0],
      tzDate: (s) => uPlot.tzDate(new Date(local(s) * 1000), "Etc/UTC"),
      cursor: {
        y: false, points: { size: 5, width: 0, fill: p.curve, stroke: p.curve },
        drag: { x: this.big, y: false, setScale: false },
        ...(this.big ? {} : { sync: { key: "rig", setSeries: false } }),
      },
      select: { show: this.big },
      scales: { x: { time: true, range: () => [m.from, m.to] }, y: { range: () => yRange(m) } },
      axes: [
        { stroke: p.dim, font, size: 17, gap: 1, space: 70, grid: { stroke: p.grid, width: 1 }, ticks: { show: false }, values: timeTicks },
        { stroke: p.dim, font, size: 42, gap: 3, space: this.big ? 40 : 22, grid: { stroke: p.grid, width: 1 }, ticks: { show: false },
          values: (u, ticks) => ticks.map(TICK.format) },
      ],
      series: [{}, { stroke: p.curve, width: this.big ? 1.8 : 1.5, points: { show: false } }],
      hooks: {
        drawClear: [(u) => below(u, m, p)], draw: [(u) => above(u, m, p)],
        setCursor: [(u) => this.hover?.(u.cursor.idx)],
        setSelect: [(u) => {
          if (this.pick && u.select.width > 4) this.pick(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
        }],
      },
    }, [m.at, m.mean], this.box);
  }

  draw() { this.plot.setData([this.model.at, this.model.mean]); }
  resize() {
    const size = sizeOf(this.box);
    if (size.width !== this.plot.width) this.plot.setSize(size);
  }
  destroy() { this.plot.destroy(); }
}

const ORDER = ["unknown", "warning", "critical"]; // what is drawn later is on top

// Draw a strip on each canvas: [canvas, what is on it]; all are measured before any changes.
export function strips(pairs, from, to) {
  const sizes = pairs.map(([canvas]) => [canvas.clientWidth, canvas.clientHeight]);
  pairs.forEach(([canvas, one], i) => strip(canvas, one, from, to, sizes[i]));
}

function strip(canvas, one, from, to, [wide, high]) {
  const p = palette(), dpr = devicePixelRatio;
  canvas.width = wide * dpr; canvas.height = high * dpr;
  const c = canvas.getContext("2d");
  c.scale(dpr, dpr);
  c.fillStyle = p.good; c.fillRect(0, 0, wide, high);
  c.font = "11px system-ui, sans-serif"; c.textBaseline = "middle";
  const x = (s) => ((s - from) / (to - from)) * wide;
  const spans = one.spans.filter((s) => (s.to ?? to) >= from && s.from <= to)
    .sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity) || a.from - b.from);
  const named = high > 11;
  const end = Math.max(0, ...spans.map((s) => Math.min(wide, Math.max(x(s.from) + 3, x(s.to ?? to))))); // what is now begins after what was last
  if (one.unknown) { c.fillStyle = p.grid; c.fillRect(end, 0, wide - end, high); }
  for (const span of spans) {
    const left = Math.max(0, x(span.from)), right = Math.min(wide, x(span.to ?? to));
    c.fillStyle = p[span.severity]; c.fillRect(left, 0, Math.max(3, right - left), high);
  }
  for (const span of spans) {
    const left = Math.max(0, x(span.from)), right = Math.min(wide, x(span.to ?? to));
    const text = `${MARKS[span.severity]} ${span.text}`;
    if (named && c.measureText(text).width + 8 <= right - left) { c.fillStyle = p[`on-${span.severity}`]; c.fillText(text, left + 4, high / 2 + 0.5); }
  }
  if (one.text && c.measureText(one.text).width + 8 <= wide - end) { c.fillStyle = one.unknown ? p.dim : p["good-text"]; c.fillText(one.text, end + 4, high / 2 + 0.5); }
}

export const inWords = (model, value, unit) => {
  const limits = model.limits.map((one) => `${one.severity} ${one.above ? "above" : "below"} ${one.value} ${unit} (${one.of})`);
  const open = model.incidents.filter((one) => one.to === null).map((one) => `${one.severity}: ${one.name}`);
  return [`${model.sensor}, ${model.quantity}`, `now ${figure(value)} ${unit}`, limits.length ? `limits: ${limits.join("; ")}` : "no limits",
    open.length ? `open: ${open.join("; ")}` : model.incidents.length ? `${model.incidents.length} incidents in this range` : "no incident"].join(". ");
};
