"""How often the detector without labels is wrong on healthy rigs: simulated days, for the real rig has hours of them.

`python -m benchmarks.quietdays --rigs 30 --days 1`: each rig has its own gains, ambient temperature and noise; a third
of them each has a cooler at 100, 20 and 3 %, which stays; in hot oil their flow jumps as the real rig's does. After the
first `detect.usual.learn` cycles each incident `unusual_cycles` is a false one.
"""

import argparse
from collections import Counter

from benchmarks.believable import profile
from benchmarks.results import save
from hydrodask.channels import CYCLE_S
from hydrodask.clock import US_PER_S
from hydrodask.detect.usual.telling import UNUSUAL, At
from hydrodask.detect.usual.watch import CycleWatch
from hydrodask.ingest.simulator.faults import ComponentFault, Fault, FaultPlan
from hydrodask.ingest.simulator.rig import SimulatedRig
from hydrodask.learn.features import MEAN
from hydrodask.records import Upsert
from hydrodask.settings.model import Usual

COOLERS = (100, 20, 3)
A_DAY = 86_400 // CYCLE_S


def lived(index: int, cycles: int, seed: int) -> Counter[str]:
    """Return what became of a rig's cycles: how many had which state, and how many incidents were opened."""
    cooler = COOLERS[index % len(COOLERS)]
    faults: list[Fault] = [ComponentFault(component="cooler", to=cooler, at=0.0)] if cooler != COOLERS[0] else []
    name = f"rig-{index}"
    rig, watch = SimulatedRig(name, index=index, seed=seed, plan=FaultPlan(faults)), CycleWatch(Usual())
    found: Counter[str] = Counter()
    for number in range(cycles):
        at = At(name, number, number * CYCLE_S * US_PER_S, number)
        changes = watch.take(at, profile(rig, number)[:, MEAN])
        states = [c.body for c in changes if isinstance(c, Upsert) and c.collection == "components"]
        found.update(str(body["state"]) for body in states)
    found["incidents"] = watch.incidents
    return found


def main() -> None:
    """Print a line a rig, and store the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rigs", type=int, default=30)
    parser.add_argument("--days", type=float, default=1.0, help="of each rig, beside the cycles that it learns from")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    learn = Usual().learn or 0
    total: Counter[str] = Counter()
    for index in range(options.rigs):
        found = lived(index, learn + round(options.days * A_DAY), options.seed)
        total += found
        print(f"rig {index}, cooler {COOLERS[index % len(COOLERS)]} %: {dict(found)}", flush=True)
    days = options.rigs * options.days
    print(f"{days:g} days: {total['incidents']} incidents, {total[UNUSUAL]} unusual cycles")
    save("quietdays", {"rigs": options.rigs, "days": days, "threshold": Usual().enter, "incidents": 0, **total})


if __name__ == "__main__":
    main()
