"""The only module that reads the system's clocks.

Event time comes from records and is never compared with these, except where the design says so (a record's event time
against its broker timestamp, which is part of the record). Everything else takes time as an argument.
"""

import time
from datetime import UTC, datetime

US_PER_S = 1_000_000


def now_us() -> int:
    """Return the system time in microseconds since the epoch, UTC."""
    return time.time_ns() // 1_000


def monotonic_s() -> float:
    """Return seconds on a clock that never goes back, for durations and deadlines."""
    return time.monotonic()


def sleep_s(seconds: float) -> None:
    """Sleep; negative durations return at once."""
    if seconds > 0:
        time.sleep(seconds)


def iso(time_us: int) -> str:
    """Return `time_us` as ISO 8601 in UTC with microseconds only where there are any.

    >>> iso(1_767_225_600_000_000), iso(1_767_225_600_500_000)
    ('2026-01-01T00:00:00Z', '2026-01-01T00:00:00.500000Z')
    """
    seconds, us = divmod(time_us, US_PER_S)
    text = datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{us:06d}Z" if us else f"{text}Z"


def parse_iso(text: str) -> int:
    """Return ISO 8601 `text` as microseconds since the epoch; without an offset it is UTC.

    Digits beyond microseconds are cut off. Raises ValueError when `text` is not ISO 8601.

    >>> parse_iso("2026-01-01T01:00:00.5+01:00") == parse_iso("2026-01-01T00:00:00.500000Z")
    True
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * US_PER_S + delta.microseconds
