"""The compiled parser for flat records, in whatever layout.

A record's fields come in any order, with any white space, beside others (16 in all), which are skipped, nested ones
too; the rig may be missing. Records of one producer look alike, so a record is compared with the layout of the one
before, and only one that differs, or whose values can't be read so, is scanned for its own. Anything else (an escape,
letters beyond ASCII, a field twice) is handed on, record by record.
"""

import numpy as np

from hydrodask.decode.scan import (
    CLOSE,
    COLON,
    COMMA,
    LIST,
    LIST_END,
    MINUS,
    OPEN,
    QUOTE,
    closing_quote,
    decimal,
    integer,
    same,
    space,
)
from hydrodask.decode.timestamps import parse_time
from hydrodask.kernels import njit

_FIELDS = (b"sensor", b"cycle", b"sample_idx", b"value", b"timestamp", b"sampling_rate_hz", b"rig")
_SENSOR, _CYCLE, _INDEX, _VALUE, _TIME, _RATE, _RIG, _OTHER = range(8)
_REQUIRED = (1 << _RIG) - 1
_NAMES = np.frombuffer(b"".join(_FIELDS), np.uint8)
_STARTS = np.cumsum([0, *map(len, _FIELDS)])
_NULL, _TRUE, _FALSE = (np.frombuffer(word, np.uint8) for word in (b"null", b"true", b"false"))
_FIELDS_MAX = 16
_DEPTH_MAX = 60


@njit(cache=True)
def simple(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return the place after a string of plain ASCII, a number, `true`, `false` or `null`, or -1."""
    if at >= end:
        return -1
    byte = buffer[at]
    if byte == QUOTE:
        at = closing_quote(buffer, at + 1, end)
        return at + 1 if at >= 0 else -1
    if byte == MINUS or 48 <= byte <= 57:
        return decimal(buffer, at, end)[1]
    for word in (_NULL, _TRUE, _FALSE):
        if at + len(word) <= end and same(buffer, at, at + len(word), word, 0, len(word)):
            return at + len(word)
    return -1


@njit(cache=True)
def name(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return (start, end, place of the value) of the name of an object's field; the place is -1 if that fails."""
    start = space(buffer, at, end) + 1
    if start > end or buffer[start - 1] != QUOTE:
        return start, start, -1
    stop = closing_quote(buffer, start, end)
    if stop < 0:
        return start, start, -1
    at = space(buffer, stop + 1, end)
    if at >= end or buffer[at] != COLON:
        return start, stop, -1
    return start, stop, space(buffer, at + 1, end)


@njit(cache=True)
def other(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return the place after any value whose strings are plain ASCII, or -1. It may be nested, `_DEPTH_MAX` at most."""
    depth = objects = 0  # a bit a level: whether it is an object
    while True:
        if at < 0 or at >= end:
            return -1
        opened = buffer[at] == OPEN or buffer[at] == LIST
        if opened:
            depth += 1
            objects = objects << 1 | (buffer[at] == OPEN)
            at = space(buffer, at + 1, end)
        else:
            at = simple(buffer, at, end)
        if at < 0 or depth > _DEPTH_MAX:
            return -1
        while depth > 0:
            at = space(buffer, at, end)
            if at >= end or buffer[at] != (CLOSE if objects & 1 else LIST_END):
                break
            opened = False
            depth, objects, at = depth - 1, objects >> 1, at + 1
        if depth == 0:
            return at
        if not opened:
            if at >= end or buffer[at] != COMMA:
                return -1
            at = space(buffer, at + 1, end)
        if objects & 1:
            at = name(buffer, at, end)[2]


@njit(cache=True)
def named(buffer, start, end):  # type: ignore[no-untyped-def]
    """Return which field `buffer[start:end]` is the name of."""
    for field in range(_OTHER):
        if same(buffer, start, end, _NAMES, _STARTS[field], _STARTS[field + 1]):
            return field
    return _OTHER


@njit(cache=True)
def learn(buffer, at, end, pieces, fields):  # type: ignore[no-untyped-def]
    """Find the layout of a record: its `fields` in order, and `pieces`, the bytes before each value and at the end.

    Returns how many fields it has, 0 if it is not for this parser.
    """
    count, found, start = 0, 0, at
    at = space(buffer, at, end)
    if at >= end or buffer[at] != OPEN:
        return 0
    while count < _FIELDS_MAX:
        first, last, at = name(buffer, at + 1, end)
        field = named(buffer, first, last)
        if at < 0 or (field < _OTHER and found >> field & 1):
            return 0
        found |= 1 << field
        fields[count], pieces[count, 0], pieces[count, 1] = field, start, at
        count += 1
        start = other(buffer, at, end)
        if start < 0:
            return 0
        at = space(buffer, start, end)
        if at < end and buffer[at] == CLOSE:
            pieces[count, 0], pieces[count, 1] = start, end
            return count if found & _REQUIRED == _REQUIRED and space(buffer, at + 1, end) == end else 0
        if at >= end or buffer[at] != COMMA:
            return 0
    return 0


@njit(cache=True)
def again(buffer, at, end, start, stop):  # type: ignore[no-untyped-def]
    """Return the place after the bytes of `buffer[start:stop]` when they are at `at` again, or -1."""
    if at < 0 or at + stop - start > end:
        return -1
    for i in range(stop - start):
        if buffer[at + i] != buffer[start + i]:
            return -1
    return at + stop - start


@njit(cache=True)
def values(buffer, at, end, sensor, layout, i, ints, floats, spans):  # type: ignore[no-untyped-def]
    """Parse a record of the known `layout` into row `i`; return whether that went well."""
    pieces, fields, count = layout
    for k in range(count):
        at = again(buffer, at, end, pieces[k, 0], pieces[k, 1])
        if at < 0 or at >= end:
            return False
        field = fields[k]
        if field == _VALUE:
            spans[i, 2] = at
            floats[i, 0], at = decimal(buffer, at, end)
            spans[i, 3] = at
        elif field == _RATE:
            floats[i, 1], at = decimal(buffer, at, end)
            if np.isnan(floats[i, 1]):
                return False
        elif field == _CYCLE:
            ints[i, 0], at = integer(buffer, at, end)
        elif field == _INDEX:
            ints[i, 1], at = integer(buffer, at, end)
        elif field == _OTHER or (field == _RIG and buffer[at] == _NULL[0]):
            at = other(buffer, at, end)
        elif buffer[at] != QUOTE:
            return False
        else:
            start, at = at + 1, closing_quote(buffer, at + 1, end)
            if at < 0:
                return False
            ok = True
            if field == _TIME:
                ints[i, 2], ok = parse_time(buffer, start, at)
            elif field == _SENSOR:
                ok = same(buffer, start, at, sensor, 0, len(sensor))
            else:
                spans[i, 0], spans[i, 1] = start, at
                ok = at > start
            if not ok:
                return False
            at += 1
    return count > 0 and again(buffer, at, end, pieces[count, 0], pieces[count, 1]) == end


@njit(cache=True)
def parse(buffer, bounds, places, sensor, limits, ints, floats, spans, good):  # type: ignore[no-untyped-def]
    """Parse the records of `sensor` (its name's bytes) at `places`, as `canonical.parse` does."""
    record_bytes_max, rig_bytes_max = limits
    pieces, fields, count = np.zeros((_FIELDS_MAX + 1, 2), np.int64), np.zeros(_FIELDS_MAX, np.int64), np.int64(0)
    left = len(places)
    for i in places:
        at, end = bounds[i], bounds[i + 1]
        if end - at > record_bytes_max:
            continue
        if not values(buffer, at, end, sensor, (pieces, fields, count), i, ints, floats, spans):
            count = learn(buffer, at, end, pieces, fields)
            spans[i, 0] = spans[i, 1] = 0
            if not values(buffer, at, end, sensor, (pieces, fields, count), i, ints, floats, spans):
                continue
        if spans[i, 1] - spans[i, 0] <= rig_bytes_max:
            good[i] = True
            left -= 1
    return left
