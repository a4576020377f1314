"""A load cycle as means of phases: the seconds in which the load changes one by one, what lies between them together.

The load changes in seconds 0, 9, 19, 29, 39 and 49. A fault shows there, in one second (a worn valve: second 9) or as
the level between two of them (a leaking pump): 30 phases hold both, with less noise than 60 seconds.
"""

from itertools import pairwise

import numpy as np

from hydrodask.channels import SENSORS
from hydrodask.records import Bool, Float64

SECONDS = 60
LOAD_STEPS_S = (0, 9, 19, 29, 39, 49)
_CUTS_S = (0, 1, 2, 3, 5)


def _phases() -> tuple[tuple[int, int], ...]:
    ends = (*LOAD_STEPS_S[1:], SECONDS)
    cuts = [[*(step + cut for cut in _CUTS_S), end] for step, end in zip(LOAD_STEPS_S, ends, strict=True)]
    return tuple(pair for one in cuts for pair in pairwise(one))


PHASES: tuple[tuple[int, int], ...] = _phases()
"""First second of each phase, and the one after its last."""

_STARTS = np.array([start for start, _ in PHASES])
_LENGTHS = np.array([end - start for start, end in PHASES], np.float64)

RELIEF_BAR = 170.0
RELIEF_FLOW = 3.0  # l/min
RELIEF_SECONDS_MIN = 3
_OPEN_S = 10  # from here on the main valve is open: a usual cycle has flow
_BEFORE_S, _AFTER_S = 2, 4  # around them values are on their way
_PS1, _FS1, _TS1 = (SENSORS.index(name) for name in ("PS1", "FS1", "TS1"))


def phases_of(means: Float64) -> Float64:
    """Return the mean of each phase of each sensor, shape (17, 30), of means of seconds, (17, 60).

    A phase is NaN when one of its seconds is: the mean of a part would be that of another phase.
    """
    summed: Float64 = np.add.reduceat(means, _STARTS, axis=1)
    return summed / _LENGTHS


def oil_of(means: Float64) -> float:
    """Return the oil's temperature (TS1, °C), NaN when a second of it is not there."""
    return float(means[_TS1].mean())


def spoiled(means: Float64) -> Bool | None:
    """Return which phases, (30,), a jump to the relief valve's pressure spoils; None when the cycle had none.

    Hot oil jumps from one cycle to the next (185 of 1,876 cycles of the archive): from second 19 to 49, in one of
    twenty to the end, PS1 is at 189 bar in place of 152 and FS1 at 1.1 l/min in place of 7.7, whatever is worn.
    """
    relief = (means[_PS1] > RELIEF_BAR) & (means[_FS1] < RELIEF_FLOW)
    seconds = np.flatnonzero(relief[_OPEN_S:]) + _OPEN_S
    if len(seconds) < RELIEF_SECONDS_MIN:
        return None
    first, last = int(seconds[0]) - _BEFORE_S, int(seconds[-1]) + _AFTER_S
    return np.array([end > first and start <= last for start, end in PHASES])
