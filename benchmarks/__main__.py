"""hydrodask and what users would pick instead, on the same Kafka: `python -m benchmarks run`, then `report`.

Engines are measured interleaved, round by round, each time in another order. A result counts when its final windows and
its Parquet rows equal DuckDB's of the same records.
"""

import argparse
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import bare, jobs, report, results
from benchmarks.broker import broker
from benchmarks.inputs import Input, prepare, shuffled, source_name
from benchmarks.live import live
from benchmarks.peers.contract import JOBS, Peer
from hydrodask import clock

PEERS = Path(__file__).parent / "peers"
FOLDER = Path.home() / ".cache" / "hydrodask" / "bench"
ALL = (*JOBS, "disorder", "recovery", "start", "live")


def main() -> None:
    """Measure, or report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure and write benchmarks/results/NAME.json")
    run.add_argument("--engines", nargs="+", help="some of those in benchmarks/peers; default all")
    run.add_argument("--jobs", nargs="+", choices=ALL, default=["both"])
    run.add_argument("--records", nargs="+", type=int, default=[873_600, 4_368_000], help="sizes of the input")
    run.add_argument("--rounds", type=int, default=3)
    run.add_argument("--seconds", type=float, default=300.0, help="of a live run")
    run.add_argument("--limit", type=float, default=300.0, help="seconds after which a run is given up")
    run.add_argument("--bootstrap", help="a Kafka that is there already; default one of our own")
    run.add_argument("--folder", type=Path, default=FOLDER, help="keeps topics, references and logs")
    run.add_argument("--name", default="peers", help="of the result's file; an existing one is added to")
    told = commands.add_parser("report", help="write benchmarks.md and its pictures from the results")
    told.add_argument("--name", default="peers")
    told.add_argument("--to", type=Path, default=report.DOCS, help="the folder; default docs")
    options = parser.parse_args()
    if options.command == "run":
        _run(options)
    else:
        options.to.mkdir(parents=True, exist_ok=True)
        _say(str(report.write(results.RESULTS / f"{options.name}.json", options.to)))


def peers(names: list[str] | None) -> list[Peer]:
    """Return the engines, by their folders' names and then as their folder lists them."""
    found = [
        peer
        for folder in sorted(PEERS.iterdir())
        if (folder / "peer.py").exists()
        for peer in importlib.import_module(f"benchmarks.peers.{folder.name}.peer").PEERS
    ]
    known = {peer.name for peer in found}
    if names and set(names) - known - {report.BARE}:
        raise SystemExit(f"there is no engine {', '.join(set(names) - known)}; there are {', '.join(sorted(known))}")
    return [peer for peer in found if names is None or peer.name in names]


def _run(options: argparse.Namespace) -> None:
    options.folder.mkdir(parents=True, exist_ok=True)
    engines = peers(options.engines)
    about = {}
    for peer in engines:
        _say(f"installing {peer.name}")
        versions = dict(peer.install(_say))
        about[peer.name] = {
            "guarantee": peer.guarantee,
            "settings": peer.settings,
            "footnotes": list(peer.footnotes),
            "versions": versions,
            "jobs": list(peer.jobs),
        }
    with broker(options.bootstrap, options.folder / "kafka") as (bootstrap, _pids):
        bench = jobs.Bench(bootstrap, options.folder, limit_s=options.limit)
        inputs = [prepare(bootstrap, options.folder, records, _say) for records in sorted(options.records)]
        for line in _measure(bench, engines, inputs, options):
            line["measured_at"] = clock.iso(clock.now_us() // 10**6 * 10**6)
            _say(json.dumps(line))
            results.add(options.name, line, {"source": source_name(), "engines": about})


def _measure(
    bench: jobs.Bench, engines: list[Peer], inputs: list[Input], options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yield what each run gave: round by round, job by job, the engines of one beside each other in time."""
    by_name = {peer.name: peer for peer in engines}
    first = results.next_round(options.name)
    for number in range(first, first + options.rounds):
        for job in options.jobs:
            for name in shuffled(sorted(by_name), number):
                for line in _one(bench, by_name[name], job, inputs, options):
                    yield {"engine": name, "job": job, "round": number, **line}
            if job in JOBS and (options.engines is None or report.BARE in options.engines):
                for given in inputs:
                    line = bare.in_process(bench.bootstrap, given.prefix)
                    yield {"engine": report.BARE, "job": "bare", "round": number, **line}


def _one(
    bench: jobs.Bench, peer: Peer, job: str, inputs: list[Input], options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yield what an engine's runs of one job gave, if it is one that it can do."""
    if job in JOBS and job in peer.jobs:
        yield from _drained(bench, peer, job, inputs, options.limit)
    elif job == "disorder":
        given = prepare(bench.bootstrap, options.folder, inputs[0].records, _say, disorder=True)
        yield jobs.drain(bench, peer, "windows", given)
    elif job == "recovery":
        yield jobs.drain(bench, peer, most_of(peer), inputs[-1], kill=True)
    elif job == "start":
        yield from (jobs.start(bench, peer, inputs[0], cold=cold) for cold in (True, False))
    elif job == "live" and peer.live:
        yield live(bench, peer, options.seconds)


def _drained(bench: jobs.Bench, peer: Peer, job: str, inputs: list[Input], limit_s: float) -> Iterator[dict[str, Any]]:
    """Yield what an engine gave with each input, the smallest first, up to one that would take too long."""
    for given, larger in zip(inputs, [*inputs[1:], None], strict=True):
        line = jobs.drain(bench, peer, job, given)
        yield line
        if not line["right"] or larger is None or line["seconds"] * larger.records / given.records > limit_s:
            return


def most_of(peer: Peer) -> str:
    """Return the largest of the jobs that an engine can do."""
    return "both" if "both" in peer.jobs else peer.jobs[0]


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
