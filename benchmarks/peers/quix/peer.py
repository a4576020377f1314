"""Quix Streams, in two processes: as its documentation writes such a pipeline, and as fast as we could make it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.peers import pip, shares
from benchmarks.peers.contract import Peer, Work
from hydrodask.services.service import Say

HERE = Path(__file__).resolve().parent
COMMIT_S, COMMIT_LIVE_S, POLL_S = 1.0, 0.1, 0.1
PROCESSES = (
    f"{shares.PROCESSES} processes, sensors shared out between them, state in RocksDB with changelogs, commit 1 s"
)

QUICK = {"fetch.wait.max.ms": 10}
"""At its start it asks for each changelog's end, and the broker answers a connection's fetch first: after 0.5 s."""


def _install(say: Say) -> Mapping[str, str]:
    return pip.install(HERE, ("quixstreams", "confluent-kafka"), say)


def _command(windows: str, consumer: Mapping[str, object], commit_live_s: float) -> Callable[[Work], list[str]]:
    def command(work: Work) -> list[str]:
        def own(number: int) -> dict[str, object]:
            return {
                "windows": windows,
                "state": str(work.state / f"share-{number}"),
                "group": f"{work.name}-{number}",
                "commit_s": commit_live_s if work.live else COMMIT_S,
                "poll_s": POLL_S,
                "consumer": consumer,
            }

        return shares.command(pip.python(HERE), "benchmarks.peers.quix.job", work, own)

    return command


PEERS = tuple(
    Peer(
        name,
        guarantee="exactly once: Kafka transactions; Parquet of a checkpoint that did not end is replaced",
        settings=f"{PROCESSES}; {settings}",
        install=_install,
        command=_command(windows, consumer, commit_live_s),
        footnotes=(
            "Its range assignor would give all topics of one partition to one process: each has a group of its own.",
            "The standard deviation is an aggregator of ours, and so is the sink for Parquet.",
            *more,
        ),
    )
    for name, windows, settings, consumer, commit_live_s, more in (
        (
            "quix",
            "plain",
            "hopping windows with an aggregation a column",
            {},
            COMMIT_S,
            (
                "For the live case all windows are written at each record, else each when it is final.",
                "When it starts for the first time it makes a changelog a second.",
            ),
        ),
        (
            "quix-tuned",
            "tuned",
            "panes of 10 s in its key-value state, changelogs made before, quick fetches, live commit 100 ms",
            QUICK,
            COMMIT_LIVE_S,
            ("For the live case the newest window is written at each record, too.",),
        ),
    )
)
