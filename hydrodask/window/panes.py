"""The pane kernel, compiled: watermark, closing and adding, record by record.

A pane is one slide of event time; a window is `span` panes in a row. Each key has a ring of panes, and pane p lives in
ring slot p mod ring. `closed[k]` is the number of slides that the key's watermark has passed: a window [s, s + span)
(in slides) is final once s + span <= closed[k], and a pane is dropped, zeroed, once the last of its windows is final,
so that the arrays are a function of the records alone.
"""

import numpy as np

from hydrodask.kernels import njit
from hydrodask.window.welford import add, merge

NEVER = -(2**62)
"""The event time, pane or watermark of a key that has none."""

COUNT, MEAN, M2, LOW, HIGH, RATE = 0, 1, 2, 3, 4, 5
"""Columns of a pane. A count is exact in a double up to 2^53; the rate is the highest that its records named."""

COLUMNS = 6


@njit(cache=True)
def consume(slots, times, values, rates, offsets, geometry, state, pane_of, panes, dirty, late_us, rows, where):  # type: ignore[no-untyped-def]
    """Take records from `where[0]` on until all are taken or `rows` is nearly full.

    `geometry` is (slide µs, span, lateness µs); `state` (keys, 2) holds newest time and closed slides. `late_us[i]` is
    set to how far a late record is behind the watermark, else -1. Final windows go to `rows` (int part, float part)
    from `where[1]` on. Both entries of `where` are moved on.
    """
    slide, span, lateness = geometry
    ring = pane_of.shape[1]
    room = rows[0].shape[0] - (ring + span)
    i, row = where[0], where[1]
    while i < len(slots) and row <= room:
        k, time = slots[i], times[i]
        if time > state[k, 0]:
            first = state[k, 0] == NEVER
            state[k, 0] = time
            closed = (time - lateness) // slide
            if first:
                state[k, 1] = closed
            elif closed > state[k, 1]:
                row = close(k, closed, span, state, pane_of, panes, dirty, rows, row, offsets[i])
        pane = time // slide
        if pane + span <= state[k, 1]:
            late_us[i] = state[k, 0] - lateness - time
        else:
            late_us[i] = -1
            put(k, pane, values[i], rates[i], pane_of, panes, dirty)
        i += 1
    where[0], where[1] = i, row


@njit(cache=True, inline="always")
def put(k, pane, value, rate, pane_of, panes, dirty):  # type: ignore[no-untyped-def]
    """Add one value to its pane."""
    at = pane % pane_of.shape[1]
    part = panes[k, at]
    if pane_of[k, at] != pane:
        pane_of[k, at] = pane
        part[LOW], part[HIGH] = value, value
    count, mean, m2 = add(value, part[COUNT], part[MEAN], part[M2])
    part[COUNT], part[MEAN], part[M2] = count, mean, m2
    if value < part[LOW]:
        part[LOW] = value
    if value > part[HIGH]:
        part[HIGH] = value
    if rate > part[RATE]:
        part[RATE] = rate
    dirty[k, at] = True


@njit(cache=True)
def close(k, closed, span, state, pane_of, panes, dirty, rows, row, offset):  # type: ignore[no-untyped-def]
    """Write the windows that become final, oldest first, then drop the panes that no open window needs."""
    oldest, newest = bounds_of(k, pane_of)
    if newest != NEVER:
        first = max(state[k, 1] - span + 1, oldest - span + 1)
        for start in range(first, min(closed - span, newest) + 1):
            row = write(k, start, span, pane_of, panes, rows, row, 1, offset)
    state[k, 1] = closed
    for at in range(pane_of.shape[1]):
        if pane_of[k, at] != NEVER and pane_of[k, at] + span <= closed:
            pane_of[k, at] = NEVER
            panes[k, at, :] = 0.0
            dirty[k, at] = False
    return row


@njit(cache=True)
def bounds_of(k, pane_of):  # type: ignore[no-untyped-def]
    """Return the oldest and the newest pane that holds samples, or NEVER twice."""
    oldest, newest = NEVER, NEVER
    for at in range(pane_of.shape[1]):
        pane = pane_of[k, at]
        if pane != NEVER:
            oldest = pane if oldest == NEVER else min(oldest, pane)
            newest = max(newest, pane)
    return oldest, newest


@njit(cache=True)
def write(k, start, span, pane_of, panes, rows, row, final, offset):  # type: ignore[no-untyped-def]
    """Merge the panes of one window in order and write its row; an empty window has none.

    Its rate is that of its panes; when they differ, its samples divided by the time that they stand for.
    """
    count, mean, m2, low, high = 0.0, 0.0, 0.0, 0.0, 0.0
    rate, even, seconds = 0.0, True, 0.0
    for pane in range(start, start + span):
        at = pane % pane_of.shape[1]
        if pane_of[k, at] != pane:
            continue
        part = panes[k, at]
        if count == 0:
            count, mean, m2, low, high = part[COUNT], part[MEAN], part[M2], part[LOW], part[HIGH]
            rate = part[RATE]
        else:
            even = even and part[RATE] == rate
            count, mean, m2 = merge(count, mean, m2, part[COUNT], part[MEAN], part[M2])
            low, high = min(low, part[LOW]), max(high, part[HIGH])
        seconds += part[COUNT] / part[RATE]
    if count == 0:
        return row
    ints, floats = rows
    ints[row, 0], ints[row, 1], ints[row, 2], ints[row, 3], ints[row, 4] = k, start, int(count), final, offset
    floats[row, 0], floats[row, 1], floats[row, 2] = mean, low, high
    floats[row, 3] = np.sqrt(m2 / (count - 1)) if count > 1 else np.nan
    floats[row, 4] = rate if even or seconds == 0.0 else count / seconds
    return row + 1


@njit(cache=True)
def updates(where, span, state, pane_of, panes, dirty, rows, offset):  # type: ignore[no-untyped-def]
    """Write the open windows that hold a dirty pane, key by key, oldest first; `where` is (key, row), moved on."""
    ring = pane_of.shape[1]
    k, row = where[0], where[1]
    while k < len(state) and row <= rows[0].shape[0] - (ring + span):
        if dirty[k].any():
            oldest, newest = bounds_of(k, pane_of)
            for start in range(max(state[k, 1] - span + 1, oldest - span + 1), newest + 1):
                if touched(k, start, span, pane_of, dirty):
                    row = write(k, start, span, pane_of, panes, rows, row, 0, offset)
            dirty[k, :] = False
        k += 1
    where[0], where[1] = k, row


@njit(cache=True)
def touched(k, start, span, pane_of, dirty):  # type: ignore[no-untyped-def]
    """Say whether a pane of the window has changed since the last updates."""
    for pane in range(start, start + span):
        at = pane % pane_of.shape[1]
        if dirty[k, at] and pane_of[k, at] == pane:
            return True
    return False


@njit(cache=True)
def shown(count, span, state, pane_of, panes, rows):  # type: ignore[no-untyped-def]
    """Write one open window of each of the first keys, and return how many there are.

    It is the newest of those up to the newest sample that is at least half as full as the fullest of them: a window of
    few samples says nothing of a mean.
    """
    row = 0
    for k in range(count):
        oldest, newest = bounds_of(k, pane_of)
        if newest == NEVER:
            continue
        start = max(state[k, 1], oldest) - span + 1
        filled = 0.0
        for pane in range(start, start + span):
            filled += filling(k, pane, pane_of, panes)
        most = filled
        while start + span <= newest:
            filled += filling(k, start + span, pane_of, panes) - filling(k, start, pane_of, panes)
            most = max(most, filled)
            start += 1
        while filled * 2 < most:
            start -= 1
            filled += filling(k, start, pane_of, panes) - filling(k, start + span, pane_of, panes)
        row = write(k, start, span, pane_of, panes, rows, row, 0, 0)
    return row


@njit(cache=True, inline="always")
def filling(k, pane, pane_of, panes):  # type: ignore[no-untyped-def]
    """Return how many samples a pane holds."""
    at = pane % pane_of.shape[1]
    return panes[k, at, COUNT] if pane_of[k, at] == pane else 0.0
