// One rig: strips, 17 curves and its episodes; the newest values come in between.
import { $, at, between, el, figure, get, hms, long, mark, MARKS, range, zoneAt } from "./dom.js";
import { Chart, forgetColours, inWords, sizeOf, strips } from "./draw.js";
import { ask, me, unquiet } from "./answers.js";

const JUDGED = { right: "Right", false_alarm: "False alarm", found: "Found" };
const many = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

export class RigPage {
  // Draws into `box`; `again` loads anew, `go(hash)` opens another place.
  constructor(box, sensors, { again, go }) {
    this.box = box; this.sensors = sensors; this.again = again; this.go = go;
    this.cards = new Map(); this.chosen = null; this.at = null;
  }

  build(rig) {
    this.rig = rig; this.view = null;
    this.close();
    this.title = el("h1", { class: "title", text: rig });
    this.sub = el("span", { class: "dim" });
    this.kept = el("span");
    this.strips = el("div", { class: "strips" });
    this.grid = el("div", { class: "cards" }, ...this.sensors.map((one) => this.card(one)), legend());
    this.list = el("div", { class: "episodes" });
    this.listTitle = el("h2", { class: "dim" });
    const left = el("section", { "aria-label": `curves of ${rig}` }, el("div", { class: "head" }, this.title, this.sub, this.kept), this.strips, this.grid);
    this.box.replaceChildren(el("div", { class: "rig" }, left, el("aside", { "aria-label": "episodes" }, el("div", { class: "head" }, this.listTitle), this.list)));
    this.grid.addEventListener("keydown", (event) => this.move(event));
    this.observer = new ResizeObserver(() => { for (const one of this.cards.values()) one.chart?.resize(); this.drawStrips(); });
    this.observer.observe(this.grid);
  }

  // Say that there is no such rig, and offer those that may be meant.
  unknown(rig, near) {
    this.close();
    this.rig = rig; this.view = null;
    const some = near.slice(0, 20).map((name) => el("a", { class: "tile", href: `#/rig/${encodeURIComponent(name)}` }, el("div", { class: "name", text: name })));
    this.box.replaceChildren(el("section", { class: "unknown", "aria-label": "no such rig" }, el("h1", { class: "title", text: `No such rig: ${rig}` }),
      el("p", { class: "dim", text: "Nothing is known of it: no row in the lake, no live value, no incident, no answer." }),
      some.length ? el("p", { text: "Perhaps one of these:" }) : "", some.length ? el("div", { class: "tiles" }, ...some) : "",
      el("p", {}, el("a", { class: "out", href: "#/", text: "all rigs" }))));
  }

  close() {
    this.observer?.disconnect();
    for (const one of this.cards.values()) one.chart?.destroy();
    this.cards.clear();
  }

  card(one) {
    const what = el("span", { class: "what", text: one.quantity });
    const value = el("span", { class: "value", text: "–" });
    const plot = el("div", { class: "plot" });
    const none = el("div", { class: "none", hidden: true });
    const card = el("div", { class: "card", tabindex: 0, role: "button", "aria-label": one.sensor, onclick: () => this.zoom(one.sensor) },
      el("div", { class: "t" }, el("span", { text: one.sensor }), what, value, el("span", { class: "unit", text: one.unit })), plot, none);
    this.cards.set(one.sensor, { one, card, what, value, plot, none, chart: null, model: null, newest: null });
    return card;
  }

  move(event) {
    const every = [...this.cards.values()].map((one) => one.card), here = every.indexOf(document.activeElement);
    const columns = getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (here >= 0 && step) { event.preventDefault(); every[here + step]?.focus(); }
    if (here >= 0 && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); every[here].click(); }
  }

  // Show what the server says of a range of time.
  show(view) {
    this.view = view;
    const incidents = view.episodes.flatMap((one) => one.incidents);
    const sizes = new Map([...this.cards.values()].map((place) => [place, sizeOf(place.plot)]));
    for (const data of view.sensors) {
      const place = this.cards.get(data.sensor);
      if (!place) continue;
      const { one } = place;
      place.model = { ...data, quantity: one.quantity, limits: one.limits, extremes: one.extremes, from: view.from, to: view.to,
        filesEnd: view.files_end, source: view.stopped ? "" : view.source, incidents: incidents.filter((each) => each.sensor === data.sensor) };
      const last = data.mean.findLastIndex((v) => v !== null);
      place.newest = last >= 0 ? data.mean[last] : null;
      place.chart?.destroy();
      place.chart = new Chart(place.plot, place.model, { hover: (index) => this.hover(place, index), size: sizes.get(place) });
      this.say(place);
    }
    this.tell();
  }

  // Show what episodes and strips say now, without reading curves again.
  story(said) {
    if (!this.view) return;
    Object.assign(this.view, said);
    const incidents = said.episodes.flatMap((one) => one.incidents);
    for (const place of this.cards.values()) {
      if (!place.model) continue;
      place.model.incidents = incidents.filter((each) => each.sensor === place.model.sensor);
      this.say(place);
      place.chart.plot.redraw(false);
    }
    this.tell();
  }

  tell() {
    const { view } = this, open = view.episodes.filter((one) => one.open).length;
    const gap = view.source && !view.stopped ? "" : view.files_end ? `; curves end at ${hms(view.files_end)} ${zoneAt(view.files_end)}, where the lake does` : "; the lake has no windows of it yet";
    this.sub.textContent = `${open ? `${open} open` : "nothing open"} · ${range(view.from, view.to)}${gap}`;
    this.kept.replaceChildren(...view.quiet.map((one) => el("span", { class: "kept" },
      `${one.kind === "mute" ? `muted: ${one.what}` : "in maintenance"} until ${at(one.until)}, ${one.by} `, unquiet(one, this.again))));
    if (me.may_answer && !view.quiet.some((one) => one.kind === "maintenance")) this.kept.append(el("button", { class: "plain", text: "Maintenance…", onclick: () => ask("maintenance", { rig: this.rig }, this.again) }));
    const count = view.episodes.reduce((sum, one) => sum + one.count, 0);
    this.listTitle.textContent = view.episodes.length ? `${many(view.episodes.length, "episode")}, ${many(count, "incident")}` : "no episodes in this range";
    this.list.replaceChildren(...view.episodes.map((one, i) => this.episode(one, i)));
    if (view.episodes.length > 3) {
      this.list.append(el("button", { class: "more-episodes", text: `${view.episodes.length - 3} more`, onclick: (e) => { this.list.classList.add("all"); e.target.remove(); } }));
    }
    this.strips.replaceChildren(...view.strips.map((one) => {
      const said = one.spans.map((s) => `${s.severity}: ${s.text}, ${between(s.from, s.to)}`).join("; ") || one.text || "nothing";
      const canvas = el("canvas", { role: "img", "aria-label": `${one.name}: ${said}`, title: said });
      canvas.addEventListener("click", (event) => this.onStrip(one, event));
      return el("div", { class: "row" }, el("span", { class: "dim", text: one.name }), canvas);
    }));
    this.drawStrips();
  }

  drawStrips() {
    if (!this.view) return;
    const now = this.view.to >= this.view.now; // a range that ended before has nothing of what is now
    strips([...this.strips.querySelectorAll("canvas")].map((canvas, i) => [canvas, now ? this.view.strips[i] : { ...this.view.strips[i], text: "", unknown: false }]), this.view.from, this.view.to);
  }

  onStrip(one, event) {
    const share = event.offsetX / event.target.clientWidth, at = this.view.from + share * (this.view.to - this.view.from);
    const found = this.view.episodes.find((each) => each.from <= at + 30 && (each.to ?? Infinity) >= at - 30);
    if (found) this.choose(found.id, true);
  }

  say(place) {
    const { model, one } = place;
    const order = [...model.incidents].sort((a, b) => (b.to === null) - (a.to === null) || (b.severity === "critical") - (a.severity === "critical"));
    const worst = order[0], open = worst?.to === null;
    place.card.className = `card ${worst?.severity ?? ""} ${open ? "open" : ""}`;
    place.what.className = `what ${worst?.severity ?? ""}`;
    place.what.textContent = worst ? `${MARKS[worst.severity]} ${worst.name}` : one.quantity;
    place.value.textContent = figure(place.newest);
    const empty = !model.at.length;
    place.none.hidden = !empty;
    place.none.textContent = empty ? "nothing in this range" : "";
    place.card.setAttribute("aria-label", `${inWords(model, place.newest, one.unit)}. Enter zooms.`);
  }

  hover(place, index) {
    const value = index === null || index === undefined ? null : place.model.mean[index];
    place.card.classList.toggle("at", value !== null && value !== undefined);
    place.value.textContent = figure(value ?? place.newest);
  }

  // Take the newest values in: [end of the window, mean, least, greatest] of each sensor.
  live(values) {
    let newest = 0;
    for (const [sensor, [at, mean, low, high]] of Object.entries(values)) {
      const place = this.cards.get(sensor);
      if (!place?.model) continue;
      place.newest = mean;
      newest = Math.max(newest, at);
      if (!place.card.classList.contains("at")) place.value.textContent = figure(mean);
      if (this.view.coarse || !this.follow) continue;
      const m = place.model, n = m.at.length;
      if (n && m.at[n - 1] === at) { m.mean[n - 1] = mean; m.low[n - 1] = low; m.high[n - 1] = high; }
      else if (!n || m.at[n - 1] < at) {
        if (n && at - m.at[n - 1] > 60) { m.at.push(m.at[n - 1] + 0.01); m.mean.push(null); m.low.push(null); m.high.push(null); }
        m.at.push(at); m.mean.push(mean); m.low.push(low); m.high.push(high);
      }
    }
    if (!newest || this.view.coarse || !this.follow) return;
    const step = Math.max(0, newest - this.view.to);
    this.view.from += step; this.view.to += step;
    for (const place of this.cards.values()) {
      const m = place.model;
      if (!m) continue;
      m.from = this.view.from; m.to = this.view.to;
      while (m.at.length && m.at[0] < m.from) { m.at.shift(); m.mean.shift(); m.low.shift(); m.high.shift(); }
      place.none.hidden = m.at.length > 0;
      place.chart.draw();
    }
    if (step) this.drawStrips();
  }

  episode(one, i) {
    const head = el("h3", { onclick: () => this.choose(one.id, true) }, el("span", { class: `sev ${one.severity}`, text: `${MARKS[one.severity]} ${one.severity} ` }), one.name,
      one.open ? el("span", { class: "pin open", text: one.provisional ? "provisional" : "open" }) : "", one.muted ? el("span", { class: "pin", text: "muted" }) : "",
      one.ack ? el("span", { class: "pin", text: "acknowledged" }) : "");
    const took = one.to === null ? "" : ` · ${long(one.to - one.from)}`;
    const chips = el("div", { class: "chips" }, ...one.sensors.map((sensor) => el("button", { text: sensor === "*" ? "rig" : sensor, "aria-label": `show ${sensor} of this episode`, onclick: () => this.zoom(sensor, one) })));
    const said = [];
    if (one.cause) said.push(`cause: ${one.cause.text} (${one.cause.by})`);
    if (one.ack) said.push(`acknowledged by ${one.ack.by}, ${at(one.ack.at)}`);
    if (one.judged) said.push(`${JUDGED[one.judged.kind]}, ${one.judged.by}${one.judged.text ? `: ${one.judged.text}` : ""}${one.judged.states ? ` (training data: ${one.judged.states})` : ""}`);
    for (const note of one.notes) said.push(`${note.by}, ${at(note.at)}: ${note.text}`);
    if (one.muted) said.push(`muted until ${at(one.muted.until)} by ${one.muted.by}`);
    const acts = me.may_answer ? el("div", { class: "acts" }, ...this.acts(one)) : "";
    return el("section", { class: `episode ${one.severity} ${one.muted ? "quiet" : ""} ${i > 2 ? "later" : ""}`, "data-id": one.id, "aria-label": one.name,
      "aria-current": this.chosen === one.id ? "true" : null },
      head, el("div", { text: one.message }),
      el("div", { class: "when", text: `${between(one.from, one.to)}${took} · ${many(one.count, "incident")}` }),
      chips, ...said.map((text) => el("div", { class: "said", text })), acts);
  }

  // What one may answer to an episode.
  acts(one) {
    if (!me.may_answer) return [];
    const give = (kind, text) => el("button", { text, onclick: () => ask(kind, { rig: this.rig, episode: one }, this.again) });
    return [one.ack ? give("unack", "Take back") : give("ack", "Acknowledge"), give("mute", "Mute…"), give("note", "Note…"), give("cause", "Cause…"),
      ...Object.entries(JUDGED).map(([kind, text]) => give(kind, `${text}…`))];
  }

  // Mark an episode, and dim the curves that it is not about; once more lets it go.
  choose(id, toggle = false) {
    this.chosen = toggle && this.chosen === id ? null : id;
    const one = this.view?.episodes.find((each) => each.id === this.chosen);
    for (const box of this.list.children) {
      if (box.dataset.id === this.chosen) { box.setAttribute("aria-current", "true"); box.scrollIntoView({ block: "nearest" }); } else box.removeAttribute("aria-current");
    }
    for (const place of this.cards.values()) place.card.classList.toggle("aside", Boolean(one) && !one.sensors.includes(place.one.sensor));
  }

  get current() { return this.view?.episodes.find((one) => one.id === this.chosen) ?? this.view?.episodes.find((one) => one.open) ?? this.view?.episodes[0]; }

  // One curve in large: the episode with some time round it, or the page's range; dragging goes closer.
  async zoom(sensor, episode = null) {
    const place = this.cards.get(sensor);
    if (!place) { this.changed(sensor, episode); return; }
    let from = this.view.from, to = this.view.to;
    if (episode) {
      const end = episode.to ?? this.view.to, room = Math.max(300, (end - episode.from) * 0.6);
      from = episode.from - room; to = Math.min(end + room, Math.max(this.view.now, end));
      this.choose(episode.id);
    }
    await this.zoomed(place, from, to, episode);
  }

  // What changed, of what has no curve: a component, a load cycle, the rig as a whole.
  changed(name, episode) {
    if (!episode) return;
    this.choose(episode.id);
    const box = $("zoom"), what = name === "*" ? "the whole rig" : name, strip = this.view.strips.find((one) => one.name === name);
    this.zoomChart?.destroy(); this.zoomChart = null; delete box.dataset.of;
    const first = [...episode.incidents].sort((a, b) => (b.sensor === name) - (a.sensor === name)).slice(0, 12);
    box.replaceChildren(
      el("h2", { id: "zoom-title" }, el("span", { text: what }), el("span", { class: "dim", text: `${episode.name} · ${this.rig}` })),
      el("button", { class: "plain close", text: "✕", "aria-label": "close", onclick: () => box.close() }),
      el("div", { class: "dim", text: `${between(episode.from, episode.to)}${strip?.text ? ` · now ${strip.text}` : ""}` }),
      el("div", { class: "acts" }, ...this.acts(episode)),
      el("h3", { class: "dim", text: "What changed" }), el("div", { class: "why" }, ...first.map(why)));
    if (!box.open) box.showModal();
  }

  async zoomed(place, from, to, episode, before = []) {
    const box = $("zoom"), { one } = place;
    const data = await get("/api/zoom", { rig: this.rig, sensor: one.sensor, from: from.toFixed(2), to: to.toFixed(2), pixels: 1000 });
    const incidents = this.view.episodes.flatMap((each) => each.incidents).filter((each) => each.sensor === one.sensor);
    const model = { ...data, quantity: one.quantity, limits: one.limits, extremes: data.of !== "raw samples", from, to, incidents, source: "x" };
    const plot = el("div", { class: "plot" });
    const value = el("span", { class: "dim" });
    const worst = episode?.incidents.filter((each) => each.sensor === one.sensor) ?? incidents.filter((each) => each.from <= to && (each.to ?? to) >= from);
    const told = (episode ? episode.incidents : worst).slice(0, 12).map(why);
    const out = el("button", { text: "back", disabled: !before.length, onclick: () => { const last = before.at(-1); this.zoomed(place, ...last, episode, before.slice(0, -1)); } });
    box.replaceChildren(
      el("h2", { id: "zoom-title" }, el("span", { text: one.sensor }), el("span", { class: "dim", text: `${one.quantity}, ${one.unit} · ${this.rig}` }), value),
      el("button", { class: "plain close", text: "✕", "aria-label": "close", onclick: () => box.close() }),
      el("div", { class: "dim", text: `${between(from, to)} · ${data.of}${data.at.length ? "" : " · nothing there"} · drag to go closer` }), plot,
      el("div", { class: "acts" }, out, ...(episode ? this.acts(episode) : [])),
      told.length ? el("h3", { class: "dim", text: episode ? "What changed" : "Incidents here" }) : "", el("div", { class: "why" }, ...told));
    if (!box.open) box.showModal();
    this.zoomChart?.destroy();
    this.zoomChart = new Chart(plot, model, {
      big: true,
      hover: (i) => { value.textContent = i === null || i === undefined || model.mean[i] === undefined ? "" : `${figure(model.mean[i])} ${one.unit} at ${hms(model.at[i])} ${zoneAt(model.at[i])}`; },
      pick: (a, b) => this.zoomed(place, a, b, episode, [...before, [from, to]]),
    });
    box.dataset.of = data.of;
  }

  recolour() { forgetColours(); for (const one of this.cards.values()) one.chart?.make(); this.zoomChart?.make?.(); this.drawStrips(); }
}

// What an incident says, and what made a detector say so.
const why = (each) => el("div", {}, el("b", { text: `${each.sensor === "*" ? "rig" : each.sensor} ` }), mark(each.severity), ` ${each.name}`, el("div", { text: each.message }),
  ...each.why.map(([name, share]) => el("div", { class: "dim", text: `${name} ${share}` })), el("div", { class: "dim", text: between(each.from, each.to) }));

function legend() {
  const rows = [["mean", "mean of a window"], ["reach", "lowest to highest (where a rule watches it)"], ["usual", "usual range (baseline)"], ["limit", "limit of a rule: ▲ warning, ■ critical"], ["incident", "incident"]];
  return el("div", { class: "card legend" }, ...rows.map(([name, text]) => el("div", {}, el("i", { class: `l-${name}` }), text)));
}
