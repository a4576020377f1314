"""Component states and oil temperature of a rig, second by second: what its sensors respond to.

The constants of the oil come from the warm-up and the two cooler changes in the archive: the oil
follows the cooler as a first-order lag of 6 to 16 load cycles, the slower the less cooling there
is.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hydrodask.channels import CYCLE_S
from hydrodask.ingest.simulator.faults import ComponentFault
from hydrodask.records import Float64

LEVELS: dict[str, tuple[float, ...]] = {
    "cooler": (3.0, 20.0, 100.0),
    "valve": (73.0, 80.0, 90.0, 100.0),
    "pump": (0.0, 1.0, 2.0),
    "accumulator": (90.0, 100.0, 115.0, 130.0),
}
"""The states at which the real rig was measured; between them the response is interpolated."""

HEALTHY: dict[str, float] = {"cooler": 100.0, "valve": 100.0, "pump": 0.0, "accumulator": 130.0}
"""States of a rig without a fault."""

OIL_REFERENCE = 36.0
"""Oil temperature at which `response` of the constants holds, °C."""

_OIL_END = (55.5, 45.0, 35.9)  # °C where the oil ends up at each level of the cooler
_OIL_LAG_S = (16.0 * CYCLE_S, 11.0 * CYCLE_S, 6.5 * CYCLE_S)
_FAST_LAG_S = 1.5  # air flow and the virtual sensors follow the fan
_SLOW_LAG_S = 120.0  # metal between cooler and the outer temperature sensors


@dataclass(frozen=True, slots=True)
class Heat:
    """What a rig remembers: oil in °C, cooler as fast and as slow sensors see it in %."""

    oil: float
    cooler_fast: float
    cooler_slow: float

    @classmethod
    def settled(cls, cooler: float, ambient: float) -> "Heat":
        """Return the state that a rig reaches with `cooler` when it runs for hours."""
        return cls(between(cooler, LEVELS["cooler"], _OIL_END) + ambient, cooler, cooler)

    def after_1s(self, cooler: float, ambient: float) -> "Heat":
        """Return the state one second later, with the cooler at `cooler` % meanwhile."""
        end = between(cooler, LEVELS["cooler"], _OIL_END) + ambient
        lag_s = between(cooler, LEVELS["cooler"], _OIL_LAG_S)
        return Heat(
            self.oil + (end - self.oil) / lag_s,
            self.cooler_fast + (cooler - self.cooler_fast) / _FAST_LAG_S,
            self.cooler_slow + (cooler - self.cooler_slow) / _SLOW_LAG_S,
        )

    def drifting(self, ambient: float) -> bool:
        """Say whether the oil is more than 1 °C from where it will end up."""
        end = between(self.cooler_fast, LEVELS["cooler"], _OIL_END) + ambient
        return abs(self.oil - end) > 1.0


def between(x: float, levels: Sequence[float], values: Sequence[float]) -> float:
    """Return `values` interpolated at `x`, constant outside.

    >>> between(60, (20, 100), (1.0, 2.0)), between(200, (20, 100), (1.0, 2.0))
    (1.5, 2.0)
    """
    right = bisect_left(levels, x)
    if right == 0:
        return values[0]
    if right == len(levels):
        return values[-1]
    share = (x - levels[right - 1]) / (levels[right] - levels[right - 1])
    return values[right - 1] + share * (values[right] - values[right - 1])


def component_states(faults: Sequence[ComponentFault], second: float) -> dict[str, Float64]:
    """Return each component's state in 60 seconds from `second` on, shape (60,).

    It is what holds in the middle of each second.
    """
    # A rig in the middle of a cycle at the start had the states of the start all along.
    middles = np.maximum(second + np.arange(CYCLE_S) + 0.5, 0.0)
    states = {name: np.full(CYCLE_S, value) for name, value in HEALTHY.items()}
    for fault in faults:
        share = np.array([fault.share(float(middle)) for middle in middles])
        state = states[fault.component]
        states[fault.component] = state + share * (fault.to - state)
    return states


def weights(state: Float64, component: str) -> Float64:
    """Return how much of each level but the healthy one is in `state`, shape (levels - 1, n).

    >>> weights(np.array([100.0, 60.0, 3.0]), "cooler").tolist()
    [[0.0, 0.0, 1.0], [0.0, 0.5, 0.0]]
    """
    levels = LEVELS[component]
    hats = np.eye(len(levels))
    kept = [i for i, level in enumerate(levels) if level != HEALTHY[component]]
    return np.array([np.interp(state, levels, hats[i]) for i in kept])


def features(states: dict[str, Float64], cooler: Float64, oil: Float64) -> Float64:
    """Return what `response` is multiplied by, shape (12, n): one, level weights, oil."""
    parts = [
        np.ones((1, len(oil))),
        weights(cooler, "cooler"),
        *(weights(states[name], name) for name in ("valve", "pump", "accumulator")),
        (oil - OIL_REFERENCE)[None, :],
    ]
    return np.concatenate(parts)
