"""The page /hydro on the Dask dashboard, drawn of points: the only module that imports bokeh.

The page runs where the scheduler runs: with one of our own in the driver's process. A remote one has it from a preload:
`dask scheduler --preload hydrodask.observe.preload`.

Nothing comes from other servers. Names from outside are drawn on a canvas or escaped, never HTML.
"""

from collections.abc import MutableMapping
from html import escape
from importlib import import_module
from typing import Any

from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, Div, FactorRange, HoverTool
from bokeh.plotting import figure

from hydrodask import clock
from hydrodask.channels import SENSORS
from hydrodask.observe.points import Point, points_of

ROUTE = "/hydro"
STATUS = "/status"
_STATUS_PAGE = """{% extends "status.html" %}
{% block content %}
<p style="margin: 4px 12px">
Dask's tasks: steps. The stream and each rig's health are on <a href="hydro">hydro</a>.{{ run }}</p>
{{ super() }}
{% endblock %}"""

_SOON = " The run is starting: no step is done yet."

STARTING = "starting"
"""State of a run before its first step."""

REFRESH_MS = 1000
SPAN_S = 300.0


def register() -> None:
    """Add the page to dashboards that start in this process from now on. May be called twice."""
    applications = dashboard().applications
    applications[ROUTE] = document
    applications[STATUS] = status_document


def status_document(scheduler: Any, extra: MutableMapping[str, Any], doc: Any) -> None:
    """Fill a viewer's document of Dask's own first page, which shows steps and no stream, and say where that is."""
    components = import_module("distributed.dashboard.components.scheduler")
    components.status_doc(scheduler, extra, doc)
    doc.template = components.env.from_string(_STATUS_PAGE)
    points = points_of(scheduler)
    doc.template_variables["run"] = _SOON if points and points[-1]["state"] == STARTING else ""


def document(scheduler: Any, extra: MutableMapping[str, Any], doc: Any) -> None:
    """Fill one viewer's document and keep it fresh."""
    page = Page()
    page.update(points_of(scheduler))
    doc.title = "Dask: hydrodask"
    doc.add_root(page.root)
    components = import_module("distributed.dashboard.components.scheduler")
    doc.template = components.env.get_template("simple.html")
    doc.theme = components.BOKEH_THEME
    link(extra)
    doc.template_variables.update(extra)
    doc.add_periodic_callback(lambda: page.update(points_of(scheduler)), REFRESH_MS)


def dashboard() -> Any:
    """Return Dask's module of dashboard pages, imported late: it is slow."""
    return import_module("distributed.dashboard.scheduler")


def link(variables: MutableMapping[str, Any]) -> None:
    """Put the page into the navigation bar, whose list all pages of a scheduler share."""
    pages = variables.get("pages")
    if isinstance(pages, list) and ROUTE.strip("/") not in pages:
        pages.insert(0, ROUTE.strip("/"))


class Page:
    """The plots of one viewer."""

    def __init__(self) -> None:
        self.headline = Div(text="", sizing_mode="stretch_width")
        names = ("seconds", "records_per_s", "lag", "delay_s")
        self.history = ColumnDataSource({name: [] for name in names})
        self.lags = ColumnDataSource({"partition": [], "lag": []})
        self.delays = ColumnDataSource({"topic": [], "delay_s": []})
        self.health = ColumnDataSource({"rig": [], "sensor": [], "health": [], "text": [], "colour": []})
        self._lag_bars = _bars("Lag by partition, records", self.lags, "partition", "lag")
        title = "Watermark delay by topic, seconds"
        self._delay_bars = _bars(title, self.delays, "topic", "delay_s")
        self._heat = _heat_map(self.health)
        self.root = column(
            self.headline,
            row(
                _line("Records per second", self.history, "records_per_s", "#2a788e"),
                _line("Lag, records", self.history, "lag", "#d95f02"),
                _line("Watermark delay, seconds", self.history, "delay_s", "#7570b3"),
                sizing_mode="stretch_width",
            ),
            row(self._lag_bars, self._delay_bars, sizing_mode="stretch_width"),
            self._heat,
            sizing_mode="stretch_width",
        )

    def update(self, points: list[Point]) -> None:
        """Draw `points`; without any, say so."""
        if not points:
            self.headline.text = "<p>No run has reported to this scheduler yet.</p>"
            return
        newest = points[-1]
        self.headline.text = headline(newest)
        self.history.data = history(points)
        self.lags.data = _columns(newest["lags"], "partition", "lag")
        self.delays.data = _columns(newest["delays"], "topic", "delay_s")
        self.health.data = cells(newest)
        _set(self._lag_bars.x_range, self.lags.data["partition"])
        _set(self._delay_bars.x_range, self.delays.data["topic"])
        _set(self._heat.y_range, [str(rig) for rig in reversed(newest["rigs"])])
        self._heat.height = 110 + 26 * max(1, len(newest["rigs"]))


def headline(newest: Point) -> str:
    """Return the line over the plots, escaped; before a run's first step there are no figures to show."""
    hidden = newest["rigs_hidden"]
    at = clock.iso(newest["time_us"] // clock.US_PER_S * clock.US_PER_S)
    if newest["state"] == STARTING:
        return f"<p><b>hydrodask starting</b>: workers {newest['workers']}, no step is done yet, as of {at}</p>"
    more = f", {hidden} more rigs not shown" if hidden else ""
    return (
        f"<p><b>hydrodask {escape(str(newest['state']))}</b>, workers {newest['workers']}, "
        f"{newest['records_per_s']:,.0f} records/s, lag {newest['lag']:,}, "
        f"{len(newest['rigs'])} rigs{more}, as of {at}</p>"
    )


def history(points: list[Point]) -> dict[str, list[float | None]]:
    """Return the lines' columns; times are seconds before the newest point, at most `SPAN_S`."""
    end_us = points[-1]["time_us"]
    kept = [one for one in points if end_us - one["time_us"] <= SPAN_S * 1e6]
    columns: dict[str, list[float | None]] = {
        name: [one[name] for one in kept] for name in ("records_per_s", "lag", "delay_s")
    }
    columns["seconds"] = [(one["time_us"] - end_us) / 1e6 for one in kept]
    return columns


def cells(newest: Point) -> dict[str, list[Any]]:
    """Return the heat map's columns: a cell for each rig and sensor."""
    columns: dict[str, list[Any]] = {"rig": [], "sensor": [], "health": [], "text": []}
    columns["colour"] = [colour for colours in newest["colours"] for colour in colours]
    for rig, values in zip(newest["rigs"], newest["health"], strict=True):
        columns["rig"] += [str(rig)] * len(values)
        columns["sensor"] += SENSORS
        columns["health"] += values
        columns["text"] += ["" if value is None else f"{value:g}" for value in values]
    return columns


def _columns(pairs: list[list[Any]], name: str, value: str) -> dict[str, list[Any]]:
    return {name: [str(a) for a, _ in pairs], value: [b for _, b in pairs]}


def _set(factors: FactorRange, names: list[str]) -> None:
    """Change the factors only when they differ: a change is a new layout in the browser."""
    if list(factors.factors) != names:
        factors.factors = names


def _plot(title: str, **options: Any) -> Any:
    plot = figure(
        title=title,
        tools="",
        toolbar_location=None,
        sizing_mode="stretch_width",
        min_width=260,
        **options,
    )
    plot.grid.grid_line_alpha = 0.3
    return plot


def _line(title: str, source: ColumnDataSource, name: str, colour: str) -> Any:
    plot = _plot(title, height=220, x_range=(-SPAN_S, 0))
    plot.y_range.start = 0
    plot.line("seconds", name, source=source, line_width=2, color=colour)
    plot.varea("seconds", 0, name, source=source, color=colour, alpha=0.15)
    plot.xaxis.axis_label = "seconds from now"
    return plot


def _bars(title: str, source: ColumnDataSource, name: str, value: str) -> Any:
    plot = _plot(title, height=300, x_range=FactorRange())
    plot.y_range.start = 0
    plot.vbar(name, 0.8, value, source=source, color="#2a788e")
    plot.xaxis.major_label_orientation = 1.1
    plot.add_tools(HoverTool(tooltips=[(name, f"@{name}"), (value, f"@{value}")]))
    return plot


def _heat_map(source: ColumnDataSource) -> Any:
    plot = _plot("Health, 0..100", height=140, x_range=FactorRange(*SENSORS), y_range=FactorRange())
    plot.rect("sensor", "rig", 0.96, 0.92, source=source, fill_color="colour", line_color=None)
    place = {"text_align": "center", "text_baseline": "middle", "text_font_size": "11px"}
    plot.text("sensor", "rig", text="text", source=source, **place)
    plot.add_tools(HoverTool(tooltips=[("rig", "@rig"), ("sensor", "@sensor"), ("health", "@health")]))
    return plot
