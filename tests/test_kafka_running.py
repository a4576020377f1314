"""What a running platform and the brokers' own tools see of each other: group offsets, new partitions, new topics."""

from contextlib import suppress
from pathlib import Path

import pytest

from hydrodask import kafka as clients
from hydrodask.ingest.discover import Discovery
from hydrodask.ingest.topics import all_topics, create
from hydrodask.kafka import ConsumerGroupTopicPartitions, NewPartitions, NewTopic, TopicPartition
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from tests.delivery import Driver, publish, sets_of, settings_of, shorten, until

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

ADDED = 500
"""Records that are published to a partition that was not there at the start."""


def nothing_waits(settings: Settings, *among: tuple[str, int]) -> bool:
    """Say whether a group has no lag, at the partitions that are named or at any; not while the broker is too slow."""
    with suppress(clients.KafkaException, TimeoutError):
        lag = group_lag(settings)
        return all(lag.get(one) == 0 for one in among or lag)
    return False


def has_offsets(settings: Settings, topics: set[str]) -> bool:
    """Say whether a group has committed something of each topic; not while the broker is too slow."""
    with suppress(clients.KafkaException, TimeoutError):
        return topics <= {topic for topic, _ in group_lag(settings)}
    return False


def group_lag(settings: Settings) -> dict[tuple[str, int], int]:
    """Return the lag of each partition of the group, as lag exporters and Kafka's own tools get it.

    Committed offset and end are both the broker's; nothing of ours is asked.
    """
    admin = clients.admin(settings.kafka)
    group = settings.kafka.group
    request = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], require_stable=True)
    committed = request[group].result(60).topic_partitions
    client = clients.consumer(settings.kafka)
    try:
        ends = {(p.topic, p.partition): client.get_watermark_offsets(p, 60)[1] for p in committed}
    finally:
        client.close()
    return {(p.topic, p.partition): ends[p.topic, p.partition] - p.offset for p in committed}


def add_partition(settings: Settings, name: str) -> None:
    """Give the topic of a sensor a second partition."""
    admin = clients.admin(settings.kafka)
    topic = settings.topic(name)
    admin.create_partitions([NewPartitions(topic, 2)])[topic].result(60)
    # The controller answers before the broker knows: what is sent to a partition that it does not know is lost.
    until(lambda: len(admin.list_topics(topic, timeout=60).topics[topic].partitions) == 2, "it is there")


def produce_to(settings: Settings, name: str, partition: int) -> None:
    """Publish samples of a rig to one partition."""
    producer = clients.producer(settings.kafka)
    for place in range(ADDED):
        value = (
            f'{{"sensor":"{name}","cycle":0,"sample_idx":{place},"value":1.5,'
            f'"timestamp":"2026-01-01T00:{place // 60:02}:{place % 60:02}","sampling_rate_hz":1.0,"rig":"rig-new"}}'
        )
        producer.produce(settings.topic(name), value.encode(), b"rig-new", partition)
    assert producer.flush(60) == 0


def test_group_offsets_and_new_partitions_of_a_running_platform(kafka: Kafka, recording: Path, tmp_path: Path) -> None:
    """Lag of the group is seen falling to 0 while it runs, over an added partition too, and after it has stopped."""
    sets = sets_of(kafka, tmp_path, "seen", "kafka.discover_every=500ms")
    settings = settings_of(kafka, tmp_path, "seen")
    (tmp_path / "short").mkdir()
    total = publish(settings, shorten(recording, tmp_path / "short"))
    sensors = {topic.name for topic in all_topics(settings)[:18]}
    new = (settings.topic("TS1"), 1)

    with Driver(sets, tmp_path / "log") as driver:
        until(lambda: has_offsets(settings, sensors), "the group has offsets of all inputs")
        add_partition(settings, "TS1")
        produce_to(settings, "TS1", 1)
        until(lambda: nothing_waits(settings, new), "the new partition is read and committed")
        until(lambda: nothing_waits(settings), "nothing waits")
        assert driver.process.poll() is None
        admin = clients.admin(settings.kafka)  # it must live until the answer is there
        state = admin.describe_consumer_groups(["seen"])["seen"].result(60)
        assert list(state.members) == []  # partitions are assigned by the coordinator, not by the group
        assert driver.stop() == 0

    assert not any(group_lag(settings).values())
    produce_to(settings, "TS1", 0)
    assert group_lag(settings)[settings.topic("TS1"), 0] == ADDED
    client = clients.consumer(settings.kafka)
    try:
        marks = client.committed([TopicPartition(topic, 0) for topic in sensors] + [TopicPartition(*new)], 60)
    finally:
        client.close()
    assert sum(p.offset for p in marks) == total + ADDED


def test_new_topic_is_found(kafka: Kafka, tmp_path: Path) -> None:
    """A topic of a flow that is made later has its partitions among the sources the next time they are asked for."""
    settings = settings_of(kafka, tmp_path, "later")
    topic = settings.topic("PS1")
    discovery = Discovery(settings.kafka, {topic: "monitor"})
    try:
        before = discovery.sources()
        admin = clients.admin(settings.kafka)
        admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])[topic].result(60)
        until(lambda: len(discovery.sources()) == 2, "the topic is found")
        found = discovery.sources()
    finally:
        discovery.close()

    assert before == {}
    assert found == {(topic, 0): "monitor", (topic, 1): "monitor"}


def test_topics_are_made_as_configured(kafka: Kafka, tmp_path: Path) -> None:
    """Partitions, retention, compaction and size limits on the broker are those of `topics`."""
    settings = settings_of(
        kafka,
        tmp_path,
        "made",
        "topics.partitions=2",
        "topics.retention=1h",
        "topics.each.labels={partitions: 1, cleanup.policy: compact, min.cleanable.dirty.ratio: 0.1}",
    )

    create(settings)

    client = clients.admin(settings.kafka)
    wanted = all_topics(settings)
    resources = [clients.ConfigResource(clients.ConfigResource.Type.TOPIC, topic.name) for topic in wanted]
    found = {resource.name: request.result(60) for resource, request in client.describe_configs(resources).items()}
    known = client.list_topics(timeout=60).topics
    for topic in wanted:
        assert len(known[topic.name].partitions) == topic.partitions
        assert {key: found[topic.name][key].value for key in topic.config} == topic.config
    values = {key: found["made-labels"][key].value for key in ("cleanup.policy", "retention.ms")}
    assert values == {"cleanup.policy": "compact", "retention.ms": "3600000"}
    assert found["made-PS1"]["cleanup.policy"].value == "delete"
    assert found["made-dead-letter"]["retention.ms"].value == str(30 * 86_400_000)
