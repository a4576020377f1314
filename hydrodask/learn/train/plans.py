"""What committees of Gaussian views may look at, for each target: a choice among these is made inside every fold.

Each plan has a physical reason: the phase of the load cycle in which a component shows itself. A levelled view forgets
each sensor's mean over its seconds, as if that could be anything: oil temperature moves it.
"""

from dataclasses import dataclass, replace

import numpy as np

from hydrodask.channels import CYCLE_S, SENSORS
from hydrodask.records import Float64, Int64

STRENGTHS = (1.0, 10.0)
"""Factors of the shrinkage that are tried for the preferred plan."""

_CLASS = 1_000_000_000
"""More than any part's number."""

_UNKNOWN = 999
"""Stands for what is not known of a part, whose label is negative then: no state of any."""

_HYDRAULIC = ("PS1", "PS2", "PS3", "EPS1", "FS1", "SE")


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """One view before it is trained: seconds `start` to `end` of sensors, and the shrinkage of the covariance.

    `parts` names the other labels by which a class has centres of its own: its cloud is not round.
    """

    sensors: tuple[str, ...]
    start: int
    end: int
    shrinkage: float
    levelled: bool = False
    parts: tuple[str, ...] = ()

    @property
    def cells(self) -> Int64:
        """Its cells."""
        numbers = [SENSORS.index(sensor) * CYCLE_S for sensor in self.sensors]
        return np.concatenate([number + np.arange(self.start, self.end) for number in numbers])

    def key(self, numbers: Int64, levels: Float64) -> Int64:
        """Return a number for each cycle, equal for those of one class, `numbers`, that share a centre."""
        return numbers.astype(np.int64) * _CLASS + self.part_of(levels)

    @staticmethod
    def numbers_of(keys: Int64) -> Int64:
        """Return the numbers of the classes of keys."""
        return keys // _CLASS

    def part_of(self, levels: Float64) -> Int64:
        """Return a number for each cycle, equal for those that share a centre; `levels` has shape (n, 4)."""
        found = np.zeros(len(levels), np.int64)
        for name in self.parts:
            column = levels[:, ("cooler", "valve", "pump", "accumulator").index(name)]
            value = (column == 100).astype(np.int64) if name == "valve" else column.astype(np.int64)
            found = found * 1_000 + np.where(column < 0, _UNKNOWN, value)
        return found


Plan = tuple[ViewSpec, ...]

PLANS: dict[str, tuple[Plan, ...]] = {
    "cooler": (
        (ViewSpec(("CE", "CP"), 0, 60, 1e-3),),
        (ViewSpec(("CE", "CP"), 0, 60, 1e-3), ViewSpec(("PS5", "PS6", "FS2", "VS1"), 0, 60, 1e-3)),
    ),
    "valve": (
        (ViewSpec(("PS1", "PS2", "EPS1"), 7, 12, 1e-4), ViewSpec(_HYDRAULIC, 7, 12, 1e-4)),
        (ViewSpec(_HYDRAULIC, 6, 20, 1e-4),),
    ),
    "pump": (
        (ViewSpec(("EPS1", "FS1", "SE", "PS1", "TS1"), 0, 19, 1e-4), ViewSpec((*_HYDRAULIC, "TS1"), 0, 19, 1e-3)),
        (ViewSpec((*_HYDRAULIC, "TS1"), 0, 15, 1e-3),),
    ),
    "accumulator": (
        (ViewSpec((*_HYDRAULIC, "TS2"), 7, 50, 1e-5), ViewSpec((*_HYDRAULIC, "TS2"), 0, 50, 1e-6, levelled=True)),
        (ViewSpec(_HYDRAULIC, 0, 60, 1e-5), ViewSpec(_HYDRAULIC, 0, 60, 1e-5, levelled=True)),
    ),
    "stable": (
        (
            ViewSpec(("EPS1", "SE", "TS4"), 0, 60, 3e-3),
            ViewSpec(("EPS1", "SE"), 0, 60, 1e-4, parts=("pump", "valve")),
        ),
        (ViewSpec(("PS1", "EPS1", "SE", "TS4"), 0, 60, 1e-3, parts=("pump",)),),
    ),
}  # fmt: skip
"""By target, those preferred first: of two that are equally good the earlier one is taken."""


def candidates(target: str) -> list[Plan]:
    """Return the preferred plan in every strength, then the others."""
    first, *others = PLANS[target]
    return [tuple(replace(look, shrinkage=look.shrinkage * s) for look in first) for s in STRENGTHS] + others


def described(plan: Plan) -> str:
    """Return a plan in words.

    >>> described((ViewSpec(("PS1", "PS2"), 7, 12, 1e-4),))
    'PS1 PS2 seconds 7–11 shrunk by 0.0001'
    """
    return "; ".join(
        f"{' '.join(look.sensors)} seconds {look.start}–{look.end - 1}{' levelled' if look.levelled else ''}"
        f"{' by ' + ' and '.join(look.parts) if look.parts else ''} shrunk by {look.shrinkage:.2g}"
        for look in plan
    )
