"""Jumps of hot oil: a rig spends the loaded part of one cycle at the relief valve's pressure, and not that of another.

All figures are of the UCI archive (DOI 10.24432/C5CW21, CC BY 4.0), of 1,876 of its cycles: 185 jump, all of them with
oil above 54.1 °C (TS1), and how often depends on pump and accumulator, not on the valve. One cycle says little of the
next beyond that. Which seconds, and where sensors are then, are means over 176 of them; in the other nine the rig does
not come back before the cycle ends.
"""

import numpy as np

from hydrodask.channels import CYCLE_S
from hydrodask.records import Float64

OIL_MIN = 54.0
"""Colder oil has never jumped, °C."""

_PUMP, _ACCUMULATOR = (0.0, 1.0, 2.0), (90.0, 100.0, 115.0, 130.0)
_SHARES = np.array([[0.03, 0.23, 0.02, 0.0], [0.86, 0.93, 0.78, 0.0], [0.97, 1.0, 0.93, 0.0]])
"""Share of the cycles that jumped: leakage by pre-charge, of 20 to 51 cycles each."""

_FROM_S, _TO_S = 19, 50
_LEVELS: dict[str, tuple[float, float, float]] = {
    "PS1": (160.8, 188.5, 158.2),
    "PS2": (137.3, 165.0, 129.5),
    "PS3": (0.78, 0.75, 3.77),
    "EPS1": (2338.0, 2834.0, 2565.0),
    "FS1": (1.32, 1.14, 11.5),
    "SE": (12.6, 11.1, 95.0),
    "VS1": (0.66, 0.76, 0.76),
}
"""Mean of second 19, of each of 20 to 48, and of 49, in the sensor's unit."""


def chance(oil: float, pump: float, accumulator: float) -> float:
    """Return how likely a cycle jumps; `oil` in °C, states as in labels, in between interpolated.

    >>> chance(36.0, 2, 90), chance(55.5, 0, 130), chance(55.5, 1, 100), round(chance(55.5, 0.5, 100), 2)
    (0.0, 0.0, 0.93, 0.58)
    """
    if oil < OIL_MIN:
        return 0.0
    by_leakage = [float(np.interp(accumulator, _ACCUMULATOR, row)) for row in _SHARES]
    return float(np.interp(pump, _PUMP, by_leakage))


def jumped(name: str, means: Float64, gain: float) -> Float64:
    """Return the means of a sensor's 60 seconds as they are in a cycle that jumps; `gain` is the sensor's own."""
    if name not in _LEVELS:
        return means
    first, level, last = _LEVELS[name]
    there = np.full(CYCLE_S, level * gain)
    there[_FROM_S], there[_TO_S - 1] = first * gain, last * gain
    if name == "SE":
        there[_FROM_S + 1], there[_TO_S] = there[_FROM_S], there[_TO_S - 1]  # it is computed every two seconds
    end = _TO_S + (name == "SE")
    return np.concatenate([means[:_FROM_S], there[_FROM_S:end], means[end:]])
