"""What a stream costs with verdicts and without, by two trees in turns: whether scoring became dearer since a commit.

    git worktree add /tmp/before COMMIT
    python -m benchmarks.scoreturns --data DIR --before /tmp/before --before-data DIR

DIR are data directories with champions, each trained by its own tree. Each tree runs in a process of its own: the
graphs of `monitor` on recorded cycles, two seconds a step, and that of `score` on their profiles, as often as `--turns`
says and one tree after the other; CPU seconds of the process, no Kafka. A step of `score` is a cycle of a rig: its 17
profiles, a commit, and the documents into SQLite. The first cycles are not counted: of the rig's usual cycles the first
120 are learned.
"""

import argparse
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from time import process_time
from typing import Any

RECORDED = 3
"""Cycles that the graphs of `monitor` run through: what they cost does not depend on it."""

STEP_S = 2
"""Seconds of a stream that a step of ours has."""

START_US = 1_767_225_600_000_000
LATER_MS = 1_900_000_000_000


def first_of(*names: str) -> Any:
    """Return the first of these modules that the tree has."""
    found = [name for name in names if find_spec(name.rpartition(".")[0]) and find_spec(name)]
    return import_module(found[0])


def child(data: str, shared: str, cycles: int, first: int) -> None:
    """Measure once for each line on stdin. All that is imported here is in both trees, by one name or another."""
    from hydrodask.settings import Settings  # noqa: PLC0415 - of the tree that PYTHONPATH names

    champions = first_of("hydrodask.learn.score.champions", "hydrodask.learn.champions")
    messages_of = first_of("hydrodask.testing.messages", "tests.strategies").messages_of
    from hydrodask.store.documents import open_documents  # noqa: PLC0415 - the same

    life_of = import_module("tests.running").Life
    given, profiles = pickle.loads(Path(shared).read_bytes())  # noqa: S301 - the parent wrote it
    settings = Settings(data_dir=Path(data))
    of_process: Any = champions.shared(settings)
    of_process.refresh()
    of_process.look = lambda: None  # nobody asks the registry meanwhile
    models = dict(of_process.models)
    if not models:
        raise SystemExit(f"there are no champions in {data}: {of_process.problems}")
    raw = {s: in_steps(parts, partial(messages_of, topic=f"hydraulic-{s}")) for s, parts in given.items()}
    steps = in_steps(profiles, partial(messages_of, topic="hydraulic-cycles"))

    def monitored() -> float:
        began_s = process_time()
        for sensor, parts in raw.items():
            life = life_of(settings, topic=f"hydraulic-{sensor}")
            for some in parts:
                life.feed(some)
                life.commit(emit=False)
        return process_time() - began_s

    def scored(with_models: bool) -> float:
        of_process.models = models if with_models else {}
        with tempfile.TemporaryDirectory() as folder:
            documents = open_documents(Settings(data_dir=Path(folder)))
            life, began_s = life_of(settings, topic="hydraulic-cycles", flow="score"), 0.0
            for number, some in enumerate(steps):
                if number == first:
                    began_s = process_time()
                life.feed(some)
                life.commit(emit=False)
                documents.write(list(life.changes))
                life.changes.clear()
            took_s = process_time() - began_s
            documents.close()
        return took_s

    records = sum(len(some) for parts in raw.values() for some in parts)
    monitored()
    scored(with_models=True)
    print(json.dumps({"champions": len(models)}), flush=True)
    for _ in sys.stdin:
        found = {"us_a_record": monitored() / records * 1e6}
        found |= {f"ms_a_cycle_{name}": scored(name == "with") / cycles * 1e3 for name in ("without", "with")}
        print(json.dumps(found), flush=True)


def in_steps(parts: list[list[bytes]], messages_of: Callable[..., Any]) -> list[Any]:
    """Return records as messages, one after the other."""
    firsts = [0, *accumulate(map(len, parts))]
    return [messages_of(part, first=first, stamp_ms=LATER_MS) for part, first in zip(parts, firsts, strict=False)]


def inputs(cycles: int) -> tuple[dict[str, list[list[bytes]]], list[list[bytes]]]:
    """Return records of recorded cycles by sensor, and profiles of so many cycles, each once a minute."""
    import msgspec  # noqa: PLC0415 - of this tree
    import numpy as np  # noqa: PLC0415 - the same

    from benchmarks.inputs import RECORDING  # noqa: PLC0415 - the same
    from hydrodask.channels import CHANNELS, SENSORS  # noqa: PLC0415 - the same
    from hydrodask.ingest.encode import encode  # noqa: PLC0415 - the same
    from hydrodask.ingest.recording import Recording  # noqa: PLC0415 - the same

    feed = Recording(RECORDING, start_us=START_US, repeat=1, rig=None)
    given: dict[str, list[list[bytes]]] = {sensor: [[]] for sensor in SENSORS}
    for second in range(60 * RECORDED):
        for chunk in feed.chunk(second):
            parts = given[chunk.sensor]
            if second % STEP_S == 0 and parts[-1]:
                parts.append([])
            parts[-1] += [v if isinstance(v, bytes) else v.encode() for v in encode(chunk)]
    curves = {s: np.loadtxt(RECORDING / f"{s}.txt").reshape(10, 60, -1) for s in SENSORS}
    begin, profiles = datetime.fromisoformat("2026-01-01T00:00:00+00:00"), []
    for number in range(cycles):
        start = (begin + timedelta(minutes=number)).isoformat(timespec="microseconds").replace("+00:00", "Z")
        some = []
        for sensor in SENSORS:
            values = curves[sensor][number % 10]
            count = values.shape[1]
            one = {
                "rig": "rig-1", "sensor": sensor, "cycle": number, "cycle_start": start, "complete": True,
                "revision": number, "n": [count] * 60, "mean": values.mean(axis=1).tolist(),
                "m2": (values.var(axis=1) * count).tolist(), "min": values.min(axis=1).tolist(),
                "max": values.max(axis=1).tolist(), "sampling_rate_hz": float(CHANNELS[sensor].rate_hz),
            }  # fmt: skip
            some.append(msgspec.json.encode(one))
        profiles.append(some)
    return given, profiles


def begun(tree: Path, data: Path, shared: str, cycles: int, first: int) -> subprocess.Popen[str]:
    """Start the process of one tree."""
    command = [
        sys.executable,
        "-P",
        str(Path(__file__).resolve()),
        "--child",
        str(data),
        shared,
        str(cycles),
        str(first),
    ]
    surroundings = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=surroundings, stdin=pipe, stdout=pipe, text=True, start_new_session=True)


def told(process: subprocess.Popen[str], line: str = "") -> dict[str, float]:
    """Send a line and return the answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    if line:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    found: dict[str, float] = json.loads(process.stdout.readline())
    return found


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data directory with this tree's champions")
    parser.add_argument("--before", type=Path, required=True, help="worktree of the earlier commit")
    parser.add_argument("--before-data", type=Path, required=True, help="data directory with its champions")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--cycles", type=int, default=60)
    parser.add_argument("--first", type=int, default=130, help="cycles before those that count")
    options = parser.parse_args()
    from benchmarks.results import save  # noqa: PLC0415 - not in the child

    trees = {
        "before": (options.before, options.before_data),
        "now": (Path(__file__).resolve().parents[1], options.data),
    }
    with tempfile.NamedTemporaryFile() as shared:
        shared.write(pickle.dumps(inputs(options.first + options.cycles)))
        shared.flush()
        running = {
            name: begun(tree, data, shared.name, options.cycles, options.first) for name, (tree, data) in trees.items()
        }
        turns: list[dict[str, dict[str, float]]] = []
        try:
            print({name: told(process) for name, process in running.items()}, flush=True)
            for turn in range(options.turns):
                order = list(running) if turn % 2 == 0 else list(reversed(running))
                turns.append({name: told(running[name], "go") for name in order})
                print(turns[-1], flush=True)
        finally:
            for process in running.values():
                process.kill()
    found: dict[str, Any] = {"turns": turns}
    for name in trees:
        found[name] = {key: statistics.median(turn[name][key] for turn in turns) for key in turns[0][name]}
        a_cycle_ms = found[name]["us_a_record"] * 43.68
        found[name]["ratio_to_no_scoring"] = 1 + found[name]["ms_a_cycle_with"] / a_cycle_ms
    pairs = [turn["now"]["ms_a_cycle_with"] / turn["before"]["ms_a_cycle_with"] for turn in turns]
    found["cycle_now_to_before"] = statistics.median(pairs)
    print({name: found[name] for name in (*trees, "cycle_now_to_before")})
    save("scoreturns", found)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
