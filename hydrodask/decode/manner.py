"""The settings that decide what a sensor's record says: changed, they hold from the next record on, and not before."""

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


def encoded(manners: Manners) -> list[list[Any]]:
    """Return manners as plain values."""
    return [[since, *(manner or ())] for since, manner in manners]


def manners_of(state: dict[str, Any]) -> Manners:
    """Return the manners that a snapshot of a census says; one of an older release says none."""
    return [(since, Manner(*manner) if manner else None) for since, *manner in state.get("manners", encoded(UNKNOWN))]
