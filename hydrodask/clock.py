"""The only module that reads the system's clocks.

Event time comes from records and is never compared with these, except where the design says so (a record's event time
against its broker timestamp, which is part of the record). Everything else takes time as an argument.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones

US_PER_S = 1_000_000


class Clock(Protocol):
    """What tells the time, and lets it pass."""

    def now_us(self) -> int:
        """Return the time in microseconds since the epoch, UTC."""

    def monotonic_s(self) -> float:
        """Return seconds that never go back."""

    def sleep_s(self, seconds: float) -> None:
        """Return after so many seconds."""


class SystemClock:
    """The machine's own clocks."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep_s(self, seconds: float) -> None:
        time.sleep(seconds)


_clock: Clock = SystemClock()


@contextmanager
def replaced_by(clock: Clock) -> Iterator[None]:
    """Let this process live by another clock while the block lasts: that of a simulation."""
    global _clock  # noqa: PLW0603 - there is one time in a process
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before


def now_us() -> int:
    """Return the system time in microseconds since the epoch, UTC."""
    return _clock.now_us()


def monotonic_s() -> float:
    """Return seconds on a clock that never goes back, for durations and deadlines."""
    return _clock.monotonic_s()


def sleep_s(seconds: float) -> None:
    """Sleep; negative durations return at once."""
    if seconds > 0:
        _clock.sleep_s(seconds)


def iso(time_us: int) -> str:
    """Return `time_us` as ISO 8601 in UTC with microseconds only where there are any.

    >>> iso(1_767_225_600_000_000), iso(1_767_225_600_500_000)
    ('2026-01-01T00:00:00Z', '2026-01-01T00:00:00.500000Z')
    """
    seconds, us = divmod(time_us, US_PER_S)
    text = datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{us:06d}Z" if us else f"{text}Z"


@lru_cache(maxsize=1024)  # windows of all rigs and sensors begin at the same times
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


LOCAL = "local"
"""The name of the zone that this machine is in."""


@dataclass(frozen=True, slots=True)
class Zone:
    """The time that people go by: `UTC`, `local`, or a name like `Europe/Berlin`. Raises ValueError for any other.

    Only what is shown goes by it; what is stored and what machines read is UTC.

    >>> zone = Zone("Europe/Berlin")
    >>> zone.text(1_767_225_600_000_000), zone.clock(1_767_225_600_000_000), zone.label(1_767_225_600_000_000)
    ('2026-01-01 01:00:00', '01:00:00', 'CET')
    """

    name: str = "UTC"

    def __post_init__(self) -> None:
        if self.name not in ("UTC", LOCAL) and self.name not in available_timezones():
            raise ValueError(f"{self.name!r} is no time zone; want UTC, local, or a name like Europe/Berlin")

    def text(self, time_us: int) -> str:
        """Return date and time to the second."""
        return self._at(time_us).strftime("%Y-%m-%d %H:%M:%S")

    def clock(self, time_us: int) -> str:
        """Return the time of day to the second."""
        return self._at(time_us).strftime("%H:%M:%S")

    def label(self, time_us: int) -> str:
        """Return the short name of the zone at a time, which summer changes; of this machine's own the offset."""
        at = self._at(time_us)
        if self.name == LOCAL:  # TZ may be nonsense, which counts as UTC under its own name
            return f"UTC{at.isoformat()[-6:]}"
        return at.tzname() or self.name

    def full(self, time_us: int) -> str:
        """Return date and time to the second, and the short name of the zone.

        >>> Zone("Europe/Berlin").full(1_767_225_600_000_000)
        '2026-01-01 01:00:00 CET'
        """
        return f"{self.text(time_us)} {self.label(time_us)}"

    def labels(self, time_us: int) -> dict[int, str]:
        """Return how the zone is called at which minutes before UTC in the year round a time: in summer, and in winter.

        >>> Zone("Europe/Berlin").labels(1_767_225_600_000_000)
        {60: 'CET', 120: 'CEST'}
        """
        times = [time_us + days * 86_400 * US_PER_S for days in range(0, 366, 30)]
        return {self._offset_minutes(at_us): self.label(at_us) for at_us in times}

    def named(self, time_us: int) -> str:
        """Return a name that browsers know: for `local` the zone that is set here, or its distance from UTC."""
        if self.name != LOCAL:
            return self.name
        link = os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
        name = os.environ.get("TZ", link).removeprefix(":")
        if name in available_timezones() and all(
            Zone(name)._offset_minutes(at_us) == self._offset_minutes(at_us)  # noqa: SLF001 - of another of us
            for at_us in (time_us, time_us + 183 * 86_400 * US_PER_S)
        ):
            return name
        sign, minutes = "-" if self._offset_minutes(time_us) < 0 else "+", abs(self._offset_minutes(time_us))
        return f"{sign}{minutes // 60:02}:{minutes % 60:02}" if minutes else "UTC"

    def _offset_minutes(self, time_us: int) -> int:
        return round((self._at(time_us).utcoffset() or timedelta()).total_seconds() / 60)

    def parse(self, text: str) -> int:
        """Return ISO 8601 as microseconds since the epoch; without an offset it is in this zone. Raises ValueError."""
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.astimezone() if self._zone is None else moment.replace(tzinfo=self._zone)
        return parse_iso(moment.isoformat())

    def once(self, text: str) -> bool:
        """Return whether ISO 8601 is one moment: without an offset it is two, or none, where clocks are put back or on.

        >>> zone = Zone("Europe/Berlin")
        >>> zone.once("2026-10-25T02:30"), zone.once("2026-03-29T02:30"), zone.once("2026-10-25T03:30")
        (False, False, True)
        """
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return True
        both = (moment.replace(fold=fold) for fold in (0, 1))
        zone = self._zone
        offsets = {(m.astimezone() if zone is None else m.replace(tzinfo=zone)).utcoffset() for m in both}
        return len(offsets) == 1

    def today(self, time: str, now_us: int) -> int:
        """Return the newest moment not after `now_us` at a time of day such as `06:00`. Raises ValueError.

        >>> iso(Zone().today("06:00", parse_iso("2026-01-02T03:00:00Z")))
        '2026-01-01T06:00:00Z'
        """
        for days in (0, 1):
            found = self.parse(f"{self.text(now_us - days * 86_400 * US_PER_S)[:10]}T{time}")
            if found <= now_us:
                break
        return found

    @property
    def _zone(self) -> tzinfo | None:
        return None if self.name == LOCAL else UTC if self.name == "UTC" else ZoneInfo(self.name)

    def _at(self, time_us: int) -> datetime:
        return datetime.fromtimestamp(time_us // US_PER_S, tz=UTC).astimezone(self._zone)
