"""A flow as it is declared: its graph, what it reads, all that it writes. What is known of flows is known from here.

Flows from outside the package are named in the setting `flows`, as `my_project.spikes:FLOW`. Each has a position of its
own: a consumer group, a folder of snapshots and a reader. So it can be added later, be removed and put back, and stand
still, while the others go on.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from hydrodask.channels import SENSORS
from hydrodask.errors import ConfigError, kind_and_sentence

OWN_FLOWS = ("monitor", "labels", "alert", "score", "train")
OWN_TOPICS = (*SENSORS, "labels", "analytics", "cycles", "dead-letter")
OWN_FOLDERS = ("raw", "windows", "cycles", "late", "labels", "bands", "scores", "windows_5m")
OWN_COLLECTIONS = ("anomalies", "incidents", "components", "component_changes", "status", "answers", "messages")
"""What is the platform's own already; no flow from outside may have one of these names."""

NO_FLOWS = ("marks",)
"""Nor one of these: group GROUP.marks holds the platform's own positions."""

READ_BY = {**dict.fromkeys(SENSORS, "monitor"), "labels": "labels", "analytics": "alert", "cycles": "score"}
"""The short name of each topic that a flow of the platform's own reads, and the flow."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_SQLITE = re.compile(r"sqlite_.*|.*_(written|newest)")
"""Names of SQLite's own tables, and of a collection's indexes there."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A graph, which each partition of its `topics` (by short name) gets an instance of, and what it writes.

    `build(messages, ctx)` wires it, and is sent to workers by reference: its module must be importable there. `folders`
    of the lake, topics that it `publishes` (short names) and `collections` of documents are its own. `start` is where
    it begins the first time: `earliest` record or `latest`.
    """

    name: str
    topics: tuple[str, ...]
    build: Callable[..., None]
    folders: tuple[str, ...] = ()
    publishes: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    start: Literal["earliest", "latest"] = "earliest"

    def __post_init__(self) -> None:
        for what in ("topics", "folders", "publishes", "collections"):
            names = getattr(self, what)
            if isinstance(names, str):
                raise ConfigError(
                    f"flow {self.name!r} has {what} {names!r}; want a tuple: ({names!r},), whose comma makes it one"
                )
            if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
                raise ConfigError(f"flow {self.name!r} has {what} {names!r}; want a tuple of names")
            if len(set(names)) < len(names):
                raise ConfigError(f"flow {self.name!r} has {what} {names!r}; want each name once")
        if not callable(self.build):
            raise ConfigError(f"flow {self.name!r} has build {self.build!r}; want the function that wires its graph")


def read_by(flow: str) -> tuple[str, ...]:
    """Return what a flow of the platform's own reads.

    >>> read_by("alert")
    ('analytics',)
    """
    return tuple(topic for topic, reader in READ_BY.items() if reader == flow)


def named(specs: Iterable[str]) -> tuple[Flow, ...]:
    """Return the flows that a setting names. Raises ConfigError for one that is none, and for what two share."""
    flows = tuple(_found(spec) for spec in specs)
    _check(flows)
    return flows


def _found(spec: str) -> Flow:
    module, _, name = spec.partition(":")
    if not module or not name.isidentifier():
        raise ConfigError(f"flows has value {spec!r}; want MODULE:NAME, such as my_project.spikes:FLOW")
    try:
        found: Any = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(f"flows names {spec!r}, and {module} can't be imported: {error}") from error
        raise ConfigError(
            f"flows names {spec!r}, and there is no module {error.name}: install its project, here and where workers "
            "are (a file in the current folder is found by `python -m hydrodask` only)"
        ) from error
    except AttributeError as error:
        raise ConfigError(f"flows names {spec!r}, and {module} has no {name}") from error
    except ConfigError as error:
        raise ConfigError(f"flows names {spec!r}: {error}") from error
    except Exception as error:
        raise ConfigError(
            f"flows names {spec!r}, and {module} can't be imported: {kind_and_sentence(error)}"
        ) from error
    if not isinstance(found, Flow):
        raise ConfigError(f"flows names {spec!r}, which is a {type(found).__name__}; want a hydrodask.flow.Flow")
    return found


def _check(flows: Sequence[Flow]) -> None:
    """Raise ConfigError for a name that can't be, and for one that is somebody's already."""
    published = [topic for flow in flows for topic in flow.publishes]
    for flow in flows:
        for topic in flow.topics:
            if topic not in (*OWN_TOPICS, *published):
                raise ConfigError(f"flow {flow.name!r} reads topic {topic!r}; want some of {', '.join(OWN_TOPICS)}")
        if not flow.topics:
            raise ConfigError(f"flow {flow.name!r} reads no topic")
        if flow.start not in {"earliest", "latest"}:
            raise ConfigError(f"flow {flow.name!r} has start {flow.start!r}; want earliest or latest")
    for what, own, field in (
        ("flow", (*OWN_FLOWS, *NO_FLOWS), lambda flow: (flow.name,)),
        ("folder", OWN_FOLDERS, lambda flow: flow.folders),
        ("topic", OWN_TOPICS, lambda flow: flow.publishes),
        ("collection", OWN_COLLECTIONS, lambda flow: flow.collections),
    ):
        taken = dict.fromkeys(own, "the platform")
        for flow in flows:
            for name in field(flow):
                if not _NAME.fullmatch(name) or _SQLITE.fullmatch(name):
                    raise ConfigError(
                        f"flow {flow.name!r} has a {what} named {name!r}; want small letters, digits and _, no "
                        "sqlite_ before it, and no _written or _newest behind it"
                    )
                if name in taken:
                    raise ConfigError(
                        f"flow {flow.name!r} has a {what} named {name!r}, which {taken[name]} has already; give it "
                        "another name"
                    )
                taken[name] = f"flow {flow.name!r}"
