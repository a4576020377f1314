"""The cycle-profile kernel, compiled: per rig two open cycles of one-second segments.

`ints[k, s]` is (cycle, start µs, samples taken, in use), `closed[k]` the end (µs) of the newest closed cycle,
`newest[k]` the largest event time. Unused places are zero, so that the arrays are a function of the records alone.
"""

import numpy as np

from hydrodask.kernels import njit
from hydrodask.window.welford import add

CYCLE, START, TAKEN, USED = 0, 1, 2, 3
COUNT, MEAN, M2, LOW, HIGH = 0, 1, 2, 3, 4


@njit(cache=True)
def consume(slots, cycles, indices, values, times, rates, offsets, geometry, state, rows, where):  # type: ignore[no-untyped-def]  # numba infers
    """Take records from `where[0]` on until all are taken or `rows` is nearly full.

    `geometry` is (cycle µs, segments, lateness µs), `state` (newest, closed, ints, parts). Profiles that are done go to
    `rows` (ints, parts) from `where[1]` on. Returns how many records belonged to no open cycle.
    """
    length, segments, lateness = geometry
    newest, closed, ints, _parts = state
    i, row, missed = where[0], where[1], 0
    while i < len(slots) and row + 4 <= rows[0].shape[0]:
        k, time = slots[i], times[i]
        into_us = indices[i] / rates[i] * 1e6
        start = time - np.int64(np.round(into_us)) if 0 <= into_us < length else time
        if not 0 <= into_us < length or start + length // 2 < closed[k]:
            missed += 1
        else:
            segment = np.int64(into_us * segments / length)
            at = place_of(k, cycles[i], start, length, ints)
            if at < 0:
                at, row = open_cycle(k, cycles[i], start, length, state, rows, row, offsets[i])
            put(k, at, segment, values[i], state)
            if full(k, at, rates[i], length, state):
                row = finish(k, at, length, state, rows, row, 1, offsets[i])
        if time > newest[k]:
            newest[k] = time
            old = older(k, ints)
            if old >= 0 and time - lateness >= ints[k, old, START] + length:
                row = finish(k, old, length, state, rows, row, 0, offsets[i])
        i += 1
    where[0], where[1] = i, row
    return missed


@njit(cache=True, inline="always")
def place_of(k, cycle, start, length, ints):  # type: ignore[no-untyped-def]
    """Return the place of an open cycle, or -1. A producer that begins anew counts anew: its start tells it apart."""
    for at in range(2):
        if ints[k, at, USED] and ints[k, at, CYCLE] == cycle and abs(start - ints[k, at, START]) < length // 2:
            return at
    return -1


@njit(cache=True)
def older(k, ints):  # type: ignore[no-untyped-def]
    """Return the place of the older one of two open cycles, or -1 unless both are open."""
    if not ints[k, 0, USED] or not ints[k, 1, USED]:
        return -1
    return 0 if ints[k, 0, START] <= ints[k, 1, START] else 1


@njit(cache=True)
def open_cycle(k, cycle, start, length, state, rows, row, offset):  # type: ignore[no-untyped-def]
    """Return the place of a new open cycle and the next row; a third one closes the oldest."""
    ints = state[2]
    old = older(k, ints)
    if old >= 0:
        row = finish(k, old, length, state, rows, row, 0, offset)
    at = 1 if ints[k, 0, USED] else 0
    ints[k, at, CYCLE], ints[k, at, START], ints[k, at, TAKEN], ints[k, at, USED] = cycle, start, 0, 1
    return at, row


@njit(cache=True, inline="always")
def put(k, at, segment, value, state):  # type: ignore[no-untyped-def]
    """Add one value to its segment."""
    part = state[3][k, at, segment]
    if part[COUNT] == 0:
        part[LOW], part[HIGH] = value, value
    count, mean, m2 = add(value, part[COUNT], part[MEAN], part[M2])
    part[COUNT], part[MEAN], part[M2] = count, mean, m2
    if value < part[LOW]:
        part[LOW] = value
    if value > part[HIGH]:
        part[HIGH] = value
    state[2][k, at, TAKEN] += 1


@njit(cache=True, inline="always")
def full(k, at, rate, length, state):  # type: ignore[no-untyped-def]
    """Say whether every segment has all of its samples. A duplicate in one must not hide a gap in another."""
    if state[2][k, at, TAKEN] < rate * length / 1e6:
        return False
    parts = state[3][k, at]
    each = rate * length / 1e6 / len(parts)
    for segment in range(len(parts)):
        if parts[segment, COUNT] < each:
            return False
    return True


@njit(cache=True)
def finish(k, at, length, state, rows, row, complete, offset):  # type: ignore[no-untyped-def]
    """Write one profile's row, free its place and return the next row."""
    _newest, closed, ints, parts = state
    out_ints, out_parts = rows
    out_ints[row, 0], out_ints[row, 1], out_ints[row, 2] = k, ints[k, at, CYCLE], ints[k, at, START]
    out_ints[row, 3], out_ints[row, 4] = complete, offset
    closed[k] = max(closed[k], ints[k, at, START] + length)
    ints[k, at, :] = 0
    for segment in range(parts.shape[2]):  # numba compiles a loop in a third of the time of an array's assignment
        for column in range(parts.shape[3]):
            out_parts[row, segment, column] = parts[k, at, segment, column]
            parts[k, at, segment, column] = 0.0
    return row + 1
