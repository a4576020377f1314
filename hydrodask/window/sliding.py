"""Sliding windows of event time per rig: what the pane kernel does, as columns in and columns out."""

from typing import Any

import numpy as np

from hydrodask.channels import CHANNELS
from hydrodask.records import Bool, Float64, Int64, Late, Samples, Windows
from hydrodask.rigs import RIGS, RigTable
from hydrodask.window import panes as kernel
from hydrodask.window.keys import Keys

_ROWS = 8192
"""Rows that one call of the kernel can write before Python takes them away."""


class SlidingWindows:
    """Windows `[start, start + length)`, start a multiple of `slide`, per rig of one sensor's partition.

    The watermark of a rig is its largest event time so far minus `lateness`, in record order; a window is final once
    its end is at or below it. Statistics: Welford in offset order inside a pane, Chan's merge in pane order.
    """

    def __init__(
        self,
        sensor: str,
        *,
        length_us: int,
        slide_us: int,
        lateness_us: int,
        room_us: int = 0,
        rigs: RigTable = RIGS,
    ) -> None:
        """`room_us` is the largest lateness that `go_over` may be told of."""
        self.sensor = sensor
        self.next_offset = 0
        self.kept = 0
        self.late = 0
        self._span = length_us // slide_us
        self._geometry = (np.int64(slide_us), np.int64(self._span), np.int64(lateness_us))
        self._ring = self._span + -(-max(lateness_us, room_us) // slide_us) + 1
        self._keys = Keys(rigs)
        self._allot()

    def _allot(self) -> None:
        """Make the arrays, without any rig."""
        self._state: Int64 = np.zeros((0, 2), np.int64)
        self._pane_of: Int64 = np.zeros((0, self._ring), np.int64)
        self._panes: Float64 = np.zeros((0, self._ring, kernel.COLUMNS))
        self._dirty: Bool = np.zeros((0, self._ring), np.bool_)
        self._grow(16)
        self._rows = (np.zeros((_ROWS + 2 * self._ring, 5), np.int64), np.zeros((_ROWS + 2 * self._ring, 5)))

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def state_bytes(self) -> int:
        """Bytes of state per rig times rigs."""
        return len(self) * (16 + self._ring * (8 + kernel.COLUMNS * 8 + 1))

    @property
    def watermark_us(self) -> int | None:
        """Smallest watermark of all rigs, µs since the epoch; None without rigs."""
        if not len(self):
            return None
        return int(self._state[: len(self), 0].min() - self._geometry[2])

    def consume(self, samples: Samples) -> tuple[Windows, Late]:
        """Take samples in offset order, skipping what was taken already; return final windows and late samples."""
        samples = samples.after(self.next_offset)
        slots = self._keys.slots(samples.rig)
        if len(self._keys) > len(self._state):
            self._grow(len(self._keys))
        late_us = np.zeros(len(samples), np.int64)
        where = np.zeros(2, np.int64)
        parts = []
        while where[0] < len(samples):
            where[1] = 0
            kernel.consume(
                slots, samples.time_us, samples.value, samples.rate_hz, samples.offset, self._geometry, *self._arrays(),
                late_us, self._rows, where,
            )  # fmt: skip
            parts.append(self._take(int(where[1])))
        late = late_us >= 0
        lost = int(late.sum())
        self.late += lost
        self.kept += len(samples) - lost
        if len(samples):
            self.next_offset = int(samples.offset[-1]) + 1
        chosen = samples.take(late) if lost else samples.take(slice(0, 0))
        return _join(self.sensor, parts), Late(chosen, late_us[late])

    def updates(self, revision: int) -> Windows:
        """Return the open windows that changed since the last call, as they are now."""
        count = len(self)
        where = np.zeros(2, np.int64)
        state, pane_of, panes, dirty = (a[:count] for a in self._arrays())
        parts = []
        while where[0] < count:
            where[1] = 0
            kernel.updates(where, self._span, state, pane_of, panes, dirty, self._rows, revision)
            parts.append(self._take(int(where[1])))
        return _join(self.sensor, parts)

    def forget_changes(self) -> None:
        """Take every open window for published: after a replay of what was committed before."""
        self._dirty[:] = False

    def oldest_open(self, rigs_max: int) -> Windows:
        """Return for each of the first rigs its oldest open window: the fullest one, for gauges. Changes nothing."""
        count = min(len(self), rigs_max)
        rows = (np.zeros((count + self._ring, 5), np.int64), np.zeros((count + self._ring, 5)))
        row = 0
        for k in range(count):
            oldest, newest = kernel.bounds_of(k, self._pane_of)
            if newest != kernel.NEVER:
                start = max(int(self._state[k, 1]) - self._span + 1, oldest - self._span + 1)
                row = kernel.write(k, start, self._span, self._pane_of, self._panes, rows, row, 0, 0)
        return self._columns(rows[0][:row], rows[1][:row])

    def go_over(self, lateness_us: int) -> None:
        """Let the watermark be another distance behind the largest event time from the next record on."""
        self._geometry = (*self._geometry[:2], np.int64(lateness_us))

    def snapshot(self) -> dict[str, Any]:
        """Return the state after `next_offset`: equal records give equal bytes."""
        count = len(self)
        return {
            "next_offset": self.next_offset,
            "kept": self.kept,
            "late": self.late,
            "geometry": [int(g) for g in self._geometry],
            "rigs": self._keys.names,
            "state": self._state[:count].copy(),
            "pane_of": self._pane_of[:count].copy(),
            "panes": self._panes[:count].copy(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot. Raises ValueError when it was made with other window settings."""
        if state["geometry"] != [int(g) for g in self._geometry]:
            raise ValueError(f"windows (slide, span, lateness) were {state['geometry']}, are {self._geometry}")
        self.next_offset, self.kept, self.late = state["next_offset"], state["kept"], state["late"]
        self._keys.restore(state["rigs"])
        self._ring = state["pane_of"].shape[1]  # it may have had room for more lateness than there is now
        self._allot()
        self._grow(max(16, len(self)))
        count = len(self)
        self._state[:count], self._pane_of[:count] = state["state"], state["pane_of"]
        panes = state["panes"]
        self._panes[:count, :, : panes.shape[2]] = panes
        if panes.shape[2] <= kernel.RATE:  # of before rates were kept: then the table's counted
            self._panes[:count, :, kernel.RATE][panes[:, :, kernel.COUNT] > 0] = CHANNELS[self.sensor].rate_hz
        self._dirty[:] = False

    def _arrays(self) -> tuple[Int64, Int64, Float64, Any]:
        return self._state, self._pane_of, self._panes, self._dirty

    def _grow(self, count: int) -> None:
        """Make room for `count` keys, twice as much as there was at least, keeping what is there."""
        size = max(count, 2 * len(self._state))
        state = np.full((size, 2), kernel.NEVER, np.int64)
        pane_of = np.full((size, self._ring), kernel.NEVER, np.int64)
        panes, dirty = np.zeros((size, self._ring, kernel.COLUMNS)), np.zeros((size, self._ring), np.bool_)
        kept = len(self._state)
        state[:kept], pane_of[:kept] = self._state, self._pane_of
        panes[:kept], dirty[:kept] = self._panes, self._dirty
        self._state, self._pane_of, self._panes, self._dirty = state, pane_of, panes, dirty

    def _take(self, count: int) -> Windows:
        return self._columns(self._rows[0][:count].copy(), self._rows[1][:count].copy())

    def _columns(self, ints: Int64, floats: Float64) -> Windows:
        return Windows(
            self.sensor,
            rig=self._keys.codes(ints[:, 0]) if len(ints) else np.zeros(0, np.int32),
            start_us=ints[:, 1] * self._geometry[0],
            count=ints[:, 2],
            mean=floats[:, 0],
            stddev=floats[:, 3],
            low=floats[:, 1],
            high=floats[:, 2],
            final=ints[:, 3] == 1,
            revision=ints[:, 4],
            rate_hz=floats[:, 4],
        )


def _join(sensor: str, parts: list[Windows]) -> Windows:
    """Return several runs of rows as one."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Windows(sensor, np.zeros(0, np.int32), *_EMPTY)
    names = ("rig", "start_us", "count", "mean", "stddev", "low", "high", "final", "revision", "rate_hz")
    return Windows(sensor, *(np.concatenate([getattr(p, name) for p in parts]) for name in names))


_INTS, _FLOATS = np.zeros(0, np.int64), np.zeros(0)
_EMPTY = (_INTS, _INTS, _FLOATS, _FLOATS, _FLOATS, _FLOATS, np.zeros(0, np.bool_), _INTS, _FLOATS)
