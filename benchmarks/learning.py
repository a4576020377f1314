"""Training on two million profiles: XGBoost on Dask beside scikit-learn's forest in memory.

A profile is one sensor's cycle, so two million are 117,648 cycles of 17 sensors: 1,440 simulated cycles (ten in each of
144 component states), repeated with noise of their own, as Parquet in the lake's layout. The bound for memory: what two
workers may have (`--memory` each) and a driver that holds no features. `python -m benchmarks.learning --data DIR`
"""

import argparse
import io
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.ensemble import RandomForestClassifier

from benchmarks.believable import COMPONENTS, every_state, simulated
from benchmarks.processes import usage
from benchmarks.results import save
from hydrodask import clock
from hydrodask.channels import SENSORS
from hydrodask.learn.compute import training_cluster
from hydrodask.learn.data import dataset
from hydrodask.learn.data.catalogue import Catalogue, catalogue
from hydrodask.learn.targets import TARGETS
from hydrodask.learn.train import boosted
from hydrodask.records import Float64, Int64
from hydrodask.settings import Settings
from hydrodask.store.lake import Lake

BLOCK = 2_000
EACH = 10
FRESH = 25
"""Blocks that are made; later ones repeat them, for it is their number that is to be measured."""
TARGET = TARGETS["pump"]
COLUMNS = tuple(dict.fromkeys(name for target in TARGETS.values() for name in target.columns))
"""Every feature that some target uses, 820 of them."""
TEST_BLOCK, TEST_SHARE = 100, 10
"""Every tenth hundred of cycles is for the test."""


def make(data: Path, profiles: int) -> None:
    """Write the lake unless it is there."""
    if (data / "made.json").exists():
        return
    states = np.repeat(np.array(every_state()), EACH, axis=0)
    base = simulated(every_state(), each=EACH, seed=1).curves
    scale = base[:, :, 0].std(axis=(0, 2)) * 0.002
    lake, count = Lake(str(data / "lake")), -(-profiles // len(SENSORS))
    for number, first in enumerate(range(0, count, BLOCK)):
        if number >= FRESH:
            _repeat(lake, number, BLOCK * (number // FRESH * FRESH))
            continue
        rng = np.random.default_rng(number)
        rows = np.arange(first, min(first + BLOCK, count))
        chosen = rng.integers(0, len(base), len(rows))
        noise = rng.normal(0.0, scale[:, None, None], (len(rows), len(SENSORS), 1, 60))
        _write(lake, rows, states[chosen], np.round(base[chosen] + noise, 4))
    (data / "made.json").write_text(json.dumps({"profiles": count * len(SENSORS), "cycles": count}))


def _repeat(lake: Lake, number: int, later: int) -> None:
    """Write a block that is like an earlier one, `later` cycles later."""
    first = BLOCK * number
    for folder in (*(f"cycles/sensor={sensor}" for sensor in SENSORS), "labels"):
        path = f"{folder}/bench-0-{first - later:012}.parquet"
        table = pq.ParquetFile(io.BytesIO(lake.files.read(path))).read()
        time = "timestamp" if folder == "labels" else "cycle_start"
        times = pc.add(pc.cast(table[time], pa.int64()), later * 60_000_000)
        for name, values in (
            ("cycle", pc.add(table["cycle"], later)), ("revision", pc.add(table["revision"], later)),
            (time, pc.cast(times, table.schema.field(time).type)),
        ):  # fmt: skip
            table = table.set_column(table.schema.get_field_index(name), name, values)
        lake.put(folder, ("bench", 0), first, first + len(table), table)


def _write(lake: Lake, rows: Int64, states: Float64, curves: Float64) -> None:
    """Write one block of cycles: a file a sensor, and their labels."""
    keys = {"rig": pa.array(["rig"] * len(rows)), "cycle": rows}
    start = pa.array(rows * 60_000_000).cast(pa.timestamp("us", tz="UTC"))
    span = (("bench", 0), int(rows[0]), int(rows[-1]) + 1)
    for place, sensor in enumerate(SENSORS):
        lists = {n: _lists(curves[:, place, i]) for i, n in enumerate(("mean", "min", "max"))}
        table = pa.table({**keys, "cycle_start": start, **lists, "revision": rows})
        lake.put(f"cycles/sensor={sensor}", *span, table)
    labels = {name: states[:, i] for i, name in enumerate(COMPONENTS)}
    label_table = pa.table({**keys, "timestamp": start, **labels, "stable": np.zeros(len(rows)), "revision": rows})
    lake.put("labels", *span, label_table)


def _lists(values: Float64) -> pa.Array:
    offsets = np.arange(0, values.size + 1, 60, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values).ravel()))


class Peak:
    """The largest memory of this process and its children while it is open, looked at five times a second."""

    def __enter__(self) -> Self:
        self.memory_mib, self._stop, self._started_s = 0.0, threading.Event(), clock.monotonic_s()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.seconds = clock.monotonic_s() - self._started_s

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            self.memory_mib = max(self.memory_mib, usage().memory_mib)


def halves(cycles: Catalogue) -> tuple[Catalogue, Catalogue]:
    """Return the cycles to train on, and those of every tenth hundred."""
    test = np.arange(len(cycles)) // TEST_BLOCK % TEST_SHARE == TEST_SHARE - 1
    return cycles.take(~test), cycles.take(test)


def run(engine: str, data: Path, cycles_max: int, memory: str) -> dict[str, Any]:
    """Train one engine and return time, memory and accuracy."""
    learn = Settings(data_dir=data)
    settings = learn.model_copy(update={"cluster": learn.cluster.model_copy(update={"memory_limit": memory})})
    with Peak() as peak:
        train, test = halves(catalogue(settings.lake_url).take(slice(0, cycles_max)))
        labels = np.searchsorted(TARGET.classes, train.target(TARGET.name))
        with training_cluster(settings) as client:
            rows = dataset.features(train, COLUMNS, dtype="float32")
            if engine == "xgboost":
                numbers = dataset.chunked(labels)[0]
                model: Any = boosted.train(client, rows, numbers, TARGET.classes, limit_s=3_600)
            else:
                features = dataset.gathered(rows)
                model = RandomForestClassifier(boosted.TREES, max_depth=7, random_state=42, n_jobs=2)
                model.fit(features, train.target(TARGET.name))
    some = dataset.features(test.take(slice(0, 2_000)), COLUMNS).compute(scheduler="synchronous")
    right = float((model.predict(some) == test.take(slice(0, 2_000)).target(TARGET.name)).mean())
    return {
        "engine": engine, "cycles": len(train), "profiles": len(train) * len(SENSORS),
        "seconds": round(peak.seconds, 1), "peak_mib": round(peak.memory_mib), "accuracy": round(right, 4),
    }  # fmt: skip


def main() -> None:
    """Make the data, run both engines in processes of their own, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--profiles", type=int, default=2_000_000)
    parser.add_argument("--memory", default="1GiB", help="limit of each of two workers")
    parser.add_argument("--engine", choices=("xgboost", "scikit-learn"))
    parser.add_argument("--cycles", type=int, default=10**9)
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    if options.engine:
        print(json.dumps(run(options.engine, options.data, options.cycles, options.memory)))
        return
    started_s = clock.monotonic_s()
    make(options.data, options.profiles)
    size = sum(path.stat().st_size for path in (options.data / "lake").rglob("*.parquet"))
    print(f"{options.profiles:,} profiles, {size / 1e6:.0f} MB of Parquet ({clock.monotonic_s() - started_s:.0f} s)")
    results = []
    for share in (8, 2, 1):
        for engine in ("xgboost", "scikit-learn"):
            count = -(-options.profiles // len(SENSORS) // share)
            command = [sys.executable, "-m", "benchmarks.learning", "--data", str(options.data), "--engine", engine]
            command += ["--cycles", str(count), "--memory", options.memory]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            failed = {"engine": engine, "cycles": count, "failed": done.stderr.strip().splitlines()[-1:]}
            results.append(failed if done.returncode else json.loads(done.stdout.splitlines()[-1]))
            print(results[-1], flush=True)
    save("learning", {"parquet_bytes": size, "worker_memory": options.memory, "runs": results})


if __name__ == "__main__":
    main()
