// Tiles of rigs, worst first: as a strip over a rig's page, and as a page of their own.
import { at, between, el, mark } from "./dom.js";
import { strips } from "./draw.js";
import { unquiet } from "./answers.js";

export const link = (rig, rest = "") => `#/rig/${encodeURIComponent(rig)}${rest}`;

export function tile(one, current) {
  const badges = [];
  if (one.maintenance) badges.push("maintenance");
  else if (one.muted) badges.push("muted");
  if (one.acknowledged) badges.push("acknowledged");
  const was = one.worst_day < one.health ? `, worst ${one.worst_day} in a day${one.worst_hour < one.health ? `, ${one.worst_hour} in an hour` : ""}` : "";
  const said = `${one.rig}: ${one.severity || "nothing open"}, health ${one.health}${was}, ${one.line}${badges.length ? `, ${badges.join(", ")}` : ""}`;
  return el("a", { class: `tile ${one.severity}`, href: link(one.rig), "aria-label": said, title: `${one.line}; health ${one.health}${was}`, "aria-current": current ? "true" : null },
    el("div", { class: "top" }, el("span", { class: "name", text: one.rig }), ...badges.map((text) => el("span", { class: "badge", text })),
      mark(one.severity), el("span", { class: `health ${one.level}`, text: String(Math.round(one.health)) }),
      one.worst_day < one.health ? el("span", { class: "dim", text: `day ${Math.round(one.worst_day)}` }) : ""),
    el("div", { class: "line", text: !one.severity && one.attention >= 20 ? `look: ${one.look}` : one.line }));
}

// The last day of a rig: when it had episodes.
function drawDays(box, fleet) {
  const pairs = [...box.querySelectorAll("canvas")].map((canvas, i) => [canvas, { spans: fleet.rigs[i].spans, text: "" }]);
  strips(pairs, fleet.now - 86400, fleet.now);
}

export function strip(box, fleet, rig) {
  const there = box.scrollLeft;
  const shown = fleet.rigs.slice(0, 40);
  if (rig && !shown.some((one) => one.rig === rig)) {
    const mine = fleet.rigs.find((one) => one.rig === rig);
    if (mine) shown.unshift(mine);
  }
  box.replaceChildren(...shown.map((one) => tile(one, one.rig === rig)));
  const more = fleet.names.length - shown.length;
  if (more > 0) box.append(el("a", { class: "tile", href: "#/", "aria-label": `${more} more rigs` }, el("div", { class: "top", text: `${more} more` }), el("div", { class: "line", text: "all rigs" })));
  const mine = box.querySelector("[aria-current]");
  if (mine && box.dataset.rig !== rig) { // on a phone it is the only place above the episodes that names the rig
    const [inside, own] = [box.getBoundingClientRect(), mine.getBoundingClientRect()];
    box.scrollLeft += own.left - inside.left - (inside.width - own.width) / 2;
    box.dataset.rig = rig;
  } else box.scrollLeft = there;
}

function episode(one) {
  return el("a", { class: `episode ${one.severity} ${one.muted ? "quiet" : ""}`, href: link(one.rig, `/1h/${encodeURIComponent(one.id)}`) },
    el("h3", {}, el("span", { class: `sev ${one.severity}` }, mark(one.severity), ` ${one.rig} `), one.name, one.acknowledged ? el("span", { class: "pin", text: "acknowledged" }) : "",
      one.muted ? el("span", { class: "pin", text: "muted" }) : ""),
    el("div", { text: one.message }), el("div", { class: "when", text: between(one.from, one.to) }));
}

// What fires in Prometheus, as Alertmanager has it: a link only where it leads to a web server, all else is text.
function alert(one) {
  const where = one.runbook ? (one.link ? el("a", { href: one.runbook, target: "_blank", rel: "noopener noreferrer", class: "out", text: "runbook" }) : el("span", { class: "dim", text: one.runbook })) : "";
  return el("div", { class: `episode ${one.severity}${one.severity ? "" : " quiet"}` },
    el("h3", {}, el("span", { class: `sev ${one.severity}` }, mark(one.severity), " "), one.name, one.rig ? el("a", { class: "pin", href: link(one.rig), text: one.rig }) : ""),
    el("div", { text: one.text }), one.do ? el("div", { class: "said", text: one.do }) : "",
    el("div", { class: "when" }, between(one.since, null), where ? " · " : "", where));
}

function alerts(said) {
  if (!said) return [];
  if (said.trouble) return [el("h2", { text: "Alerts of Prometheus" }), el("p", { class: "dim", text: `Nobody knows: Alertmanager at ${said.where}: ${said.trouble}` })];
  return [el("h2", { text: said.alerts.length ? "Alerts of Prometheus" : "No alert of Prometheus fires" }),
    el("div", { class: "episodes alerts" }, ...said.alerts.map((one) => alert(one))), said.more ? el("p", { class: "dim", text: `${said.more} more` }) : ""];
}

export function page(box, fleet, again) {
  const { critical, warning, quiet: calm, muted, maintenance: kept } = fleet.counts; // of all rigs, with a tile or without
  const count = (n, text, severity = "") => el("span", {}, severity ? mark(severity) : "", " ", el("b", { text: String(n) }), text);
  const quiet = fleet.muted.map((one) => el("div", { class: "episode quiet" }, el("h3", { text: `${one.kind === "mute" ? "muted" : "maintenance"}: ${one.what}` }),
    el("div", { class: "when", text: `until ${at(one.until)}, ${one.by}` }), one.text ? el("div", { class: "said", text: one.text }) : "", unquiet(one, again)));
  box.replaceChildren(el("div", { class: "fleet" },
    el("section", { "aria-label": "rigs" },
      el("div", { class: "count" }, el("h1", { class: "title", text: "Fleet" }), count(critical, "critical", "critical"),
        count(warning, "warning", "warning"), count(calm, "well"), muted ? count(muted, "muted") : "", kept ? count(kept, "in maintenance") : ""),
      el("div", { class: "tiles" }, ...fleet.rigs.map((one) => { const made = tile(one, false); made.append(el("canvas", { "aria-hidden": "true" })); return made; })),
      fleet.more ? el("p", { class: "dim more", text: `The ${fleet.rigs.length} worst of ${fleet.names.length} rigs. The other ${fleet.more} are no worse off; find one by its name.` }) : "",
      fleet.cut ? el("p", { class: "dim", text: fleet.cut }) : "",
      fleet.names.length ? "" : el("p", { class: "dim", text: "No rig is known yet: nothing in the lake, and no live value." })),
    el("aside", { "aria-label": "what is open" }, el("h2", { text: fleet.episodes.length ? "Open now" : "Nothing is open" }),
      el("div", { class: "episodes" }, ...fleet.episodes.map((one) => episode(one))),
      fleet.open > fleet.episodes.length ? el("p", { class: "dim", text: `${fleet.open - fleet.episodes.length} more` }) : "",
      ...alerts(fleet.alerts),
      el("h2", { text: quiet.length ? "Muted, or in maintenance" : "Nothing is muted" }), el("div", { class: "episodes" }, ...quiet),
      el("p", { class: "dim", text: fleet.says }))));
  drawDays(box, fleet);
}
