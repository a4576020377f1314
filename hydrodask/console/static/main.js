// The page: where we are is in the address, what is shown comes from the API, and the newest values come each half second.
import { $, el, get, hms, notice, post, server, showTimesIn, zoneAt } from "./dom.js";
import * as fleets from "./fleet.js";
import { RigPage } from "./rig.js";
import { ask, me } from "./answers.js";

const POLL_MS = 500, FLEET_MS = 3000, AGAIN_MS = 60000, REST_MS = 500;
const RANGES = [["15m", "15 min"], ["1h", "hour"], ["1d", "day"], ["1w", "week"]];
const SECONDS = window.early.seconds;
const LIVE_WAIT_MS = 15000;
const state = { rig: null, range: "1h", end: null, revision: "", documents: -1, fleet: null, loaded: 0, asked: 0, drawn: "", unknown: false };
const ready = (what) => { document.documentElement.dataset.ready = what; };
let rigPage = null;

function place() {
  const asked = window.early.place();
  return { ...asked, range: asked.range ?? state.range };
}

const hashOf = () => (state.rig ? fleets.link(state.rig, `/${state.range}`) : "#/");

async function open() {
  const asked = place();
  state.rig = asked.rig; state.range = SECONDS[asked.range] ? asked.range : "1h"; state.revision = ""; state.asked++;
  document.documentElement.removeAttribute("data-ready");
  state.drawn = ""; state.unknown = false;
  notice("", "curves"); notice("", "find");
  buttons();
  $("strip").hidden = !state.rig;
  if (!state.rig) {
    rigPage.close();
    await loadFleet();
    ready("fleet");
    return;
  }
  document.title = `${state.rig} · hydrodask`;
  rigPage.build(state.rig);
  rigPage.chosen = asked.episode;
  if (state.fleet) fleets.strip($("strip"), state.fleet, state.rig);
  await load();
  if (!state.fleet) await loadFleet();
  if (asked.episode) await go(asked.episode);
}

// Mark an episode, in the range of time round it if it is in none that is shown.
async function go(id) {
  const number = state.asked, shown = () => rigPage.view?.episodes.some((one) => one.id === id || one.incidents.some((each) => each.id === id));
  if (state.unknown || !rigPage.view) return;
  if (!shown()) {
    let found;
    try { ({ episode: found } = await get("/api/episode", { rig: state.rig, id })); } catch (error) { notice(error.message, "find"); return; }
    if (number !== state.asked) return;
    if (!found) { notice("There is no such episode any more.", "find"); return; }
    const end = found.to ?? rigPage.view.now, span = (end - found.from) * 1.2;
    state.range = RANGES.map(([name]) => name).find((name) => SECONDS[name] >= Math.max(span, SECONDS[state.range])) ?? "1w";
    state.end = Math.min(rigPage.view.now, Math.max((found.from + end + SECONDS[state.range]) / 2, end));
    if (state.end >= rigPage.view.now) state.end = null;
    buttons(); state.asked++;
    await load();
  }
  const mine = rigPage.view.episodes.find((one) => one.id === id || one.incidents.some((each) => each.id === id));
  if (mine) rigPage.choose(mine.id);
}

async function load() {
  const number = state.asked;
  let view;
  try { view = await get(window.early.curves(state.rig, state.range, state.end)); } catch (error) {
    if (error.status === 404 && number === state.asked) await unknown();
    else if (!server.gone) notice(error.message, "curves");
    return;
  }
  if (number !== state.asked) return; // somebody has gone on meanwhile
  state.loaded = performance.now();
  state.documents = view.documents;
  lively({ ...view, newest: view.now });
  rigPage.follow = state.end === null;
  rigPage.show(view);
  if (view.pending) { // the server goes on with it
    notice(`Curves are not whole yet: ${view.pending} files are still to be summed. \`hydrodask compact\` makes this quick.`, "curves");
    setTimeout(() => { if (number === state.asked) load(); }, REST_MS);
    return;
  }
  notice(view.troubles.length ? `could not read ${view.troubles[0]}` : "", "curves");
  ready("rig");
}

// A rig of which nothing is known: nothing of it can be shown or answered. It may come to be known, and then it is shown.
async function unknown() {
  state.unknown = true;
  if (!state.fleet) await loadFleet();
  rigPage.unknown(state.rig, state.fleet ? alike(state.rig) : []);
  buttons();
  lively({ behind_s: null, source: "", stopped: "" });
  ready("unknown");
}

// Rigs whose names have a text in them.
const alike = (text) => state.fleet.names.filter((name) => name.toLowerCase().includes(text.toLowerCase()));

async function find(text) {
  if (!state.fleet) await loadFleet();
  if (!state.fleet) return;
  const found = state.fleet.names.includes(text) ? [text] : alike(text);
  if (found.length === 1) { location.hash = fleets.link(found[0]); $("find").value = ""; notice("", "find"); return; }
  const some = found.slice(0, 5).join(", ");
  notice(found.length ? `${found.length} rigs have ${text} in their names: ${some}${found.length > 5 ? " …" : ""}` : `no such rig: ${text}`, "find");
}

async function loadFleet() {
  try { state.fleet = await get("/api/fleet"); } catch (error) { if (!server.gone) notice(error.message, "fleet"); return; }
  const { fleet } = state;
  if (state.unknown && fleet.names.includes(state.rig)) { open(); return; }
  $("names").replaceChildren(...fleet.names.slice(0, 2000).map((value) => el("option", { value })));
  notice(fleet.trouble, "fleet");
  $("strip").hidden = !state.rig;
  if (state.rig) fleets.strip($("strip"), fleet, state.rig);
  else {
    const now = JSON.stringify(fleet);
    if (now !== state.drawn) { fleets.page($("page"), fleet, loadFleet); state.drawn = now; } // else who has a button under the finger would lose it
    document.title = "hydrodask"; lively({ behind_s: null, source: fleet.running ? "run" : "", stopped: "" });
  }
}

function lively(said) {
  const box = $("live"), off = said.stopped || !said.source;
  const behind = said.behind_s === null || said.behind_s === undefined ? "" : ` · ${said.behind_s.toFixed(1)} s behind`;
  box.className = off ? "off" : "";
  const words = said.stopped || (said.source ? `live${state.rig ? ` · ${hms(said.newest ?? Date.now() / 1000)} ${zoneAt(said.newest ?? Date.now() / 1000)}` : ""}${behind}` : "files and documents only");
  box.replaceChildren(el("span", { class: "dot", "aria-hidden": "true", text: off ? "○ " : "● " }), words);
}

async function poll() {
  if (document.hidden || !state.rig || !rigPage.view) return;
  const rig = state.rig;
  const said = await get("/api/live", { rig, after: state.revision }, LIVE_WAIT_MS);
  if (said === null || rig !== state.rig) return;
  state.revision = said.revision;
  const newest = Math.max(0, ...Object.values(said.values).map((one) => one[0]));
  lively({ ...said, newest: newest || rigPage.view.now });
  rigPage.live(said.values);
  if (said.documents !== state.documents) {
    const { from, to } = rigPage.view;
    rigPage.story(await get("/api/story", { rig, from, to }));
    await loadFleet();
  }
  state.documents = said.documents;
  if (rigPage.view.coarse && state.end === null && performance.now() - state.loaded > AGAIN_MS) await load();
  document.documentElement.dataset.live = String(Number(document.documentElement.dataset.live ?? 0) + 1);
}

function every(ms, call) {
  const again = async () => {
    try { await call(); notice("", call.name); } catch (error) { if (!server.gone) notice(error.message, call.name); }
    setTimeout(again, document.hidden ? 2000 : ms);
  };
  setTimeout(again, ms);
}

// What is shown stays, and says that it is old; once there is an answer again, all of it is asked for anew.
server.changed = (gone) => {
  notice(gone ? `The server does not answer since ${hms(Date.now() / 1000)} ${zoneAt(Date.now() / 1000)}. What is shown is of before.` : "", "server");
  if (gone) { lively({ stopped: "stopped: the server does not answer" }); return; }
  state.revision = "";
  if (state.rig && !state.unknown && rigPage) { state.asked++; load(); }
};

function buttons() {
  $("ranges").replaceChildren(...RANGES.map(([name, text]) => el("button", { "aria-pressed": String(name === state.range), text: innerWidth < 760 ? name : text, onclick: () => range(name) })));
  $("up").hidden = !state.rig;
  $("now").setAttribute("aria-pressed", String(state.end === null));
  for (const id of ["ranges", "steps"]) $(id).hidden = !state.rig || state.unknown;
}

const range = (name) => { state.range = name; if (state.rig) { history.replaceState(null, "", hashOf()); buttons(); state.asked++; load(); } };
function shift(steps) {
  if (!rigPage.view) return;
  const next = rigPage.view.to + steps * SECONDS[state.range] * 0.5;
  state.end = next >= rigPage.view.now ? null : next;
  buttons(); state.asked++; load();
}
const toNow = () => { state.end = null; buttons(); state.asked++; load(); };

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme === "dark";
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* it lasts as long as the page */ }
  rigPage.recolour();
}

const KEYS = [["← → ↑ ↓", "from curve to curve"], ["Enter", "a curve in large; Esc closes"], ["1 2 3 4", "15 minutes, hour, day, week"], ["[ ] 0", "earlier, later, now"],
  ["a n c m", "acknowledge, note, cause, mute: the marked episode, else the newest that is open"], ["/", "find a rig"], ["f", "all rigs"], ["d", "light or dark"]];

function help() {
  $("keys").replaceChildren(el("h2", { id: "keys-title", text: "Keys" }), el("button", { class: "plain close", text: "✕", "aria-label": "close", onclick: () => $("keys").close() }),
    el("dl", {}, ...KEYS.flatMap(([keys, text]) => [el("dt", {}, ...keys.split(" ").map((k) => el("kbd", { text: k }))), el("dd", { text })])));
  $("keys").showModal();
}

async function logout() {
  try { await post("/api/logout", {}); location.href = `/login${location.hash}`; } catch (error) { notice(error.message, "answer"); }
}

const again = async () => { state.revision = ""; const { from, to } = rigPage.view; rigPage.story(await get("/api/story", { rig: state.rig, from, to })); await loadFleet(); };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select") || document.querySelector("dialog[open]")) return;
  if (state.unknown && !["/", "f", "d", "?"].includes(event.key)) return;
  const answer = { a: "ack", n: "note", c: "cause", m: "mute" }[event.key];
  if (answer && state.rig && me.may_answer && rigPage.current) { event.preventDefault(); ask(answer, { rig: state.rig, episode: rigPage.current }, again); return; }
  const act = { 1: () => range("15m"), 2: () => range("1h"), 3: () => range("1d"), 4: () => range("1w"), "[": () => shift(-1), "]": () => shift(1), 0: toNow,
    "/": () => $("find").focus(), f: () => { location.hash = "#/"; }, d: theme, "?": help }[event.key];
  if (act) { event.preventDefault(); act(); }
});

async function begin() {
  $("back").addEventListener("click", () => shift(-1));
  $("forth").addEventListener("click", () => shift(1));
  $("now").addEventListener("click", toNow);
  $("theme").addEventListener("click", theme);
  $("help").addEventListener("click", help);
  $("find").addEventListener("change", (event) => { const name = event.target.value.trim(); if (name) find(name); else notice("", "find"); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => rigPage?.recolour());
  const [who, sensors] = await Promise.all([get("/api/me"), get("/api/sensors")]);
  Object.assign(me, who);
  showTimesIn(who.zone, who.zone_labels);
  $("logout").hidden = !me.locked;
  $("logout").addEventListener("click", logout);
  rigPage = new RigPage($("page"), sensors.sensors, { again, go: (hash) => { location.hash = hash; } });
  addEventListener("hashchange", () => { const asked = place(); if (asked.rig !== state.rig || !asked.rig || asked.episode || asked.range !== state.range) { state.end = null; open(); } });
  await open();
  window.early.answers.clear(); // what nobody took by now would be old
  every(POLL_MS, poll);
  every(FLEET_MS, () => (document.hidden ? null : loadFleet()));
}

begin().catch((error) => notice(error.message));
