"""What moves through hydrodask. Read this first.

Kafka → `Messages` → decode → `Samples` + `Reject` → `Windows`, `Profiles`, `Late` → JSON records on topics, rows in the
lake. A window's record is read again: `WindowRecord` → `Arrival` (`detect/arrivals.py`) → `Change` → documents. Inside
a graph everything is a batch of columns that belongs to one partition of one topic; the JSON structs at the end are
what topics hold. All times are microseconds since the epoch, UTC, unless the name says `_ms`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from hydrodask.blobs import Blobs

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

PartitionId = tuple[str, int]
"""Topic and number of a partition."""

Int64Field = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer of a record: what no column can hold is found where the record is decoded, which can say so of it."""


@dataclass(slots=True)
class Messages:
    """A run of raw messages of one partition, in offset order; gaps where the log has them.

    `values[i]` is None for a tombstone. `offsets` and `timestamps_ms` (the broker's) have shape (n,).
    """

    topic: str
    partition: int
    values: Blobs
    keys: Blobs
    offsets: Int64
    timestamps_ms: Int64

    def take(self, which: slice) -> "Messages":
        """Return the chosen messages, in order."""
        values, keys = self.values[which], self.keys[which]
        return Messages(self.topic, self.partition, values, keys, self.offsets[which], self.timestamps_ms[which])

    def __len__(self) -> int:
        return len(self.values)


@dataclass(slots=True)
class Reject:
    """One message that can't be used: the original bytes, where they were, why, and whose it is if that is known."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    reason: str
    rig: str | None = None


@dataclass(slots=True)
class Samples:
    """Decoded samples of one sensor from one partition, in offset order; every column has shape (n,).

    `rig` holds codes into the process-wide table (`hydrodask.rigs`); they never leave the process.
    """

    sensor: str
    topic: str
    partition: int
    rig: Int32
    cycle: Int64
    sample_idx: Int64
    value: Float64
    time_us: Int64
    rate_hz: Float64
    offset: Int64

    def __len__(self) -> int:
        return len(self.offset)

    def after(self, offset: int) -> "Samples":
        """Return the samples from `offset` on: what a node that already has the earlier ones needs."""
        if len(self) == 0 or self.offset[0] >= offset:
            return self
        return self.take(slice(int(np.searchsorted(self.offset, offset)), None))

    @classmethod
    def joined(cls, parts: "Sequence[Samples]") -> "Samples":
        """Return the rows of `parts`, at least one of them and of one partition, one after the other."""
        first = parts[0]
        if len(parts) == 1:
            return first
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _SAMPLE_COLUMNS}
        return cls(first.sensor, first.topic, first.partition, **columns)

    def take(self, which: "slice | Int64 | Bool") -> "Samples":
        """Return the chosen rows, in order."""
        return Samples(
            self.sensor,
            self.topic,
            self.partition,
            rig=self.rig[which],
            cycle=self.cycle[which],
            sample_idx=self.sample_idx[which],
            value=self.value[which],
            time_us=self.time_us[which],
            rate_hz=self.rate_hz[which],
            offset=self.offset[which],
        )


_SAMPLE_COLUMNS = ("rig", "cycle", "sample_idx", "value", "time_us", "rate_hz", "offset")


@dataclass(slots=True)
class Late:
    """Samples that changed no window because all of theirs were final, and how late each was (µs)."""

    samples: Samples
    late_us: Int64


@dataclass(slots=True)
class Windows:
    """Sliding windows of one sensor, final ones or updates; every column has shape (n,).

    A window covers `[start_us, start_us + length)`. `stddev` is the sample standard deviation, NaN for one sample.
    `revision` is the offset of the record that made it final, or of the last record consumed before an update.
    `rate_hz` is the sampling rate that its records name: `count` samples of `rate_hz` × length are there.
    """

    sensor: str
    rig: Int32
    start_us: Int64
    count: Int64
    mean: Float64
    stddev: Float64
    low: Float64
    high: Float64
    final: Bool
    revision: Int64
    rate_hz: Float64

    def __len__(self) -> int:
        return len(self.revision)


@dataclass(slots=True)
class Profiles:
    """Cycle profiles of one sensor: per row 60 one-second segments.

    `rig, cycle, start_us, complete, revision, rate_hz` have shape (n,); `count, mean, m2, low, high` shape
    (n, segments), with NaN where a segment has no samples. `m2` is the sum of squared deviations from the segment's
    mean, `rate_hz` the sampling rate that the samples named.
    """

    sensor: str
    rig: Int32
    cycle: Int64
    start_us: Int64
    complete: Bool
    revision: Int64
    count: NDArray[np.int32]
    mean: Float64
    m2: Float64
    low: Float64
    high: Float64
    rate_hz: Float64

    def __len__(self) -> int:
        return len(self.revision)


class SensorRecord(msgspec.Struct, gc=False):
    """One sample as producers send it, on topic `hydraulic-<SENSOR>`. Field order is the canonical layout."""

    sensor: str
    cycle: Int64Field
    sample_idx: Int64Field
    value: float
    timestamp: str
    sampling_rate_hz: float
    rig: str | None = None


class LabelRecord(msgspec.Struct):
    """What was true of a rig during a cycle, on topic `hydraulic-labels`.

    cooler and valve in %, pump leakage 0..2, accumulator in bar; `stable` 0 = stable, 1 = may not be yet.
    `timestamp` is the cycle's start, ISO 8601.
    """

    rig: str | None
    cycle: Int64Field
    timestamp: str
    cooler: float
    valve: float
    pump: float
    accumulator: float
    stable: Int64Field


class WindowRecord(msgspec.Struct, omit_defaults=True):
    """One window row on `hydraulic-analytics`, keyed by rig. Times are ISO 8601 UTC, values in the sensor's unit.

    `sampling_rate_hz` is that of the samples; older rows have none. They came on `partition` of the sensor's topic.
    """

    rig: str
    sensor: str
    window_start: str
    window_end: str
    avg_value: float
    max_value: float
    min_value: float
    stddev_value: float | None
    range_value: float
    sample_count: Int64Field
    final: bool
    revision: Int64Field
    sampling_rate_hz: float | None = None
    partition: int = 0


class RefusedRecord(msgspec.Struct):
    """A rig's samples of a minute of which most were refused, or of the next, on `hydraulic-analytics`: never final."""

    rig: str
    sensor: str
    window_start: str
    kept: Int64Field
    late: Int64Field
    dead: Int64Field
    over_half: bool
    revision: Int64Field
    final: bool = False


class CycleRecord(msgspec.Struct):
    """One cycle profile on `hydraulic-cycles`, keyed by rig; lists have one entry a segment, null without samples."""

    rig: str
    sensor: str
    cycle: Int64Field
    cycle_start: str
    complete: bool
    revision: Int64Field
    n: list[Int64Field]
    mean: list[float | None]
    m2: list[float | None]
    min: list[float | None]
    max: list[float | None]
    sampling_rate_hz: float | None = None
    """What the samples said; profiles of before it was kept have none, and the table's counts."""


@dataclass(frozen=True, slots=True)
class Upsert:
    """Store `body` under `id` in `collection`, unless what is there has the same or a higher revision."""

    collection: str
    id: str
    revision: int
    body: dict[str, object]


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete `id` from `collection`, unless what is there has the same or a higher revision."""

    collection: str
    id: str
    revision: int


Change = Upsert | Remove
"""One change to a document. Changes of one batch apply in order; a repeated batch changes nothing."""


@dataclass(slots=True)
class Outgoing:
    """One record to publish in the next transaction."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, str | bytes | None]] = field(default_factory=list)
    partition: int = -1
    """Where to; -1: where its key says."""
