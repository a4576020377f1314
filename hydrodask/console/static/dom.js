// Elements out of data: text is always text. Times are seconds since the epoch, shown in UTC.
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
export const hm = (s) => { const d = new Date(s * 1000); return `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`; };
export const hms = (s) => `${hm(s)}:${two(new Date(s * 1000).getUTCSeconds())}`;
export const day = (s) => new Date(s * 1000).toISOString().slice(0, 10);
export const sameDay = (a, b) => day(a) === day(b);
export const secs = (iso) => Date.parse(iso) / 1000;

export function between(from, to, now) {
  const start = sameDay(from, now) ? hm(from) : `${day(from).slice(5)} ${hm(from)}`;
  if (to === null) return `since ${start} UTC`;
  return `${start}–${sameDay(from, to) ? hm(to) : `${day(to).slice(5)} ${hm(to)}`} UTC`;
}

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
  try { answer = await fetch(path, { ...options, signal: AbortSignal.timeout(wait_ms) }); } catch (error) {
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
  if (!answer.ok) throw new Error(body.error ?? `the server says ${answer.status}`);
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
