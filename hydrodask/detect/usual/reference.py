"""What each phase of each sensor usually is, given the oil's temperature: learned cycle by cycle, in closed form.

A recursive least-squares fit of a parabola over the temperature, the same for all features, so that one 3 × 3 matrix
says how well the parabola is known at a temperature; what it is at temperatures that were never seen is uncertain, and
deviations there count less. The spread is that of the deviations that cycles had *before* they were learned.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.detect.usual.phases import PHASES
from hydrodask.records import Float64

_OIL_MIDDLE, _OIL_UNIT = 45.0, 10.0  # °C

STEADY = ("VS1", "CE", "CP")
"""Sensors that hardly follow the oil: what they show of a cooler that fails counts at any temperature."""

FLOORS: dict[str, float] = dict.fromkeys(SENSORS, 0.02) | {
    **dict.fromkeys(("PS1", "PS2", "PS3", "EPS1", "FS1", "SE"), 0.002),
    "PS4": 0.3,
}
"""Smallest spread of each sensor, as a share of its range: how far two healthy episodes of the real rig are apart, at
one oil temperature. PS4 is at 0 or 10 bar for hours, in cold oil, whatever the state of any component."""

_SLOPES = {True: 5.0, False: 100.0}
"""By how many spreads steady and other sensors may follow the oil over ten degrees, before anything was learned."""

_VAGUE = 1e6
_KNOWN = 50.0
"""A deviation tells of the rig, and not of our ignorance, when the prediction adds less than this to its variance."""

_STEADY = np.repeat([name in STEADY for name in SENSORS], len(PHASES))
_SPANS = np.array([FLOORS[n] * (CHANNELS[n].high - CHANNELS[n].low) for n in SENSORS])
FLOOR: Float64 = np.repeat(_SPANS, len(PHASES))
"""The smallest spread of each feature, shape (510,): sensors one after the other, each with its phases."""


class _Fit:
    """Parabolas of some features; `matrix` (3, 3) is the variance of their coefficients, in units of each spread's."""

    __slots__ = ("_spread", "coefficients", "matrix", "places", "squares", "told")

    def __init__(self, *, steady: bool) -> None:
        self.places = np.flatnonzero(steady == _STEADY)
        self.matrix = np.diag([_VAGUE, _SLOPES[steady] ** 2, _SLOPES[steady] ** 2])
        self.coefficients = np.zeros((3, len(self.places)))
        self.squares = np.zeros(len(self.places))
        self.told = 0
        self._spread: Float64 | None = None  # of `squares` and `told`: the same once all is learned

    def expect(self, oil: float) -> tuple[Float64, Float64, float]:
        """Return the features expected, how the matrix weighs this temperature, and how vague that is."""
        basis = _basis(oil)
        weighed: Float64 = (self.matrix * basis).sum(axis=1)
        expected: Float64 = (self.coefficients * basis[:, None]).sum(axis=0)
        return expected, weighed, float((weighed * basis).sum())

    def learn(self, features: Float64, oil: float) -> None:
        expected, weighed, vague = self.expect(oil)
        missed = features[self.places] - expected
        if vague < _KNOWN:
            self.squares += missed**2 / (1.0 + vague)
            self.told += 1
            self._spread = None
        gain = weighed / (1.0 + vague)
        self.coefficients += gain[:, None] * missed
        self.matrix -= gain[:, None] * weighed

    def spread(self) -> Float64:
        """Return each feature's spread where the parabola is known."""
        if self._spread is None:
            self._spread = np.sqrt(self.squares / max(self.told, 1) + FLOOR[self.places] ** 2)
        return self._spread


class CycleReference:
    """What the cycles of one rig usually are. `cycles` have been learned, in oil of `coldest` to `hottest` °C."""

    __slots__ = ("_fits", "coldest", "cycles", "hottest")

    def __init__(self) -> None:
        self._fits = (_Fit(steady=True), _Fit(steady=False))
        self.cycles = 0
        self.coldest, self.hottest = np.inf, -np.inf

    def learn(self, features: Float64, oil: float, *, steady: bool = True) -> None:
        """Take in a cycle: features (510,), all of them finite, and the oil's temperature in °C.

        `steady`: also of sensors that hardly follow the oil. A cooler that fails slowly warms the oil: who learned them
        at each new temperature would never see it.
        """
        for fit in self._fits[0 if steady else 1 :]:
            fit.learn(features, oil)
        self.cycles += 1
        self.coldest, self.hottest = min(self.coldest, oil), max(self.hottest, oil)

    def deviations(self, features: Float64, oil: float) -> tuple[Float64, Float64, float]:
        """Return deviations in the sensors' units and in spreads, (510,) each, and how vague the reference is.

        0: the temperature is well known; 1: as unsure as a cycle varies. NaN where a feature is. What is unsure is
        counted in: at a temperature that is new a deviation is few spreads.
        """
        missed, spreads = np.zeros(len(FLOOR)), np.zeros(len(FLOOR))
        vague = 0.0
        for fit in self._fits:
            expected, _, vague = fit.expect(oil)
            missed[fit.places] = features[fit.places] - expected
            spreads[fit.places] = missed[fit.places] / (fit.spread() * np.sqrt(1.0 + vague))
        return missed, spreads, vague

    def snapshot(self) -> list[Any]:
        """Return the state as plain values and arrays."""
        fits = [[f.matrix.copy(), f.coefficients.copy(), f.squares.copy(), f.told] for f in self._fits]
        return [self.cycles, self.coldest, self.hottest, fits]

    @classmethod
    def restored(cls, state: list[Any]) -> "CycleReference":
        """Return a reference with the state of a snapshot."""
        made = cls()
        made.cycles, made.coldest, made.hottest, fits = state
        for fit, (matrix, coefficients, squares, told) in zip(made._fits, fits, strict=True):
            fit.matrix, fit.coefficients = matrix.copy(), coefficients.copy()
            fit.squares, fit.told = squares.copy(), told
        return made


def steady_places() -> Mapping[bool, Any]:
    """Return the places of the features of steady sensors (True) and of the others (False)."""
    return {steady: np.flatnonzero(steady == _STEADY) for steady in (True, False)}


def _basis(oil: float) -> Float64:
    degrees = (oil - _OIL_MIDDLE) / _OIL_UNIT
    return np.array([1.0, degrees, degrees * degrees])
