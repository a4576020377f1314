"""What stands beside the sensors: episodes, components, anomalies, notes. Pure; what does not fit is counted."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from hydrodask.clock import US_PER_S, parse_iso
from hydrodask.episodes import FOREVER_US, Episode, episodes, text_of, words
from hydrodask.observe.styled import Row, folded, heading, plain

if TYPE_CHECKING:
    from hydrodask.observe.screen import Scene

RIGS_SHOWN = 6
_DULL = "dim"

_FIGURES = re.compile(r"\d+")

Item = list[Row]
"""One thing, in one to three rows."""


def side(scene: "Scene", width: int, height: int) -> list[Row]:
    """Return what one looks at, as much as `height` holds."""
    tab, chosen = scene.choice.tab, scene.choice.rig
    of = f" of {plain(chosen)}" if chosen else ""
    blocks: dict[str, tuple[str, list[Item]]] = {
        "incidents": (
            f"Incidents{of}, {scene.watch.open_count} open{' in all' if chosen else ''}",
            _episodes(scene, width),
        ),
        "components": ("Components", components(scene, width)),
        "anomalies": ("Anomalies", anomalies(scene, width)),
        "notes": ("Notes", notes(scene.figures.overview.notes, width)),
    }
    if tab != "all":
        title, items = blocks[tab]
        return [heading(title, width), *(cut(items, height - 1) or [[("none", _DULL)]])][:height]
    shown = [(title, items) for title, items in blocks.values() if items]
    wishes = [1 + sum(map(len, items)) for _, items in shown]
    sizes = share_out(wishes, height, least=(4, 3, 4, 3)[: len(shown)])
    parts = [
        [heading(title, width), *cut(items, size - 1)] if size else []
        for (title, items), size in zip(shown, sizes, strict=True)
    ]
    return [row for part in parts for row in part]


def notes(texts: Sequence[str], width: int) -> list[Item]:
    """Return the newest notes, folded; of those that differ in figures only, as of many partitions, the newest.

    >>> notes(["worker 1 is slow", "worker 2 is slow"], 12)
    [[[('worker 2 is', '')], [('slow ×2', '')]]]
    """
    alike = Counter(_FIGURES.sub("0", text) for text in texts)
    items: list[Item] = []
    for text in reversed(texts):
        count = alike.pop(_FIGURES.sub("0", text), 0)
        if count:
            said = plain(text) + (f" ×{count}" if count > 1 else "")
            items.append([[(row, "")] for row in wrap(said, max(8, width), max_lines=3, placeholder=" …")])
    return items


def cut(items: Sequence[Item], height: int) -> list[Row]:
    """Return whole items in at most `height` rows; the last row says how many more there are.

    >>> cut([[[("a", "")]], [[("b", "")]], [[("c", "")]]], 2)
    [[('a', '')], [('2 more', 'dim')]]
    """
    rows: list[Row] = []
    for place, item in enumerate(items):
        last = place == len(items) - 1
        if len(rows) + len(item) + (not last) > height:
            more = [[(f"{len(items) - place} more", _DULL)]]
            return (
                [*rows, *more][:height] if rows else [*item[: max(0, height - 1)], *(more if not last else [])][:height]
            )
        rows += item
    return rows


def share_out(wishes: Sequence[int], total: int, *, least: Sequence[int]) -> list[int]:
    """Share `total` rows out: what each block needs at least, in order, then the rest in turn.

    >>> share_out([9, 3, 9], 12, least=(4, 2, 4)), share_out([9, 3, 9], 5, least=(4, 2, 4))
    ([5, 3, 4], [5, 0, 0])
    """
    sizes = [0] * len(wishes)
    for place, wish in enumerate(wishes):
        need = min(wish, least[place])
        if need <= total:
            sizes[place] = need
            total -= need
    growing = True
    while total and growing:
        growing = False
        for place, wish in enumerate(wishes):
            if total and 0 < sizes[place] < wish:
                sizes[place] += 1
                total -= 1
                growing = True
    return sizes


def episodes_of(scene: "Scene") -> list[Episode]:
    """Return what is open, worst first, then what is over, newest first; of the rig that was chosen, or of all."""
    known = {str(one["_id"]): one for one in (*scene.watch.incidents, *scene.watch.open.values())}
    found = [one for one in episodes(known.values()) if scene.choice.rig in (None, one.rig)]
    still = sorted((one for one in found if one.open), key=lambda one: (one.severity != "critical", -one.span[0]))
    return [*still, *(one for one in found if not one.open)]


def _episodes(scene: "Scene", width: int) -> list[Item]:
    items = [_episode(one, scene, width) for one in episodes_of(scene)]
    return items or [[[("none", _DULL)]]]


def _when(scene: "Scene", time_us: int) -> str:
    """Return the time of day, with its date if that is not the header's."""
    text = scene.zone.text(time_us)
    return scene.zone.clock(time_us) if text[:10] == scene.zone.text(scene.now_us)[:10] else text


def _episode(one: Episode, scene: "Scene", width: int) -> Item:
    style = ("bold red" if one.severity == "critical" else "bold yellow") if one.open else "green"
    ended_us = one.span[1]
    at = _when(scene, one.span[0] if one.open or ended_us >= FOREVER_US else ended_us)
    name = one.name
    head: Row = [(f"{'open' if one.open else 'ok  '} {at}", style), (f" {one.severity}", style)]
    head.append((plain(f" {one.rig}/{name['sensor']}"), "bold"))
    more = f" (+{len(one.incidents) - 1})" if len(one.incidents) > 1 else ""
    doubt = " (provisional)" if one.provisional else ""
    return folded(head, plain(f"{words(str(name['rule']))}{more}: {text_of(name)}{doubt}"), width)


def anomalies(scene: "Scene", width: int) -> list[Item]:
    """Return the newest anomalies; equal ones, one after the other, are one."""
    items: list[Item] = []
    told: dict[tuple[str, str, str], int] = {}
    ours = [one for one in scene.watch.anomalies if scene.choice.rig in (None, one["rig"])]
    for one in ours:
        key = (str(one["rig"]), str(one["sensor"]), str(one["rule"]))
        told[key] = told.get(key, 0) + 1
    for one in ours:
        count = told.pop((str(one["rig"]), str(one["sensor"]), str(one["rule"])), 0)
        if count:
            style = "red" if one["severity"] == "critical" else "yellow"
            at = _when(scene, parse_iso(str(one["window_start"])) // US_PER_S * US_PER_S)
            where = f" {one['rig']}/{one['sensor']}" + (f" ×{count}" if count > 1 else "")
            items.append(folded([(at, style), (plain(where), "bold")], plain(text_of(one)), width))
    return items


def components(scene: "Scene", width: int) -> list[Item]:
    """Return each rig's newest labels, which its own records give, and apart from them what the models say."""
    items: list[Item] = []
    for rig in _first(scene.rig, scene.figures.rigs)[:RIGS_SHOWN]:
        label = scene.figures.labels.get(rig)
        if label is not None:
            said = (
                f"cooler {label.get('cooler', 0):g} %, valve {label.get('valve', 0):g} %,"
                f" pump {label.get('pump', 0):g}, acc. {label.get('accumulator', 0):g} bar"
            )
            said += "" if label.get("stable") == 0 else ", settling"
            items.append(folded([(plain(rig), "bold"), (" labels", _DULL)], said, width))
        if by_models := scene.figures.components.get(rig):
            said = ", ".join(f"{name} {one.state} ({one.probability:.0%})" for name, one in by_models.items())
            items.append(folded([(plain(rig), "bold"), (" models", "cyan")], plain(said), width))
    return items


def _first(rig: str | None, rigs: Iterable[str]) -> list[str]:
    return sorted(rigs, key=lambda one: one != rig)
