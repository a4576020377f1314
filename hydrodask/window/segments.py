"""The cycle-profile kernel, compiled: per rig two open cycles of one-second segments.

`ints[k, s]` is (cycle, start µs, samples taken, in use, in doubt), `rate[k, s]` the highest sampling rate, `closed[k]`
the end (µs) of the newest closed cycle, `newest[k]` the largest event time; `over[k]` says that the newest cycle went
on beyond its end. `lacks[k]` counts what the rig's profiles have left out, `amid[k, s]` says that samples of the cycle
came from the time of a later one, too. Unused places are zero, so that the arrays are a function of the records alone.
"""

import numpy as np

from hydrodask.kernels import njit
from hydrodask.window.welford import add

CYCLE, START, TAKEN, USED, DOUBT = 0, 1, 2, 3, 4
COUNT, MEAN, M2, LOW, HIGH = 0, 1, 2, 3, 4
INDEX, DONE, TIME, SHORT = 0, 1, 2, 3
"""Why a sample is in no profile: its index is outside the cycle; the cycle is done; its time contradicts its index.
SHORT counts seconds: those that never came, because the next cycle had begun."""


@njit(cache=True)
def consume(slots, cycles, indices, values, times, rates, offsets, geometry, state, left, rows, where):  # type: ignore[no-untyped-def]  # numba infers
    """Take records from `where[0]` on until all are taken or `rows` is nearly full.

    `geometry` is (cycle µs, segments, lateness µs), `state` (newest, closed, over, ints, rate, parts, lacks, amid).
    Profiles that are done go to `rows` (ints, rates, parts) from `where[1]` on. `left` counts what profiles have left
    out, by reason, as `lacks` does of each rig.
    """
    length, segments, lateness = geometry
    newest, closed, over, ints, rate, parts, lacks, amid = state
    i, row = where[0], where[1]
    while i < len(slots) and row + 4 <= rows[0].shape[0]:
        k, time = slots[i], times[i]
        into_us = indices[i] / rates[i] * 1e6
        inside = 0 <= into_us < length
        start = time - np.int64(np.round(into_us)) if inside else time
        at = place_of(k, cycles[i], start, length, ints) if inside else -1
        if not inside:
            leave(k, INDEX, 1, left, lacks)
            if into_us >= length:
                over[k] = 1
            doubt(k, cycles[i], closed[k] - length, ints)
        elif start + length // 2 < closed[k]:
            leave(k, DONE, 1, left, lacks)
            if at >= 0:
                meet(k, at, time, length // segments, ints, amid)
        elif at < 0 and doubt(k, cycles[i], start + length // 2, ints):
            leave(k, TIME, 1, left, lacks)
        else:
            segment = np.int64(into_us * segments / length)
            if at < 0:
                at, row = open_cycle(k, cycles[i], start, length, state, left, rows, row, offsets[i])
            else:
                meet(k, at, time, length // segments, ints, amid)
            put(parts[k, at, segment], values[i])
            ints[k, at, TAKEN] += 1
            if rates[i] > rate[k, at]:
                rate[k, at] = rates[i]
            if ints[k, at, TAKEN] >= rates[i] * length / 1e6 and full(parts[k, at], rates[i], length):
                row = finish(k, at, length, state, left, rows, row, 1, offsets[i])
        if time > newest[k]:
            newest[k] = time
            old = older(k, ints)
            if old >= 0 and time - lateness >= ints[k, old, START] + length:
                row = finish(k, old, length, state, left, rows, row, 0, offsets[i])
        i += 1
    where[0], where[1] = i, row


@njit(cache=True, inline="always")
def leave(k, reason, count, left, lacks):  # type: ignore[no-untyped-def]
    """Count what no profile of a rig has."""
    left[reason] += count
    lacks[k, reason] += count


@njit(cache=True, inline="always")
def meet(k, at, time, segment, ints, amid):  # type: ignore[no-untyped-def]
    """Take note that a cycle goes on a segment after a later one has begun: its samples stop for another reason."""
    other = 1 - at
    begun = ints[k, other, START]
    if ints[k, other, USED] and begun >= ints[k, at, START] and time - begun >= segment:
        amid[k, at] = 1


@njit(cache=True, inline="always")
def place_of(k, cycle, start, length, ints):  # type: ignore[no-untyped-def]
    """Return the place of an open cycle, or -1. A producer that begins anew counts anew: its start tells it apart."""
    for at in range(2):
        if ints[k, at, USED] and ints[k, at, CYCLE] == cycle and abs(start - ints[k, at, START]) < length // 2:
            return at
    return -1


@njit(cache=True)
def doubt(k, cycle, time, ints):  # type: ignore[no-untyped-def]
    """Doubt the open cycles of that number that began later than `time`, a sample of which does not fit; say if any."""
    found = False
    for at in range(2):
        if ints[k, at, USED] and ints[k, at, CYCLE] == cycle and ints[k, at, START] >= time:
            ints[k, at, DOUBT] = 1
            found = True
    return found


@njit(cache=True)
def older(k, ints):  # type: ignore[no-untyped-def]
    """Return the place of the older one of two open cycles, or -1 unless both are open."""
    if not ints[k, 0, USED] or not ints[k, 1, USED]:
        return -1
    return 0 if ints[k, 0, START] <= ints[k, 1, START] else 1


@njit(cache=True)
def open_cycle(k, cycle, start, length, state, left, rows, row, offset):  # type: ignore[no-untyped-def]
    """Return the place of a new open cycle and the next row; a third one closes the oldest."""
    over, ints = state[2], state[3]
    old = older(k, ints)
    if old >= 0:
        row = finish(k, old, length, state, left, rows, row, 0, offset)
    at = 1 if ints[k, 0, USED] else 0
    ints[k, at, CYCLE], ints[k, at, START], ints[k, at, TAKEN], ints[k, at, USED] = cycle, start, 0, 1
    ints[k, at, DOUBT], over[k] = over[k], 0  # what follows a cycle that was too long is likely to be so, too
    return at, row


@njit(cache=True, inline="always")
def put(part, value):  # type: ignore[no-untyped-def]
    """Add one value to its segment."""
    if part[COUNT] == 0:
        part[LOW], part[HIGH] = value, value
    count, mean, m2 = add(value, part[COUNT], part[MEAN], part[M2])
    part[COUNT], part[MEAN], part[M2] = count, mean, m2
    if value < part[LOW]:
        part[LOW] = value
    if value > part[HIGH]:
        part[HIGH] = value


@njit(cache=True, inline="always")
def full(parts, rate, length):  # type: ignore[no-untyped-def]
    """Say whether every segment has all of its samples. A duplicate in one must not hide a gap in another."""
    each = rate * length / 1e6 / len(parts)
    for segment in range(len(parts)):
        if parts[segment, COUNT] < each:
            return False
    return True


@njit(cache=True)
def cut(k, at, length, ints, parts):  # type: ignore[no-untyped-def]
    """Return how many segments at the end of a cycle have no sample because a later cycle had begun by then."""
    begun = ints[k, 1 - at, START] - ints[k, at, START]
    if not ints[k, 1 - at, USED] or begun <= 0 or begun >= length:
        return 0
    segments = parts.shape[2]
    most, empty = segments - (begun * segments + length - 1) // length, 0
    while empty < most and parts[k, at, segments - 1 - empty, COUNT] == 0:
        empty += 1
    return empty


@njit(cache=True)
def finish(k, at, length, state, left, rows, row, complete, offset):  # type: ignore[no-untyped-def]
    """Write one profile's row, free its place and return the next row."""
    _newest, closed, _over, ints, rate, parts, lacks, amid = state
    out_ints, out_rates, out_parts = rows
    if not complete and not amid[k, at]:
        leave(k, SHORT, cut(k, at, length, ints, parts), left, lacks)
    amid[k, at] = 0
    out_ints[row, 0], out_ints[row, 1], out_ints[row, 2] = k, ints[k, at, CYCLE], ints[k, at, START]
    out_ints[row, 3], out_ints[row, 4] = complete * (1 - ints[k, at, DOUBT]), offset
    out_rates[row] = rate[k, at]
    closed[k] = max(closed[k], ints[k, at, START] + length)
    ints[k, at, :] = 0
    rate[k, at] = 0.0
    for segment in range(parts.shape[2]):  # numba compiles a loop in a third of the time of an array's assignment
        for column in range(parts.shape[3]):
            out_parts[row, segment, column] = parts[k, at, segment, column]
            parts[k, at, segment, column] = 0.0
    return row + 1
