"""Kafka Streams, in one process with a thread a core: updates of windows, final or not."""

from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.peers import jvm
from benchmarks.peers.contract import Peer, Work
from hydrodask.services.service import Say

HERE = Path(__file__).resolve().parent
JVM = ("-Xms4g", "-Xmx4g", "-XX:+UseParallelGC", *jvm.LOGS)
SETTINGS = {
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "num.stream.threads": "2",
    "commit.interval.ms": "100",
    "statestore.cache.max.bytes": "67108864",
    "max.poll.records": "10000",
    "buffered.records.per.partition": "10000",
    # Ten years: event time may be as old, and the broker would delete changelogs by it, a day after the windows' end.
    "windowstore.changelog.additional.retention.ms": "315360000000",
    # RocksDB would be opened anew for each minute of event time, the shortest segment of a window store.
    "dsl.store.suppliers.class": "org.apache.kafka.streams.state.BuiltInDslStoreSuppliers$InMemoryDslStoreSuppliers",
}


def _install(say: Say) -> Mapping[str, str]:
    return jvm.install(HERE, ("kafka-streams",), say)


def _command(guarantee: str) -> Callable[[Work], list[str]]:
    def command(work: Work) -> list[str]:
        given = {
            "application.id": work.name,
            "bootstrap.servers": work.bootstrap,
            "state.dir": str(work.state),
            "processing.guarantee": guarantee,
            # A member with a name has its partitions back at once when it starts again, not after a session's end.
            "group.instance.id": work.name,
        }
        pairs = [*work.inputs.items(), *SETTINGS.items(), *given.items()]
        return jvm.command(HERE, JVM, [work.output, *(f"{key}={value}" for key, value in pairs)])

    return command


PEERS = tuple(
    Peer(
        name,
        guarantee=guarantee,
        settings="2 threads, a sub-topology a topic, state in memory with changelogs, cache 64 MiB, commit 100 ms",
        install=_install,
        command=_command(setting),
        jobs=("windows",),
        footnotes=(
            "It has no sink for files: windows only.",
            "Rows are updates at each commit. Only a later record would bring out what is emitted on a window's close.",
            *more,
        ),
    )
    for name, guarantee, setting, more in (
        (
            "kafka-streams",
            "at least once",
            "at_least_once",
            ("After a kill its state may be ahead of its offsets, and windows that were open are wrong.",),
        ),
        ("kafka-streams-eos", "exactly once: Kafka transactions", "exactly_once_v2", ()),
    )
)
