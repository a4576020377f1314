"""Slots of state for rigs, in the order in which a partition showed them, and when a silent rig leaves them.

A partition's event time passes a border each `silence / TURNS`; a rig of which nothing came while `TURNS` borders were
passed is gone. So a single clock that is far ahead makes nobody go, and neither does a weekend without any rig. Who is
there is a function of the samples in offset order; all states of a partition see the same ones, and agree.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from hydrodask.kernels import njit
from hydrodask.records import Int32, Int64, Samples
from hydrodask.rigs import RIGS, RigTable
from hydrodask.settings.model import Limits

TURNS = 24
"""Borders that a rig may be silent for; a rig is forgotten this exactly, in parts of its allowed silence."""

_NEVER, _FOREVER = -(2**62), 2**62
_NOBODY = np.zeros(0, np.int64)


class Terms(NamedTuple):
    """How many rigs a partition takes, and how long one may be silent (µs of event time); 0: without a limit."""

    rigs_max: int = 0
    silence_us: int = 0

    @classmethod
    def of(cls, limits: Limits) -> "Terms":
        """Return what the settings say."""
        return cls(limits.rigs, round(limits.rig_silence * 1e6))


class SampleRun(NamedTuple):
    """Samples `start` to `end`, each with the slot of its rig."""

    start: int
    end: int
    slots: Int64

    def of(self, samples: Samples) -> Samples:
        """Return these of the samples that were followed."""
        return samples if len(self.slots) == len(samples) else samples.take(slice(self.start, self.end))


class Gone(NamedTuple):
    """Slots that leave with sample `place`; those behind them move up once the next step is asked for."""

    place: int
    slots: Int64


class Keys:
    """Maps the process's rig codes to this state's slots: 0, 1, 2 and so on.

    >>> table, = [RigTable()]; keys = Keys(table)
    >>> keys.slots(np.array([table.code("b"), table.code("a"), table.code("b")], np.int32)).tolist()
    [0, 1, 0]
    >>> keys.names
    ['b', 'a']
    """

    def __init__(self, rigs: RigTable = RIGS, terms: Terms = Terms()) -> None:  # noqa: B008 - it is immutable
        self._rigs = rigs
        self.terms = terms
        self._slot_of: Int64 = np.full(16, -1, np.int64)
        self._codes: list[int] = []
        self._heard: Int64 = np.zeros(16, np.int64)
        self._turns = 0
        self._border = _NEVER

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def names(self) -> list[str]:
        """Names in slot order: what a snapshot keeps."""
        return [self._rigs.name(code) for code in self._codes]

    def first(self, count: int) -> list[str]:
        """Return the first names in slot order, at most `count`."""
        return [self._rigs.name(code) for code in self._codes[:count]]

    @property
    def full(self) -> bool:
        """Whether no other rig is taken."""
        return 0 < self.terms.rigs_max <= len(self)

    def known(self, rig: Int32) -> Int64:
        """Return the slot of each code, -1 for one that has none."""
        slots = np.full(len(rig), -1, np.int64)
        inside = (rig >= 0) & (rig < len(self._slot_of))
        slots[inside] = self._slot_of[rig[inside]]
        return slots

    def slots(self, rig: Int32) -> Int64:
        """Return the slot of each code, giving new ones in order of first appearance."""
        if len(rig) and int(rig.max()) >= len(self._slot_of):
            self._make_room()
        slots = self._slot_of[rig]
        if (slots < 0).any():
            unknown = rig[slots < 0]
            _, first = np.unique(unknown, return_index=True)
            for place in np.sort(first):
                self.add(int(unknown[place]))
            slots = self._slot_of[rig]
        return slots

    def codes(self, slots: Int64) -> Int32:
        """Return the codes of slots."""
        return np.array(self._codes, np.int32)[slots]

    def add(self, code: int) -> int:
        """Return the slot of a code, a new one if it has none."""
        if code >= len(self._slot_of):
            self._make_room()
        if self._slot_of[code] < 0:
            self._slot_of[code] = len(self._codes)
            self._codes.append(code)
            if len(self._codes) > len(self._heard):
                self._heard = np.concatenate([self._heard, np.zeros_like(self._heard)])
            self._heard[len(self._codes) - 1] = self._turns
        return int(self._slot_of[code])

    def hear(self, slots: Int64) -> None:
        """Take note that these rigs were heard of."""
        self._heard[slots] = self._turns

    def follow(self, rig: Int32, time_us: Int64) -> Iterator[SampleRun | Gone]:
        """Yield samples that were taken in runs, and between them who is gone; for every state of a partition alike."""
        start, every = 0, np.empty(len(rig), np.int64)
        while start < len(rig):
            if time_us[start] >= self.border:
                slot, time = int(self.known(rig[start : start + 1])[0]), int(time_us[start])
                gone, turns = self.crossing(slot, time) or (_NOBODY, 1)
                if len(gone):
                    yield Gone(start, gone)
                self.cross(time, gone, turns)
            end, lacking = self.run(rig, time_us, start, every)
            if lacking:
                every[start:end] = self.slots(rig[start:end])
                self.hear(every[start:end])
            yield SampleRun(start, end, every[start:end])
            start = end

    def run(self, rig: Int32, time_us: Int64, start: int, slots: Int64) -> tuple[int, int]:
        """Fill in the slots of samples from `start` up to the next border or the end, and hear of those that have one.

        Returns where that is, and how many have none: these get -1.
        """
        end, lacking = _run(rig, time_us, start, self.border, self._slot_of, self._heard, self._turns, slots)
        return int(end), int(lacking)

    @property
    def border(self) -> int:
        """The event time that is the next border."""
        return self._border if self.terms.silence_us else _FOREVER

    def crossing(self, slot: int, time_us: int) -> tuple[Int64, int] | None:
        """Return who would be gone, and the borders passed, if a sample of `slot` (-1: a new rig) passed the border.

        None when there is no room for it then. A new rig for which there is no room makes those go who have been silent
        by its own time, or a partition full of names that never come again would stay so.
        """
        if self._border == _NEVER:
            return _NOBODY, 0
        full = slot < 0 and self.full
        turns = 1 + ((time_us - self._border) // self._tick_us if full else 0)
        silent = self._turns + turns - self._heard[: len(self)] > TURNS
        if slot >= 0:
            silent[slot] = False
        gone = np.flatnonzero(silent)
        return None if full and len(self) - len(gone) >= self.terms.rigs_max else (gone, turns)

    def cross(self, time_us: int, gone: Int64, turns: int) -> None:
        """Pass the border; `gone` go, and those behind them move up."""
        self._turns += turns
        self._border = (time_us // self._tick_us + 1) * self._tick_us
        if len(gone):
            self._heard = np.delete(self._heard, gone)
            codes = np.delete(np.array(self._codes, np.int64), gone)
            self._codes = codes.tolist()
            self._slot_of[:] = -1
            self._slot_of[codes] = np.arange(len(codes))

    def forget(self) -> None:
        """Know no rig, and no border."""
        self._slot_of[:], self._codes = -1, []
        self._turns, self._border = 0, _NEVER

    def snapshot(self) -> dict[str, Any]:
        """Return who is there, for how many borders each was silent, and where the next one is."""
        ages = (self._turns - self._heard[: len(self)]).astype(np.int8)
        return {"rigs": self.names, "ages": ages, "border": self._border}

    def restore(self, state: dict[str, Any]) -> None:
        """Forget all and take what a snapshot says; an older one has names only."""
        self._slot_of, self._codes = np.full(max(16, len(self._rigs)), -1, np.int64), []
        for name in state["rigs"]:
            self.add(self._rigs.code(name))
        self._turns, self._border = 0, state.get("border", _NEVER)
        self._heard[: len(self)] = -state["ages"].astype(np.int64) if "ages" in state else 0

    @property
    def _tick_us(self) -> int:
        return max(1, self.terms.silence_us // TURNS)

    def _make_room(self) -> None:
        room = np.full(max(2 * len(self._slot_of), len(self._rigs)), -1, np.int64)
        room[: len(self._slot_of)] = self._slot_of
        self._slot_of = room


@njit(cache=True)
def _run(codes, times, start, border, slot_of, heard, turn, slots):  # type: ignore[no-untyped-def]
    """Do what `Keys.run` says, in one look at each sample. The first one may be beyond the border."""
    at, lacking = start, 0
    while at < len(codes) and (at == start or times[at] < border):
        code = codes[at]
        slot = slot_of[code] if 0 <= code < len(slot_of) else -1
        slots[at] = slot
        if slot >= 0:
            heard[slot] = turn
        else:
            lacking += 1
        at += 1
    return at, lacking


class Attendance:
    """The same by name, for states that take row by row: who is gone, in parts of the allowed silence."""

    def __init__(self, silence_us: int, *, grace: int = 0) -> None:
        """`grace`: borders more that a rig may be silent for."""
        self.comply(silence_us)
        self._most = TURNS + grace
        self._heard: dict[str, int] = {}
        self._turns = 0
        self._border = _NEVER

    def __contains__(self, rig: str) -> bool:
        return rig in self._heard

    def comply(self, silence_us: int) -> None:
        """Let rigs be silent for so long from now on; 0: for ever."""
        self._tick_us = silence_us // TURNS

    def over(self, time_us: int) -> bool:
        """Say whether a rig of which nothing newer than this came leaves the states that take samples by now."""
        return self._tick_us > 0 and time_us < self._border - TURNS * self._tick_us

    def hear(self, rig: str, time_us: int | None) -> list[str]:
        """Take note of a row of a rig; return the rigs that are gone, in the order in which they came.

        None: the row does not say what time it is.
        """
        if not self._tick_us:
            return []
        if time_us is None or time_us < self._border:
            self._heard[rig] = self._turns
            return []
        self._turns += self._border != _NEVER
        self._border = (time_us // self._tick_us + 1) * self._tick_us
        self._heard[rig] = self._turns
        gone = [name for name, heard in self._heard.items() if self._turns - heard > self._most]
        for name in gone:
            del self._heard[name]
        return gone

    def snapshot(self) -> dict[str, Any]:
        """Return who is there, for how many borders each was silent, and where the next one is."""
        ages = [self._turns - heard for heard in self._heard.values()]
        return {"rigs": list(self._heard), "ages": ages, "border": self._border}

    def seed(self, names: Iterable[str]) -> None:
        """Take rigs for heard now: those of a snapshot of a release that forgot none."""
        self._heard = dict.fromkeys(names, self._turns)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Forget all and take what a snapshot says."""
        self._turns, self._border = 0, state["border"]
        self._heard = {name: -age for name, age in zip(state["rigs"], state["ages"], strict=True)}
