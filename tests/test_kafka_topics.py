"""Topics on a real broker: what `doctor` and `run` say of those that lose records, and whose clock counts."""

from pathlib import Path

import pytest

from hydrodask import clock
from hydrodask import kafka as clients
from hydrodask.doctor import reach
from hydrodask.ingest.topics import all_topics, create
from hydrodask.kafka import NewTopic
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from tests.delivery import Driver, collect, read, sets_of, settings_of

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

DAY_MS = 86_400_000


def made(settings: Settings, **configs: dict[str, str]) -> None:
    """Make single topics with a configuration of their own, and then the others."""
    admin = clients.admin(settings.kafka)
    own = {"message.timestamp.type": "LogAppendTime", "retention.ms": str(7 * DAY_MS), "min.insync.replicas": "1"}
    new = [NewTopic(settings.topic(name), 1, 1, config=own | config) for name, config in configs.items()]
    for request in admin.create_topics(new).values():
        request.result(60)
    create(settings)


def said(settings: Settings) -> dict[str, str]:
    """Return what doctor warns of, by topic."""
    found: dict[str, str] = {}
    for finding in reach.topics(settings):
        for name in [t.name for t in all_topics(settings)]:
            if finding.state != "pass" and name in finding.text:
                found[name] = f"{found.get(name, '')}{finding.text}; {finding.advice}"
    return found


def test_topics_of_ours_are_stamped_by_the_broker_and_no_concern(kafka: Kafka, tmp_path: Path) -> None:
    """All 21, with the time at which the broker has appended a record; so doctor has nothing to say of them."""
    settings = settings_of(kafka, tmp_path, "stamped")

    create(settings)

    admin = clients.admin(settings.kafka)
    names = [topic.name for topic in all_topics(settings)]
    resources = [clients.ConfigResource(clients.ConfigResource.Type.TOPIC, name) for name in names]
    kinds = {
        request.result(60)["message.timestamp.type"].value for request in admin.describe_configs(resources).values()
    }
    assert kinds == {"LogAppendTime"}
    assert said(settings) == {}
    assert [finding.state for finding in reach.topics(settings)] == ["pass"]


def test_doctor_names_the_topics_that_would_lose_records(kafka: Kafka, tmp_path: Path) -> None:
    """Compacted, stamped by producers, with records that retention takes unread, short of replicas; others are not."""
    settings = settings_of(kafka, tmp_path, "lossy", "topics.each.TS2={replication: 3}")
    made(
        settings,
        PS1={"cleanup.policy": "compact"},
        PS2={"message.timestamp.type": "CreateTime"},
        PS3={"message.timestamp.type": "CreateTime"},
        TS1={"min.insync.replicas": "2"},
        TS2={},
    )
    producer = clients.producer(settings.kafka)
    producer.produce(settings.topic("PS3"), b"{}", timestamp=clock.now_us() // 1000 - 30 * DAY_MS)
    assert producer.flush(60) == 0

    found = said(settings)

    assert set(found) == {settings.topic(name) for name in ("PS1", "PS2", "PS3", "TS1", "TS2")}
    assert "cleanup.policy=compact" in found["lossy-PS1"]
    assert "cleanup.policy=delete" in found["lossy-PS1"]
    assert "message.timestamp.type=CreateTime" in found["lossy-PS2"]
    assert "message.timestamp.type=LogAppendTime" in found["lossy-PS2"]
    assert "1 records have stamps older than retention.ms (7 d)" in found["lossy-PS3"]
    assert "retention.ms=-1" in found["lossy-PS3"]
    assert "min.insync.replicas=2" in found["lossy-TS1"]
    assert "1 replica" in found["lossy-TS2"]
    assert "wants 3" in found["lossy-TS2"]


def test_run_says_at_its_start_which_topic_would_lose_records(kafka: Kafka, tmp_path: Path) -> None:
    """In one line with the topic's name and what to do; it goes on all the same."""
    settings = settings_of(kafka, tmp_path, "warned")
    made(settings, PS4={"cleanup.policy": "compact"})

    with Driver(sets_of(kafka, tmp_path, "warned"), tmp_path / "log", "--until-idle") as driver:
        assert driver.wait() == 0

    lines = [line for line in driver.output.splitlines() if "warned-PS4" in line]
    assert any("cleanup.policy=compact" in line and "cleanup.policy=delete" in line for line in lines), driver.output


RIGHT, WRONG = 120, 60
"""Samples of right clocks, and those of a minute in which the clock of sensor and producer is 50 min fast."""


def produce(settings: Settings, sensor: str, ahead_s: dict[int, int], stamped_s: int) -> None:
    """Publish a sample a second that ends now; some with the time `ahead_s` ahead, stamped so long after its time."""
    producer = clients.producer(settings.kafka)
    start_us = clock.now_us() - (RIGHT + WRONG) * clock.US_PER_S
    for place in range(RIGHT + WRONG):
        at_us = start_us + (place + ahead_s.get(place, 0)) * clock.US_PER_S
        value = (
            f'{{"sensor":"{sensor}","cycle":{place // 60},"sample_idx":{place % 60},"value":40.5,'
            f'"timestamp":"{clock.iso(at_us)}","sampling_rate_hz":1.0,"rig":"rig-1"}}'
        )
        producer.produce(
            settings.topic(sensor), value.encode(), b"rig-1", 0, timestamp=at_us // 1000 + 1000 * stamped_s
        )
    assert producer.flush(60) == 0


def test_clocks_of_producers_do_not_decide_what_is_late_or_dead(kafka: Kafka, tmp_path: Path) -> None:
    """A minute of a clock that is 50 min fast is dead, and nothing else; one that is 2 min slow costs nothing."""
    settings = settings_of(kafka, tmp_path, "skewed")
    create(settings)
    produce(settings, "TS1", dict.fromkeys(range(60, 60 + WRONG), 3000), stamped_s=0)
    produce(settings, "TS2", {}, stamped_s=-120)

    with Driver(sets_of(kafka, tmp_path, "skewed"), tmp_path / "log", "--until-idle") as driver:
        assert driver.wait() == 0, driver.output

    found = collect(settings)
    kept = found.raw["sensor"].to_pylist()
    assert len(read(settings, "dead-letter")) == WRONG
    assert (kept.count("TS1"), kept.count("TS2")) == (RIGHT, RIGHT + WRONG)
    assert len(found.late) == 0


def test_doctor_names_topics_that_nobody_reads(kafka: Kafka, tmp_path: Path) -> None:
    """One whose name begins like ours and is none of ours, with the one that it may mean."""
    settings = settings_of(kafka, tmp_path, "unread")
    create(settings)
    admin = clients.admin(settings.kafka)
    admin.create_topics([NewTopic(settings.topic("PS01"), 1, 1)])[settings.topic("PS01")].result(60)

    found = [finding.text for finding in reach.topics(settings) if finding.state == "warn"]

    assert found == [f"nobody reads topic {settings.topic('PS01')}; did you mean {settings.topic('PS1')}?"]
