"""`hydrodask train` on more cycles than memory holds: how time and memory of driver and workers grow.

Two lakes of simulated cycles in the 144 component states (`benchmarks.learning` makes them; from 50,000 cycles on they
repeat themselves, ten rigs that do the same), the command itself in a process of its own, and the largest memory of
the driver and of any one worker, looked at five times a second, with the CPU seconds of all by stage: the catalogue of
what there is, its reading on the workers, and what follows on the sample. The bound: what workers send back does not
grow with the cycles, so a driver needs the sample and what its gates leave over (80 MB of second means, some ten times)
and, for a moment, 3 kB a cycle while the keys of 17 profiles are put in order; a worker what it reads at a time and the
sample. `python -m benchmarks.training --data DIR`
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from benchmarks.learning import make
from benchmarks.processes import MIB
from benchmarks.results import save
from hydrodask import clock
from hydrodask.channels import SENSORS

TARGETS = ("valve", "pump")
"""Two of those that the simulated cycles have several states of: what is reduced on workers is the same for all."""


def run(data: Path, kinds: list[str], memory: str) -> dict[str, Any]:
    """Train on one lake and return seconds, what the driver and the largest worker took, and what it printed."""
    settings = {"data_dir": str(data), "cluster.memory_limit": memory, "learn.workers": "2"}
    command = [sys.executable, "-m", "hydrodask", "train", "--json"]
    command += [word for target in TARGETS for word in ("--target", target)]
    command += [word for kind in kinds for word in ("--model", kind)]
    command += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    started_s, driver_mib, worker_mib = clock.monotonic_s(), 0.0, 0.0
    cpu_s: dict[int, float] = {}
    stages: dict[str, dict[str, float]] = {}
    with (data / "train.out").open("w") as out, (data / "train.err").open("w") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
        root = psutil.Process(process.pid)
        while process.poll() is None:
            driver_mib = max(driver_mib, _memory_mib(root))
            worker_mib = max([worker_mib, *(_memory_mib(child) for child in _children(root))])
            cpu_s |= {one.pid: _cpu_s(one) for one in (root, *_children(root))}
            stage = _stage((data / "train.err").read_text())
            stages[stage] = {"until_s": clock.monotonic_s() - started_s, "cpu_s": sum(cpu_s.values())}
            clock.sleep_s(0.2)
    seconds = clock.monotonic_s() - started_s
    if process.returncode:
        sys.exit((data / "train.err").read_text()[-2_000:])
    outcomes = json.loads((data / "train.out").read_text())
    grouped = {f"{one['target']} {one['kind']}": one["figures"]["grouped"]["macro_f1"] for one in outcomes}
    return {
        "cycles": json.loads((data / "made.json").read_text())["cycles"], "kinds": kinds, "seconds": round(seconds, 1),
        "driver_mib": round(driver_mib), "worker_mib": round(worker_mib), "grouped_macro_f1": grouped,
        "load": round(psutil.getloadavg()[1], 1), "cpu_s": round(sum(cpu_s.values()), 1),
        "stages": {stage: {name: round(value, 1) for name, value in one.items()} for stage, one in stages.items()},
    }  # fmt: skip


def _stage(said: str) -> str:
    """Return in which stage a training is, by what it has said."""
    if "starting Dask" not in said:
        return "catalogue"
    done = re.findall(r"([\d,]+) of ([\d,]+) cycles read", said)
    return "sample" if done and done[-1][0] == done[-1][1] else "reading"


def _cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds of a process so far; 0 if it has just ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return list(root.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _memory_mib(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss / MIB)
    except psutil.NoSuchProcess:
        return 0.0


def main() -> None:
    """Make the lakes, train on each, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder for the lakes: 12 kB a cycle")
    parser.add_argument("--cycles", type=int, nargs="+", default=[50_000, 500_000])
    parser.add_argument("--kinds", nargs="+", default=["gaussian", "boosted-forest"])
    parser.add_argument("--memory", default="2GiB", help="limit of each of two workers")
    options = parser.parse_args()
    runs = []
    for cycles in sorted(options.cycles):
        data = options.data / str(cycles)
        data.mkdir(parents=True, exist_ok=True)
        make(data, cycles * len(SENSORS))
        runs.append(run(data, options.kinds, options.memory))
        print(runs[-1], flush=True)
    few, many = runs[0], runs[-1]
    ratio = {key: round(many[key] / few[key], 2) for key in ("cycles", "seconds", "driver_mib", "worker_mib")}
    print("ratio:", ratio)
    save("training", {"worker_memory": options.memory, "runs": runs, "ratio": ratio})


if __name__ == "__main__":
    main()
