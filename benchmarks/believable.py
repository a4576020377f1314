"""Is the simulator believable? Champions that know only the real rig say what they see in simulated cycles.

Cycles in each of the 144 component states, a few a state, by rigs whose oil has settled; the share for which the
champions give the simulated state. `python -m benchmarks.believable --set data_dir=DIR` after `hydrodask import` and
`train`. The nominal rig stands for the real one; others of a fleet have sensors that are off by up to 0.4 %, a quarter
of what a weak leakage of the pump does to the flow: no model of one rig can know that, so they are shown apart.
"""

import argparse
import itertools

import numpy as np

from benchmarks.results import save
from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.ingest.simulator.faults import ComponentFault, Fault, FaultPlan
from hydrodask.ingest.simulator.inputs import HEALTHY, LEVELS
from hydrodask.ingest.simulator.rig import SimulatedRig
from hydrodask.ingest.simulator.shapes import load_shapes
from hydrodask.learn.features import HIGH, LOW, MEAN, SEGMENTS, Cycles
from hydrodask.learn.registry import Registry
from hydrodask.learn.score.asking import score
from hydrodask.learn.score.batch import champions
from hydrodask.records import Float64
from hydrodask.settings import load

COMPONENTS = ("cooler", "valve", "pump", "accumulator")


def every_state() -> list[tuple[float, ...]]:
    """Return the 144 combinations of component states."""
    return list(itertools.product(*(LEVELS[name] for name in COMPONENTS)))


def simulated(states: list[tuple[float, ...]], *, each: int, seed: int, index: int = 0) -> Cycles:
    """Return `each` cycles in each state by rigs of this index in fleets of their own; 0 is the nominal one."""
    curves = np.zeros((len(states) * each, len(SENSORS), 3, SEGMENTS))
    for place, (state, number) in enumerate(itertools.product(states, range(each))):
        faults: list[Fault] = [
            ComponentFault(component=name, to=value, at=0.0)
            for name, value in zip(COMPONENTS, state, strict=True)
            if value != HEALTHY[name]
        ]
        rig = SimulatedRig("rig", index=index, seed=seed + place, plan=FaultPlan(faults))  # else noise repeats itself
        curves[place] = profile(rig, 3 + number)
    nobody = np.full(len(curves), "rig", object)
    return Cycles(nobody, np.arange(len(curves)), np.zeros(len(curves), np.int64), curves)


def profile(rig: SimulatedRig, number: int) -> Float64:
    """Return shape (17, 3, 60) of one cycle of a rig: what the stream would make of its samples."""
    cycle = rig.cycle(number)
    shapes = load_shapes()
    made = np.zeros((len(SENSORS), 3, SEGMENTS))
    for place, sensor in enumerate(SENSORS):
        values = cycle.counts[sensor] / 10 ** shapes[sensor].decimals
        seconds = values.reshape(SEGMENTS, CHANNELS[sensor].rate_hz)
        made[place, [MEAN, LOW, HIGH]] = seconds.mean(axis=1), seconds.min(axis=1), seconds.max(axis=1)
    return made


def main() -> None:
    """Print the shares and store them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=5, help="cycles in each state")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="key=value, as for hydrodask")
    options = parser.parse_args()
    states, models = every_state(), champions(Registry(load(sets=options.set)[0]))
    shares = {}
    for index in (0, 1):
        cycles = simulated(states, each=options.each, seed=options.seed, index=index)
        truth = np.repeat(np.array(states), options.each, axis=0)
        said = score(models, cycles)
        rights = {name: float((said[name].label == truth[:, i]).mean()) for i, name in enumerate(COMPONENTS)}
        rights["stable"] = float((said["stable"].label == 0).mean())
        shares["nominal rig" if index == 0 else "other rigs of fleets"] = rights
        print(
            "nominal rig:" if index == 0 else "other rigs:",
            ", ".join(f"{name} {share:.3f}" for name, share in rights.items()),
        )
    save("believable", {"cycles": len(states) * options.each, "right": shares})


if __name__ == "__main__":
    main()
