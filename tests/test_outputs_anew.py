"""A topic of ours that is deleted, and made anew: what its new life lacks is put back, exactly once."""

from pathlib import Path

import pytest

from hydrodask import clock
from hydrodask import kafka as clients
from hydrodask.audit.restore import restore_topics
from hydrodask.audit.verify import verify
from hydrodask.channels import CHANNELS
from hydrodask.ingest.feed import open_recording
from hydrodask.ingest.publisher import Publisher, producer_for
from hydrodask.ingest.topics import create
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from tests.audited import BAD, fine, run_real
from tests.delivery import (
    CYCLES,
    Delivered,
    Driver,
    Progress,
    assert_same,
    collect,
    documents,
    read,
    sets_of,
    settings_of,
    until,
)

pytestmark = [pytest.mark.integration, pytest.mark.cluster]


def delete(settings: Settings, name: str) -> None:
    """Delete a topic, and wait until the broker does not know it any more."""
    admin, topic = clients.admin(settings.kafka), settings.topic(name)
    admin.delete_topics([topic])[topic].result(60)
    until(lambda: topic not in admin.list_topics(timeout=60).topics, "the topic is gone")


def finals(settings: Settings, name: str) -> list[str]:
    """Return what is on a topic for good, in an order of its own: open rows depend on timing."""
    rows = read(settings, name, parse=name != "dead-letter")
    return sorted(str(row) for row in rows if name == "dead-letter" or row.get("final", True))


def all_is_read(progress: Progress) -> None:
    """Wait until the group has committed all that there is."""
    until(lambda: not any(progress.ends()[n] - at for n, at in progress.offsets().items()), "all is read")


def test_rows_that_a_new_topic_lacks_are_published_once(kafka: Kafka, recording: Path, tmp_path: Path) -> None:
    """All three outputs are made anew while nobody runs: `verify` names them, one command brings back byte for byte."""
    settings = run_real(kafka, recording, tmp_path, "remade").settings
    names = ("analytics", "cycles", "dead-letter")
    before = {name: finals(settings, name) for name in names}
    for name in names:
        delete(settings, name)
    create(settings)

    found = verify(settings)
    said = restore_topics(settings, write=False)
    done = restore_topics(settings, write=True)
    again = restore_topics(settings, write=True)

    for check in ("analytics", "profiles", "dead"):
        assert found[check].findings[0].mend.command == "hydrodask backfill --topics --write"
    assert [one.missing for one in said] == [one.restored for one in done], (said, done)
    assert done[2].restored >= BAD
    assert [(one.missing, one.restored) for one in again] == [(0, 0)] * 3
    after = {name: finals(settings, name) for name in names}
    assert after == before
    assert fine(verify(settings))


def bad(settings: Settings, first: int, count: int) -> None:
    """Publish records of PS1 that nobody can use."""
    client = clients.producer(settings.kafka)
    for number in range(first, first + count):
        client.produce(settings.topic("PS1"), b'{"bad": %d}' % number, b"rig-1")
    assert client.flush(60) == 0


def publish_samples(settings: Settings, recording: Path) -> int:
    """Publish a recording, and make no topics; return how many records are not of PS1."""
    publisher = Publisher(producer_for(settings.kafka), settings.topic, speed=None)
    summary = publisher.run(open_recording(settings, recording, clock.now_us()))
    assert not summary.failed, summary
    return summary.published - CYCLES * CHANNELS["PS1"].samples_per_cycle


def later(settings: Settings) -> None:
    """Publish a sample of five minutes in, which makes the windows of its sensor final."""
    client = clients.producer(settings.kafka)
    value = (
        b'"cycle":5,"sample_idx":0,"value":50.5,"timestamp":"2026-01-01T00:05:00","sampling_rate_hz":1,"rig":"rig-1"}'
    )
    client.produce(settings.topic("TS1"), b'{"sensor":"TS1",' + value, b"rig-1")
    assert client.flush(60) == 0


def letters(settings: Settings) -> list[bytes]:
    """Return the dead letters."""
    return read(settings, "dead-letter", parse=False)


def test_outputs_wait_for_a_topic_that_is_gone_and_nothing_else_does(kafka: Kafka, short: Path, tmp_path: Path) -> None:
    """Dead letters are deleted in mid-run: said once, others go on; made anew, it gets what waited, each once."""
    sets = sets_of(kafka, tmp_path, "waits", "step.trigger=200ms")
    settings = settings_of(kafka, tmp_path, "waits")
    create(settings)
    with Driver(sets, tmp_path / "log") as driver:
        bad(settings, 0, 5)
        until(lambda: len(letters(settings)) == 5, "the first are dead letters")
        delete(settings, "dead-letter")
        bad(settings, 5, 5)
        until(lambda: "topic waits-dead-letter is gone; `hydrodask topics create`" in driver.output, "it says so")
        total = publish_samples(settings, short)
        with Progress(settings) as progress:
            until(
                lambda: sum(progress.offsets().values()) == total + 5,
                "all partitions but that of bad records go on",
            )
            assert progress.offsets()["PS1"] == 5
            create(settings)
            until(lambda: len(letters(settings)) == 5, "those that waited are published")
            all_is_read(progress)
        until(lambda: "was made anew, without what was published before" in driver.output, "it says what is missing")
        done = restore_topics(settings, write=True)
        assert driver.process.poll() is None
        assert driver.stop() == 0

    assert [one.restored for one in done] == [0, 0, 5]
    assert sorted(letters(settings)) == [b'{"bad": %d}' % number for number in range(10)]
    assert fine(verify(settings))


def test_window_rows_wait_for_their_topic_and_are_judged_then(
    kafka: Kafka, short: Path, wanted: Delivered, tmp_path: Path
) -> None:
    """Their topic is deleted in mid-run and made anew: nothing is lost or doubled, and incidents come at once then."""
    sets = sets_of(kafka, tmp_path, "anew", "step.trigger=200ms", "kafka.discover_every=1s")
    settings = settings_of(kafka, tmp_path, "anew")
    create(settings)
    with Driver(sets, tmp_path / "log") as driver:
        until(lambda: "running:" in driver.output, "it runs")
        delete(settings, "analytics")
        publish_samples(settings, short)
        until(lambda: "topic anew-analytics is gone; `hydrodask topics create`" in driver.output, "it says so")
        with Progress(settings) as progress:
            until(lambda: progress.offsets()["labels"] == CYCLES, "labels go on")
            assert progress.offsets()["PS1"] == 0
            create(settings)
            all_is_read(progress)
        until(lambda: documents(settings, "incidents") == wanted.incidents, "all incidents are there")
        assert driver.stop() == 0

    assert_same(collect(settings), wanted)
    assert fine(verify(settings))


def test_window_rows_of_before_come_back_beside_a_run(
    kafka: Kafka, short: Path, wanted: Delivered, tmp_path: Path
) -> None:
    """Topic of rows that were judged: made anew in mid-run, one command beside the run gives it all rows, each once."""
    sets = sets_of(kafka, tmp_path, "refilled", "step.trigger=200ms", "kafka.discover_every=1s")
    settings = settings_of(kafka, tmp_path, "refilled")
    create(settings)
    with Driver(sets, tmp_path / "log") as driver:
        publish_samples(settings, short)
        with Progress(settings) as progress:
            all_is_read(progress)
        until(lambda: documents(settings, "incidents") == wanted.incidents, "all incidents are there")
        delete(settings, "analytics")
        bad(settings, 0, 5)  # which go on meanwhile
        until(lambda: len(letters(settings)) == 5, "others go on")
        create(settings)
        later(settings)
        until(lambda: "was made anew" in driver.output, "it says what is missing")
        done = restore_topics(settings, write=True)
        assert done[0].restored == done[0].missing > 0
        again = restore_topics(settings, write=True)
        assert driver.process.poll() is None
        assert driver.stop() == 0

    assert [one.missing for one in again] == [0, 0, 0]
    rows = [row for row in read(settings, "analytics") if row["final"]]
    keys = [(row["sensor"], row["window_start"], row["revision"]) for row in rows]
    assert len(keys) == len(set(keys)) >= len(wanted.final_rows)
    assert fine(verify(settings))
