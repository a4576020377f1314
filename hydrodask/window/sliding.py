"""Sliding windows of event time per rig: what the pane kernel does, as columns in and columns out."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hydrodask.channels import CHANNELS
from hydrodask.keys import Gone, Keys, Terms
from hydrodask.records import Bool, Float64, Int64, Late, Samples, Windows
from hydrodask.rigs import RIGS, RigTable
from hydrodask.window import panes as kernel

_ROWS = 8192
"""Rows that one call of the kernel can write before Python takes them away."""


_INTS, _FLOATS = np.zeros(0, np.int64), np.zeros(0)


class OpenWindows:
    """Windows `[start, start + length)`, start a multiple of `slide`, per rig of one sensor's partition.

    The watermark of a rig is its largest event time so far minus `lateness`, in record order; a window is final once
    its end is at or below it. Statistics: Welford in offset order inside a pane, Chan's merge in pane order. The
    windows of a rig that is gone, by `terms`, are final.
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
        terms: Terms = Terms(),  # noqa: B008 - it is immutable
    ) -> None:
        """`room_us` is the largest lateness that `go_over` may be told of."""
        self.sensor = sensor
        self.next_offset = 0
        self.kept = 0
        self.late = 0
        self._span = length_us // slide_us
        self._geometry = (np.int64(slide_us), np.int64(self._span), np.int64(lateness_us))
        self._ring = self._span + -(-max(lateness_us, room_us) // slide_us) + 1
        self._keys = Keys(rigs, terms)
        self._allot()

    def _allot(self) -> None:
        """Make the arrays, without any rig."""
        self._state: Int64 = np.zeros((0, 2), np.int64)
        self._pane_of: Int64 = np.zeros((0, self._ring), np.int64)
        self._panes: Float64 = np.zeros((0, self._ring, kernel.COLUMNS))
        self._dirty: Bool = np.zeros((0, self._ring), np.bool_)
        self._resize(16)
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

    def watermark_without(self, rigs: Sequence[str]) -> int | None:
        """Return the smallest watermark of the other rigs; of all when no other is there."""
        odd = set(rigs)
        left = [k for k, name in enumerate(self._keys.names) if name not in odd] if odd else []
        return int(self._state[left, 0].min() - self._geometry[2]) if left else self.watermark_us

    def newest_us(self, rigs_max: int) -> dict[str, int]:
        """Return the largest event time of each of the first rigs, µs since the epoch."""
        names = self._keys.first(rigs_max)
        times = self._state[: len(names), 0].tolist()
        return {name: at for name, at in zip(names, times, strict=True) if at != kernel.NEVER}

    def consume(self, samples: Samples) -> tuple[Windows, Late]:
        """Take samples in offset order, skipping what was taken already; return final windows and late samples."""
        samples = samples.after(self.next_offset)
        late_us = np.zeros(len(samples), np.int64)
        parts: list[Windows] = []
        for step in self._keys.follow(samples.rig, samples.time_us):
            if isinstance(step, Gone):
                parts += self._leave(step.slots, int(samples.offset[step.place]))
            else:
                parts += self._run(step.of(samples), step.slots, late_us[step.start : step.end])
        late = late_us >= 0
        lost = int(late.sum())
        self.late += lost
        self.kept += len(samples) - lost
        if len(samples):
            self.next_offset = int(samples.offset[-1]) + 1
        chosen = samples.take(late) if lost else samples.take(slice(0, 0))
        return _join(self.sensor, parts), Late(chosen, late_us[late])

    def comply(self, terms: Terms) -> None:
        """Go by other terms from the next sample on."""
        self._keys.terms = terms

    def _run(self, samples: Samples, slots: Int64, late_us: Int64) -> Iterator[Windows]:
        """Take samples of rigs that stay."""
        if len(self._keys) > len(self._state):
            self._resize(max(len(self._keys), 2 * len(self._state)))
        where = np.zeros(2, np.int64)
        while where[0] < len(samples):
            where[1] = 0
            kernel.consume(
                slots, samples.time_us, samples.value, samples.rate_hz, samples.offset, self._geometry, *self._arrays(),
                late_us, self._rows, where,
            )  # fmt: skip
            yield self._take(int(where[1]))

    def _leave(self, gone: Int64, offset: int) -> Iterator[Windows]:
        """Make the windows of rigs that are gone final, and forget the rigs."""
        row = 0
        for k in gone.tolist():
            _oldest, newest = kernel.bounds_of(k, self._pane_of)
            if newest != kernel.NEVER:
                row = kernel.close(k, newest + self._span, self._span, *self._arrays(), self._rows, row, offset)
            if row > _ROWS:
                yield self._take(row)
                row = 0
        yield self._take(row)
        self._resize(max(16, len(self._keys) - len(gone)), gone)

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

    def end(self, revision: int) -> Windows:
        """Return every open window as final, for the log has ended, and know no rig any more; counts stay."""
        final = _join(self.sensor, list(self._leave(np.arange(len(self._keys)), revision)))
        self._keys.forget()
        self.next_offset = revision + 1
        return final

    def forget_changes(self) -> None:
        """Take every open window for published: after a replay of what was committed before."""
        self._dirty[:] = False

    def shown(self, rigs_max: int) -> Windows:
        """Return for each of the first rigs one open window, as `panes.shown` chooses it. Changes nothing."""
        count = min(len(self), rigs_max)
        rows = (np.zeros((count, 5), np.int64), np.zeros((count, 5)))
        row = kernel.shown(count, self._span, self._state, self._pane_of, self._panes, rows)
        return self._columns(rows[0][:row], rows[1][:row])

    def go_over(self, lateness_us: int) -> None:
        """Let the watermark be another distance behind the largest event time from the next record on."""
        self._geometry = (*self._geometry[:2], np.int64(lateness_us))

    def snapshot(self) -> dict[str, Any]:
        """Return the state after `next_offset`: equal records give equal bytes."""
        count = len(self)
        used = np.flatnonzero(self._pane_of[:count] != kernel.NEVER)  # most rigs of many have few
        return {
            "next_offset": self.next_offset,
            "kept": self.kept,
            "late": self.late,
            "geometry": [int(g) for g in self._geometry],
            **self._keys.snapshot(),
            "state": self._state[:count].copy(),
            "ring": self._ring,
            "places": used.astype(np.int32),
            "pane_of": self._pane_of[:count].ravel()[used],
            "panes": self._panes[:count].reshape(-1, kernel.COLUMNS)[used],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot. Raises ValueError when it was made with other window settings."""
        if state["geometry"] != [int(g) for g in self._geometry]:
            raise ValueError(f"windows (slide, span, lateness) were {state['geometry']}, are {self._geometry}")
        self.next_offset, self.kept, self.late = state["next_offset"], state["kept"], state["late"]
        self._keys.restore(state)
        self._ring = int(state.get("ring") or state["pane_of"].shape[1])  # there may have been room for more lateness
        self._allot()
        count = len(self)
        self._resize(max(16, count))
        places, pane_of, panes = _sparse(state, self.sensor)
        self._state[:count] = state["state"]
        self._pane_of.reshape(-1)[places] = pane_of
        self._panes.reshape(-1, kernel.COLUMNS)[places] = panes

    def _arrays(self) -> tuple[Int64, Int64, Float64, Any]:
        return self._state, self._pane_of, self._panes, self._dirty

    def _resize(self, size: int, gone: Int64 = _INTS) -> None:
        """Make room for `size` keys, keeping what is there but those that are `gone`."""
        state = np.full((size, 2), kernel.NEVER, np.int64)
        pane_of = np.full((size, self._ring), kernel.NEVER, np.int64)
        panes, dirty = np.zeros((size, self._ring, kernel.COLUMNS)), np.zeros((size, self._ring), np.bool_)
        stay = np.delete(np.arange(len(self._state)), gone)[:size]
        kept = len(stay)
        state[:kept], pane_of[:kept] = self._state[stay], self._pane_of[stay]
        panes[:kept], dirty[:kept] = self._panes[stay], self._dirty[stay]
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


def _sparse(state: dict[str, Any], sensor: str) -> tuple[Int64, Int64, Float64]:
    """Return the panes of a snapshot that hold samples: where they are, which, and what they hold.

    An older one has all of them, and a still older one no rates: then the table's counted.
    """
    panes = state["panes"]
    if "places" in state:
        return state["places"], state["pane_of"], panes
    if panes.shape[2] <= kernel.RATE:
        panes = np.concatenate([panes, np.full((*panes.shape[:2], 1), float(CHANNELS[sensor].rate_hz))], axis=2)
    places = np.flatnonzero(state["pane_of"] != kernel.NEVER)
    return places, state["pane_of"].ravel()[places], panes.reshape(-1, kernel.COLUMNS)[places]


def _join(sensor: str, parts: list[Windows]) -> Windows:
    """Return several runs of rows as one."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Windows(sensor, np.zeros(0, np.int32), *_EMPTY)
    names = ("rig", "start_us", "count", "mean", "stddev", "low", "high", "final", "revision", "rate_hz")
    return Windows(sensor, *(np.concatenate([getattr(p, name) for p in parts]) for name in names))


_EMPTY = (_INTS, _INTS, _FLOATS, _FLOATS, _FLOATS, _FLOATS, np.zeros(0, np.bool_), _INTS, _FLOATS)
