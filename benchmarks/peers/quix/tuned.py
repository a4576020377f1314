"""The same windows from panes of 10 s, kept by hand: a record costs one look into the state, not six windows' worth."""

import math
from collections.abc import Iterator
from typing import Any

from quixstreams import State
from quixstreams.dataframe import StreamingDataFrame

LENGTH_MS, SLIDE_MS, LATENESS_MS = 60_000, 10_000, 10_000
NEXT = "next_ms"
"""The key of the start of the first window that is not final; panes have their starts as keys."""

Pane = tuple[int, float, float, float, float]
"""Count, mean, sum of squares around the mean, maximum and minimum of some values."""


def with_value(pane: Pane, value: float) -> Pane:
    """Return a pane with a value more (Welford)."""
    count, mean, squares, high, low = pane
    away = value - mean
    mean += away / (count + 1)
    return count + 1, mean, squares + away * (value - mean), max(high, value), min(low, value)


def together(one: Pane, other: Pane) -> Pane:
    """Return the pane of the values of both (Chan's formula)."""
    count = one[0] + other[0]
    away = other[1] - one[1]
    mean = one[1] + away * other[0] / count
    squares = one[2] + other[2] + away * away * one[0] * other[0] / count
    return count, mean, squares, max(one[3], other[3]), min(one[4], other[4])


def counted(value: float, time_ms: int, state: State) -> Iterator[int]:
    """Count a value, and yield the starts of the windows that are final by that.

    The watermark passes a window's end when the first record of a pane comes, and at no other time.
    """
    start_ms = time_ms - time_ms % SLIDE_MS
    pane = state.get(str(start_ms))
    if pane:
        state.set(str(start_ms), with_value(pane, value))
        return
    open_ms = start_ms - LATENESS_MS - LENGTH_MS + SLIDE_MS
    next_ms = state.get(NEXT, open_ms)
    if start_ms < next_ms:
        return  # too late for every window
    state.set(str(start_ms), (1, value, 0.0, value, value))
    for final_ms in range(next_ms, open_ms, SLIDE_MS):
        yield final_ms
        state.delete(str(final_ms))
    state.set(NEXT, max(next_ms, open_ms))


def row(sensor: str, start_ms: int, state: State, *, final: bool) -> dict[str, Any] | None:
    """Return a window as it is published, if it has records."""
    found = (state.get(str(ms)) for ms in range(start_ms, start_ms + LENGTH_MS, SLIDE_MS))
    panes: list[Pane] = [pane for pane in found if pane]
    if not panes:
        return None
    total = panes[0]
    for pane in panes[1:]:
        total = together(total, pane)
    count, mean, squares, high, low = total
    return {
        "sensor": sensor,
        "window_start": start_ms,
        "avg_value": mean,
        "max_value": high,
        "min_value": low,
        "stddev_value": math.sqrt(squares / (count - 1)) if count > 1 else None,
        "range_value": high - low,
        "sample_count": count,
        "final": final,
    }


def windows(records: StreamingDataFrame, sensor: str, *, live: bool) -> StreamingDataFrame:
    """Return rows of the windows of one sensor's records when they are final; if live, of the newest at each record."""

    def rows(record: dict[str, Any], _key: Any, time_ms: int, _headers: Any, state: State) -> list[dict[str, Any]]:
        found = [row(sensor, start_ms, state, final=True) for start_ms in counted(record["value"], time_ms, state)]
        if live:
            found.append(row(sensor, time_ms - time_ms % SLIDE_MS, state, final=False))
        return [one for one in found if one]

    return records.apply(rows, stateful=True, expand=True, metadata=True)
