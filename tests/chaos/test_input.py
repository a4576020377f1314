"""What comes in is bad, late, or gone: each record is accounted for, and the rest is as without."""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import pyarrow.compute as pc
import pytest

from hydrodask.channels import CHANNELS, Channel
from hydrodask.kafka import NewPartitions, Producer, TopicPartition, admin, producer
from hydrodask.store.documents import open_documents
from tests.chaos.stage import Stage
from tests.delivery import BATCH, CYCLES, Delivered, assert_same, collect, read

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

Build = Callable[..., Stage]

POISON = (b"{", b"\xff\xfe", b"[]", b'{"sensor": "XX"}', b'{"sensor": "PS1", "value": NaN}', b"null", b"7", b"")


def totals(stage: Stage) -> Counter[str]:
    """Return the totals that the newest run has reported."""
    documents = open_documents(stage.settings)
    try:
        runs = documents.find("status", {"group": stage.settings.kafka.group}, limit=100)
    finally:
        documents.close()
    return Counter(max(runs, key=lambda run: str(run["updated_at"]))["totals"])


def spoil(stage: Stage, share: float, record: Callable[[Channel, int], bytes]) -> int:
    """Publish more records, `share` as many as there are good ones, in bursts behind them; return how many."""
    client: Producer = producer(stage.settings.kafka, **{"batch.num.messages": BATCH})
    count = 0
    for channel in CHANNELS.values():
        for number in range(round(share * channel.samples_per_cycle * CYCLES)):
            client.produce(stage.settings.topic(channel.name), record(channel, number), b"rig-1")
            count += 1
    assert client.flush(60) == 0
    return count


def late(channel: Channel, number: int) -> bytes:
    """Return a sample from a day before all others."""
    return (
        f'{{"sensor": "{channel.name}", "cycle": 0, "sample_idx": {number}, "value": 1.5, "timestamp": '
        f'"2025-12-31T00:00:{number % 60:02}", "sampling_rate_hz": {channel.rate_hz}, "rig": "rig-1"}}'
    ).encode()


def test_burst_of_bad_records(stage: Build, wanted: Delivered) -> None:
    """One record in ten is poison, and the worker is killed among them: each is a dead letter once, with its bytes."""
    case = stage()
    bad = spoil(case, 0.1, lambda _channel, _number: case.rng.choice(POISON))
    with case.driver() as driver:
        case.reach(driver, case.total + bad // 2)
        with case.recovery():
            driver.workers()[0].kill()

        assert driver.wait() == 0
    letters = read(case.settings, "dead-letter", parse=False)
    assert len(letters) == bad
    assert set(letters) <= set(POISON)
    found = totals(case)
    assert found["dead"] == bad
    assert found["consumed"] == found["kept"] + found["late"] + found["dead"]
    case.settled(wanted)


def test_late_records(stage: Build, wanted: Delivered) -> None:
    """One record in five is late, and the worker is killed among them: each is set aside once, and changes nothing."""
    case = stage()
    count = spoil(case, 0.2, late)
    with case.driver() as driver:
        case.reach(driver, case.total + count // 2)
        with case.recovery():
            driver.workers()[0].kill()

        assert driver.wait() == 0
    assert totals(case)["late"] == count
    found = collect(case.settings)
    assert len(found.late) == count
    assert len(found.raw) == len(wanted.raw) + count
    in_time = found.raw.filter(pc.greater_equal(found.raw["timestamp"], pc.min(wanted.raw["timestamp"])))
    assert_same(replace(found, raw=in_time, late=wanted.late), wanted)
    case.audited()


def test_retention_passes_the_position(stage: Build) -> None:
    """Records that the log has dropped are counted as lost, and the run goes on with what is there.

    Stopped cleanly before: what a killed run stored after its last snapshot can't be read again (`docs/guarantees.md`).
    """
    case = stage()
    with case.driver() as driver:
        case.reach(driver, case.moments(1)[0] // 2)
        assert driver.stop() == 0
    topic = case.settings.topic("PS2")
    cut = CHANNELS["PS2"].samples_per_cycle * CYCLES * 5 // 6
    client = admin(case.settings.kafka)  # its futures end only while it is there
    for future in client.delete_records([TopicPartition(topic, 0, cut)]).values():
        future.result(30)

    with case.driver(more=["kafka.on_data_loss=fail"]) as driver:
        assert driver.wait() == 1
    assert "are gone from the log (retention)" in driver.output
    with ExitStack() as held:
        with case.recovery():
            driver = held.enter_context(case.driver())
        assert driver.wait() == 0
    found = totals(case)
    raw = collect(case.settings).raw
    assert (
        raw.filter(pc.equal(raw["sensor"], "PS2")).num_rows
        == CHANNELS["PS2"].samples_per_cycle * CYCLES - found["lost"]
    )
    assert 0 < found["lost"] <= cut
    case.audited()


def test_partitions_added(stage: Build, wanted: Delivered) -> None:
    """Each sensor gets a second partition in mid-run; what is published there is consumed too, and once."""
    case = stage("kafka.discover_every=1s", "topics.partitions=1")
    client = admin(case.settings.kafka)
    with case.driver() as driver:
        case.reach(driver, case.moments(1)[0])
        names = [case.settings.topic(sensor) for sensor in CHANNELS]
        for future in client.create_partitions([NewPartitions(name, 2) for name in names]).values():
            future.result(30)
        sender: Producer = producer(case.settings.kafka)
        for name, channel in zip(names, CHANNELS.values(), strict=True):
            for second in range(3):
                record = (
                    f'{{"sensor": "{channel.name}", "cycle": 0, "sample_idx": {second}, "value": 1.5, "timestamp": '
                    f'"2026-01-01T00:00:0{second}", "sampling_rate_hz": {channel.rate_hz}, "rig": "rig-new"}}'
                )
                sender.produce(name, record, b"rig-new", partition=1)
        assert sender.flush(60) == 0

        assert driver.wait() == 0
    found = collect(case.settings)
    fresh = pc.equal(found.raw["rig"], "rig-new")
    assert found.raw.filter(fresh).num_rows == 3 * len(CHANNELS)
    assert found.raw.filter(pc.invert(fresh)).equals(wanted.raw)
    assert found.final_rows == wanted.final_rows
    case.audited()
