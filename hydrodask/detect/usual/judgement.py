"""How far a cycle is from what its rig usually does, and where: the score, and what it comes from in words.

The score is the root mean square of the ten largest deviations, in spreads: a fault shows in few places, and the sum
over all 510 features would bury it. What was not measured is left out; so are, in a cycle that hot oil spent at the
relief valve's pressure, the phases that say nothing then, and at an oil temperature that the rig has not shown before
all sensors that follow the oil.
"""

from dataclasses import dataclass

import numpy as np

from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.detect.usual.phases import PHASES, oil_of, phases_of, spoiled
from hydrodask.detect.usual.reference import CycleReference, steady_places
from hydrodask.records import Float64, Int64

LARGEST = 10
"""Deviations that make the score."""

NEW = 0.3
"""From which vagueness of the reference on an oil temperature is new to it."""

SHOWN = 3
"""Contributions that a document names."""

_TOLD = np.repeat([1.0 / 3.0 if name == "SE" else 1.0 for name in SENSORS], len(PHASES))
"""The efficiency is computed from pressure, flow and power, with hardly any noise: it sees a fault first, and where it
is last. So it is named when it is far above those that are measured."""

_FOLLOWING = steady_places()[False]


@dataclass(frozen=True, slots=True)
class Contribution:
    """A sensor that is off from second `start` to `end` (the one after the last), by `deviation` in its unit.

    `share` is its part of the ten largest squared deviations, 0..1.

    >>> Contribution("PS2", 8, 10, 14.2, 0.7).text
    'PS2 in seconds 8-9 is 14.2 bar high'
    """

    sensor: str
    start: int
    end: int
    deviation: float
    share: float

    @property
    def text(self) -> str:
        """Say it in words."""
        seconds = f"second {self.start}" if self.end - self.start == 1 else f"seconds {self.start}-{self.end - 1}"
        side = "high" if self.deviation > 0 else "low"
        return f"{self.sensor} in {seconds} is {abs(self.deviation):.3g} {CHANNELS[self.sensor].unit} {side}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A cycle against its reference: `score` in spreads, `oil` in °C; NaN when there is too little to say anything.

    `new`: the oil's temperature is new to the reference. `relief`: the cycle was spent at the relief valve's pressure.
    `missing`: sensors of which nothing was measured. `features` (510,) are what the reference can learn.
    """

    score: float
    oil: float
    new: bool
    relief: bool
    missing: tuple[str, ...]
    contributions: tuple[Contribution, ...]
    features: Float64

    @property
    def whole(self) -> bool:
        """Whether the reference can learn from it."""
        return not self.relief and bool(np.isfinite(self.features).all())


def judge(reference: CycleReference, means: Float64) -> Judgement:
    """Hold a cycle, means of seconds of shape (17, 60), NaN where nothing is known, against what is usual."""
    phases, oil, jumped = phases_of(means), oil_of(means), spoiled(means)
    relief = jumped is not None
    if jumped is not None:
        phases[:, jumped] = np.nan
    features = phases.ravel()
    missing = tuple(SENSORS[number] for number in np.flatnonzero(~np.isfinite(means).any(axis=1)))
    if not np.isfinite(oil) or not reference.cycles:
        return Judgement(np.nan, oil, True, relief, missing, (), features)
    missed, spreads, vague = reference.deviations(features, oil)
    new = vague > NEW
    if new:
        spreads[_FOLLOWING] = np.nan
    spreads = np.where(np.isfinite(spreads), spreads, 0.0)
    score = float(np.sqrt(np.sort(spreads**2)[-LARGEST:].sum() / LARGEST))
    told = spreads * _TOLD
    places = np.sort(np.argsort(np.abs(told), kind="stable")[-LARGEST:])
    # Fewer than ten may be off, or measured at all: what fills up the ten deviates by nothing, or was not measured.
    found = _contributions(missed, told, places[told[places] != 0.0])
    return Judgement(score, oil, new, relief, missing, found, features)


def _contributions(missed: Float64, spreads: Float64, places: Int64) -> tuple[Contribution, ...]:
    """Return the strongest sensors among the features in `places`, each where it is off most."""
    total = float((spreads[places] ** 2).sum()) or 1.0
    runs: dict[str, list[list[int]]] = {}
    for place in places.tolist():
        name = SENSORS[place // len(PHASES)]
        of_sensor = runs.setdefault(name, [])
        if of_sensor and of_sensor[-1][-1] == place - 1 and missed[place] * missed[place - 1] > 0:
            of_sensor[-1].append(place)
        else:
            of_sensor.append([place])
    found = [_contribution(name, of_sensor, missed, spreads, total) for name, of_sensor in runs.items()]
    return tuple(sorted(found, key=lambda one: -one.share)[:SHOWN])


def _contribution(sensor: str, runs: list[list[int]], missed: Float64, spreads: Float64, total: float) -> Contribution:
    loud = [float((spreads[run] ** 2).sum()) for run in runs]
    strongest = runs[loud.index(max(loud))]
    start, end = PHASES[strongest[0] % len(PHASES)][0], PHASES[strongest[-1] % len(PHASES)][1]
    everywhere = [place for run in runs for place in run]
    share = (loud[0] if len(runs) == 1 else float((spreads[everywhere] ** 2).sum())) / total
    return Contribution(sensor, start, end, float(missed[strongest].mean()), share)
