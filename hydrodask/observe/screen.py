"""The live view's picture: from figures and news to rows, for any size. Pure.

What a small terminal drops first: where data lies, notes, links, anomalies, then sensors. Warnings
and open incidents stay longest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.clock import Zone
from hydrodask.health import BEST, HealthLimits, level
from hydrodask.observe.beginning import beginning
from hydrodask.observe.figures import Figures, latency_s
from hydrodask.observe.keyboard import HELP, Choice
from hydrodask.observe.news import DocumentWatch
from hydrodask.observe.panels import side
from hydrodask.observe.styled import (
    Row,
    bar,
    beside,
    ends,
    fit,
    heading,
    plain,
    sparkline,
    width_of,
)
from hydrodask.observe.wording import amount, reasons_text, span
from hydrodask.settings.model import Health

WARNINGS_MAX = 4
LEFT_WIDTH = 42
"""Width of the sensor table without the parts that only wide terminals have."""

TREND_WIDTH = 24
WIDE = 120
ROOMY = 100
"""From this width on there is room for how long it has been running."""


_STATE_STYLES = {"running": "bold green", "stopped": "bold", "failed": "bold red"}
_DULL = "dim"
_MARKS = {"critical": ("✗", "bold red"), "warning": ("!", "bold yellow"), "": ("·", "green")}
"""Signs beside colours: not everybody tells these apart."""

_COLOURS = {"": "green", "warning": "yellow", "critical": "red"}


@dataclass(slots=True)
class Scene:
    """All that one picture shows."""

    figures: Figures
    watch: DocumentWatch
    now_us: int
    links: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    trends: Mapping[tuple[str, str], Iterable[float]] = field(default_factory=dict)
    messages: Sequence[str] = ()
    """Log messages of warnings and errors, newest last."""
    choice: Choice = field(default_factory=Choice)
    zone: Zone = field(default_factory=Zone)
    window_s: float = 60.0
    ended: str = ""
    """How the run has ended; then nothing answers at `links`, and `next_steps` are shown instead."""
    next_steps: Mapping[str, str] = field(default_factory=dict)
    limits: HealthLimits = field(default_factory=Health)
    kernels: tuple[int, int] | None = None
    """How many kernels workers have compiled, and of how many, while they do."""

    @property
    def rig(self) -> str | None:
        """The rig that is shown: the one that was chosen, else the one that is worst off."""
        figures = self.figures
        chosen = self.choice.rig if self.choice.rig in figures.rigs else None
        return chosen or min(figures.rigs, key=figures.rig_health, default=None)


def picture(scene: Scene, width: int, height: int) -> list[Row]:
    """Return at most `height` rows of exactly `width` cells; what does not fit is left out."""
    if scene.choice.help:
        return [fit(row, width) for row in _help(width)[:height]]
    top = [*header(scene, width), *strip(scene, width), *warnings(scene)]
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
    doing = "" if scene.ended else beginning(overview, scene.kernels)
    state, _, doing = doing.partition(": ") if doing else (scene.ended or overview.state, "", "")
    state = "on hold" if scene.choice.held and not scene.ended else state
    style = _STATE_STYLES.get(state, "bold yellow")
    up = span(max(0.0, (scene.now_us - overview.started_us) / 1e6))
    left: Row = [("● ", style), ("hydrodask ", "bold"), (plain(state), style)]
    left += [(f"  for {up}", "")] if width >= ROOMY else []
    left += [(f"  {scene.zone.text(scene.now_us)} {scene.zone.label(scene.now_us)}", _DULL)]
    count = len(overview.workers)
    parts = len(overview.partitions)
    right: Row = [(f"{count} worker{'s' * (count != 1)} · {parts} partitions", "")]
    rows = [ends(left, right, width), _beginning(doing, scene) if doing else _numbers(figures, scene.now_us)]
    if overview.progress is not None:
        share = overview.progress
        text = f" {share:.0%} of the source published"
        rows.append([*bar(share, max(10, width - len(text) - 1), "cyan"), (text, "")])
    return rows


def _beginning(doing: str, scene: Scene) -> Row:
    """Return what workers do before there are figures, and how far they are with it."""
    compiling = scene.kernels is not None and not scene.figures.overview.steps
    share: Row = (
        [*bar(scene.kernels[0] / scene.kernels[1], 20, "cyan"), (" ", "")] if compiling and scene.kernels else []
    )
    return [*share, (doing, "bold yellow")]


def strip(scene: Scene, width: int) -> list[Row]:
    """Return all rigs in one row, each with how bad it is; nothing where there is but one."""
    figures = scene.figures
    if len(figures.rigs) < 2:
        return []
    severities: dict[str, str] = {}
    for one in scene.watch.open.values():
        rig = str(one["rig"])
        severities[rig] = "critical" if "critical" in (one["severity"], severities.get(rig)) else str(one["severity"])
    start = len(_shared(figures.rigs))
    row: Row = [("rigs ", _DULL)]
    for place, rig in enumerate(figures.rigs):
        mark, style = _MARKS[severities.get(rig, "")]
        item = f"{mark}{plain(rig[start:] or rig)}"
        left = len(figures.rigs) - place + figures.rigs_hidden
        if width_of(row) + len(item) + 1 + (len(f"+{left}") if left > 1 else 0) > width:
            return [[*row, (f"+{left}", _DULL)]]
        row += [(item, f"reverse {style}" if rig == scene.rig else style), (" ", "")]
    return [[*row, (f"+{figures.rigs_hidden}", _DULL)] if figures.rigs_hidden else row]


def _shared(names: Sequence[str]) -> str:
    """Return with what all names begin; a number is not cut."""
    first, last = min(names), max(names)
    same = next((place for place, char in enumerate(first) if last[place : place + 1] != char), len(first))
    return first[:same].rstrip("0123456789")


def _help(width: int) -> list[Row]:
    return [heading("Keys", width), *([(f"  {key:<8}", "bold"), (text, "")] for key, text in HELP)]


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
    """Return lines for partitions in trouble, stalled flows, unreadable documents, and the last logs."""
    rows: list[Row] = []
    troubled = scene.figures.troubled
    for part in troubled[:WARNINGS_MAX]:
        what = f"⚠ {part.topic}/{part.partition} {part.state}"
        rows.append([(plain(what), "bold yellow"), (f": {plain(part.advice)}", "")])
    if len(troubled) > WARNINGS_MAX:
        more = len(troubled) - WARNINGS_MAX
        rows.append([(f"⚠ {more} more partitions; see hydrodask status", "bold yellow")])
    rows += [
        [(f"⚠ flow {plain(flow.name)} stalled", "bold yellow"), (f": {plain(flow.advice)}", "")]
        for flow in scene.figures.overview.flows
        if flow.state == "stalled"
    ][:WARNINGS_MAX]
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
    figures, rig = scene.figures, scene.rig
    title = "1 min mean" if rig is None else f"{plain(rig)} · 1 min mean"
    if rig is not None and len(figures.rigs) > 1:
        # Of those that are hidden nothing is known.
        among = "chosen" if scene.choice.rig == rig else "worst"
        title = f"{plain(rig)} ({among} of {len(figures.rigs)}{' shown' if figures.rigs_hidden else ''})"
    named = fit([(title, "bold cyan")], LEFT_WIDTH - 23 + (TREND_WIDTH + 1) * wide)
    rows: list[Row] = [fit([*named, (f"{'health':<13}{'late':>9}", _DULL)], width)]
    return rows + [_sensor(scene, rig, sensor, wide=wide) for sensor in _sorted(scene, rig)]


def _sorted(scene: Scene, rig: str | None) -> list[str]:
    figures, names = scene.figures, list(SENSORS)
    if scene.choice.sort == "health":
        names.sort(key=lambda name: figures.health.get((rig or "", name), 100.0))
    elif scene.choice.sort == "late":
        names.sort(key=lambda name: -figures.late[name])
    return names


def _sensor(scene: Scene, rig: str | None, sensor: str, *, wide: bool) -> Row:
    reading = scene.figures.readings.get((rig or "", sensor))
    health = scene.figures.health.get((rig or "", sensor))
    late = scene.figures.late[sensor]
    # A mean of a few samples is none of a window, and looks like a fault.
    half = CHANNELS[sensor].rate_hz * scene.window_s / 2
    value = "-" if reading is None or reading.count < half else f"{reading.avg:.4g}"
    row: Row = [
        (f"{sensor:<5}", "bold"),
        (f"{value:>7} ", ""),
        (f"{CHANNELS[sensor].unit:<6}", _DULL),
    ]
    if wide:
        band = CHANNELS[sensor].low, CHANNELS[sensor].high
        trend = sparkline(scene.trends.get((rig or "", sensor), ()), TREND_WIDTH, band)
        row.append((f"{trend} ", "cyan"))
    # Before anything was judged all is at its best, which says nothing.
    row += _health(None if reading is None and health == BEST else health, scene.limits)
    return [*row, (f"{amount(late):>9}", "yellow" if late else _DULL)]


def _health(value: float | None, limits: HealthLimits) -> Row:
    if value is None:
        return [("     -       ", _DULL)]
    style = _COLOURS[level(value, limits)]
    return [*bar(value / 100, 8, style), (f"{value:4.0f} ", style)]


def footer(scene: Scene, width: int) -> list[Row]:
    """Return links, then where the data lies; the first rows are the most wanted."""
    if scene.ended:
        return [*_packed(scene.next_steps, width, "bold"), *_packed(scene.places, width, "")]
    return [*_packed({**scene.links, "keys": "?"}, width, "underline"), *_packed(scene.places, width, "")]


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
