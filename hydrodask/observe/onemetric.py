"""One metric with its samples, before it is one of the Prometheus client's."""

from dataclasses import dataclass, field
from typing import Literal

Value = tuple[tuple[str, ...], float]


@dataclass(slots=True)
class Series:
    """One metric with its samples: label values → value."""

    kind: Literal["gauge", "counter"]
    name: str
    help: str
    labels: tuple[str, ...] = ()
    values: list[Value] = field(default_factory=list)


def gauge(name: str, text: str, value: float | None) -> Series:
    """Return a gauge without labels; no sample for None."""
    return Series("gauge", name, text, (), [] if value is None else [((), value)])


def counter(name: str, text: str, value: float) -> Series:
    """Return a counter without labels."""
    return Series("counter", name, text, (), [((), value)])
