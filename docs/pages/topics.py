"""The page of topics: how each is made, and the fields of its records."""

import inspect
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin, get_type_hints

import msgspec

from docs.pages.markdown import code, page, table
from docs.pages.meanings import FIELDS, HEADERS
from hydrodask import records
from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.ingest.topics import all_topics
from hydrodask.settings import Settings

_INTRO = """hydrodask makes the topics that are missing (`hydrodask topics create`, or the first `run`). Names
begin with `topics.prefix`, `hydraulic-` by default. Records are JSON, their key is the rig. Nothing
is compacted. Readers ask for `isolation.level=read_committed`: others see rows of transactions that
were aborted. A record's timestamp is the broker's (`LogAppendTime`)."""

LAYOUTS: dict[str, tuple[str, type[msgspec.Struct]]] = {
    "sensors": ("hydraulic-SENSOR", records.SensorRecord),
    "labels": ("hydraulic-labels", records.LabelRecord),
    "analytics": ("hydraulic-analytics", records.WindowRecord),
    "refused": ("hydraulic-analytics: notes of refused samples", records.RefusedRecord),
    "cycles": ("hydraulic-cycles", records.CycleRecord),
}
"""Title and layout of each kind of record."""


def page_of_topics() -> str:
    """Return the page."""
    parts = ["## Topics", table(("topic", "kept", "records"), _topics()), "## Sensors", _sensors()]
    for name, (title, layout) in LAYOUTS.items():
        parts += [f"## {title}", _first(layout), _fields(name, layout)]
    parts += [
        "## hydraulic-dead-letter",
        _DEAD,
        table(("header", "what it is"), [(code(n), m) for n, m in HEADERS.items()]),
    ]
    return page("Topics", _INTRO, *parts)


_DEAD = "A record that could not be used: its original key and bytes, and headers that say why and from where."

_WHAT = {
    "labels": "what was true of a rig in a cycle",
    "analytics": "window rows, open and final",
    "cycles": "cycle profiles: sixty one-second segments",
    "dead-letter": "records that could not be used",
}


def _topics() -> list[tuple[str, str, str]]:
    settings = Settings()
    rows = [(code("hydraulic-PS1") + " and one for each other sensor", _kept(settings, "PS1"), "samples")]
    for spec in all_topics(settings)[len(SENSORS) :]:
        short = spec.name.removeprefix(settings.topics.prefix)
        rows.append((code(spec.name), _kept(settings, short), _WHAT[short]))
    return rows


def _kept(settings: Settings, short: str) -> str:
    spec = next(one for one in all_topics(settings) if one.name == settings.topic(short))
    return f"{int(spec.config['retention.ms']) / 86_400_000:g} days"


def _sensors() -> str:
    head = ("sensor", "quantity", "unit", "Hz", "seen on a real rig")
    rows = [
        (code(one.name), one.quantity, one.unit, str(one.rate_hz), f"{one.low:g} to {one.high:g}")
        for one in CHANNELS.values()
    ]
    return table(head, rows)


def _first(layout: type[msgspec.Struct]) -> str:
    return (inspect.getdoc(layout) or "").split("\n\n")[0].replace("\n", " ")


def _fields(name: str, layout: type[msgspec.Struct]) -> str:
    hints = get_type_hints(layout)
    required = {one.name for one in msgspec.structs.fields(layout) if one.required}
    rows = [
        (code(field), _kind(hint) + ("" if field in required else ", may be missing"), FIELDS[name].get(field, ""))
        for field, hint in hints.items()
    ]
    return table(("field", "type", "what it is"), rows)


def _kind(hint: object) -> str:
    if get_origin(hint) is Annotated:
        return _kind(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return " or ".join("null" if one is NoneType else _kind(one) for one in get_args(hint))
    if get_origin(hint) is list:
        return f"list of {_kind(get_args(hint)[0])}"
    names: dict[object, str] = {int: "integer", float: "number", str: "text", bool: "true or false"}
    return names[hint]
