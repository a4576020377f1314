"""One simulated rig: whole cycles of all sensors, computed at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrodask.channels import CHANNELS, CYCLE_S
from hydrodask.ingest.simulator.faults import FaultPlan
from hydrodask.ingest.simulator.inputs import HEALTHY, Heat, component_states, features
from hydrodask.ingest.simulator.jumps import chance, jumped
from hydrodask.ingest.simulator.shapes import Shape, load_shapes, native, opening_s
from hydrodask.records import Float64

_AMBIENT_SD = 0.3  # °C from rig to rig
_GAIN_SD = 0.002  # of every sensor, from rig to rig
_SLOW = ("TS1", "TS2", "TS3", "TS4")
_HELD = 4  # the power meter gives each value for four samples, in steps of 0.2 W


@dataclass(frozen=True, slots=True)
class Cycle:
    """One computed cycle: samples in units of the sensor's last decimal place; what was true."""

    counts: dict[str, NDArray[np.int32]]
    states: dict[str, float]
    stable: int


class SimulatedRig:
    """A rig with its own gains and ambient temperature; same seed and index, same bits.

    `phase_s` is how far it was in its first cycle when the run started. Cycles may be asked for in
    any order; going forward is cheap. Rig 0 is the nominal one.
    """

    def __init__(self, name: str, *, index: int, seed: int, plan: FaultPlan) -> None:
        self.name = name
        self._key = (seed % 2**64, index)
        rng = np.random.default_rng((*self._key, 0))
        nominal = float(index > 0)
        self.phase_s = int(rng.integers(CYCLE_S)) if index else 0
        self._ambient = nominal * _AMBIENT_SD * float(np.clip(rng.standard_normal(), -2.0, 2.0))
        self._gains = 1 + nominal * _GAIN_SD * np.clip(rng.standard_normal(len(CHANNELS)), -2.0, 2.0)
        self._faults = [fault for fault in plan.components if fault.concerns(name)]
        first = component_states(self._faults, 0.0)["cooler"][0]
        self._heat = [Heat.settled(float(first), self._ambient)]
        self._cached: tuple[int, Cycle] | None = None

    def cycle(self, number: int) -> Cycle:
        """Return cycle `number`, from 0 on; the last one is kept."""
        if self._cached is None or self._cached[0] != number:
            self._cached = (number, self._compute(number))
        return self._cached[1]

    def _compute(self, number: int) -> Cycle:
        while len(self._heat) <= number:
            before = len(self._heat) - 1
            self._heat.append(self._heats(before)[-1])
        heats = self._heats(number)[:-1]
        states = self._states(number)
        rng = np.random.default_rng((*self._key, 1 + number))
        label = {name: float(np.median(state)) for name, state in states.items()}
        jumps = self._jumps(number, heats[0].oil, label)
        samples = _samples(states, heats, self._gains, rng, jumps=jumps)
        return Cycle(samples, label, self._unsettled(number, heats[-1]))

    def _jumps(self, number: int, oil: float, label: dict[str, float]) -> bool:
        # Drawn apart: cycles in cold oil have the bits that they had before there were jumps.
        drawn = float(np.random.default_rng((*self._key, 1 + number, 1)).random())
        return drawn < chance(oil, label["pump"], label["accumulator"])

    def _states(self, number: int) -> dict[str, Float64]:
        return component_states(self._faults, number * CYCLE_S - self.phase_s)

    def _heats(self, number: int) -> list[Heat]:
        """Return the heat at the start of each second of a cycle, and after it: 61 of them."""
        heats = [self._heat[number]]
        for cooler in self._states(number)["cooler"].tolist():
            heats.append(heats[-1].after_1s(cooler, self._ambient))
        return heats

    def _unsettled(self, number: int, heat: Heat) -> int:
        """Return 1 while oil drifts or a component changed in this cycle or the one before."""
        if heat.drifting(self._ambient):
            return 1
        recent = [self._states(n) for n in (number - 1, number) if n >= 0]
        return int(any(np.ptp(np.concatenate([s[name] for s in recent])) > 0 for name in HEALTHY))


def _samples(
    states: dict[str, Float64], heats: list[Heat], gains: Float64, rng: np.random.Generator, *, jumps: bool
) -> dict[str, NDArray[np.int32]]:
    oil = np.array([heat.oil for heat in heats])
    # One of each: sensors in the oil see the cooler late, all others at once.
    fast = features(states, np.array([heat.cooler_fast for heat in heats]), oil)
    slow = features(states, np.array([heat.cooler_slow for heat in heats]), oil)
    shapes = load_shapes()
    opens_s = opening_s(shapes["PS2"].second_means(fast))
    counts = {}
    for gain, (name, shape) in zip(gains, shapes.items(), strict=True):
        means = np.maximum(shape.second_means(slow if name in _SLOW else fast), 0.0) * gain
        if jumps:
            means = jumped(name, means, float(gain))
        means += _second_noise(name, shape, means, rng)
        values = native(shape, means, CHANNELS[name].rate_hz, opens_s)
        counts[name] = _quantised(name, shape, _noisy(shape, values, rng))
    return counts


def _second_noise(name: str, shape: Shape, means: Float64, rng: np.random.Generator) -> Float64:
    # Bounded: a healthy rig should not look broken once a day because of a rare draw.
    drawn = np.clip(rng.standard_normal(1 + CYCLE_S), -2.0, 2.0)
    noise = shape.offset_sd * drawn[0] + shape.second_sd * drawn[1:]
    if name == "SE":
        # The efficiency is computed every two seconds, at odd ones.
        noise[1:-1:2] = noise[2::2]
    return np.where(means > _floor(name), noise, 0.0)


def _floor(name: str) -> float:
    """Return below which value a sensor shows nothing, not even noise: the valve is closed."""
    return 0.005 * CHANNELS[name].high if CHANNELS[name].low == 0 else 0.0


def _noisy(shape: Shape, values: Float64, rng: np.random.Generator) -> Float64:
    if shape.noise_sd == 0:
        return values
    count = len(values)
    white = rng.standard_normal(count + shape.smooth - 1, dtype=np.float32)
    smooth = white[:count].copy()
    for i in range(1, shape.smooth):
        smooth += white[i : i + count]
    sd = np.float32(shape.noise_sd / np.sqrt(shape.smooth))
    return values + sd * smooth * (values > 0.05)


def _quantised(name: str, shape: Shape, values: Float64) -> NDArray[np.int32]:
    channel = CHANNELS[name]
    scaled: Float64 = np.clip(values, channel.low, channel.high) * 10**shape.decimals
    if name == "EPS1":
        scaled = np.rint(np.repeat(scaled[::_HELD], _HELD) / 2) * 2
    counts: NDArray[np.int32] = np.rint(scaled).astype(np.int32)
    return counts
