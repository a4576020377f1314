"""Messages of one topic → Samples and Rejects: the compiled parser first, the general decoder for what it hands on."""

import numpy as np

from hydrodask.blobs import Blobs
from hydrodask.clock import parse_iso
from hydrodask.decode import canonical, general
from hydrodask.records import Bool, Int64, Messages, Reject, Samples
from hydrodask.rigs import RIGS, RigTable

EARLIEST_US, LATEST_US = parse_iso("1678-01-01"), parse_iso("2262-01-01")
"""Event times that any reader of the lake can hold, nanoseconds included, with room for windows around them."""

TOGETHER = 2000
"""Records that the general decoder takes at once: with more, their objects leave the processor's cache before they are
used, and one that is bad sends fewer neighbours the slow way."""

VALUE_MAX = 1e100
"""Largest magnitude of a value: sums of squares of many such still fit a double."""


class Decoder:
    """Decodes what is on the topic of one sensor. Holds no state that a record could change.

    `compiled=False` sends every record through the general decoder; the results are the same, to the last bit.
    """

    def __init__(
        self,
        sensor: str,
        *,
        default_rig: str,
        future_us_max: int,
        record_bytes_max: int,
        rig_bytes_max: int,
        compiled: bool = True,
        rigs: RigTable = RIGS,
    ) -> None:
        self.sensor = sensor
        self._head = canonical.opening(sensor)
        self._default_rig = rigs.code(default_rig)
        self._future_us_max = future_us_max
        self._record_bytes_max = record_bytes_max
        self._rig_bytes_max = rig_bytes_max
        self._compiled = compiled
        self._rigs = rigs

    def decode(self, messages: Messages) -> tuple[Samples, list[Reject]]:
        """Return the samples and the rejects, each in offset order. Tombstones are neither."""
        columns = _Columns(len(messages))
        left = self._parse(messages.values, columns) if self._compiled else np.flatnonzero(messages.values.present)
        reasons: dict[int, str] = {}
        for start in range(0, len(left), TOGETHER):
            reasons |= self._general(messages.values, left[start : start + TOGETHER], columns)
        self._refuse(columns, messages.timestamps_ms, reasons)
        return self._samples(messages, columns), self._rejects(messages, reasons)

    def _parse(self, values: Blobs, columns: "_Columns") -> Int64:
        """Run the compiled parser; return the places that it hands on."""
        rigs, status = np.zeros((len(values), 3), np.int64), np.zeros(len(values), np.int8)
        table = (self._rigs.pool, self._rigs.spans, self._rigs.slots)
        limits, default = (self._record_bytes_max, self._rig_bytes_max), self._default_rig
        left = canonical.parse(
            values.data, values.bounds, self._head, table, limits, default, columns.ints, columns.floats, rigs, status
        )
        if left:
            for i in np.flatnonzero(status == canonical.NEW_RIG):
                rigs[i, 0] = self._rigs.code(values.data[rigs[i, 1] : rigs[i, 2]].tobytes().decode())
        columns.rig[:] = rigs[:, 0]
        columns.good[:] = status != canonical.HAND_ON
        return np.flatnonzero(values.present & ~columns.good) if left else np.zeros(0, np.int64)

    def _general(self, values: Blobs, left: Int64, columns: "_Columns") -> dict[int, str]:
        """Decode the places in `left`, none of them empty, the general way; return the reasons of those that can't."""
        done = general.decode(
            values,
            left,
            sensor=self.sensor,
            bytes_max=self._record_bytes_max,
            rig_bytes_max=self._rig_bytes_max,
        )
        at = left[done.where]
        columns.good[at] = True
        columns.ints[at, 0], columns.ints[at, 1], columns.ints[at, 2] = done.cycle, done.sample_idx, done.time_us
        columns.floats[at, 0], columns.floats[at, 1] = done.value, done.rate_hz
        code, default = self._rigs.code, self._default_rig
        columns.rig[at] = [default if name is None else code(name) for name in done.rig] if any(done.rig) else default
        return {int(left[place]): reason for place, reason in done.reasons.items()}

    def _refuse(self, columns: "_Columns", timestamps_ms: Int64, reasons: dict[int, str]) -> None:
        """Make rejects of records that are well-formed and make no sense, in the general decoder's order."""
        for i in np.flatnonzero(columns.good & ~(columns.floats[:, 1] > 0)):
            columns.good[i] = False
            reasons[int(i)] = f"sampling_rate_hz is {columns.floats[i, 1]}; want more than 0"
        time_us = columns.ints[:, 2]
        # One clock that is far ahead would make all that follows late.
        ahead_us = time_us - timestamps_ms * 1000
        for i in np.flatnonzero((ahead_us > self._future_us_max) & columns.good & (timestamps_ms >= 0)):
            columns.good[i] = False
            reasons[int(i)] = f"timestamp is {ahead_us[i] / 1e6:.3f} s ahead of the broker's"
        for i in np.flatnonzero(((time_us < EARLIEST_US) | (time_us >= LATEST_US)) & columns.good):
            columns.good[i] = False
            reasons[int(i)] = "timestamp is before 1678 or after 2261"
        for i in np.flatnonzero((np.abs(columns.floats[:, 0]) > VALUE_MAX) & columns.good):
            columns.good[i] = False
            reasons[int(i)] = f"value not finite: the square of {columns.floats[i, 0]:g} would overflow statistics"

    def _samples(self, messages: Messages, columns: "_Columns") -> Samples:
        every = bool(columns.good.all())
        which: slice | Bool = slice(None) if every else columns.good
        ints, floats = columns.ints[which], columns.floats[which]
        return Samples(
            self.sensor,
            messages.topic,
            messages.partition,
            rig=columns.rig[which],
            cycle=np.ascontiguousarray(ints[:, 0]),
            sample_idx=np.ascontiguousarray(ints[:, 1]),
            value=np.ascontiguousarray(floats[:, 0]),
            time_us=np.ascontiguousarray(ints[:, 2]),
            rate_hz=np.ascontiguousarray(floats[:, 1]),
            offset=messages.offsets[which],
        )

    def _rejects(self, messages: Messages, reasons: dict[int, str]) -> list[Reject]:
        where = (messages.topic, messages.partition)
        return [
            Reject(*where, int(messages.offsets[i]), messages.keys[i], messages.values[i], reasons[i])
            for i in sorted(reasons)
        ]


class _Columns:
    """The decoded columns of `n` records; rows that are not `good` hold rubbish."""

    def __init__(self, n: int) -> None:
        self.ints = np.zeros((n, 3), np.int64)
        self.floats = np.zeros((n, 2), np.float64)
        self.rig = np.zeros(n, np.int32)
        self.good = np.zeros(n, np.bool_)
