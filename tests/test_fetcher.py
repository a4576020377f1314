"""The fetcher's client in C: who forgets it, what it is checked for, and what takes its place."""

import ctypes
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NoReturn, cast

import pytest

from hydrodask import kafka as kafka_of
from hydrodask.doctor import check_up
from hydrodask.ingest import gather, selfcheck
from hydrodask.ingest.embedded import EmbeddedBroker
from hydrodask.ingest.fetcher import Fetcher
from hydrodask.ingest.plain import PlainFetcher
from hydrodask.ingest.reader import fetcher
from hydrodask.ingest.topics import TopicSpec
from hydrodask.kafka import KafkaError, fetch_settings
from hydrodask.records import PartitionId
from hydrodask.settings.model import Kafka
from tests.heard import Logged

MAKE = """
import ctypes, gc, logging
from hydrodask import clock
from hydrodask.ingest.fetcher import Fetcher

def make():
    settings = {"group.id": "g", "bootstrap.servers": "127.0.0.1:9", "debug": "all", "reconnect.backoff.ms": "10"}
    return Fetcher(settings, lambda code, text: None, logging.getLogger("hydrodask.kafka"))
"""


@pytest.mark.parametrize(
    "script",
    [
        "for _ in range(5): make().poll(10, 0.01)\ngc.collect()\n",  # dropped: nobody has closed it
        "kept = [make() for _ in range(5)]\n",  # the interpreter ends first
        "one = make(); one.close(); one.close()\n",
    ],
)
def test_a_client_that_is_forgotten_crashes_nothing(script: str) -> None:
    """Its threads call back into Python until it has ended, whoever has dropped it; its memory may have another use."""
    reuse = (
        "others = [ctypes.CFUNCTYPE(None, ctypes.c_int)(print) for _ in range(200)]\nclock.sleep_s(0.5)\nprint('alive')"
    )
    done = subprocess.run([sys.executable, "-c", MAKE + script + reuse], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.strip()) == (0, "alive")


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a librdkafka of another major release than is known: it is another one that is known."""
    selfcheck.unfit.cache_clear()
    monkeypatch.setattr(selfcheck, "MAJOR", 1)
    yield
    selfcheck.unfit.cache_clear()


@pytest.mark.parametrize("field", ["ERROR", "TOPIC", "PARTITION", "VALUE", "VALUE_LEN", "KEY", "KEY_LEN", "OFFSET"])
def test_a_message_that_is_laid_out_in_another_way_is_found_out(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field has a place that is looked at before a record is read; no pointer is followed that is none."""
    assert selfcheck.look() == ""

    monkeypatch.setattr(gather, field, (getattr(gather, field) + 1) % gather.WORDS)

    assert "lays out messages in another way" in selfcheck.look()


def test_another_library_is_found_out() -> None:
    """One without a call that is used, or of another major release, is not asked for anything else."""

    class Older:
        def __init__(self) -> None:
            self.rd_kafka_version_str, self.rd_kafka_version = lambda: b"3.0.0", lambda: 0x03000000

    def lacks(_: object) -> NoReturn:
        raise AttributeError("undefined symbol: rd_kafka_incremental_assign")

    assert selfcheck.look(lambda _: cast("ctypes.CDLL", Older())) == "librdkafka is 3.0.0, and 2.x is known"
    assert "rd_kafka_incremental_assign" in selfcheck.look(lacks)


@pytest.mark.usefixtures("unknown")
def test_where_the_interface_is_another_records_are_fetched_one_by_one(logged: Logged) -> None:
    """The same columns, ends and refusals come from confluent-kafka's own call, and `doctor` says which it is."""
    with EmbeddedBroker([TopicSpec("plain", 2, 1)]) as broker:
        kafka = Kafka(bootstrap=broker.bootstrap, embedded=False, group="plain")
        producer = kafka_of.producer(kafka)
        for number in range(200):
            value, key = (None, None) if number == 7 else (str(number), f"rig-{number}")
            producer.produce("plain", value, key, number % 2, timestamp=1000 + number)
        assert producer.flush(20) == 0
        plain, fast = fetcher(kafka), Fetcher(fetch_settings(kafka), lambda *_: None, logging.getLogger("x"))

        assert isinstance(plain, PlainFetcher)
        assert taken(plain) == taken(fast)
        assert plain.end(("plain", 0)) == fast.end(("plain", 0)) == 100
        assert plain.end(("nowhere", 0)) < 0
        assert beyond(plain) == beyond(fast)
        plain.close()
        fast.close()
    assert "one by one" in logged.text, logged.why("hydrodask.ingest.reader")
    assert [finding.state for finding in check_up(profile=None, sets=["nothing=1"]) if finding.check == "fetch"] == [
        "warn"
    ]


def taken(fetcher: Fetcher | PlainFetcher) -> dict[str, Any]:
    """Return what a fetcher gives of both partitions, to their ends, one of them from its second record on."""
    fetcher.assign(("plain", 0), 0)
    fetcher.assign(("plain", 1), 1)
    rows: dict[PartitionId, list[Any]] = {("plain", 0): [], ("plain", 1): []}
    ends: dict[PartitionId, int] = {}
    while len(ends) < 2:
        runs, events = fetcher.poll(30, 0.2)
        for run in runs:
            columns = (run.values, run.keys, run.offsets.tolist(), run.timestamps_ms.tolist())
            rows[run.topic, run.partition] += zip(*columns, strict=True)
        ends |= {event.source: event.offset for event in events if event.code == KafkaError._PARTITION_EOF}
    fetcher.unassign(("plain", 1))
    return {"rows": rows, "ends": ends}


def beyond(fetcher: Fetcher | PlainFetcher) -> tuple[PartitionId, int]:
    """Return what is said of a partition that is read from where its log is not."""
    fetcher.assign(("plain", 1), 10_000)
    while True:
        for event in fetcher.poll(30, 0.2)[1]:
            if event.source == ("plain", 1):
                return event.source, event.code
