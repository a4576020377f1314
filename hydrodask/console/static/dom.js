// Elements out of data: text is always text. Times are seconds since the epoch, shown in the zone that the server names.
export const $ = (id) => document.getElementById(id);

export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((one) => one !== null && one !== undefined && one !== ""));
  return made;
}

export const MARKS = { critical: "■", warning: "▲", unknown: "?", "": "●" };
export const mark = (severity) => el("span", { class: `mark ${severity}`, "aria-hidden": "true", text: MARKS[severity] ?? "●" });

const two = (n) => String(n).padStart(2, "0");
let zone = { parts: null, labels: {}, offsets: new Map() };

// Show times in a zone: its name, and what people call it at which distance from UTC (minutes).
export function showTimesIn(name, labels) {
  const fields = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  zone = { parts: name === "UTC" ? null : new Intl.DateTimeFormat("en-US", { ...fields, timeZone: name }), labels, offsets: new Map() };
}

// How far the zone is before UTC at a time, in seconds; it changes at a quarter of an hour, if at all.
function offset(s) {
  if (!zone.parts) return 0;
  const quarter = Math.floor(s / 900) * 900;
  if (!zone.offsets.has(quarter)) {
    if (zone.offsets.size > 5000) zone.offsets.clear();
    const of = Object.fromEntries(zone.parts.formatToParts(quarter * 1000).map(({ type, value }) => [type, Number(value)]));
    zone.offsets.set(quarter, Date.UTC(of.year, of.month - 1, of.day, of.hour, of.minute) / 1000 - quarter);
  }
  return zone.offsets.get(quarter);
}

export const local = (s) => s + offset(s);
export function zoneAt(s) {
  const minutes = Math.round(offset(s) / 60), size = Math.abs(minutes);
  return zone.labels[minutes] ?? `UTC${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}
const clock = (s) => new Date(local(s) * 1000).toISOString();
export const hm = (s) => clock(s).slice(11, 16);
export const hms = (s) => clock(s).slice(11, 19);
export const day = (s) => clock(s).slice(0, 10);
export const sameDay = (a, b) => day(a) === day(b);
const secs = (iso) => Date.parse(iso) / 1000;
const viewer = () => Date.now() / 1000;

// A time as the viewer needs it: with its day, unless that is today, and with its year, unless that is this one.
const moment = (s) => (sameDay(s, viewer()) ? hm(s) : `${day(s).slice(day(s).slice(0, 4) === day(viewer()).slice(0, 4) ? 5 : 0)} ${hm(s)}`);
export const at = (iso) => `${moment(secs(iso))} ${zoneAt(secs(iso))}`;

export function between(from, to) {
  if (to === null) return `since ${moment(from)} ${zoneAt(from)}`;
  return `${moment(from)}–${sameDay(from, to) ? hm(to) : moment(to)} ${zoneAt(to)}`;
}

// A range of time with its days, whatever day it is.
export const range = (from, to) => (sameDay(from, to) ? `${day(to)}, ${hm(from)}–${hm(to)} ${zoneAt(to)}` : `${day(from)} ${hm(from)} – ${day(to)} ${hm(to)} ${zoneAt(to)}`);

export function long(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

export function figure(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  return size >= 100 ? value.toFixed(1) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

// Whether the server answers, and who wants to know when that changes: each request says so, whoever made it.
export const server = { gone: false, changed: () => {} };
function heard(gone) { if (server.gone !== gone) { server.gone = gone; server.changed(gone); } }

async function asked(path, options, wait_ms) {
  let answer;
  try { answer = await (window.early.take(path) ?? fetch(path, { ...options, signal: AbortSignal.timeout(wait_ms) })); } catch (error) {
    heard(true);
    throw new Error("the server does not answer", { cause: error });
  }
  heard(false);
  if (answer.status === 401) { location.href = `/login${location.hash}`; throw new Error("log in first"); } // and back to where one was
  return answer;
}

export async function get(path, params = {}, wait_ms = 120000) {
  const query = new URLSearchParams(params).toString();
  const answer = await asked(query ? `${path}?${query}` : path, { headers: { Accept: "application/json" } }, wait_ms);
  if (answer.status === 304) return null;
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.error ?? `the server says ${answer.status}`), { status: answer.status });
  return body;
}

export async function post(path, body) {
  const answer = await asked(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }, 120000);
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error ?? `the server says ${answer.status}`);
  return said;
}

const notices = new Map();

// Say `text` about something until it is said that nothing is wrong with it any more: each about its own.
export function notice(text, about = "page") {
  if (text) notices.set(about, text); else notices.delete(about);
  const box = $("notice"), said = [...new Set(notices.values())].join(" · ");
  box.hidden = !said;
  if (box.textContent !== said) box.textContent = said;
}
