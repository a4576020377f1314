"""The flows: one file each, wiring and comments only.

A flow is a function `build(source, ctx)` that wires a streamz graph for one partition of one topic.
"""

from collections.abc import Callable
from dataclasses import dataclass

from streamz import Stream

from flows import alert, labels, monitor, score
from hydrodask.channels import SENSORS
from hydrodask.stream.context import Context


@dataclass(frozen=True, slots=True)
class Flow:
    """A graph and the topics, by short name, that each partition of gets an instance of it."""

    name: str
    topics: tuple[str, ...]
    build: Callable[[Stream, Context], None]


FLOWS: tuple[Flow, ...] = (
    Flow("monitor", SENSORS, monitor.build),
    Flow("labels", ("labels",), labels.build),
    Flow("alert", ("analytics",), alert.build),
    Flow("score", ("cycles",), score.build),
)
"""The streaming flows."""
