"""Parse ISO 8601 timestamps, compiled: bytes in, microseconds since the epoch out."""

from hydrodask.kernels import njit

US_PER_S = 1_000_000
US_PER_DAY = 86_400 * US_PER_S


@njit(cache=True, inline="always")
def digits(buffer, start, count):  # type: ignore[no-untyped-def]  # numba infers
    """Return the number that `count` digits at `start` spell, or -1 when one is no digit."""
    value = 0
    for i in range(start, start + count):
        digit = buffer[i] - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@njit(cache=True, inline="always")
def days_from_civil(year, month, day):  # type: ignore[no-untyped-def]
    """Return days since 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant's algorithm)."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@njit(cache=True)
def days_in_month(year, month):  # type: ignore[no-untyped-def]
    """Return 28..31."""
    if month == 2:
        return 29 if (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)) else 28
    return 30 if month in (4, 6, 9, 11) else 31


@njit(cache=True)
def zone_us(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return (offset from UTC in µs, ok) of what follows the seconds: nothing, `Z`, `+HH`, `+HHMM` or `+HH:MM`."""
    if at == end:
        return 0, True
    if buffer[at] == 90:  # Z
        return 0, at + 1 == end
    if buffer[at] != 43 and buffer[at] != 45:  # + -
        return 0, False
    colon = 1 if end - at == 6 and buffer[at + 3] == 58 else 0
    if end - at not in (3, 5 + colon):
        return 0, False
    hours = digits(buffer, at + 1, 2)
    minutes = digits(buffer, at + 3 + colon, 2) if end - at > 3 else 0
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return 0, False
    us = (hours * 60 + minutes) * 60 * US_PER_S
    return (us if buffer[at] == 43 else -us), True


@njit(cache=True)
def parse_time(buffer, start, end):  # type: ignore[no-untyped-def]
    """Return (µs since the epoch, ok) of `YYYY-MM-DD[T ]HH:MM:SS[.fraction][zone]` in `buffer[start:end]`.

    Not ok means: not of this form, though perhaps ISO 8601 all the same. Digits beyond microseconds are cut off.
    """
    if end - start < 19 or buffer[start + 4] != 45 or buffer[start + 7] != 45:
        return 0, False
    if (buffer[start + 10] != 84 and buffer[start + 10] != 32) or buffer[start + 13] != 58 or buffer[start + 16] != 58:
        return 0, False
    year, month, day = digits(buffer, start, 4), digits(buffer, start + 5, 2), digits(buffer, start + 8, 2)
    hour, minute = digits(buffer, start + 11, 2), digits(buffer, start + 14, 2)
    second = digits(buffer, start + 17, 2)
    if year < 1 or month < 1 or month > 12 or day < 1 or day > days_in_month(year, month):
        return 0, False
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return 0, False
    at = start + 19
    us = 0
    if at < end and buffer[at] == 46:  # .
        at += 1
        scale = 100_000
        first = at
        while at < end and 48 <= buffer[at] <= 57:
            us += (buffer[at] - 48) * scale
            scale //= 10
            at += 1
        if at == first:
            return 0, False
    offset, ok = zone_us(buffer, at, end)
    if not ok:
        return 0, False
    seconds = (hour * 60 + minute) * 60 + second
    return days_from_civil(year, month, day) * US_PER_DAY + seconds * US_PER_S + us - offset, True
