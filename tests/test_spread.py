"""Partitions that are added to our own topics take no rig away from its incidents."""

from pathlib import Path

import pytest

from hydrodask.audit.log import BrokerLog
from hydrodask.audit.verify import verify
from hydrodask.errors import IntegrityError, RetryableError
from hydrodask.ingest.topics import create
from hydrodask.kafka import NewPartitions, admin, consumer, producer
from hydrodask.protocol import spread
from hydrodask.records import Outgoing
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from hydrodask.store.documents import open_documents
from hydrodask.store.files import Files
from hydrodask.store.transactions import Transactions, partition_of
from tests.audited import fine
from tests.delivery import Driver, sets_of, settings_of

RIGS = [f"rig-{number}" for number in range(12)]


def test_what_topics_had_first_counts(tmp_path: Path) -> None:
    """More partitions are named and not used; fewer are those of another topic of that name."""
    settings, files = Settings(kafka=Kafka(embedded=False)), Files(str(tmp_path))
    assert not spread.settle(settings, files, {"hydraulic-analytics": 2, "hydraulic-cycles": 1, "hydraulic-PS1": 3})
    assert spread.load(settings, files) == {"hydraulic-analytics": 2, "hydraulic-cycles": 1}

    notes = spread.settle(settings, files, {"hydraulic-analytics": 4, "hydraulic-cycles": 1})
    assert [note.partition(";")[0] for note in notes] == ["hydraulic-analytics has 4 partitions now"]
    assert spread.load(settings, files)["hydraulic-analytics"] == 2

    assert not spread.settle(settings, files, {"hydraulic-analytics": 1})
    assert spread.load(settings, files)["hydraulic-analytics"] == 1
    chosen = Settings(kafka=Kafka(embedded=False, producer={"partitioner": "murmur2"}))
    assert not spread.load(chosen, files)


def test_a_count_that_is_known_is_not_written_again(tmp_path: Path) -> None:
    """Each start settles it: the same number changes nothing, and is nothing to say."""
    settings, files = Settings(kafka=Kafka(embedded=False)), Files(str(tmp_path))
    spread.settle(settings, files, {"hydraulic-analytics": 2})
    before = (tmp_path / "spread" / "hydraulic-analytics").stat().st_ino

    assert not spread.settle(settings, files, {"hydraulic-analytics": 2})
    assert (tmp_path / "spread" / "hydraulic-analytics").stat().st_ino == before


@pytest.mark.parametrize("data", [b"{", b'{"partitions": "x"}', b"{}", b"[1]"])
def test_a_count_that_is_damaged_is_refused(data: bytes, tmp_path: Path) -> None:
    """Over another number of partitions a rig would not be where its incidents are; one of an old version is none."""
    settings, files = Settings(kafka=Kafka(embedded=False)), Files(str(tmp_path))
    files.replace("spread/hydraulic-cycles", b"3")
    assert spread.load(settings, files) == {"hydraulic-cycles": 3}
    files.replace("spread/hydraulic-analytics", data)

    with pytest.raises(IntegrityError, match="`hydrodask aside spread/hydraulic-analytics`"):
        spread.load(settings, files)


def test_partitions_that_come_with_an_upgrade_stay_empty(tmp_path: Path) -> None:
    """A release that kept no count has spread rigs over the partitions of which it has snapshots."""
    settings, files = Settings(kafka=Kafka(embedded=False)), Files(str(tmp_path))
    for number in range(2):
        files.put_if_absent(f"hydraulic-analytics-{number}/000000000000.snapshot", b"")

    spread.settle(settings, files, {"hydraulic-analytics": 3, "hydraulic-cycles": 1})

    assert spread.load(settings, files) == {"hydraulic-analytics": 2, "hydraulic-cycles": 1}


@pytest.mark.integration
def test_keys_go_where_the_client_would_send_them(kafka: Kafka) -> None:
    """To the same partitions as ever, and after there are more still to those."""
    settings = settings_of(kafka, Path("unused"), "spread-keys", "topics.each.analytics.partitions=3")
    create(settings)
    topic = settings.topic("analytics")
    client = producer(settings.kafka)
    for rig in RIGS:
        client.produce(topic, b"{}", rig.encode())
    client.flush(60)
    add_partitions(settings, "analytics", 5)
    slot = Transactions(settings.kafka, 0, spread={topic: 3})
    slot.commit([Outgoing(topic, rig.encode(), b"{}") for rig in RIGS], [], consumer(settings.kafka))
    slot.close()

    log = BrokerLog(settings.kafka)
    found = [
        (message.key(), message.partition())
        for source in log.sources([topic])
        for batch in log.read(source, *log.bounds(source))
        for message in batch
    ]
    log.close()
    assert sorted(found) == sorted(2 * [(rig.encode(), partition_of(rig.encode(), 3)) for rig in RIGS])


@pytest.mark.integration
def test_topic_that_has_fewer_partitions_now_gets_its_rows(kafka: Kafka) -> None:
    """It was made anew beside a run: commits fail until the client knows that, and then go where there is something."""
    settings = settings_of(kafka, Path("unused"), "spread-fewer")
    create(settings)
    topic = settings.topic("analytics")
    rows = [Outgoing(topic, rig.encode(), b"{}") for rig in RIGS]
    slot = Transactions(settings.kafka, 0, spread={topic: 4})
    for attempt in range(3):
        try:
            slot.commit(rows, [], consumer(settings.kafka))
            break
        except RetryableError:
            assert attempt < 2
    slot.close()

    log = BrokerLog(settings.kafka)
    (source,) = log.sources([topic])
    assert sum(len(batch) for batch in log.read(source, *log.bounds(source))) == len(RIGS)
    log.close()


def add_partitions(settings: Settings, name: str, count: int) -> None:
    """Let a topic have so many."""
    client = admin(settings.kafka)
    client.create_partitions([NewPartitions(settings.topic(name), count)])[settings.topic(name)].result(60)


def publish_ce(settings: Settings, seconds: range, value: float) -> None:
    """Publish seconds of all rigs' coolers."""
    client = producer(settings.kafka)
    text = '{"sensor": "CE", "cycle": %d, "sample_idx": %d, "value": %g, "timestamp": "%s", "sampling_rate_hz": 1, '
    for second in seconds:
        stamp = f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}Z"
        record = text % (second // 60, second % 60, value, stamp)
        for rig in RIGS:
            client.produce(settings.topic("CE"), f'{record}"rig": "{rig}"}}'.encode(), rig.encode())
    client.flush(60)


@pytest.mark.integration
@pytest.mark.cluster
def test_open_incidents_are_resolved_after_partitions_were_added(kafka: Kafka, tmp_path: Path) -> None:
    """Twelve rigs with an open incident each, then three more partitions: once they are well again, none is open."""
    sets = sets_of(kafka, tmp_path / "data", "spread", "observe.rigs_max=12")
    settings = settings_of(kafka, tmp_path / "data", "spread")
    create(settings)
    publish_ce(settings, range(150), 35.0)
    with Driver(sets, tmp_path / "log", "--until-idle") as driver:
        assert driver.wait() == 0, driver.output
    assert len(incidents(settings, "open")) == len(RIGS)

    for name in spread.NAMES:
        add_partitions(settings, name, 4)
    publish_ce(settings, range(150, 330), 47.0)
    with Driver(sets, tmp_path / "log2", "--until-idle") as driver:
        assert driver.wait() == 0, driver.output
        assert "rigs stay on the 1 that it had" in driver.output

    assert not incidents(settings, "open")
    assert len(incidents(settings, "resolved")) == len(RIGS)
    assert fine(verify(settings))


def incidents(settings: Settings, status: str) -> list[str]:
    """Return the rigs that have an incident of this status, for their coolers."""
    store = open_documents(settings)
    found = store.find("incidents", {"status": status, "rule": "cooler_degraded"}, limit=1000)
    store.close()
    return sorted(one["rig"] for one in found)
