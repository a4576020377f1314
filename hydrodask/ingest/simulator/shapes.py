"""What a sensor shows in a load cycle: means of each second, then the steps of the load.

`constants.json` holds, per sensor, a few shapes of a cycle (60 values each) and how strongly each
is present depending on component states and oil temperature (`response`, 12 values, see
`inputs.features`). They are a low-rank least-squares fit to 1691 cycles of the UCI archive (DOI
10.24432/C5CW21, CC BY 4.0); 185 cycles of an upset (PS1 over 170 bar in seconds 20 to 50,
whatever the component states) are left out. A `transition` is one step of the load: onset in its
second, form, time constant, and that of the pulse that comes with it, fitted to nine cycles at
native rate.
"""

import json
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from hydrodask.channels import CHANNELS
from hydrodask.records import Float64

LOAD_STEPS_S = (0, 9, 19, 29, 39, 49)
"""The seconds of a cycle in which the load changes."""

_OPENS = 9
_SETTLES = 12


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of the load as a sensor sees it: times in seconds, `form` decay or ramp."""

    onset_s: float
    form: str
    tau_s: float
    pulse_tau_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Constants of one sensor; `shapes` (r, 60), `response` (r, 12).

    Noise, as standard deviations in the sensor's unit: `offset_sd` of a whole cycle, `second_sd` of
    a second, `noise_sd` of a sample, which is a moving average over `smooth` samples. Values have
    `decimals` decimal places.
    """

    shapes: Float64
    response: Float64
    offset_sd: float
    second_sd: float
    noise_sd: float
    smooth: int
    decimals: int
    transitions: tuple[Transition, ...]

    def second_means(self, features: Float64) -> Float64:
        """Return the mean of each second without noise, (60,), given `inputs.features`."""
        means: Float64 = ((self.response @ features) * self.shapes).sum(axis=0)
        return means


@cache
def load_shapes() -> dict[str, Shape]:
    """Return the constants of all sensors, in the order of the channels."""
    tree = json.loads((Path(__file__).parent / "constants.json").read_text(encoding="utf-8"))
    return {name: _shape(tree[name]) for name in CHANNELS}


def _shape(tree: dict[str, object]) -> Shape:
    arrays = {key: np.array(tree.pop(key), dtype=np.float64) for key in ("shapes", "response")}
    steps: list[tuple[float, str, float, float]] = tree.pop("transitions")  # type: ignore[assignment]
    return Shape(**arrays, **tree, transitions=tuple(Transition(*step) for step in steps))  # type: ignore[arg-type]


def opening_s(ps2_means: Float64) -> float:
    """Return when in the cycle the main valve opens, seconds.

    PS2 is 0 before, and its mean of second 9 says when. A worn valve opens later. 4.6 bar is what
    the first pulse adds to that mean.
    """
    opened = (ps2_means[_OPENS] - 4.6) / ps2_means[_SETTLES]
    return _OPENS + 1 - float(np.clip(opened, 0.05, 0.95))


def native(shape: Shape, means: Float64, rate_hz: int, opens_s: float) -> Float64:
    """Return a cycle at `rate_hz` without noise, (60 * rate_hz,); seconds keep their means."""
    values = np.repeat(means, rate_hz)
    for at_s, transition in zip(LOAD_STEPS_S, shape.transitions, strict=False):
        late_s = opens_s - _OPENS if at_s == _OPENS else 0.0
        # Rounded, so that few different curves are ever computed.
        onset_s = round(transition.onset_s + late_s, 2)
        step, pulse = _curves(onset_s, transition, rate_hz)
        values[at_s * rate_hz : (at_s + 2) * rate_hz] = _stepped(means, at_s, step, pulse)
    return values


def _stepped(means: Float64, at_s: int, step: Float64, pulse: Float64) -> Float64:
    before, after = float(means[at_s - 1]), float(means[at_s + 2])
    values: Float64 = before + (after - before) * step
    half = len(step) // 2
    values += (means[at_s] - values[:half].mean()) / max(pulse[:half].mean(), 1e-3) * pulse
    values[half:] += means[at_s + 1] - values[half:].mean()
    return values


@lru_cache(maxsize=4096)
def _curves(onset_s: float, transition: Transition, rate_hz: int) -> tuple[Float64, Float64]:
    """Return the step from 0 to 1 and its pulse over two seconds, shape (2 * rate_hz,) each."""
    since_s = np.arange(2 * rate_hz) / rate_hz - onset_s
    begun = since_s >= -1e-9
    after_s = np.where(begun, since_s, 0.0)
    if transition.form == "ramp":
        step = np.clip(after_s / transition.tau_s, 0.0, 1.0)
    else:
        step = 1 - np.exp(-after_s / transition.tau_s)
    return np.where(begun, step, 0.0), np.where(begun, np.exp(-after_s / transition.pulse_tau_s), 0.0)
