"""The same windows from panes of 10 s: each record is counted once, not in six windows."""

import math
from collections.abc import Iterator
from typing import Any

from quixstreams import State
from quixstreams.dataframe import StreamingDataFrame
from quixstreams.dataframe.windows.aggregations import Aggregator

LENGTH_MS, SLIDE_MS, LATENESS_MS = 60_000, 10_000, 10_000

Pane = tuple[int, float, float, float, float]
"""Count, mean, sum of squares around the mean, maximum and minimum of some values."""


class Summary(Aggregator):
    """A pane of the records' values (Welford)."""

    def initialize(self) -> Pane:
        """Return the pane of no values."""
        return 0, 0.0, 0.0, -math.inf, math.inf

    def agg(self, old: Pane, new: Any, _timestamp: int) -> Pane:
        """Return the pane with a record's value more."""
        count, mean, squares, high, low = old
        value = new["value"]
        if not count:
            return 1, value, 0.0, value, value  # infinities are not JSON, as which the state is kept
        away = value - mean
        mean += away / (count + 1)
        return count + 1, mean, squares + away * (value - mean), max(high, value), min(low, value)

    def result(self, value: Pane) -> Pane:
        """Return the pane itself."""
        return value


def together(one: Pane, other: Pane) -> Pane:
    """Return the pane of the values of both (Chan's formula)."""
    count = one[0] + other[0]
    away = other[1] - one[1]
    mean = one[1] + away * other[0] / count
    squares = one[2] + other[2] + away * away * one[0] * other[0] / count
    return count, mean, squares, max(one[3], other[3]), min(one[4], other[4])


def closed(start_ms: int, pane: Pane, state: State) -> Iterator[tuple[int, Pane]]:
    """Keep a final pane; yield start and values of each window that ends with it, or in a gap before it."""
    panes = {int(at_ms): kept for at_ms, kept in (state.get("panes") or {}).items()} | {start_ms: pane}
    newest_ms = start_ms - LENGTH_MS + SLIDE_MS
    for at_ms in range(state.get("next_ms") or newest_ms, newest_ms + 1, SLIDE_MS):
        inside = [panes[ms] for ms in range(at_ms, at_ms + LENGTH_MS, SLIDE_MS) if ms in panes]
        if inside:
            total = inside[0]
            for one in inside[1:]:
                total = together(total, one)
            yield at_ms, total
    state.set("next_ms", newest_ms + SLIDE_MS)
    state.set("panes", {str(ms): kept for ms, kept in panes.items() if ms > newest_ms})


def windows(records: StreamingDataFrame, sensor: str, *, live: bool) -> StreamingDataFrame:
    """Return rows of the windows of one sensor's records when they are final, live too."""

    def rows(window: dict[str, Any], state: State) -> list[dict[str, Any]]:
        return [row(sensor, *one) for one in closed(window["start"], tuple(window["pane"]), state)]

    panes = records.tumbling_window(SLIDE_MS, grace_ms=LATENESS_MS).agg(pane=Summary())
    return panes.final().apply(rows, stateful=True, expand=True)


def row(sensor: str, start_ms: int, pane: Pane) -> dict[str, Any]:
    """Return a window as it is published."""
    count, mean, squares, high, low = pane
    return {
        "sensor": sensor,
        "window_start": start_ms,
        "avg_value": mean,
        "max_value": high,
        "min_value": low,
        "stddev_value": math.sqrt(squares / (count - 1)) if count > 1 else None,
        "range_value": high - low,
        "sample_count": count,
    }
