"""A report as one HTML file that loads nothing: a rig's day with its curves, or what a fleet did in a shift.

Made of the same views as the page: so what is one episode there is one here. All text is escaped; nothing is a script.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.clock import US_PER_S, Zone, parse_iso
from hydrodask.console import svg
from hydrodask.console.curves import COARSE_S, CurveReader
from hydrodask.errors import UsageError
from hydrodask.observe.wording import natural, span
from hydrodask.release import version
from hydrodask.store.fiveminutes import BUCKET_US

PIXELS = 300
LISTED_MAX = 200
"""Episodes of a report that are listed."""

DAYS_OF = ("CE", "PS1")
DAYS_MAX = 14
TICKS_S = (60, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400)
TICKS_MAX = 6
"""Times on the axis of a curve."""

STYLE = """
:root { color-scheme: light; }
body { font: 13px/1.45 system-ui, sans-serif; color: #16202c; margin: 24px auto; max-width: 1080px; padding: 0 16px; }
h1 { font-size: 20px; margin: 0 0 2px; } h2 { font-size: 15px; margin: 22px 0 6px; } p { margin: 4px 0; }
.dim, text.dim { color: #5b6775; fill: #5b6775; } text { font: 9px system-ui, sans-serif; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; color: #5b6775; }
th, td { padding: 3px 10px 3px 0; border-bottom: 1px solid #e2e7ec; vertical-align: top; }
.critical { color: CRITICAL; fill: CRITICAL; font-weight: 600; } .over { color: #5b6775; }
.warning { color: WARNING; fill: WARNING; font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(3, 1fr); gap: 10px 14px; }
figure { margin: 0; break-inside: avoid; }
figcaption { display: flex; justify-content: space-between; font-size: 12px; } .plot { fill: #f4f6f8; }
.curve { fill: none; stroke: #0b62a4; stroke-width: 1.3; } .usual { fill: #566270; fill-opacity: 0.13; }
.strip { width: 100%; height: 14px; display: block; } td.wide { width: 60%; } .quote { margin: 2px 0 0 12px; }
@media (max-width: 700px) { .cards { grid-template-columns: 1fr; } }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
""".replace("CRITICAL", svg.COLOURS["critical-text"]).replace("WARNING", svg.COLOURS["warning-text"])
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"

Rows = Iterable[Sequence[str]]


@dataclass(frozen=True)
class Sheets:
    """Makes reports of one platform. `now_us` is the system's time: mutes and maintenance go by it."""

    curves: CurveReader
    zone: Zone
    now_us: int

    def rig(self, rig: str, start_us: int, end_us: int) -> str:
        """Return a rig's report between two times, which are cut to what is there of it."""
        history = self.curves.sight.history
        coarse = {sensor: history.coarse(rig, sensor, start_us, end_us).at_us for sensor in SENSORS}
        ends = [at_us for points in coarse.values() if len(points) for at_us in (int(points[0]), int(points[-1]))]
        half = BUCKET_US // 2
        first, last = (max(start_us, min(ends) - half), min(end_us, max(ends) + half)) if ends else (start_us, end_us)
        # A run of minutes is drawn over these, not as a dot in a day.
        first = first if last - first < COARSE_S * US_PER_S else start_us
        last = last if last - first < COARSE_S * US_PER_S else end_us
        view = self.curves.rig(rig, max(1, (last - first) // US_PER_S), last, PIXELS)
        episodes = [one for one in view["episodes"] if one["from"] * US_PER_S < end_us]
        if not ends and not episodes:
            raise UsageError(f"nothing is known of {rig} {self._said(start_us, end_us)}{self._days(rig)}")
        body = [
            self._head(f"{rig}: report of a day", start_us, end_us),
            f"<p>{escape(_summary(episodes))}</p>",
            "<h2>Incidents, and what people answered</h2>",
            self._episodes(episodes),
            "<h2>States</h2>",
            self._strips(view),
            f"<h2>Curves {escape(self._between(view['from'], view['to']))}</h2>",
            '<p class="dim">Line: mean. Shaded grey: usual range. Dashed: limits of rules. Shaded: incidents.</p>',
            f'<div class="cards">{"".join(self._card(one, view, episodes) for one in view["sensors"])}</div>',
            "<h2>Data quality</h2>",
            _quality(coarse, max(1, -(-(last - first) // BUCKET_US)), view["troubles"]),
        ]
        return document(f"{rig}, {self.zone.text(start_us)[:10]}", body)

    def fleet(self, start_us: int, end_us: int) -> str:
        """Return a shift of all rigs: the worst first, what was and is wrong, and what was answered."""
        sight = self.curves.sight
        rows, listed = [], []
        for rig in sorted(sight.rigs(), key=natural):
            ours = [one for one in sight.episodes(rig, start_us, end_us) if one["from"] * US_PER_S < end_us]
            rows.append((rig, ours))
            listed += [one | {"rig": rig} for one in ours]
        rows.sort(key=lambda row: (_rank(row[1]), -len(row[1])))
        ends = start_us // US_PER_S, end_us // US_PER_S
        strips = (
            (
                escape(rig),
                f'<span class="{_worst(ours)}">{escape(_summary(ours))}</span>',
                svg.strip([one | {"text": one["name"]} for one in ours], ends, f"{rig}: {_summary(ours)}"),
            )
            for rig, ours in rows
        )
        listed.sort(key=lambda one: (not one["open"], one["severity"] != "critical", -one["from"]))
        body = [
            self._head("Shift report of the fleet", start_us, end_us),
            f"<p>{len(rows)} rigs, {sum(bool(one) for _, one in rows)} with incidents: {escape(_summary(listed))}</p>",
            "<h2>Rigs, worst first</h2>",
            table(("rig", "what was", self._between(*ends)), strips, wide=2),
            "<h2>Incidents, and what people answered</h2>",
            self._episodes(listed),
        ]
        if trouble := sight.known().trouble:
            body.append(f'<p class="warning">{escape(trouble)}</p>')
        return document("Shift report", body)

    def _head(self, title: str, start_us: int, end_us: int) -> str:
        span_ = self._between(start_us // US_PER_S, end_us // US_PER_S)
        made = f"made {self.zone.text(self.now_us)} {self.zone.label(self.now_us)}"
        said = f"{span_} · {made} · hydrodask {version()}"
        return f'<h1>{escape(title)}</h1><p class="dim">{escape(said)}</p>'

    def _at(self, iso: str) -> str:
        at_us = parse_iso(iso)
        return f"{self.zone.text(at_us)[:16]} {self.zone.label(at_us)}"

    def _said(self, start_us: int, end_us: int) -> str:
        return f"between {self._between(start_us // US_PER_S, end_us // US_PER_S)}"

    def _days(self, rig: str) -> str:
        """Return on which days there are values of a rig, in words: the newest few."""
        history, end_us = self.curves.sight.history, self.now_us + 10**9 * US_PER_S
        times = [at for sensor in DAYS_OF for at in history.coarse(rig, sensor, 0, end_us).at_us.tolist()]
        days = sorted({self.zone.text(at_us)[:10] for at_us in times})
        more = f", and {len(days) - DAYS_MAX} earlier ones" if len(days) > DAYS_MAX else ""
        return f"; there are values of {', '.join(days[-DAYS_MAX:])}{more}" if days else ""

    def _ticks(self, start_s: int, end_s: int) -> list[tuple[int, str]]:
        """Return times for an axis, round ones in the zone, with their texts; none so near an edge that it is cut."""
        step_s = next((step for step in TICKS_S if (end_s - start_s) / step <= TICKS_MAX), TICKS_S[-1])
        ahead_s = (parse_iso(self.zone.text(start_s * US_PER_S)) // US_PER_S) - start_s
        first = start_s + -(start_s + ahead_s) % step_s
        edge_s = (end_s - start_s) * 0.04
        times = (at for at in range(first, end_s + 1, step_s) if start_s <= at <= end_s - edge_s)
        texts = ((at, self.zone.text(at * US_PER_S)) for at in times)
        return [(at, text[5:10] if step_s >= TICKS_S[-1] else text[11:16]) for at, text in texts]

    def _between(self, start_s: int, end_s: int) -> str:
        start, end = self.zone.text(start_s * US_PER_S)[:16], self.zone.text(end_s * US_PER_S)[:16]
        end = end[11:] if end[:10] == start[:10] else end
        return f"{start} – {end} {self.zone.label(start_s * US_PER_S)}"

    def _episodes(self, found: Sequence[Mapping[str, Any]]) -> str:
        if not found:
            return "<p>None.</p>"
        told = alike(found)
        rows = ((self._when(ones[0]), self._what(ones[0]) + self._again(ones)) for ones in told[:LISTED_MAX])
        more = f"<p>{len(told) - LISTED_MAX} more.</p>" if len(told) > LISTED_MAX else ""
        return table(("when", "what"), rows) + more

    def _when(self, one: Mapping[str, Any]) -> str:
        began = self.zone.text(one["from"] * US_PER_S)[5:16]
        ended = "open" if one["to"] is None else f"for {span(one['to'] - one['from'])}"
        return f"{began}<br><span class='dim'>{ended}</span>".replace("'", '"')

    def _what(self, one: Mapping[str, Any]) -> str:
        kind = one["severity"] if one["open"] else "over"
        rig = f"{one['rig']}: " if "rig" in one else ""
        more = f" and {one['count'] - 1} more on {', '.join(one['sensors'][:6])}" if one["count"] > 1 else ""
        said = [f'<span class="{escape(kind)}">{escape(rig + one["name"])}</span>, {escape(one["severity"])}']
        said.append(f"<br>{escape(one['message'])}{escape(more)}")
        for answer in (one["ack"], one["cause"], *one["notes"], one["muted"]):
            if answer is not None:
                text = f"{answer['kind']} by {answer['by']}, {self._at(answer['at'])}"
                text += f", until {self._at(answer['until'])}" if answer["until"] else ""
                text += f": {answer['text']}" if answer["text"] else ""
                said.append(f'<p class="quote">→ {escape(text)}</p>')
        return "".join(said)

    def _again(self, ones: Sequence[Mapping[str, Any]]) -> str:
        if len(ones) == 1:
            return ""
        times = ", ".join(self.zone.text(one["from"] * US_PER_S)[11:16] for one in ones[1:13])
        return f'<br><span class="dim">and {len(ones) - 1} times before: {times}{" …" * (len(ones) > 13)}</span>'

    def _strips(self, view: Mapping[str, Any]) -> str:
        ends = view["from"], view["to"]
        rows = (
            (
                escape(one["name"]),
                escape(one["text"]),
                svg.strip(_known(one["spans"], view), ends, f"{one['name']} {one['text']}"),
            )
            for one in view["strips"]
        )
        return table(("", "now", self._between(*ends)), rows, wide=2)

    def _card(self, one: Mapping[str, Any], view: Mapping[str, Any], episodes: Sequence[Mapping[str, Any]]) -> str:
        channel = CHANNELS[one["sensor"]]
        spans = [
            each | {"text": each["name"]}
            for e in episodes
            for each in e["incidents"]
            if each["sensor"] == one["sensor"]
        ]
        known = [value for value in one["mean"] if value is not None]
        now = f"{known[-1]:.4g} {channel.unit}" if known else "no values"
        title = f"{one['sensor']}, {channel.quantity}, {now}"
        ends = view["from"], view["to"]
        limits = self.curves.limits(one["sensor"])
        drawn = svg.curve(one, limits, _known(spans, view), ends, title, ticks=self._ticks(*ends))
        caption = f"<b>{one['sensor']}</b> {escape(channel.quantity)}<span>{escape(now)}</span>"
        return f"<figure><figcaption>{caption}</figcaption>{drawn}</figure>"


def document(title: str, body: Iterable[str]) -> str:
    """Return a page that no browser loads anything for, nor runs anything in."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def table(heads: Sequence[str], rows: Rows, wide: int | None = None) -> str:
    """Return a table; heads are text, cells are HTML already."""
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    lines = (
        "".join(
            f'<td class="wide">{cell}</td>' if place == wide else f"<td>{cell}</td>" for place, cell in enumerate(row)
        )
        for row in rows
    )
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def alike(found: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return episodes, those that say the same in one list; what is open, or was answered, is told by itself."""
    groups: dict[object, list[Mapping[str, Any]]] = {}
    for one in found:
        own = one["open"] or one["ack"] or one["cause"] or one["notes"] or one["muted"]
        key = one["id"] if own else (one.get("rig"), one["name"], one["severity"])
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _known(spans: Iterable[Mapping[str, Any]], view: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return spans; of what is open nothing is known after the newest values, so it ends there."""
    now = min(view["to"], max(view["now"], view["from"]))
    return [one | {"to": max(now, one["from"])} if one["to"] is None else one for one in spans]  # type: ignore[operator]


def _quality(coarse: Mapping[str, Any], buckets: int, troubles: Sequence[str]) -> str:
    """Return how much of each sensor is there, in five minutes, and what could not be read."""
    rows = []
    for sensor, points in coarse.items():
        share = min(1.0, len(points) / buckets)
        if share < 1.0:
            rows.append(
                (sensor, f"{share:.0%} of the five-minute spans have values, {buckets - len(points)} have none")
            )
    whole = len(coarse) - len(rows)
    said = f"<p>{whole} of {len(coarse)} sensors have values in all {buckets} five-minute spans.</p>"
    said += table(("sensor", "what is missing"), rows) if rows else ""
    return said + "".join(f'<p class="warning">{escape(one)}</p>' for one in troubles)


def _summary(found: Sequence[Mapping[str, Any]]) -> str:
    """Return in words what there was.

    >>> _summary([{"open": True, "severity": "critical"}, {"open": False, "severity": "warning"}]), _summary([])
    ('2 episodes, 1 critical; 1 still open', 'nothing')
    """
    if not found:
        return "nothing"
    critical, still = sum(one["severity"] == "critical" for one in found), sum(one["open"] for one in found)
    said = f"{len(found)} episode{'s' * (len(found) != 1)}" + (f", {critical} critical" if critical else "")
    return said + (f"; {still} still open" if still else "; all over")


def _rank(found: Sequence[Mapping[str, Any]]) -> tuple[bool, bool, bool]:
    still = [one for one in found if one["open"]]
    return not any(one["severity"] == "critical" for one in still), not still, not found


def _worst(found: Sequence[Mapping[str, Any]]) -> str:
    still = [one["severity"] for one in found if one["open"]]
    return "critical" if "critical" in still else "warning" if still else "over"
