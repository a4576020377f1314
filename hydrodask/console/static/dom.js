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

export async function get(path, params = {}) {
  const query = new URLSearchParams(params).toString();
  const answer = await fetch(query ? `${path}?${query}` : path, { headers: { Accept: "application/json" } });
  if (answer.status === 304) return null;
  if (answer.status === 401) { location.href = "/login"; throw new Error("log in first"); }
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? `the server says ${answer.status}`);
  return body;
}

export async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error ?? `the server says ${answer.status}`);
  return said;
}

export function notice(text) {
  const box = $("notice");
  box.hidden = !text;
  if (box.textContent !== (text ?? "")) box.textContent = text ?? "";
}
