"""What TLS between Dask's processes costs: the platform with it and without, in turns, on one Kafka.

`python -m benchmarks.doors [--records 4_368_000] [--rounds 3] [--seconds 60] [--latency]`: in each round, with and
without TLS and each time in the other order, the round trip of a task through driver, scheduler and worker; all that is
in 17 filled topics consumed, computed, stored and published (CPU seconds of all processes but the broker); and a live
rig, record published → window row (`--latency`: steps of 20 ms instead of 500, so that there are 25 times as many).
What counts is the ratio within a round: the machine differs from minute to minute.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import engine
from benchmarks.broker import broker
from benchmarks.jobs import Bench
from benchmarks.live import live
from benchmarks.peers.hydrodask.peer import LATENCY, variant
from benchmarks.processes import usage
from benchmarks.results import save
from benchmarks.throughput import TEN_CYCLES, fill
from hydrodask import clock
from hydrodask.driver.cluster import DaskCluster
from hydrodask.settings.model import Cluster

WAYS = {"plain": "cluster.insecure=true", "tls": "cluster.insecure=false"}
TRIPS = 500
"""Tasks of a round, one after the other."""

PAYLOAD = b"x" * 10_000
"""About what an order or a report is."""

Row = dict[str, Any]


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap")
    parser.add_argument("--records", type=int, default=10 * TEN_CYCLES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="of a live run; 0 for none")
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--name", default="doors")
    options = parser.parse_args()
    with broker(options.bootstrap) as (bootstrap, pids), tempfile.TemporaryDirectory() as folder:
        source = fill(bootstrap, options.records)
        bench = Bench(bootstrap, Path(folder), limit_s=120.0)
        rounds = []
        for number in range(options.rounds):
            ways = list(WAYS) if number % 2 else list(WAYS)[::-1]
            rounds.append({way: one_way(bench, way, pids, options) for way in ways})
    found = ratios(rounds)
    for key, ratio in found.items():
        print(f"{key}: TLS is {ratio:.3f} of plain")
    print(save(options.name, {"source": source, "rounds": rounds, "tls_of_plain": found}))


def one_way(bench: Bench, way: str, pids: set[int], options: argparse.Namespace) -> Row:
    """Measure one way once."""
    found: Row = {"load": round(os.getloadavg()[0], 2)} | asyncio.run(round_trips(insecure=way == "plain"))
    drained = engine.consume_all(bench.bootstrap, WAYS[way], broker_pids=pids)
    found |= {
        "records": drained.records,
        "cpu_us_a_record": round(drained.cpu_s_per_million, 3),
        "records_per_s": round(drained.records_per_s),
        "start_s": round(drained.start_s, 2),
    }
    if options.seconds:
        peer = variant(f"hydrodask-{way}", way, WAYS[way], *(LATENCY if options.latency else ()))
        seen = live(bench, peer, options.seconds)
        found |= {f"live_{key}": seen[key] for key in ("p50_s", "p99_s", "cores", "unseen")}
    print(way, found, flush=True)
    return found


async def round_trips(*, insecure: bool) -> Row:
    """Return what a task that gives back what it gets takes, ms by the clock and in CPU of all processes."""
    cluster = await DaskCluster.start(Cluster(dashboard=None, insecure=insecure))
    try:
        await all_of(cluster, TRIPS // 10)
        before, began_s = usage(), clock.monotonic_s()
        times_ms = await all_of(cluster, TRIPS)
        took_s, cpu_s = clock.monotonic_s() - began_s, usage().cpu_s - before.cpu_s
    finally:
        await cluster.close()
    return {
        "trip_ms": round(statistics.median(times_ms), 3),
        "trip_ms_mean": round(took_s / TRIPS * 1000, 3),
        "trip_cpu_ms": round(cpu_s / TRIPS * 1000, 3),
    }


async def all_of(cluster: DaskCluster, count: int) -> list[float]:
    """Return what each of `count` tasks took, ms."""
    at_s = [clock.monotonic_s()]
    for _ in range(count):
        at_s += [clock.monotonic_s() async for _answer in cluster.each(bytes, [(PAYLOAD,)])]
    return [(after_s - before_s) * 1000 for before_s, after_s in pairwise(at_s)]


def ratios(rounds: list[dict[str, Row]]) -> dict[str, float]:
    """Return the median over the rounds of what TLS takes of what plain takes."""
    keys = [key for key in rounds[0]["tls"] if key not in ("load", "records", "live_unseen")]
    return {
        key: round(statistics.median(one["tls"][key] / one["plain"][key] for one in rounds), 3)
        for key in keys
        if all(one["plain"].get(key) for one in rounds)
    }


if __name__ == "__main__":
    main()
