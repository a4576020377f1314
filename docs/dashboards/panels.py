"""The words that the pages are written in: panels and pages of Grafana as plain values.

Grafana's own types check what comes out (`tests/dashboards`), so there is no library of builders here: the Foundation
SDK's Python checks nothing when it runs, and loses what annotations are called.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

SOURCE = {"type": "prometheus", "uid": "hydrodask-prometheus"}
"""The data source of `conf/grafana/provisioning`."""

COLUMNS = 24
PAGES = {"fleet": "Fleet", "rig": "Rig", "stream": "Stream", "models": "Models"}

GOOD, LOOK, ACT, PLAIN = "green", "orange", "red", "blue"
"""Colours: all is well; look when you have time; act; a figure that is neither good nor bad."""

PLATFORM = 'instance=~"$instance"'
"""Of the platforms that are chosen at the top."""


def steps(lowest: str, *higher: tuple[float, str]) -> Json:
    """Return thresholds: the colour of the lowest values, and each limit with the colour from there on."""
    found: list[Json] = [{"value": None, "color": lowest}]
    return {"mode": "absolute", "steps": found + [{"value": limit, "color": color} for limit, color in higher]}


NEUTRAL = steps(PLAIN)
"""Of figures that have no limit."""


def query(expr: str, legend: str = "", *, now: bool = False) -> Json:
    """Return a query: over the time that is shown, or only what holds `now`, as a table."""
    kind = {"instant": True, "range": False, "format": "table"} if now else {"instant": False, "range": True}
    return {"datasource": SOURCE, "expr": expr, "legendFormat": legend or "__auto", **kind}


def matching(names: str, **properties: object) -> Json:
    """Return an override of the fields whose name matches a regular expression; `__` in a key stands for a dot."""
    made = [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byRegexp", "options": f"/{names}/"}, "properties": made}


def named(texts: Mapping[float, tuple[str, str]], missing: str = "") -> list[Json]:
    """Return the mappings of values to a text and a colour; `missing` is said where a table's row has no value.

    Grafana gives a cell without a value the colour of the lowest limit, which is that of what is well.
    """
    options = {f"{value:g}": {"text": text, "color": color, "index": place}
               for place, (value, (text, color)) in enumerate(texts.items())}  # fmt: skip
    none = {"match": "null", "result": {"text": missing, "color": "transparent", "index": len(options)}}
    return [{"type": "value", "options": options}, *([{"type": "special", "options": none}] if missing else [])]


def stat(title: str, about: str, expr: str, unit: str, limits: Json, **more: Any) -> Json:
    """Return one figure in large, with its course behind it; its colour is that of its limits."""
    defaults = {"unit": unit, "thresholds": limits, "color": {"mode": "thresholds"}, **more.pop("defaults", {})}
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "value",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    return _panel("stat", title, about, [query(expr)], defaults, [], options, **more)


def curves(title: str, about: str, queries: Sequence[Json], unit: str, limits: Json = NEUTRAL, **more: Any) -> Json:
    """Return curves over time on one axis; limits that there are, are drawn as lines."""
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 0,
        "showPoints": "never",
        "spanNulls": 30_000,
        "axisPlacement": "auto",
        "thresholdsStyle": {"mode": "dashed" if len(limits["steps"]) > 1 else "off"},
    }
    defaults = {
        "unit": unit,
        "thresholds": limits,
        "color": {"mode": "palette-classic"},
        "custom": custom,
        **more.pop("defaults", {}),
    }
    legend = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
    options = {"legend": legend | more.pop("legend", {}), "tooltip": {"mode": "multi", "sort": "desc"}}
    return _panel("timeseries", title, about, queries, defaults, more.pop("overrides", []), options, **more)


def states(title: str, about: str, queries: Sequence[Json], unit: str, limits: Json, **more: Any) -> Json:
    """Return a strip for each series, coloured by its state over time."""
    defaults = {
        "unit": unit,
        "thresholds": limits,
        "color": {"mode": "thresholds"},
        "custom": {"lineWidth": 0, "fillOpacity": 85},
        **more.pop("defaults", {}),
    }
    options = {
        "mergeValues": True,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.85,
        "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return _panel("state-timeline", title, about, queries, defaults, more.pop("overrides", []), options, **more)


def table(
    title: str, about: str, columns: Mapping[str, tuple[str, Json]], worst: tuple[str, bool], **more: Any
) -> Json:
    """Return a table of what holds now. `columns`: the query of each, and what is said of it: unit, limits and so on.

    Rows of the queries that have the same labels are one. `worst` names the column to sort by, and whether its largest
    values are the worst. `labels` are the columns that say whose row it is, in their order. A column without a word
    about it is not shown: only its rows are.
    """
    labels: dict[str, str] = more.pop("labels")
    queries, overrides = [], [matching(f"^{label}$", **said) for label, said in more.pop("links", {}).items()]
    hidden = {"Time": True}
    renamed: dict[str, str] = {}
    places = {name: place for place, name in enumerate(labels)}
    for place, (title_of, (expr, said)) in enumerate(columns.items()):
        ref = chr(ord("A") + place)
        queries.append(query(expr, now=True))
        field = f"Value #{ref}" if len(columns) > 1 else "Value"
        renamed[field] = title_of
        places[field] = len(labels) + place
        if said:
            overrides.append(matching(f"^{title_of}$", **said))
        else:
            hidden[field] = True
    organized = {"excludeByName": hidden, "indexByName": places, "renameByName": renamed | labels}
    defaults = {
        "unit": more.pop("unit", "none"),
        "thresholds": more.pop("limits", NEUTRAL),
        "color": {"mode": "thresholds"},
        "custom": {"align": "left", "cellOptions": {"type": "auto"}},
        **more.pop("defaults", {}),
    }
    options = {"showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": worst[0], "desc": worst[1]}]}
    changes = [
        *([{"id": "merge", "options": {}}] if len(columns) > 1 else []),
        {"id": "organize", "options": organized},
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": worst[0], "desc": worst[1]}]}},
    ]
    made = _panel("table", title, about, queries, defaults, overrides, options, **more)
    return made | {"transformations": changes}


COLOURED: Json = {"type": "color-background", "mode": "basic"}
"""A cell whose colour is that of its limits."""


def link(title: str, uid: str, **variables: str) -> Json:
    """Return a link to another of the pages, which keeps the time and the platform that are shown."""
    chosen = "".join(f"&var-{name}={value}" for name, value in variables.items())
    where = f"/d/hydrodask-{uid}?${{__url_time_range}}&${{instance:queryparam}}{chosen}"
    return {"title": title, "url": where, "targetBlank": False}


def variable(name: str, label: str, found_by: str, **more: Any) -> Json:
    """Return a choice at the top of a page, of the values that a label has now."""
    every = more.pop("every", True)
    whole = {"includeAll": True, "allValue": ".*", "multi": True} if every else {"includeAll": False, "multi": False}
    current = {"current": {"text": ["All"], "value": ["$__all"]}} if every else {}
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": f"label_values({found_by}, {name})", "refId": name},
        "definition": f"label_values({found_by}, {name})",
        "refresh": 2,
        "sort": 7,
        **whole,
        **current,
        **more,
    }


INSTANCE = variable("instance", "platform", "hydrodask_start_time_seconds")


def incidents(where: str) -> list[Json]:
    """Return the annotations: from when to when something was broken, of every severity, and alerts of the platform."""
    broken = "hydraulic_anomaly_status{" + where + ', severity="%s"} == 1'
    alerts = 'ALERTS{alertstate="firing", alertname=~"Hydrodask.*"}'
    return [
        _annotation("critical", ACT, broken % "critical", "{{rig}} {{sensor}} {{type}}"),
        _annotation("warning", LOOK, broken % "warning", "{{rig}} {{sensor}} {{type}}"),
        _annotation("platform", "purple", alerts, "{{alertname}} {{topic}}"),
    ]


def _annotation(name: str, color: str, expr: str, title: str) -> Json:
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expr,
        "step": "5s",
        "titleFormat": title,
        "textFormat": name,
    }


def page(name: str, about: str, rows: Sequence[tuple[int, Sequence[Json]]], **more: Any) -> Json:
    """Return a page: rows of panels, each row with its height; panels share what is left of a row's width."""
    panels: list[Json] = []
    top = 0
    for height, row in rows:
        left, sharing = COLUMNS - sum(one.get("w", 0) for one in row), sum("w" not in one for one in row)
        column = 0
        for one in row:
            width = one.get("w") or left // sharing
            place = {"x": column, "y": top, "w": width, "h": height}
            panels.append({"id": len(panels) + 1, **{k: v for k, v in one.items() if k != "w"}, "gridPos": place})
            column += width
        top += height
    links = [
        {"type": "link", "title": title, "url": f"/d/hydrodask-{uid}", "keepTime": True, "includeVars": False,
         "asDropdown": False, "targetBlank": False, "icon": "dashboard", "tooltip": "", "tags": []}
        for uid, title in PAGES.items() if uid != name
    ]  # fmt: skip
    return {
        "uid": f"hydrodask-{name}",
        "title": f"hydrodask: {PAGES[name]}",
        "description": about,
        "tags": ["hydrodask"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "utc",
        "refresh": "1s",
        "time": {"from": "now-15m", "to": "now"},
        "timepicker": {"refresh_intervals": ["1s", "5s", "30s", "1m", "5m"]},
        "links": links,
        "templating": {"list": [INSTANCE, *more.get("variables", ())]},
        "annotations": {"list": incidents(more.get("where", PLATFORM))},
        "panels": panels,
    }


def row(title: str) -> Json:
    """Return a heading."""
    return {"type": "row", "title": title, "collapsed": False, "panels": []}


def _panel(  # noqa: PLR0917 - what a panel is made of, in Grafana's order
    kind: str,
    title: str,
    about: str,
    queries: Sequence[Json],
    defaults: Json,
    overrides: Sequence[Json],
    options: Json,
    **more: Any,
) -> Json:
    targets = [{"refId": chr(ord("A") + place), **one} for place, one in enumerate(queries)]
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
        **more,
    }
