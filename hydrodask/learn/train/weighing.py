"""How much a cycle counts in what committees learn: more where few cycles had oil of its temperature.

Oil moves nearly every sensor, so a few cycles at a new temperature tell what thousands at a known one can't; counted
alike, they would not be heard. A cycle weighs one over the root of how many there are within some two degrees of it.
That needs one histogram, of all cycles: ten parts of it add up to the same as one.
"""

import numpy as np

from hydrodask.channels import CYCLE_S, SENSORS
from hydrodask.records import Float64, Int64

OIL = "TS1"
"""The sensor of the oil's temperature."""

MOST = 30.0
"""No cycle weighs more than this many of the most usual ones: it may be a mistake."""

_WIDTH = 2.0
"""Standard deviation of what counts as near, °C."""

_LOW, _STEP, _BINS = -50.0, 0.5, 500
"""Temperatures of the histogram, °C: the first, how far apart, how many. What is beyond counts as the last one."""

_FIRST = SENSORS.index(OIL) * CYCLE_S
_OFF = np.arange(-16, 17) * _STEP
_NEAR = np.exp(-0.5 * (_OFF / _WIDTH) ** 2)


def oil_of(seconds: Float64) -> Float64:
    """Return the oil's temperature in each cycle of shape (n, 1020), °C; NaN where it was not measured whole."""
    return np.asarray(seconds[:, _FIRST : _FIRST + CYCLE_S].mean(axis=1))


def crowd(oil: Float64) -> Int64:
    """Return how many cycles there are at each temperature, shape (500,)."""
    return np.bincount(_place(oil[np.isfinite(oil)]), minlength=_BINS)


def weights(oil: Float64, among: Int64) -> Float64:
    """Return the weight of each cycle among those that make a crowd: 1 where that is densest, up to `MOST`."""
    near = np.convolve(among, _NEAR, "same")
    most = max(float(near.max()), 1.0)
    return np.asarray(np.sqrt(most / np.maximum(near, most / MOST**2))[_place(oil)])


def weights_of(seconds: Float64) -> Float64:
    """Return the weight of each of some cycles among themselves."""
    oil = oil_of(seconds)
    return weights(oil, crowd(oil))


def _place(oil: Float64) -> Int64:
    return np.clip(np.nan_to_num((oil - _LOW) / _STEP), 0, _BINS - 1).astype(np.int64)
