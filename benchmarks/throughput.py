"""Throughput on real Kafka, next to a bare consume loop in the same run.

`python -m benchmarks.throughput [--records 4_368_000] [--bootstrap HOST:PORT]`: fills 17 topics (once for an address),
then in turn a bare `consume()` loop and the platform with one worker (decode, windows, profiles, Parquet, rows
published in transactions, incidents), `--repeat` times, once with the parser of the canonical layout first and once
with that of any layout. CPU seconds are those of driver, workers and all else that the run starts, the broker left
out. They and the time count from the order to begin to the commit of the last record, the workers' imports included.
"""

import argparse
import statistics
from typing import Any

from benchmarks import bare, engine
from benchmarks.broker import broker
from benchmarks.inputs import Limited, endless, source_name
from benchmarks.results import save
from hydrodask.ingest.publisher import Publisher, producer_for
from hydrodask.ingest.topics import create, list_topics
from hydrodask.settings import load

TEN_CYCLES = 436_800
TEN_CYCLES_S = 600
DECODERS = {"canonical layout": "canonical", "any layout": "flat"}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap")
    parser.add_argument("--records", type=int, default=10 * TEN_CYCLES)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--name", default="throughput")
    options = parser.parse_args()
    with broker(options.bootstrap) as (bootstrap, pids):
        source = fill(bootstrap, options.records)
        runs = [one_round(bootstrap, pids) for _ in range(options.repeat)]
    median = medians(runs)
    result = {"source": source, "rounds": runs, "median": median}
    for name, row in median.items():
        print(f"{name:16}" + "".join(f"{key} {value:,.3f}   " for key, value in row.items()))
    print(save(options.name, result))


def fill(bootstrap: str, records: int) -> str:
    """Publish `records` unless they are there already; return what they are."""
    settings, _ = load(sets=["kafka.embedded=false", f"kafka.bootstrap={bootstrap}"])
    create(settings)
    there = sum(t.last - t.first for t in list_topics(settings) if t.name[-1].isdigit() or t.name[-2:] in _SHORT)
    seconds = -(-records // TEN_CYCLES) * TEN_CYCLES_S
    if there < records:
        Publisher(producer_for(settings.kafka), settings.topic, speed=None).run(Limited(endless(seconds), seconds))
    return source_name()


_SHORT = ("CE", "CP", "SE")


def one_round(bootstrap: str, pids: set[int]) -> dict[str, dict[str, Any]]:
    """Measure the bare loop and each decoder, one after the other."""
    found: dict[str, dict[str, Any]] = {"bare loop": bare.in_process(bootstrap)}
    for name, first in DECODERS.items():
        one = engine.consume_all(bootstrap, f"step.decoder={first}", broker_pids=pids)
        found[name] = {
            "records": one.records,
            "seconds": round(one.seconds, 3),
            "records_per_s": round(one.records_per_s),
            "cpu_s_per_million": round(one.cpu_s_per_million, 3),
            "of_bare_rate": round(one.records_per_s / found["bare loop"]["records_per_s"], 3),
            "of_bare_cpu": round(one.cpu_s_per_million / found["bare loop"]["cpu_s_per_million"], 3),
            "memory_mib_max": max(one.memory_mib),
            "memory_mib_by_tenth": tenths(one.memory_mib),
            "stage_s": one.stage_s,
            "totals": one.totals,
        }
        print(name, {k: v for k, v in found[name].items() if not isinstance(v, dict | list)}, flush=True)
    return found


def tenths(memory_mib: list[float]) -> list[float]:
    """Return the largest value in each tenth of a run: flat means that nothing piles up."""
    size = -(-len(memory_mib) // 10)
    return [max(memory_mib[start : start + size]) for start in range(0, len(memory_mib), size)]


def medians(runs: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Return the median of each figure over the rounds."""
    keys = ("records_per_s", "cpu_s_per_million", "of_bare_rate", "of_bare_cpu", "memory_mib_max")
    return {
        name: {key: statistics.median(r[name][key] for r in runs) for key in keys if key in runs[0][name]}
        for name in runs[0]
    }


if __name__ == "__main__":
    main()
