"""The compiled parser for the layout that the platform's producers send.

`{"sensor": "PS1", "cycle": 3, "sample_idx": 12, "value": 151.47, "timestamp": "2026-01-01T00:00:12.340000",
"sampling_rate_hz": 100}`, optionally with `, "rig": "…"` at the end; spaces after `:` and `,` are free. Anything else
is handed on to the general decoder, record by record, and what is parsed here has the same bits as there: a mantissa
below 2^53 divided by a power of ten up to 10^22 is correctly rounded.
"""

import numpy as np
from numba import njit

from hydrodask.decode.timestamps import parse_time

OK, HAND_ON, NEW_RIG = 0, 1, 2
"""What became of a record: parsed; for the general decoder; parsed, but the rig's name has no code yet."""

_POWERS = np.array([10.0**i for i in range(23)])
_CYCLE = np.frombuffer(b'"cycle":', np.uint8)
_INDEX = np.frombuffer(b'"sample_idx":', np.uint8)
_VALUE = np.frombuffer(b'"value":', np.uint8)
_TIME = np.frombuffer(b'"timestamp":', np.uint8)
_RATE = np.frombuffer(b'"sampling_rate_hz":', np.uint8)
_RIG = np.frombuffer(b'"rig":', np.uint8)
_COMMA, _SPACE, _QUOTE, _CLOSE = 44, 32, 34, 125


def opening(sensor: str) -> np.ndarray:
    """Return the bytes that every record of `sensor` starts with, spaces left out."""
    return np.frombuffer(f'{{"sensor":"{sensor}"'.encode(), np.uint8)


@njit(cache=True)
def expect(buffer, at, end, literal):  # type: ignore[no-untyped-def]
    """Return the place after `literal` and the spaces behind it, or -1 when it is not there."""
    if at < 0 or at + len(literal) > end:
        return -1
    for i in range(len(literal)):
        if buffer[at + i] != literal[i]:
            return -1
    at += len(literal)
    while at < end and buffer[at] == _SPACE:
        at += 1
    return at


@njit(cache=True)
def comma(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return the place after a comma and the spaces behind it, or -1."""
    if at < 0 or at >= end or buffer[at] != _COMMA:
        return -1
    at += 1
    while at < end and buffer[at] == _SPACE:
        at += 1
    return at


@njit(cache=True)
def integer(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return (value, place after it) of a plain integer of at most 18 digits, or (0, -1)."""
    if at < 0 or at >= end:
        return 0, -1
    negative = buffer[at] == 45
    if negative:
        at += 1
    first = at
    value = np.int64(0)
    while at < end and 48 <= buffer[at] <= 57:
        value = value * 10 + (buffer[at] - 48)
        at += 1
        if at - first > 18:
            return 0, -1
    if at == first or (buffer[first] == 48 and at - first > 1):
        return 0, -1
    return (-value if negative else value), at


@njit(cache=True)
def decimal(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return (value, place after it) of a plain decimal whose double is exact to compute, or (0.0, -1)."""
    if at < 0 or at >= end:
        return 0.0, -1
    negative = buffer[at] == 45
    if negative:
        at += 1
    first = at
    mantissa = np.int64(0)
    places = 0
    point = -1
    while at < end:
        byte = buffer[at]
        if 48 <= byte <= 57:
            mantissa = mantissa * 10 + (byte - 48)
            if mantissa >= 9_007_199_254_740_992:
                return 0.0, -1
            places += point >= 0
        elif byte == 46 and point < 0 and at > first:
            point = at
        else:
            break
        at += 1
    whole = (point if point >= 0 else at) - first
    if whole < 1 or (whole > 1 and buffer[first] == 48) or places > 22 or (point >= 0 and places == 0):
        return 0.0, -1
    if negative and mantissa == 0 and point < 0:
        return 0.0, -1  # `-0` is an integer, whose zero has no sign
    value = mantissa / _POWERS[places]
    return (-value if negative else value), at


@njit(cache=True)
def closing_quote(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return the place of the quote that ends a string of plain ASCII at `at`, or -1 when it has anything else."""
    if at < 0:
        return -1
    while at < end:
        byte = buffer[at]
        if byte == _QUOTE:
            return at
        if byte < 32 or byte > 126 or byte == 92:
            return -1
        at += 1
    return -1


@njit(cache=True)
def find_rig(buffer, start, end, pool, spans, slots):  # type: ignore[no-untyped-def]
    """Return the code of the name in `buffer[start:end]`, or -1 when it has none."""
    value = np.uint32(0x811C9DC5)
    for i in range(start, end):
        value = np.uint32((value ^ np.uint32(buffer[i])) * np.uint32(0x01000193))
    mask = len(slots) - 1
    at = np.int64(value) & mask
    while slots[at] >= 0:
        first, last = spans[slots[at], 0], spans[slots[at], 1]
        if same(pool, first, last, buffer, start, end):
            return slots[at]
        at = (at + 1) & mask
    return -1


@njit(cache=True)
def same(a, a_start, a_end, b, b_start, b_end):  # type: ignore[no-untyped-def]
    """Say whether two spans hold the same bytes."""
    if a_end - a_start != b_end - b_start:
        return False
    for i in range(a_end - a_start):
        if a[a_start + i] != b[b_start + i]:
            return False
    return True


@njit(cache=True)
def quoted(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return (start, end) of the plain string that is quoted at `at`; end is -1 when there is none."""
    if at < 0 or at >= end or buffer[at] != _QUOTE:
        return 0, -1
    return at + 1, closing_quote(buffer, at + 1, end)


@njit(cache=True)
def parse(buffer, bounds, head, table, limits, default_rig, ints, floats, rigs, status):  # type: ignore[no-untyped-def]
    """Parse records `buffer[bounds[i]:bounds[i + 1]]`; `head` is `opening(sensor)`, `table` the rig table's arrays.

    `limits` is (bytes of a record, bytes of a rig's name).
    Fills `ints` (n, 3: cycle, sample_idx, time µs), `floats` (n, 2: value, rate), `rigs` (n, 3: code, start and end
    of its name) and `status` (n). Returns how many records are not OK.
    """
    pool, spans, slots = table
    record_bytes_max, rig_bytes_max = limits
    left = 0
    last_start, last_end, last_code = 0, 0, -1
    for i in range(len(bounds) - 1):
        end = bounds[i + 1]
        status[i] = HAND_ON
        left += 1
        if end - bounds[i] > record_bytes_max:
            continue
        at = sensor_field(buffer, bounds[i], end, head)
        cycle, at = integer(buffer, expect(buffer, comma(buffer, at, end), end, _CYCLE), end)
        index, at = integer(buffer, expect(buffer, comma(buffer, at, end), end, _INDEX), end)
        value, at = decimal(buffer, expect(buffer, comma(buffer, at, end), end, _VALUE), end)
        start, at = quoted(buffer, expect(buffer, comma(buffer, at, end), end, _TIME), end)
        if at < 0:
            continue
        time_us, ok = parse_time(buffer, start, at)
        rate, at = decimal(buffer, expect(buffer, comma(buffer, at + 1, end), end, _RATE), end)
        if at < 0 or not ok:
            continue
        ints[i, 0], ints[i, 1], ints[i, 2] = cycle, index, time_us
        floats[i, 0], floats[i, 1] = value, rate
        if buffer[at] == _CLOSE and at + 1 == end:
            rigs[i, 0] = default_rig
        else:
            start, at = quoted(buffer, expect(buffer, comma(buffer, at, end), end, _RIG), end)
            if at < 0 or at + 2 != end or buffer[at + 1] != _CLOSE or not 0 < at - start <= rig_bytes_max:
                continue
            if last_code < 0 or not same(buffer, last_start, last_end, buffer, start, at):
                last_code = find_rig(buffer, start, at, pool, spans, slots)
                last_start, last_end = start, at
            rigs[i, 0], rigs[i, 1], rigs[i, 2] = last_code, start, at
            if last_code < 0:
                status[i] = NEW_RIG
                continue
        status[i] = OK
        left -= 1
    return left


@njit(cache=True)
def sensor_field(buffer, at, end, head):  # type: ignore[no-untyped-def]
    """Return the place after `{"sensor": "NAME"`, spaces allowed after the colon, or -1."""
    if at + len(head) > end:
        return -1
    for i in range(len(head)):
        while i == 10 and at < end and buffer[at] == _SPACE:
            at += 1
        if at >= end or buffer[at] != head[i]:
            return -1
        at += 1
    return at
