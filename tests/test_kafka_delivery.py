"""What is delivered exactly once over stops, unfinished files, open transactions and a second driver, on real Kafka."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from hydrodask.ingest.topics import create
from hydrodask.kafka import TopicPartition, consumer
from hydrodask.protocol.settling import fence
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from tests.delivery import (
    NEVER_QUICK,
    ROOT,
    Delivered,
    Driver,
    assert_same,
    collect,
    publish,
    reach,
    read,
    sets_of,
    settings_of,
    until,
)

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

OPEN_TRANSACTION = """
import sys
from hydrodask.clock import sleep_s
from hydrodask.records import Outgoing
from hydrodask.settings.model import Kafka
from hydrodask.store.transactions import Transactions

kafka, topic = sys.argv[1:]
slot = Transactions(Kafka.model_validate_json(kafka), 0)
slot.commit([Outgoing(topic, b"rig-1", b'{"row": 1}')], [], None)
slot._producer.begin_transaction()
slot._produce([Outgoing(topic, b"rig-1", b'{"row": 2}')])
slot._producer.flush(60)
sys.stdout.write("open\\n")
sys.stdout.flush()
sleep_s(120)
"""
"""A worker in the middle of its second commit: the rows are with the broker, the commit is not."""


def committed(settings: Settings) -> dict[str, int]:
    """Return the committed offset of each partition that is read, by topic."""
    client = consumer(settings.kafka)
    try:
        names = [name for name in client.list_topics(timeout=60).topics if name.startswith(settings.topics.prefix)]
        found = client.committed([TopicPartition(name, 0) for name in names], 60)
        return {p.topic: p.offset for p in found if p.offset >= 0}
    finally:
        client.close()


def test_terminated_run_has_committed_all_of_its_work(
    kafka: Kafka, short: Path, wanted: Delivered, tmp_path: Path
) -> None:
    """SIGTERM in mid-stream and at the end: exit code 0; the last run finds nothing to do and publishes nothing."""
    sets = sets_of(kafka, tmp_path, "term", *NEVER_QUICK)
    settings = settings_of(kafka, tmp_path, "term", *NEVER_QUICK)
    total = publish(settings, short)

    for records in (total // 3, total):
        with Driver(sets, tmp_path / "log") as driver:
            reach(driver, settings, records)
            assert driver.stop() == 0
    with Driver(sets, tmp_path / "log", "--until-idle") as driver:
        assert driver.wait() == 0  # the first of these may have left window rows that nobody has judged yet
    before = committed(settings)
    with Driver(sets, tmp_path / "log", "--until-idle") as driver:
        assert driver.wait() == 0

    assert committed(settings) == before
    assert_same(collect(settings), wanted)


def test_unfinished_files_are_ignored_and_said(kafka: Kafka, short: Path, wanted: Delivered, tmp_path: Path) -> None:
    """After a crash: a snapshot that is cut short, and hidden files of a snapshot and of a Parquet file."""
    sets = sets_of(kafka, tmp_path, "cut", *NEVER_QUICK)
    settings = settings_of(kafka, tmp_path, "cut", *NEVER_QUICK)
    total = publish(settings, short)
    with Driver(sets, tmp_path / "log") as driver:
        reach(driver, settings, total // 2)
        left = driver.kill()
        for worker in left:  # which would store another snapshot at the end of its step, newer than the damaged one
            worker.kill()
        psutil.wait_procs(left, 60)
    raw = max((tmp_path / "lake" / "raw").rglob("cut-*.parquet"))  # whichever sensor was read first
    source = raw.name.rpartition("-")[0]
    newest = max((tmp_path / "snapshots" / source).glob("*.snapshot"))
    newest.write_bytes(newest.read_bytes()[:-100])
    (newest.parent / f".{newest.name}.0123abcd").write_bytes(b"hydrodask snapshot\n")
    (raw.parent / f".{source}-000000099999.parquet.0123abcd").write_bytes(raw.read_bytes()[:1000])

    with Driver(sets, tmp_path / "log of the next", "--until-idle") as driver:
        assert driver.wait() == 0

    assert f"ignored snapshot {source}/{newest.name}: it is damaged or unfinished" in driver.output
    assert f"{source}/.{newest.name}.0123abcd" in driver.output
    assert f".{source}-000000099999.parquet.0123abcd" in driver.output
    assert_same(collect(settings), wanted)


def test_second_driver_of_a_folder_is_refused(kafka: Kafka, short: Path, tmp_path: Path) -> None:
    """The folder's lock: exit code 3 and one sentence; the first one goes on."""
    sets = sets_of(kafka, tmp_path, "lock")
    settings = settings_of(kafka, tmp_path, "lock")
    total = publish(settings, short)

    with Driver(sets, tmp_path / "log") as first, Driver(sets, tmp_path / "log of the second") as second:
        until(lambda: first.process.poll() is not None or second.process.poll() is not None, "one of them ends")
        one, other = (first, second) if second.process.poll() is not None else (second, first)

        assert other.wait() == 3
        assert f"is in use by the hydrodask run with process id {one.process.pid}" in other.output
        reach(one, settings, total)
        assert one.stop() == 0


def test_second_driver_of_a_group_takes_over(kafka: Kafka, short: Path, wanted: Delivered, tmp_path: Path) -> None:
    """Two drivers on one group, lake and document store, with folders of their own: the first one ends and says why."""
    shared = (
        *NEVER_QUICK,
        "cluster.workers=2",
        f"lake.url={tmp_path / 'lake'}",
        f"documents.url=sqlite:///{tmp_path / 'documents.sqlite'}",
    )
    settings = settings_of(kafka, tmp_path / "first", "two", *shared)
    total = publish(settings, short)

    # So few records a step that it has work for several times as long as the second one takes to start.
    slow = sets_of(kafka, tmp_path / "first", "two", *shared, "step.rows_max=50")
    with Driver(slow, tmp_path / "log") as first:
        reach(first, settings, total // 20)
        again = [*sets_of(kafka, tmp_path / "second", "two", *shared), "cluster.workers=1"]
        with Driver(again, tmp_path / "log of the second", "--until-idle") as second:
            assert first.wait() == 1
            assert "another hydrodask run has taken over group 'two'" in first.output
            assert second.wait() == 0
    assert_same(collect(settings), wanted)


def test_open_transaction_of_a_killed_worker_is_never_seen(kafka: Kafka, tmp_path: Path) -> None:
    """Kill -9 between the rows and the commit: fenced, they are aborted; read-committed sees what came before."""
    settings = settings_of(kafka, tmp_path, "open")
    create(settings)
    command = [sys.executable, "-c", OPEN_TRANSACTION, settings.kafka.model_dump_json(), settings.topic("analytics")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as worker:
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"open\n"
        finally:
            worker.kill()
            worker.wait(120)

    fence(settings, 0)

    assert read(settings, "analytics", isolation="read_uncommitted") == [{"row": 1}, {"row": 2}]
    assert read(settings, "analytics") == [{"row": 1}]
