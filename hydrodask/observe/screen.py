"""The live view's picture: from figures and news to rows, for any size. Pure.

What a small terminal drops first: where data lies, notes, links, anomalies, then sensors. Warnings
and open incidents stay longest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.observe.figures import Figures, amount, latency_s, reasons_text, span
from hydrodask.observe.rows import (
    Row,
    bar,
    beside,
    ends,
    fit,
    folded,
    heading,
    plain,
    sparkline,
    width_of,
)
from hydrodask.observe.watch import Document, Watch

WARNINGS_MAX = 4
LEFT_WIDTH = 42
"""Width of the sensor table without the parts that only wide terminals have."""

TREND_WIDTH = 24
WIDE = 120
RIGS_SHOWN = 6

_STATE_STYLES = {"running": "bold green", "stopped": "bold", "failed": "bold red"}
_DULL = "dim"


@dataclass(slots=True)
class Scene:
    """All that one picture shows."""

    figures: Figures
    watch: Watch
    now_us: int
    links: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    trends: Mapping[tuple[str, str], Iterable[float]] = field(default_factory=dict)
    messages: Sequence[str] = ()
    """Log messages of warnings and errors, newest last."""


def picture(scene: Scene, width: int, height: int) -> list[Row]:
    """Return at most `height` rows of exactly `width` cells; what does not fit is left out."""
    top = [*header(scene, width), *warnings(scene)]
    bottom = footer(scene, width)
    table = len(SENSORS) + 1
    while bottom and len(top) + table + len(bottom) > height:
        bottom.pop()
    room = max(0, height - len(top) - len(bottom))
    if room > table + 6:
        # There is space to breathe.
        top.append([])
        bottom = [[], *bottom]
        room -= 2
    rows = [*top, *body(scene, width, room), *bottom]
    return [fit(row, width) for row in rows[:height]]


def header(scene: Scene, width: int) -> list[Row]:
    """Return who runs since when, the figures, and the source's progress if it ends."""
    overview, figures = scene.figures.overview, scene.figures
    style = _STATE_STYLES.get(overview.state, "bold yellow")
    up = span(max(0.0, (scene.now_us - overview.started_us) / 1e6))
    left: Row = [("● ", style), ("hydrodask ", "bold"), (plain(overview.state), style)]
    left += [(f"  for {up}", ""), (f"  run {plain(overview.run_id)[:12]}", _DULL)]
    count = len(overview.workers)
    parts = len(overview.partitions)
    right: Row = [(f"{count} worker{'s' * (count != 1)} · {parts} partitions", "")]
    rows = [ends(left, right, width), _numbers(figures, scene.now_us)]
    if overview.progress is not None:
        share = overview.progress
        text = f" {share:.0%} of the source published"
        rows.append([*bar(share, max(10, width - len(text) - 1), "cyan"), (text, "")])
    return rows


def _numbers(figures: Figures, now_us: int) -> Row:
    overview = figures.overview
    p50 = latency_s(overview.latency_counts, 0.5)
    late, dead = overview.total("late"), overview.total("dead")
    row: Row = [(amount(overview.records_per_s), "bold"), (" rec/s  lag ", "")]
    row += [(amount(figures.lag), "bold"), (f" ({span(figures.lag_s(now_us))})", "")]
    row += [("  watermark ", ""), (f"-{span(figures.delay_s)}", "bold")]
    row += [("  late ", ""), (amount(late), "bold yellow" if late else "bold")]
    row += [("  dead ", ""), (amount(dead), "bold red" if dead else "bold")]
    row += [("  p50 ", ""), (span(p50) if p50 is None else f"≤{p50:g} s", "bold")]
    return row


def warnings(scene: Scene) -> list[Row]:
    """Return a line for each partition in trouble, for unreadable documents, and the last logs."""
    rows: list[Row] = []
    troubled = scene.figures.troubled
    for part in troubled[:WARNINGS_MAX]:
        what = f"⚠ {part.topic}/{part.partition} {part.state}"
        rows.append([(plain(what), "bold yellow"), (f": {plain(part.advice)}", "")])
    if len(troubled) > WARNINGS_MAX:
        more = len(troubled) - WARNINGS_MAX
        rows.append([(f"⚠ {more} more partitions; see hydrodask status", "bold yellow")])
    if scene.figures.reasons:
        rows.append([("⚠ dead: ", "bold yellow"), (plain(reasons_text(scene.figures.reasons)), "")])
    if scene.watch.trouble:
        rows.append([("⚠ documents: ", "bold yellow"), (plain(scene.watch.trouble), "")])
    rows += [[("⚠ ", "bold yellow"), (plain(text), "")] for text in scene.messages[-2:]]
    return rows


def body(scene: Scene, width: int, height: int) -> list[Row]:
    """Return sensors and, beside them, incidents, anomalies, components and notes."""
    wide = width >= WIDE
    left_width = LEFT_WIDTH + (TREND_WIDTH + 1) * wide
    right_width = width - left_width - 2
    if right_width < 24:
        return sensors(scene, width, wide=False)[:height]
    left = sensors(scene, left_width, wide=wide)[:height]
    return beside(left, side(scene, right_width, height), (left_width, right_width))


def sensors(scene: Scene, width: int, *, wide: bool) -> list[Row]:
    """Return a row for each sensor of the rig that is worst off."""
    figures = scene.figures
    rig = min(figures.rigs, key=figures.rig_health, default=None)
    title = "1 min mean" if rig is None else f"{plain(rig)} · 1 min mean"
    if rig is not None and len(figures.rigs) > 1:
        # Of those that are hidden nothing is known.
        title = f"{plain(rig)} (worst of {len(figures.rigs)}{' shown' if figures.rigs_hidden else ''})"
    named = fit([(title, "bold cyan")], LEFT_WIDTH - 23 + (TREND_WIDTH + 1) * wide)
    rows: list[Row] = [fit([*named, (f"{'health':<13}{'late':>9}", _DULL)], width)]
    return rows + [_sensor(scene, rig, sensor, wide=wide) for sensor in SENSORS]


def _sensor(scene: Scene, rig: str | None, sensor: str, *, wide: bool) -> Row:
    reading = scene.figures.readings.get((rig or "", sensor))
    health = scene.figures.health.get((rig or "", sensor))
    late = scene.figures.late[sensor]
    value = "-" if reading is None else f"{reading.avg:.4g}"
    row: Row = [
        (f"{sensor:<5}", "bold"),
        (f"{value:>7} ", ""),
        (f"{CHANNELS[sensor].unit:<6}", _DULL),
    ]
    if wide:
        trend = sparkline(scene.trends.get((rig or "", sensor), ()), TREND_WIDTH)
        row.append((f"{trend} ", "cyan"))
    row += _health(health)
    return [*row, (f"{amount(late):>9}", "yellow" if late else _DULL)]


def _health(value: float | None) -> Row:
    if value is None:
        return [("     -       ", _DULL)]
    style = "green" if value >= 100 else "yellow" if value >= 80 else "red"
    return [*bar(value / 100, 8, style), (f"{value:4.0f} ", style)]


def side(scene: Scene, width: int, height: int) -> list[Row]:
    """Return incidents, components, anomalies and notes, as much as `height` holds."""
    parts = [
        _block(f"Incidents, {scene.watch.open_count} open", incidents(scene, width), width),
        _block("Components", components(scene, width), width),
        _block("Anomalies", anomalies(scene, width), width),
        _block("Notes", [[(plain(n), "")] for n in scene.figures.overview.notes[::-1]], width),
    ]
    wishes = [len(part) for part in parts]
    sizes = share_out(wishes, height, least=(4, 3, 4, 3))
    return [row for part, size in zip(parts, sizes, strict=True) for row in part[:size]]


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


def _block(title: str, rows: Sequence[Row], width: int) -> list[Row]:
    return [heading(title, width), *rows] if rows else []


def incidents(scene: Scene, width: int) -> list[Row]:
    """Return open incidents in red, then resolved ones in green, each newest first."""
    shown = [*scene.watch.open.values()]
    shown += [one for one in scene.watch.incidents if one["status"] == "resolved"]
    return [row for one in shown for row in _incident(one, width)] or [[("none", _DULL)]]


def _incident(one: Document, width: int) -> list[Row]:
    still = one["status"] == "open"
    style = "bold red" if still else "green"
    at = str(one["opened_at"] if still else one["resolved_at"])[11:19]
    word = "open" if still else "ok  "
    where = f" {one['rig']}/{one['sensor']}"
    doubt = " (provisional)" if one["provisional"] else ""
    head: Row = [(f"{word} {at}", style), (plain(where), "bold")]
    return folded(head, plain(f"{one['rule']}: {one['message']}{doubt}"), width)


def anomalies(scene: Scene, width: int) -> list[Row]:
    """Return the newest anomalies."""
    rows: list[Row] = []
    for one in scene.watch.anomalies:
        style = "red" if one["severity"] == "critical" else "yellow"
        at = str(one["window_start"])[11:19]
        where = f" {one['rig']}/{one['sensor']}"
        rows += folded([(at, style), (plain(where), "bold")], plain(one["message"]), width)
    return rows


def components(scene: Scene, width: int) -> list[Row]:
    """Return the newest labels of each rig, and what the models say."""
    rows: list[Row] = []
    for rig in scene.figures.rigs[:RIGS_SHOWN]:
        label = scene.figures.labels.get(rig)
        if label is not None:
            words = (
                f"cooler {label.get('cooler', 0):g} %, valve {label.get('valve', 0):g} %,"
                f" pump {label.get('pump', 0):g}, acc. {label.get('accumulator', 0):g} bar"
            )
            words += "" if label.get("stable") == 0 else ", settling"
            rows += folded([(plain(rig), "bold")], words, width)
        if said := scene.figures.components.get(rig):
            words = ", ".join(f"{name} {one.state} ({one.probability:.0%})" for name, one in said.items())
            rows += folded([(plain(rig), "bold"), (" models", _DULL)], plain(words), width)
    return rows


def footer(scene: Scene, width: int) -> list[Row]:
    """Return links, then where the data lies; the first rows are the most wanted."""
    return [*_packed(scene.links, width, "underline"), *_packed(scene.places, width, "")]


def _packed(named: Mapping[str, str], width: int, style: str) -> list[Row]:
    """Return names and values, as many a row as fit."""
    rows: list[Row] = []
    for name, value in named.items():
        item: Row = [(f"{plain(name)} ", _DULL), (plain(value), style)]
        if rows and width_of(rows[-1]) + 2 + width_of(item) <= width:
            rows[-1] += [("  ", ""), *item]
        else:
            rows.append(item)
    return rows
