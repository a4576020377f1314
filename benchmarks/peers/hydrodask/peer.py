"""hydrodask as its users run it: `both` is the platform, the other jobs are parts of its graph."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from benchmarks.peers.contract import Peer, Work
from benchmarks.results import versions
from hydrodask.ingest.topics import OUTPUTS
from hydrodask.services.service import Say

LATENCY = (
    "step.trigger=20ms",
    "step.commit_every=20ms",
    "window.emit_every=20ms",
    "kafka.consumer.fetch.wait.max.ms=5",
    "kafka.consumer.fetch.min.bytes=1",
)
TASK = "--multiprocessing-fork"
"""What Python starts a Dask worker's process with."""


def _install(_say: Say) -> Mapping[str, str]:
    return versions()


def _command(*tuned: str) -> Callable[[Work], list[str]]:
    def command(work: Work) -> list[str]:
        sets = [
            "kafka.embedded=false", f"kafka.bootstrap={work.bootstrap}", f"kafka.group={work.name}",
            f"topics.prefix={work.prefix}", f"data_dir={work.state}", f"lake.url={work.lake}",
            "cluster.dashboard=127.0.0.1:0", "observe.metrics=127.0.0.1:0", *tuned,
        ]  # fmt: skip
        options = [part for one in sets for part in ("--set", one)]
        ending = [] if work.live else ["--until-idle"]
        if work.job == "both" or work.live:
            return [sys.executable, "-m", "hydrodask", "run", "--source", "none", *ending, *options]
        return [sys.executable, "-m", "benchmarks.peers.hydrodask.run", work.job, *options]

    return command


def _files(work: Work) -> list[Path]:
    """Return the raw rows' files; beside them are windows, cycles and late rows."""
    return list(work.lake.glob("raw/**/*.parquet"))


def _output(work: Work) -> str:
    return f"{work.prefix}analytics"


def _leftovers(work: Work) -> tuple[str, ...]:
    return tuple(work.prefix + name for name in OUTPUTS)


def _worker(root: psutil.Process) -> psutil.Process:
    """Return the Dask worker: its nanny starts another."""
    forks = [p for p in root.children(recursive=True) if TASK in p.cmdline()]
    return max(forks, key=lambda p: p.cpu_times().user)


def variant(name: str, settings: str, *tuned: str) -> Peer:
    """Return the platform with some settings, which `settings` describes."""
    return Peer(
        name,
        guarantee="exactly once: Kafka transactions, put-if-absent Parquet",
        settings=settings,
        install=_install,
        command=_command(*tuned),
        files=_files,
        output=_output,
        leftovers=_leftovers,
        victim=_worker,
        footnotes=("`both` is the whole platform: also cycle profiles, rules, baselines, incidents and documents.",),
    )


PEERS = (
    variant("hydrodask", "defaults: 1 worker, trigger, commit and updates 0.5 s"),
    variant("hydrodask-latency", "trigger, commit and updates every 20 ms", *LATENCY),
)
