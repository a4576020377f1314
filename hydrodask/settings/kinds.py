"""Kinds of values that settings have: durations, counts, sizes, and what libraries take."""

import re
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from hydrodask.clock import Zone
from hydrodask.settings.hidden import Password, hide

_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def duration_s(value: object) -> object:
    """Return `value` in seconds: a number is seconds already, text is a number with us, ms, s, m, h or d.

    >>> duration_s("500ms"), duration_s("2m"), duration_s(10)
    (0.5, 120.0, 10)
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*(us|ms|s|m|min|h|d)?\s*", value)
    if match is None:
        raise ValueError(f"{value!r} is not a duration; want seconds, or a number with us, ms, s, m, h or d")
    return float(match[1]) * _UNITS_S[match[2] or "s"]


def iso(value: object) -> object:
    """Return `value`, a date or time as text: YAML reads ISO 8601 without quotes as such.

    >>> iso(date(2026, 1, 1)), iso("now")
    ('2026-01-01', 'now')
    """
    return value.isoformat() if isinstance(value, date) else value  # a datetime is a date


def factor(text: str) -> float | None:
    """Return a speed as a factor, None for `max`. Raises ValueError.

    >>> factor("60"), factor("max")
    (60.0, None)
    """
    try:
        speed = float("nan") if text == "max" else float(text)
    except ValueError:
        speed = 0.0
    if text != "max" and not 0 < speed < float("inf"):
        raise ValueError("want a factor such as 1 (real time) or 60, or max")
    return None if text == "max" else speed


def speed(text: str) -> str:
    """Return `text`, a speed. Raises ValueError for one that is none."""
    factor(text)
    return text


def zone(value: str) -> str:
    """Return the name of a time zone. Raises ValueError when there is none of it."""
    return Zone(value).name


Duration = Annotated[float, BeforeValidator(duration_s), Field(ge=0)]
"""Seconds; configuration may say `500ms`, `2m`, `1h`."""

PositiveDuration = Annotated[float, BeforeValidator(duration_s), Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Speed = Annotated[str, BeforeValidator(str), AfterValidator(speed)]
Timezone = Annotated[str, AfterValidator(zone)]
Memory = Annotated[str, BeforeValidator(str), Field(pattern=r"(?i)^(auto|\d+(\.\d+)?([kmgtp]i?)?b?)$")]
Client = Annotated[dict[str, str | int | float | bool | Password], AfterValidator(hide)]
"""Settings of a library."""
