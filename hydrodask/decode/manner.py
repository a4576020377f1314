"""The settings that decide what a sample or a label says: changed, they hold from the next record on, not before."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from hydrodask.settings import Settings


class Manner(NamedTuple):
    """In which way records are read."""

    default_rig: str
    from_key: bool
    record_bytes_max: int
    rig_bytes_max: int
    future_us_max: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what the settings say."""
        limits, rig = settings.limits, settings.rig
        future_us = round(settings.window.future_max * 1e6)
        return cls(rig.default_id, rig.from_key, limits.record_bytes, limits.rig_bytes, future_us)


Manners = Sequence[tuple[int, Manner | None]]
"""Since which offset records were read in which manner; None: nothing says in which."""

UNKNOWN: Manners = ((0, None),)


def manner_at(manners: Manners, offset: int) -> Manner | None:
    """Return in which manner the record at an offset was read; None: nothing says it."""
    return next((manner for since, manner in reversed(manners) if since <= offset), None)


def going_on(manners: Manners, seen: int, manner: Manner | None) -> Manners:
    """Return manners that go on in `manner` from offset `seen` on; all records below it were read."""
    return manners if manner in (None, manners[-1][1]) else [*manners, (seen, manner)]


def encoded(manners: Manners) -> list[list[Any]]:
    """Return manners as plain values."""
    return [[since, *(manner or ())] for since, manner in manners]


def manners_of(state: dict[str, Any]) -> Manners:
    """Return the manners that the state of a census or of a reader of labels says; an older release's says none."""
    return [(since, Manner(*manner) if manner else None) for since, *manner in state.get("manners", encoded(UNKNOWN))]
