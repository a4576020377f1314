"""One file's rows by rig, as arrays: decoded once for all rigs, so that one rig's rows are a slice."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hydrodask.channels import SENSORS
from hydrodask.records import Float64, Int64
from hydrodask.store import fiveminutes
from hydrodask.store.arrays import numbers, places
from hydrodask.store.curve import Buckets, Columns, Curve, Span, codes_of, us_of

_NEVER = -(1 << 62)
_RIG_BYTES = 200
"""What the name of a rig takes, and where its rows are."""

_CODES = {sensor: code for code, sensor in enumerate(SENSORS)}


@dataclass(frozen=True, slots=True)
class RigWindows:
    """One file's windows by rig and start; every column has shape (n,). `rigs`: where a rig's rows begin and end."""

    rigs: dict[str, tuple[int, int]]
    start_us: Int64
    end_us: Int64
    mean: Float64
    low: Float64
    high: Float64

    @classmethod
    def of(cls, rows: pa.Table) -> "RigWindows":
        """Return rows of a file of `windows/`, without those of which less than half is there."""
        rows = fiveminutes.usable(rows)
        codes, names = codes_of(rows["rig"])
        start_us = us_of(rows["window_start"])
        order = np.lexsort((start_us, codes))
        values = (numbers(rows[name])[order] for name in ("avg_value", "min_value", "max_value"))
        return cls(_bounds(codes[order], names), start_us[order], us_of(rows["window_end"])[order], *values)

    @property
    def nbytes(self) -> int:
        """What the columns take in memory, and the names of the rigs."""
        return 5 * self.start_us.nbytes + _RIG_BYTES * len(self.rigs)

    def part(self, rig: str, span: Span) -> Curve:
        """Return a rig's windows that begin between two times."""
        first, end = self.rigs.get(rig, (0, 0))
        fits = (self.start_us[first:end] >= span[0]) & (self.start_us[first:end] <= span[1])
        mean, low, high = (column[first:end][fits] for column in (self.mean, self.low, self.high))
        return Curve(self.end_us[first:end][fits], mean, low, high)


@dataclass(frozen=True, slots=True)
class RigRows:
    """One file's rows by rig. `rigs`: where a rig's rows begin and end."""

    rigs: dict[str, tuple[int, int]]
    rows: pa.Table

    @classmethod
    def of(cls, rows: pa.Table) -> "RigRows":
        """Return rows of a file in the order of their rigs. Stable."""
        codes, names = codes_of(rows["rig"])
        order = np.argsort(codes, kind="stable")
        return cls(_bounds(codes[order], names), rows.take(places(order)).combine_chunks())

    @property
    def nbytes(self) -> int:
        """What the rows take in memory, and the names of the rigs."""
        return int(self.rows.nbytes) + _RIG_BYTES * len(self.rigs)

    def part(self, rig: str) -> pa.Table:
        """Return a rig's rows."""
        first, end = self.rigs.get(rig, (0, 0))
        return self.rows.slice(first, end - first)


@dataclass(frozen=True, slots=True)
class RigBuckets:
    """One file's five-minute rows by rig, in half of their size: values have seven digits, and curves show six.

    `bucket` is a row's start in five minutes since the epoch. `rigs`: where a rig's rows begin and end.
    """

    rigs: dict[str, tuple[int, int]]
    bucket: NDArray[np.int32]
    mean: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    windows: NDArray[np.int32]

    ROW_BYTES: ClassVar[int] = 20

    @classmethod
    def of(cls, rows: pa.Table) -> "RigBuckets":
        """Return rows of a file of five-minute rows."""
        codes, names = codes_of(rows["rig"])
        order = np.argsort(codes, kind="stable")
        bucket = (us_of(rows["window_start"]) // fiveminutes.BUCKET_US).astype(np.int32)[order]
        columns = ("avg_value", "min_value", "max_value")
        mean, low, high = (numbers(rows[name]).astype(np.float32)[order] for name in columns)
        windows = numbers(rows["windows"]).astype(np.int32)[order]
        return cls(_bounds(codes[order], names), bucket, mean, low, high, windows)

    @property
    def nbytes(self) -> int:
        """What the columns take in memory, and the names of the rigs."""
        return self.ROW_BYTES * len(self.bucket) + _RIG_BYTES * len(self.rigs)

    def part(self, rig: str) -> Buckets:
        """Return a rig's rows."""
        first, end = self.rigs.get(rig, (0, 0))
        start_us = self.bucket[first:end].astype(np.int64) * fiveminutes.BUCKET_US
        mean, low, high = (column[first:end].astype(np.float64) for column in (self.mean, self.low, self.high))
        return Buckets(start_us, mean, low, high, self.windows[first:end].astype(np.int64))


@dataclass(frozen=True, slots=True)
class BandRows(Columns):
    """What the means of sensors usually were; every column has shape (n,). `sensor` is a place in `SENSORS`."""

    sensor: Int64
    at_us: Int64
    centre: Float64
    reach: Float64

    @classmethod
    def of(cls, rows: pa.Table) -> "BandRows":
        """Return those rows of `bands/` that are of a sensor's mean."""
        return cls.placed(rows)[1]

    @classmethod
    def placed(cls, rows: pa.Table) -> "tuple[Int64, BandRows]":
        """Return those rows of `bands/` that are of a sensor's mean, and where they are."""
        (sensor, sensors), (statistic, statistics) = codes_of(rows["sensor"]), codes_of(rows["statistic"])
        ours = np.array([_CODES.get(name, -1) for name in sensors], np.int64)[sensor]
        of_mean = np.array([name == "avg_value" for name in statistics], np.bool_)[statistic]
        means = np.flatnonzero(of_mean & (ours >= 0))
        centre, scale, enter = (numbers(rows[name])[means] for name in ("centre", "scale", "enter"))
        return means, cls(ours[means], us_of(rows["window_start"])[means], centre, scale * enter)

    @property
    def nbytes(self) -> int:
        """What the columns take in memory."""
        return 4 * self.at_us.nbytes

    def between(self, span: Span) -> "BandRows":
        """Return those between two times."""
        return self.part((self.at_us >= span[0]) & (self.at_us <= span[1]))

    def thinned(self, each_us: int) -> "BandRows":
        """Return by sensor and time the first row of each so many microseconds, and the last one of each sensor."""
        order = np.lexsort((self.at_us, self.sensor))
        sensor, step = self.sensor[order], self.at_us[order] // each_us
        begins = (np.diff(sensor, prepend=_NEVER) != 0) | (np.diff(step, prepend=_NEVER) != 0)
        return self.part(order[begins | (np.diff(sensor, append=_NEVER) != 0)])


@dataclass(frozen=True, slots=True)
class RigBands:
    """One file's usual ranges of means by rig, sensor and time. `rigs`: where a rig's rows begin and end."""

    rigs: dict[str, tuple[int, int]]
    rows: BandRows

    @classmethod
    def of(cls, rows: pa.Table, each_us: int = 1) -> "RigBands":
        """Return rows of a file of `bands/`, of each rig and sensor one each so many microseconds, and the last."""
        codes, names = codes_of(rows["rig"])
        there, means = BandRows.placed(rows)
        both = replace(means, sensor=codes[there] * len(SENSORS) + means.sensor).thinned(each_us)
        codes, sensor = np.divmod(both.sensor, len(SENSORS))
        return cls(_bounds(codes, names), replace(both, sensor=sensor))

    @property
    def nbytes(self) -> int:
        """What the columns take in memory, and the names of the rigs."""
        return self.rows.nbytes + _RIG_BYTES * len(self.rigs)

    def part(self, rig: str) -> BandRows:
        """Return a rig's rows."""
        return self.rows.part(slice(*self.rigs.get(rig, (0, 0))))


def _bounds(codes: Int64, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return where the rows of each name begin and end, of codes in order."""
    begins = np.flatnonzero(np.diff(codes, prepend=-1))
    bounds = zip(begins.tolist(), [*begins[1:].tolist(), len(codes)], strict=False)
    return {names[code]: bound for code, bound in zip(codes[begins].tolist(), bounds, strict=True)}
