"""Curves and strips as SVG, with presentation attributes alone: a strict policy allows no style of an element."""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

WIDTH, HEIGHT = 340, 96
LEFT, BOTTOM = 44, 14
STRIP_HEIGHT = 14
REACH = 0.5
"""A limit is drawn if it is within this share of the curve's spread above or below it."""

_SHEET = (resources.files("hydrodask.console") / "static" / "app.css").read_text(encoding="utf-8")
COLOURS = {
    name: re.findall(rf"--{name}: (#[0-9a-f]+);", _SHEET)[0]
    for name in ("critical", "warning", "critical-text", "warning-text")
} | {"": "#7b8794"}
"""Those of the page in light: its style sheet has each once."""

MARKS = {"critical": "■", "warning": "▲"}

Span = Mapping[str, Any]
"""`from` and `to` in seconds, `to` None while it is open; `severity`, and perhaps `text`."""


class Scale:
    """Maps seconds to x."""

    def __init__(self, start_s: float, end_s: float, left: float, width: float) -> None:
        self.start_s, self.end_s = start_s, max(end_s, start_s + 1)
        self.left, self.width = left, width

    def __call__(self, at_s: float) -> float:
        share = (min(max(at_s, self.start_s), self.end_s) - self.start_s) / (self.end_s - self.start_s)
        return round(self.left + share * self.width, 1)


def curve(
    view: Mapping[str, Any],
    limits: Sequence[Mapping[str, Any]],
    spans: Iterable[Span],
    ends: tuple[int, int],
    title: str,
    *,
    ticks: Sequence[tuple[int, str]] = (),
) -> str:
    """Return one sensor's curve with its usual range, its limits and incidents; `title` says in words what it is.

    `ticks` are times in seconds with their texts, for the axis.
    """
    known = [value for value in view["mean"] if value is not None]
    if not known:
        nothing = f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle" class="dim">no values</text>'
        return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{nothing}</svg>'
    low, high = _range(view, known, limits)
    across = Scale(*ends, LEFT, WIDTH - LEFT - 4)

    def up(value: float) -> float:
        return round(4 + (high - value) / (high - low) * (HEIGHT - BOTTOM - 8), 1)

    parts = [f'<rect x="{LEFT}" y="2" width="{WIDTH - LEFT - 4}" height="{HEIGHT - BOTTOM - 4}" class="plot"/>']
    parts += [_shade(one, across, 2, HEIGHT - BOTTOM - 4) for one in spans]
    if usual := view.get("usual"):
        pairs = [(at, a, b) for at, a, b in zip(usual["at"], usual["low"], usual["high"], strict=True) if a is not None]
        there = [f"{across(at)},{up(min(max(b, low), high))}" for at, _, b in pairs]
        back = [f"{across(at)},{up(min(max(a, low), high))}" for at, a, _ in reversed(pairs)]
        parts.append(f'<polygon points="{" ".join(there + back)}" class="usual"/>')
    parts += [f'<polyline points="{line}" class="curve"/>' for line in _lines(view, across, up)]
    parts += [_limit(one, up(one["value"])) for one in limits if low <= one["value"] <= high]
    parts += [
        f'<text x="{across(at)}" y="{HEIGHT - 3}" text-anchor="middle" class="dim tick">{escape(text)}</text>'
        for at, text in ticks
    ]
    parts += [
        f'<text x="{LEFT - 4}" y="{y}" text-anchor="end" class="dim">{value:.4g}</text>'
        for y, value in ((11, high), (HEIGHT - BOTTOM, low))
    ]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def _limit(limit: Mapping[str, Any], y: float) -> str:
    """Return a limit's line, and at its right end what it is."""
    severity = str(limit["severity"])
    text = f"{MARKS.get(severity, '')} {'>' if limit['above'] else '<'} {limit['value']:g}"
    at = min(max(y - 2 if limit["above"] else y + 9, 10), HEIGHT - BOTTOM - 3)
    line = f'<line x1="{LEFT}" x2="{WIDTH - 4}" y1="{y}" y2="{y}" stroke="{COLOURS[severity]}" stroke-dasharray="4 3"/>'
    return (
        f'{line}<text x="{WIDTH - 7}" y="{at}" text-anchor="end" class="{escape(severity)} limit">{escape(text)}</text>'
    )


def strip(spans: Iterable[Span], ends: tuple[int, int], title: str) -> str:
    """Return a strip of what was so when."""
    across = Scale(*ends, 0, 1000)
    shades = "".join(_shade(one, across, 0, STRIP_HEIGHT, solid=True) for one in spans)
    box = f'<svg viewBox="0 0 1000 {STRIP_HEIGHT}" preserveAspectRatio="none" class="strip" role="img" '
    return f'{box}aria-label="{escape(title)}"><rect width="1000" height="{STRIP_HEIGHT}" class="plot"/>{shades}</svg>'


def _shade(one: Span, across: Scale, top: float, height: float, *, solid: bool = False) -> str:
    left = across(one["from"])
    right = across(across.end_s if one["to"] is None else one["to"])
    colour, width = COLOURS.get(str(one["severity"]), COLOURS[""]), max(2.0, round(right - left, 1))
    opacity = "" if solid else ' fill-opacity="0.18"'
    said = f"<title>{escape(str(one['text']))}</title>" if one.get("text") else ""
    return f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="{colour}"{opacity}>{said}</rect>'


def _range(view: Mapping[str, Any], known: Sequence[float], limits: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Return what the y-axis shows: the mean, its usual range as far as it is near, and limits within reach of these.

    A usual range may be wide: as much of it as the curve is high, or a tenth of its value, as on the page.
    """
    low, high = min(known), max(known)
    room = max(high - low, max(abs(low), abs(high)) * 0.1)
    if usual := view.get("usual"):
        there = [one for name in ("low", "high") for one in usual[name] if one is not None]
        near = [min(max(one, low - room), high + room) for one in there]
        low, high = min([low, *near]), max([high, *near])
    spread = (high - low) or abs(high) * 0.1 or 1.0
    drawn = [one["value"] for one in limits if low - REACH * spread <= one["value"] <= high + REACH * spread]
    low, high = min([low, *drawn]), max([high, *drawn])
    return low - 0.05 * spread, high + 0.05 * spread


def _lines(view: Mapping[str, Any], across: Scale, up: Any) -> list[str]:
    """Return the points of each piece of the curve: where nothing came there is a gap."""
    lines: list[list[str]] = [[]]
    for at, value in zip(view["at"], view["mean"], strict=True):
        if value is None:
            lines.append([])
        else:
            lines[-1].append(f"{across(at)},{up(value)}")
    return [" ".join(line if len(line) > 1 else [*line, *line]) for line in lines if line]
