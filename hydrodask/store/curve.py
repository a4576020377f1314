"""One sensor's curve and usual range as they are shown: columns of a Parquet file in order of time."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa

from hydrodask.channels import CYCLE_S
from hydrodask.clock import US_PER_S
from hydrodask.records import Bool, Float64, Int64
from hydrodask.store import fiveminutes
from hydrodask.store.arrays import numbers

CYCLE_US = CYCLE_S * US_PER_S
_UNKNOWN = -(1 << 62)
"""Stands for no number in a column of numbers."""

Span = tuple[int, int]
"""Two times in microseconds."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One sensor's rows in order of time; every column has shape (n,). Raw samples have three equal columns."""

    at_us: Int64
    mean: Float64
    low: Float64
    high: Float64
    pending: int = 0
    """Files that are not in it yet, because there was no time."""


@dataclass(frozen=True, slots=True)
class CurveBand:
    """What one sensor's mean usually was: `centre`, and how far from it is unusual."""

    at_us: Int64
    centre: Float64
    reach: Float64


def us_of(column: Any) -> Int64:
    """Return a column of times in microseconds."""
    return np.asarray(numbers(column.cast(pa.int64())))


def nothing() -> Curve:
    """Return a curve without rows."""
    none = np.zeros(0)
    return Curve(np.zeros(0, np.int64), none, none, none)


def curve_of(at_us: Int64, mean: Any, low: Any, high: Any) -> Curve:
    """Return columns in order of time."""
    order = np.argsort(at_us, kind="stable")
    return Curve(at_us[order], *(numbers(column)[order] for column in (mean, low, high)))


def joined(parts: Sequence[Curve]) -> Curve:
    """Return the rows of several in order of time."""
    if not parts:
        return nothing()
    at_us = np.concatenate([part.at_us for part in parts])
    order = np.argsort(at_us, kind="stable")
    mean, low, high = (
        np.concatenate([getattr(part, name) for part in parts])[order] for name in ("mean", "low", "high")
    )
    return Curve(at_us[order], mean, low, high)


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows as columns of one length, its fields, each of shape (n,)."""

    def part(self, where: slice | Bool | Int64) -> Self:
        """Return the rows at some places."""
        return type(self)(*(getattr(self, one.name)[where] for one in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of several, at least one."""
        columns = ([getattr(part, one.name) for part in parts] for one in fields(cls))
        return cls(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True, slots=True)
class Buckets(Columns):
    """Five-minute rows of one sensor; every column has shape (n,). Times are the starts, in microseconds."""

    start_us: Int64
    mean: Float64
    low: Float64
    high: Float64
    windows: Int64

    @classmethod
    def none(cls) -> "Buckets":
        """Return no rows."""
        whole, none = np.zeros(0, np.int64), np.zeros(0)
        return cls(whole, none, none, none, whole)

    @classmethod
    def of(cls, rows: pa.Table) -> "Buckets":
        """Return rows of a file."""
        columns = (numbers(rows[name]) for name in ("avg_value", "min_value", "max_value", "windows"))
        return cls(us_of(rows["window_start"]), *columns)

    def curve(self, pending: int) -> Curve:
        """Return a curve, a point in the middle of each five minutes; rows of one that several files have are one."""
        if not len(self.start_us):
            return replace(nothing(), pending=pending)
        rows = self.part(np.argsort(self.start_us, kind="stable"))
        begins = np.flatnonzero(np.diff(rows.start_us, prepend=rows.start_us[0] - 1))
        mean = rows.mean[begins]
        if len(begins) < len(rows.start_us):
            mean = np.add.reduceat(rows.mean * rows.windows, begins) / np.add.reduceat(rows.windows, begins)
        low, high = np.minimum.reduceat(rows.low, begins), np.maximum.reduceat(rows.high, begins)
        return Curve(rows.start_us[begins] + fiveminutes.BUCKET_US // 2, mean, low, high, pending)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Cycles in a row of which the same was said of a component: from the first's start to the last's end."""

    start_us: int
    end_us: int
    verdict: str
    severity: str
    state: int | None
    """The settled state while an incident is open about it, else the one that was said."""


def stretches(rows: pa.Table) -> dict[str, list[Stretch]]:
    """Return rows of `scores/` of one rig as stretches by component, oldest first."""
    start_us, (component, components) = us_of(rows["cycle_start"]), codes_of(rows["component"])
    (verdict, verdicts), (severity, severities) = codes_of(rows["verdict"]), codes_of(rows["severity"])
    states, settled = (numbers(rows[name].cast(pa.int64()), _UNKNOWN) for name in ("state", "settled"))
    loud = np.array([bool(one) for one in severities], np.bool_)[severity]
    columns = [component, start_us, verdict, severity, np.where(loud, settled, states)]
    order = np.lexsort((start_us, component))
    component, start_us, verdict, severity, state = (column[order] for column in columns)
    changes = [np.diff(column, prepend=_UNKNOWN) != 0 for column in (component, verdict, severity, state)]
    begins = np.flatnonzero(np.logical_or.reduce([*changes, np.diff(start_us, prepend=start_us[:1]) > 2 * CYCLE_US]))
    begins = np.unique(np.append(begins, 0)) if len(order) else begins
    found: dict[str, list[Stretch]] = {}
    for at, last in zip(begins.tolist(), [*(begins[1:] - 1).tolist(), len(order) - 1], strict=False):
        value = None if state[at] == _UNKNOWN else int(state[at])
        said = verdicts[verdict[at]], severities[severity[at]]
        one = Stretch(int(start_us[at]), int(start_us[last]) + CYCLE_US, *said, value)
        found.setdefault(components[component[at]], []).append(one)
    return found


def codes_of(column: pa.ChunkedArray) -> tuple[Int64, list[str]]:
    """Return a column of texts as numbers, and the text of each number. Nothing is an empty text."""
    column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    names = [*whole.dictionary.to_pylist(), ""]
    return numbers(whole.indices, len(names) - 1).astype(np.int64), names
