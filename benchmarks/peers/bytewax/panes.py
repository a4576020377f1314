"""Sliding windows from panes of 10 s: a batch of a sensor's records at a time, each record counted once."""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from bytewax.operators import StatefulBatchLogic

SLIDE_US, LENGTH_US, LATENESS_US = 10_000_000, 60_000_000, 10_000_000
NEVER_US = -(2**62)


class Readings(NamedTuple):
    """Some records of a sensor; `offset` is that of the first, `then` that after the last."""

    offset: int
    then: int
    time_us: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    cycle: npt.NDArray[np.int64] | None = None
    sample_idx: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Pane:
    """Count, mean, sum of squares around the mean, maximum and minimum of some values."""

    count: int
    mean: float
    squares: float
    high: float
    low: float

    def __add__(self, other: Self) -> "Pane":
        """Return the pane of the values of both (Chan's formula)."""
        count = self.count + other.count
        away = other.mean - self.mean
        mean = self.mean + away * other.count / count
        squares = self.squares + other.squares + away * away * self.count * other.count / count
        return Pane(count, mean, squares, max(self.high, other.high), min(self.low, other.low))


class Window(NamedTuple):
    """A window's figures now; another row may follow unless it is final."""

    start_us: int
    pane: Pane
    final: bool


@dataclass(slots=True)
class State:
    """What is kept between batches: the panes that open windows need, by their starts."""

    panes: dict[int, Pane] = field(default_factory=dict)
    newest_us: int = NEVER_US
    next_us: int = NEVER_US
    """The start of the first window that is not final."""


class Panes(StatefulBatchLogic[Readings, Window, State]):
    """The windows of one sensor; with `updates` also those that a batch has changed and that are not final."""

    def __init__(self, state: State | None, *, updates: bool) -> None:
        self._state = state or State()
        self._updates = updates

    def on_batch(self, values: list[Readings]) -> tuple[list[Window], bool]:
        """Count the batches' records; return the windows that the watermark has passed."""
        found = []
        for readings in values:
            changed_us = self._count(readings)
            found += self._closed()
            if self._updates and changed_us:
                first_us = max(self._state.next_us, min(changed_us) - LENGTH_US + SLIDE_US)
                starts_us = range(first_us, max(changed_us) + 1, SLIDE_US)
                found += [self._window(start_us, final=False) for start_us in starts_us]
        return [window for window in found if window is not None], StatefulBatchLogic.RETAIN

    def snapshot(self) -> State:
        """Return a copy of the state; panes never change."""
        return State(dict(self._state.panes), self._state.newest_us, self._state.next_us)

    def _count(self, readings: Readings) -> list[int]:
        """Add the records to their panes; return the panes' starts. A record of no open window is dropped."""
        state = self._state
        starts_us, values = readings.time_us - readings.time_us % SLIDE_US, readings.value
        if (np.diff(starts_us) < 0).any():
            order = np.argsort(starts_us, kind="stable")
            starts_us, values = starts_us[order], values[order]
        if state.next_us == NEVER_US:
            state.next_us = int(starts_us[0]) - LATENESS_US - LENGTH_US + SLIDE_US
        wanted = np.searchsorted(starts_us, state.next_us)
        starts_us, values = starts_us[wanted:], values[wanted:]
        if not len(values):
            return []
        firsts = np.flatnonzero(np.diff(starts_us, prepend=NEVER_US))
        counts = np.diff(firsts, append=len(values))
        means = np.add.reduceat(values, firsts) / counts
        squares = np.add.reduceat((values - np.repeat(means, counts)) ** 2, firsts)
        highs, lows = np.maximum.reduceat(values, firsts), np.minimum.reduceat(values, firsts)
        changed_us: list[int] = starts_us[firsts].tolist()
        columns = (column.tolist() for column in (counts, means, squares, highs, lows))
        for start_us, *figures in zip(changed_us, *columns, strict=True):
            pane = Pane(*figures)
            state.panes[start_us] = state.panes[start_us] + pane if start_us in state.panes else pane
        state.newest_us = max(state.newest_us, int(readings.time_us.max()))
        return changed_us

    def _closed(self) -> list[Window | None]:
        """Return the windows that end at the watermark or before, and forget what no other needs."""
        state = self._state
        found = []
        while state.panes and state.next_us + LENGTH_US <= state.newest_us - LATENESS_US:
            found.append(self._window(state.next_us, final=True))
            state.panes.pop(state.next_us, None)
            state.next_us += SLIDE_US
        return found

    def _window(self, start_us: int, *, final: bool) -> Window | None:
        """Return the window that starts then, if it has records."""
        every = (self._state.panes.get(at_us) for at_us in range(start_us, start_us + LENGTH_US, SLIDE_US))
        panes = [pane for pane in every if pane is not None]
        return Window(start_us, sum(panes[1:], start=panes[0]), final) if panes else None


def row(sensor: str, window: Window) -> dict[str, Any]:
    """Return a window as it is published."""
    pane = window.pane
    return {
        "sensor": sensor,
        "window_start": window.start_us // 1000,
        "avg_value": pane.mean,
        "max_value": pane.high,
        "min_value": pane.low,
        "stddev_value": math.sqrt(pane.squares / (pane.count - 1)) if pane.count > 1 else None,
        "range_value": pane.high - pane.low,
        "sample_count": pane.count,
        "final": window.final,
    }
