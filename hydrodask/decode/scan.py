"""What both compiled parsers read JSON with: white space, numbers, plain strings.

Each takes a place in a buffer of bytes and returns the place after what it read (`closing_quote`: the place of it), -1
when that is not there. None looks at or after `end`.
"""

import numpy as np

from hydrodask.kernels import njit

COMMA, MINUS, POINT, QUOTE, COLON, OPEN, CLOSE, LIST, LIST_END = 44, 45, 46, 34, 58, 123, 125, 91, 93

_POWERS = np.array([10.0**i for i in range(23)])
_MANTISSA_MAX = 2**53
_DIGITS_MAX = 64
_EXPONENT_MAX = 6
_PLUS, _E = 43, 101


@njit(cache=True)
def space(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return the place after the white space at `at`."""
    while at < end and buffer[at] <= 32 and (buffer[at] == 32 or buffer[at] in (9, 10, 13)):
        at += 1
    return at


@njit(cache=True)
def integer(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return (value, place after it) of a plain integer of at most 18 digits, or (0, -1)."""
    if at < 0 or at >= end:
        return 0, -1
    negative = buffer[at] == MINUS
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
    """Return (value, place after it) of a number, (0.0, -1) when there is none.

    A mantissa below 2^53 divided by a power of ten up to 10^22 is correctly rounded. A number with more digits or an
    exponent is NaN: whoever wants it has to read its text.
    """
    if at < 0 or at >= end:
        return 0.0, -1
    negative = buffer[at] == MINUS
    if negative:
        at += 1
    first, point, places = at, -1, 0
    mantissa, exact = np.int64(0), True
    while at < end:
        byte = buffer[at]
        if 48 <= byte <= 57:
            mantissa = mantissa * 10 + (byte - 48)
            if mantissa >= _MANTISSA_MAX:
                mantissa, exact = np.int64(0), False
            places += point >= 0
        elif byte == POINT and point < 0 and at > first:
            point = at
        else:
            break
        at += 1
    whole = (point if point >= 0 else at) - first
    if whole < 1 or (whole > 1 and buffer[first] == 48) or (point >= 0 and places == 0) or at - first > _DIGITS_MAX:
        return 0.0, -1
    if at < end and buffer[at] | 32 == _E:
        at = exponent(buffer, at + 1, end)
        return np.nan, at
    if negative and mantissa == 0 and point < 0:
        return 0.0, -1  # `-0` is an integer, whose zero has no sign
    if not exact or places >= len(_POWERS):
        return np.nan, at
    value = mantissa / _POWERS[places]
    return (-value if negative else value), at


@njit(cache=True)
def exponent(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return the place after what follows the `e` of a number, or -1."""
    if at < end and (buffer[at] == MINUS or buffer[at] == _PLUS):
        at += 1
    first = at
    while at < end and 48 <= buffer[at] <= 57:
        at += 1
    return at if 0 < at - first <= _EXPONENT_MAX else -1


@njit(cache=True)
def closing_quote(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return the place of the quote that ends a string of plain ASCII at `at`, or -1 when it has anything else."""
    if at < 0:
        return -1
    while at < end:
        byte = buffer[at]
        if byte == QUOTE:
            return at
        if byte < 32 or byte > 126 or byte == 92:
            return -1
        at += 1
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
