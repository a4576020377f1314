"""Kafka Streams, in one process with a thread a core."""

from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.peers import jvm
from benchmarks.peers.contract import Peer, Say, Work

HERE = Path(__file__).resolve().parent
JVM = ("-Xms4g", "-Xmx4g", "-XX:+UseParallelGC", "-Dorg.slf4j.simpleLogger.showDateTime=true")
SETTINGS = {
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "num.stream.threads": "2",
    "commit.interval.ms": "100",
    "dsl.store.suppliers.class": "org.apache.kafka.streams.state.BuiltInDslStoreSuppliers$InMemoryDslStoreSuppliers",
    "statestore.cache.max.bytes": "67108864",
    "max.poll.records": "10000",
    "buffered.records.per.partition": "10000",
}


def _install(say: Say) -> Mapping[str, str]:
    return jvm.install(HERE, ("kafka-streams", "rocksdbjni"), say)


def _command(guarantee: str) -> Callable[[Work], list[str]]:
    def command(work: Work) -> list[str]:
        settings = SETTINGS | {
            "application.id": work.name,
            "bootstrap.servers": work.bootstrap,
            "state.dir": str(work.state),
            "processing.guarantee": guarantee,
            "group.instance.id": work.name,
        }
        return jvm.command(HERE, JVM, [work.output, *(f"{k}={v}" for k, v in (work.inputs | settings).items())])

    return command


PEERS = tuple(
    Peer(
        name,
        guarantee=guarantee,
        settings="",
        install=_install,
        command=_command(setting),
        jobs=("windows",),
    )
    for name, guarantee, setting in (
        ("kafka-streams", "at least once", "at_least_once"),
        ("kafka-streams-eos", "exactly once", "exactly_once_v2"),
    )
)
