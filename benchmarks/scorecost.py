"""What verdicts cost: a cycle for all targets with gate and reasons, 10,000 cycles, and a record of a stream.

    python -m benchmarks.scorecost --uci DIR [--data DIR]

The models are the champions of `--data`; where there are none, the archive is imported and committees are trained,
which takes minutes. A stream's cost is that of its graphs in this process, without Kafka: the 17 of `monitor` on the
recorded cycles, each sensor a partition, and then that of `score` on the profiles that they publish, with documents in
SQLite. What is read and published through Kafka would be added to both, so the ratio is the largest that there can be.
"""

import argparse
import contextlib
import statistics
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from benchmarks.evaluation import read
from benchmarks.inputs import START_US, Limited, endless
from benchmarks.results import save
from hydrodask.channels import CYCLE_S, SENSORS
from hydrodask.ingest.encode import encode
from hydrodask.learn.data.archive import Archive, Place, import_archive
from hydrodask.learn.features import Cycles
from hydrodask.learn.score import asking, champions
from hydrodask.learn.score.committee import Committee
from hydrodask.learn.train.training import Request, train
from hydrodask.records import Messages, Outgoing
from hydrodask.settings import Settings
from hydrodask.store.documents import open_documents
from hydrodask.store.lake import Lake
from hydrodask.testing import messages_of
from hydrodask.testing.life import Life

STEP_S = 2
"""Seconds of a stream that a step of ours has."""

MANY = 10_000
LATER_MS = 1_900_000_000_000
CYCLES = "hydraulic-cycles"


@contextlib.contextmanager
def trained(archive: Path, data: Path | None) -> Iterator[Settings]:
    """Give the settings of a data directory with champions: the given one, or one of now."""
    with tempfile.TemporaryDirectory(prefix="hydrodask-bench-") as folder:
        settings = Settings(data_dir=data or Path(folder))
        champions.shared(settings).refresh()
        if not champions.shared(settings).models:
            import_archive(Archive(archive), Lake(settings.lake_url), Place("uci", START_US))
            train(settings, Request(kinds=("gaussian",)), say=print)
            champions.shared(settings).refresh()
        yield settings


def of_cycles(models: dict[str, Any], cycles: Cycles) -> dict[str, float]:
    """Return milliseconds of CPU of one cycle, with reasons, and seconds of CPU of 10,000."""
    took_s = []
    for number in range(200):
        one = cycles.take(slice(number, number + 1))
        began_s = process_time()
        for name, said in asking.score(models, one).items():
            if isinstance(model := models[name], Committee) and said.odds is not None:
                model.because(one, int(said.label[0]), said.odds[0])
        took_s.append(process_time() - began_s)
    rows = np.resize(np.arange(len(cycles)), MANY)
    many = Cycles(cycles.rig[rows], cycles.cycle[rows], cycles.start_us[rows], cycles.curves[rows])
    began_s = process_time()
    asking.score(models, many)
    return {
        "one_cycle_ms": statistics.median(took_s) * 1e3, "one_cycle_ms_95": float(np.quantile(took_s, 0.95)) * 1e3,
        "ten_thousand_s": process_time() - began_s,
    }  # fmt: skip


def steps(count: int) -> dict[str, list[Messages]]:
    """Return by sensor what its partition reads, step by step, of so many recorded cycles."""
    seconds = count * CYCLE_S
    feed = Limited(endless(seconds), seconds)
    found: dict[str, list[list[bytes | None]]] = {sensor: [[]] for sensor in SENSORS}
    for second in range(seconds):
        for chunk in feed.chunk(second):
            steps_of_it = found[chunk.sensor]
            if second % STEP_S == 0 and steps_of_it[-1]:
                steps_of_it.append([])
            steps_of_it[-1] += [v if isinstance(v, bytes) else v.encode() for v in encode(chunk)]
    made: dict[str, list[Messages]] = {}
    for sensor, parts in found.items():
        first, made[sensor] = 0, []
        for values in parts:
            made[sensor].append(messages_of(values, topic=f"hydraulic-{sensor}", first=first, stamp_ms=LATER_MS))
            first += len(values)
    return made


def of_stream(settings: Settings, given: dict[str, list[Messages]]) -> dict[str, float]:
    """Return CPU seconds of the graphs of all sensors, and of the one that scores what they publish."""
    profiles: list[list[Outgoing]] = []
    began_s = process_time()
    for sensor, some in given.items():
        life = _through(Life(settings, topic=f"hydraulic-{sensor}"), some)
        profiles.append([record for record in life.published if record.topic == CYCLES])
    without_s = process_time() - began_s
    turns = [[of[n].value for of in profiles if n < len(of)] for n in range(max(map(len, profiles)))]
    starts = np.cumsum([0, *map(len, turns)]).tolist()
    scored = [
        messages_of(values, topic=CYCLES, first=first, stamp_ms=LATER_MS)
        for values, first in zip(turns, starts, strict=False)
    ]
    with tempfile.TemporaryDirectory() as folder:
        documents = open_documents(Settings(data_dir=Path(folder)))
        began_s = process_time()
        life = _through(Life(settings, topic=CYCLES, flow="score"), scored)
        documents.write(life.changes)
        more_s = process_time() - began_s
        documents.close()
    records, cycles = sum(len(m) for some in given.values() for m in some), len(turns)
    return {
        "records": records, "cycles": cycles, "us_a_record": without_s / records * 1e6,
        "us_a_record_with": (without_s + more_s) / records * 1e6, "ratio": (without_s + more_s) / without_s,
        "ms_a_cycle": more_s / cycles * 1e3,
    }  # fmt: skip


def _through(life: Life, some: list[Messages]) -> Life:
    """Run steps through a partition, each with its commit, and end it."""
    for messages in some:
        life.feed(messages)
        life.commit(emit=False)
    life.end()
    return life


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uci", type=Path, required=True, help="folder of the archive, in either layout")
    parser.add_argument("--data", type=Path, help="data directory with champions, or for them; default: not kept")
    parser.add_argument("--cycles", type=int, default=20, help="recorded cycles of the stream")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # of libraries about each other
    with trained(options.uci, options.data) as settings:
        models = dict(champions.shared(settings).current())
        found: dict[str, Any] = of_cycles(models, read(options.uci)[0])
        print({name: round(value, 3) for name, value in found.items()}, flush=True)
        given = steps(options.cycles)
        of_stream(settings, {sensor: some[:40] for sensor, some in given.items()})  # what is compiled, is
        rounds = [of_stream(settings, given) for _ in range(options.rounds)]
    for one in rounds:
        print({name: round(value, 3) for name, value in one.items()}, flush=True)
    found |= {"targets": sorted(models), "rounds": rounds}
    found["ratio"] = statistics.median(one["ratio"] for one in rounds)
    print(f"a record costs {found['ratio']:.3f} times as much with verdicts")
    save("scorecost", found)


if __name__ == "__main__":
    main()
