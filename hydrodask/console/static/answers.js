// Dialogs in which people answer; who they are stays in this browser, unless they have logged in.
import { $, el, notice, post } from "./dom.js";

const LONG = [["30 minutes", 1800], ["2 hours", 7200], ["8 hours", 28800], ["1 day", 86400], ["1 week", 604800]];
export const me = { name: "", may_answer: true, locked: false };

const kept = () => { try { return localStorage.getItem("by") ?? ""; } catch { return ""; } };
const keep = (name) => { try { localStorage.setItem("by", name); } catch { /* then it is asked again */ } };
const unique = () => [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");

const TITLES = {
  ack: ["Acknowledge", "Nobody is told again while it is acknowledged."],
  unack: ["Take back the acknowledgement", ""],
  note: ["Note", ""],
  cause: ["Cause", "What it was, in a few words; the newest counts."],
  right: ["Right", "It was one. Of a component in a known state, its cycles become training data."],
  false_alarm: ["False alarm", "Nothing was wrong. Of a component in a known state, its cycles become training data: it was as it should be."],
  found: ["Found", "What it was, in words, and, if you know, as states: then its cycles become training data."],
  mute: ["Mute", "Incidents are still found and shown. Nobody is told of them."],
  maintenance: ["Maintenance", "Nobody is told of this rig, and it says so."],
};

// Ask for what is needed for an answer of `kind`, send it, and call `done`.
export function ask(kind, { rig, episode = null }, done) {
  const box = $("answer"), id = unique();
  const [title, hint] = TITLES[kind];
  const text = el("textarea", { rows: 3, maxlength: 2000, id: "answer-text", required: ["note", "cause"].includes(kind) });
  const by = el("input", { id: "answer-by", maxlength: 80, required: true, autocomplete: "name" });
  by.value = me.name || kept();
  const period = el("select", { id: "answer-for" }, ...LONG.map(([name, s], i) => el("option", { value: s, text: name, selected: i === 1 })));
  const states = el("input", { id: "answer-states", maxlength: 200, placeholder: "valve=80 pump=0", autocomplete: "off" });
  const scope = el("select", { id: "answer-scope" });
  if (kind === "mute") {
    const pairs = [];
    if (episode) {
      pairs.push([`${episode.name.split(" ").slice(1).join(" ")} on ${rig}`, { rig, rule: episode.rule }]);
      pairs.push([`${episode.sensor} of ${rig}`, { rig, sensor: episode.sensor }]);
    }
    pairs.push([`all of ${rig}`, { rig }]);
    if (episode) pairs.push([`this rule on every rig`, { rule: episode.rule }]);
    scope.append(...pairs.map(([name, what]) => el("option", { value: JSON.stringify(what), text: name })));
  }
  const wrong = el("p", { class: "wrong", role: "alert" });
  const send = el("button", { class: "main", type: "submit", text: title.split(" ")[0] === "Take" ? "Take back" : title });
  const form = el("form", {},
    el("h2", { id: "answer-title", text: `${title}: ${episode ? episode.name : rig}` }),
    hint ? el("p", { class: "dim", text: hint }) : "",
    kind === "mute" ? el("label", {}, "What", scope) : "",
    ["mute", "maintenance"].includes(kind) ? el("label", {}, "For", period) : "",
    kind === "found" ? el("label", {}, "States (cooler, valve, pump, accumulator)", states) : "",
    el("label", {}, ["ack", "right", "false_alarm", "found"].includes(kind) ? "Note (if you like)" : kind === "cause" ? "Cause" : "Text", text),
    me.name ? el("p", { class: "dim", text: `as ${me.name}` }) : el("label", {}, "Your name", by),
    wrong,
    el("div", { class: "foot" }, el("button", { type: "button", text: "Cancel", onclick: () => box.close() }), send));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = { kind, id, by: by.value.trim(), text: text.value };
    if (["mute", "maintenance"].includes(kind)) body.for_s = Number(period.value);
    if (kind === "mute") Object.assign(body, JSON.parse(scope.value));
    else if (kind === "maintenance") body.rig = rig;
    else body.incident = episode.judged_id && ["right", "false_alarm", "found"].includes(kind) ? episode.judged_id : episode.id;
    if (kind === "found" && states.value.trim()) body.states = states.value; // the server reads it, or says what it can't read
    send.disabled = true;
    try {
      await post("/api/answers", body);
      if (!me.name) keep(body.by);
      box.close();
      done();
    } catch (error) { wrong.textContent = error.message; } finally { send.disabled = false; }
  });
  box.replaceChildren(form);
  box.showModal();
  (by.value ? text : by).focus();
}

// A button that ends a mute or a maintenance now; `done` is called once it has ended.
export function unquiet(one, done) {
  if (!me.may_answer) return "";
  const what = `${one.kind === "mute" ? "the mute of" : "the maintenance of"} ${one.what}`;
  const end = async (event) => {
    const button = event.target, by = me.name || kept() || "somebody";
    button.disabled = true;
    try {
      await post("/api/answers", { kind: one.kind, rig: one.rig, sensor: one.sensor, rule: one.rule, for_s: 0, by, id: unique() });
      notice("", "answer");
      done();
    } catch (error) { notice(`${what} has not ended: ${error.message}`, "answer"); button.disabled = false; }
  };
  return el("button", { class: "end", text: "End", "aria-label": `end ${what}`, onclick: end });
}
