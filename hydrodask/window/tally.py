"""How many samples of each rig could be used, minute by minute of the broker's clock: whose are mostly late or dead.

The broker's clock of a partition is the largest timestamp so far, so a record's minute does not depend on batches. A
rig's own clock says nothing here: it may be what is wrong.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hydrodask.clock import iso
from hydrodask.kernels import njit
from hydrodask.records import Bool, Int32, Int64, Messages, RefusedRecord, Reject, Samples
from hydrodask.rigs import RIGS, RigTable

MINUTE_MS = 60_000
NAMES_MAX = 10_000
"""Rigs from which on dead letters are not counted by rig any more."""

FORGOTTEN = 24 * 60
"""Minutes after which a rig that was not heard is forgotten."""

LEAST = 5
"""Samples of a rig in a minute from which on it is judged."""

NEVER = -(1 << 40)

KEPT, LATE, DEAD = 0, 1, 2


class Tally:
    """Counts of one sensor's partition, by rig; state, a function of its records below `next_offset`.

    >>> one = Tally("PS1", rigs=RigTable())
    >>> len(one), one.totals()
    (0, {})
    """

    def __init__(self, sensor: str, *, rigs: RigTable = RIGS) -> None:
        self.sensor = sensor
        self.next_offset = 0
        self._rigs = rigs
        self._names: list[str] = []
        self._slots: dict[str, int] = {}
        self._slot_of: Int64 = np.full(16, -1, np.int64)
        """Slot of each code of the process's table."""
        self._minute = NEVER
        self._late: list[Samples] = []
        self._counts: Int64 = np.zeros((0, 3), np.int64)
        self._totals: Int64 = np.zeros((0, 3), np.int64)
        self._heard: Int64 = np.zeros(0, np.int64)
        self._bad: Bool = np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self._names)

    def late(self, samples: Samples) -> None:
        """Take note of samples that were late; `take` comes for their batch afterwards."""
        self._late.append(samples)

    def take(self, messages: Messages, samples: Samples, rejects: Sequence[Reject]) -> list[RefusedRecord]:
        """Count a batch; return what there is to say of minutes that it ends."""
        late, self._late = self._late, []
        said: list[RefusedRecord] = []
        for minute, first, end in self._segments(messages):
            if minute > self._minute:
                said += self._close(first)
                self._minute = minute
            self._count(_between(samples, first, end).rig, KEPT)
            for one in late:
                rig = _between(one, first, end).rig
                self._count(rig, LATE)
                self._count(rig, KEPT, sign=-1)
            self._bury([r.rig for r in rejects if r.rig is not None and first <= r.offset < end])
        if len(messages):
            self.next_offset = max(self.next_offset, int(messages.offsets[-1]) + 1)
        return said

    def totals(self, most: int | None = None) -> dict[str, dict[str, int]]:
        """Return what is known of each rig, at most so many: those first of whom most could not be used."""
        counts = self._totals[: len(self)]
        order = np.argsort(-(counts[:, LATE] + counts[:, DEAD]), kind="stable")[:most].tolist()
        names = self._names
        return {names[k]: dict(zip(("kept", "late", "dead"), counts[k].tolist(), strict=True)) for k in order}

    def odd(self, minutes: int) -> list[str]:
        """Return the rigs that were not heard for so many minutes, or whose samples can't be used."""
        away = self._bad[: len(self)] | (self._heard[: len(self)] < self._minute - minutes)
        return [self._names[k] for k in np.flatnonzero(away).tolist()] if away.any() else []

    def snapshot(self) -> dict[str, Any]:
        """Return the state: equal records give equal bytes."""
        names = self._names
        order = sorted(range(len(names)), key=names.__getitem__)  # which was first in a batch depends on batches
        return {
            "next_offset": self.next_offset,
            "minute": self._minute,
            "rigs": [names[k] for k in order],
            "counts": self._counts[order],
            "totals": self._totals[order],
            "heard": self._heard[order],
            "bad": self._bad[order],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        self.next_offset, self._minute, self._late = state["next_offset"], state["minute"], []
        self._keep(state["rigs"], state["counts"], state["totals"], state["heard"], state["bad"])

    @staticmethod
    def of_before(nodes: dict[str, Any]) -> dict[str, Any]:
        """Return what to restore from a snapshot of a release that did not count by rig: it begins there."""
        none = np.zeros((0, 3), np.int64)
        return {
            "next_offset": nodes["windows"]["next_offset"], "minute": NEVER, "rigs": [], "counts": none, "totals": none,
            "heard": none[:, 0], "bad": np.zeros(0, np.bool_),
        }  # fmt: skip

    def _keep(self, names: list[str], counts: Int64, totals: Int64, heard: Int64, bad: Bool) -> None:
        """Know these rigs, and no others."""
        self._names, self._slots = names, {name: slot for slot, name in enumerate(names)}
        self._slot_of[:] = -1
        self._counts, self._totals, self._heard, self._bad = counts, totals, heard, bad

    def _slot(self, name: str, *, sure: bool = False) -> int:
        """Return the slot of a rig; -1 for a new one that is one too many, unless it is `sure` to be there."""
        slot = self._slots.get(name, -1)
        if slot < 0 and (sure or len(self._names) < NAMES_MAX):
            slot = self._slots[name] = len(self._names)
            self._names.append(name)
        return slot

    def _welcome(self, rig: Int32) -> None:
        """Give each code a slot."""
        if int(rig.max()) >= len(self._slot_of):
            more = max(len(self._rigs), 2 * len(self._slot_of)) - len(self._slot_of)
            self._slot_of = np.concatenate([self._slot_of, np.full(more, -1, np.int64)])
        for code in np.unique(rig[self._slot_of[rig] < 0]).tolist():
            self._slot_of[code] = self._slot(self._rigs.name(code), sure=True)
        self._grow()

    def _segments(self, messages: Messages) -> Iterator[tuple[int, int, int]]:
        """Yield minute, first offset and end of each run of new messages of one minute."""
        if not len(messages):
            return
        later = messages.offsets[0] >= self.next_offset
        start = 0 if later else int(np.searchsorted(messages.offsets, self.next_offset))
        if start == len(messages):
            return
        offsets, stamps = messages.offsets[start:], messages.timestamps_ms[start:]
        end = int(offsets[-1]) + 1
        if max(int(stamps.max()) // MINUTE_MS, self._minute) == self._minute:
            yield self._minute, int(offsets[0]), end
            return
        minutes = np.maximum(np.maximum.accumulate(stamps // MINUTE_MS), self._minute)
        places = [0, *(np.flatnonzero(np.diff(minutes)) + 1).tolist()]
        firsts = offsets[places].tolist()
        yield from zip(minutes[places].tolist(), firsts, [*firsts[1:], end], strict=True)

    def _count(self, rig: Int32, column: int, *, sign: int = 1) -> None:
        where = (self._minute, column, sign)
        if len(rig) and not _count(rig, self._slot_of, where, self._counts, self._totals, self._heard):
            self._welcome(rig)
            _count(rig, self._slot_of, where, self._counts, self._totals, self._heard)

    def _bury(self, names: Sequence[str]) -> None:
        """Count dead letters of these rigs."""
        slots = [slot for slot in map(self._slot, names) if slot >= 0]
        self._grow()
        for slot in slots:
            self._counts[slot, DEAD] += 1
            self._totals[slot, DEAD] += 1
            self._heard[slot] = self._minute

    def _close(self, offset: int) -> list[RefusedRecord]:
        """End the minute: say whose samples could mostly not be used, and whose can again."""
        counts = self._counts[: len(self)]
        sums = counts.sum(axis=1)
        judged = sums >= LEAST
        bad = judged & (2 * counts[:, KEPT] < sums)
        names = self._names if bad.any() or self._bad.any() else []
        at = iso(self._minute * MINUTE_MS * 1000) if names else ""
        told = np.flatnonzero(bad | (judged & self._bad[: len(self)])).tolist()
        numbers = counts[told].tolist()
        said = [
            RefusedRecord(names[k], self.sensor, at, kept, late, dead, bool(bad[k]), offset)
            for k, (kept, late, dead) in zip(told, numbers, strict=True)
        ]
        self._bad[: len(self)] = np.where(judged, bad, self._bad[: len(self)])
        self._counts[:] = 0
        there = self._heard[: len(self)] >= self._minute - FORGOTTEN
        if not there.all():
            kept = np.flatnonzero(there).tolist()
            self._keep(
                [self._names[k] for k in kept], self._counts[kept], self._totals[kept], self._heard[kept],
                self._bad[kept],
            )  # fmt: skip
        return sorted(said, key=lambda one: one.rig)

    def _grow(self) -> None:
        """Make room for all that have slots."""
        if len(self) <= len(self._heard):
            return
        more = 2 * len(self) - len(self._heard)
        self._counts = np.concatenate([self._counts, np.zeros((more, 3), np.int64)])
        self._totals = np.concatenate([self._totals, np.zeros((more, 3), np.int64)])
        self._heard = np.concatenate([self._heard, np.full(more, NEVER, np.int64)])
        self._bad = np.concatenate([self._bad, np.zeros(more, np.bool_)])


@njit(cache=True)
def _count(rig, slot_of, where, counts, totals, heard):  # type: ignore[no-untyped-def]
    """Count samples by codes, `where` being minute, column and sign. False: some have no slot, and none is counted."""
    minute, column, sign = where
    for code in rig:
        if code >= len(slot_of) or slot_of[code] < 0:
            return False
    first = 0
    for at in range(1, len(rig) + 1):
        if at == len(rig) or rig[at] != rig[first]:
            slot = slot_of[rig[first]]
            counts[slot, column] += sign * (at - first)
            totals[slot, column] += sign * (at - first)
            heard[slot] = minute
            first = at
    return True


def _between(samples: Samples, first: int, end: int) -> Samples:
    """Return the samples of offsets `first` to `end`."""
    if len(samples) == 0 or (samples.offset[0] >= first and samples.offset[-1] < end):
        return samples
    low, high = np.searchsorted(samples.offset, (first, end)).tolist()
    return samples.take(slice(low, high))
