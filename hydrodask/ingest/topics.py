"""The platform's topics: their names, making them, looking at them."""

import logging
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from difflib import get_close_matches

from hydrodask import clock, kafka
from hydrodask.channels import SENSORS
from hydrodask.errors import ConfigError, FatalError, RetryableError, UnreachableError
from hydrodask.flow import named
from hydrodask.settings import Settings

log = logging.getLogger(__name__)

DEAD = "dead-letter"
OUTPUTS = ("labels", "analytics", "cycles", DEAD)
"""Topics beside those of the sensors."""

RENEWABLE = ("analytics", "cycles", DEAD)
"""Topics that can be made anew: all that is on them follows from the records of others."""

TOPICS_MAX = 10_000
"""Topics of one broker that are looked at."""

UNREAD_MAX = 20
"""Topics that begin like ours and are none that are named: another platform's prefix may begin like ours."""

POLL_S = 0.1

GRACE_S = 5.0
"""The client ends a request at its timeout and says why; we only wait a little longer."""

RETENTION_TIMEOUT_S = 2.0
"""The embedded broker never answers this question, and the list should not wait for it."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is made when it is missing."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic on the broker, offsets summed; `retention_s` is None when endless or unknown."""

    name: str
    partitions: int
    replication: int
    first: int
    last: int
    retention_s: float | None


def all_topics(settings: Settings) -> list[TopicSpec]:
    """Return the 17 sensor topics, labels, analytics, cycles, dead letters, and what flows from outside publish.

    >>> [topic.name for topic in all_topics(Settings())][17:]
    ['hydraulic-labels', 'hydraulic-analytics', 'hydraulic-cycles', 'hydraulic-dead-letter']
    """
    names = (*SENSORS, *OUTPUTS, *_published(settings))
    unknown = sorted(settings.topics.each.keys() - set(names))
    if unknown:
        raise ConfigError(f"topics.each names {', '.join(unknown)}; want some of {', '.join(names)}")
    return [_spec(settings, name) for name in names]


def outputs(settings: Settings) -> list[str]:
    """Return the topics that are written in transactions: ours, and those of flows from outside.

    >>> outputs(Settings())
    ['hydraulic-analytics', 'hydraulic-cycles', 'hydraulic-dead-letter']
    """
    return [settings.topic(name) for name in (*RENEWABLE, *_published(settings))]


def _published(settings: Settings) -> list[str]:
    """Return what flows from outside publish, by short names."""
    return [topic for flow in named(settings.flows) for topic in flow.publishes]


def unread(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """Return which of a broker's topics begin like ours and are none of ours, and what to say of each.

    >>> unread(Settings(), ["hydraulic-PS01", "hydraulic-PS1", "others"])
    {'hydraulic-PS01': 'nobody reads topic hydraulic-PS01; did you mean hydraulic-PS1?'}
    """
    prefix, ours = settings.topics.prefix, [topic.name for topic in all_topics(settings)]
    odd = sorted(name for name in names if prefix and name.startswith(prefix) and name not in ours)
    near = {name: get_close_matches(name, ours, n=1, cutoff=0.9) for name in odd[:UNREAD_MAX]}
    return {
        name: f"nobody reads topic {name}" + (f"; did you mean {like[0]}?" if like else "")
        for name, like in near.items()
    }


def create(settings: Settings) -> list[str]:
    """Make the missing topics and return their names; existing ones stay as they are.

    Waits until the metadata shows each, and each partition has a leader that answers. Raises UnreachableError after
    `kafka.timeout`.
    """
    admin = kafka.admin(settings.kafka)
    known = _known(admin, settings)
    missing = [topic for topic in all_topics(settings) if topic.name not in known]
    if not missing:
        return []
    timeout_s = settings.kafka.timeout
    requests = admin.create_topics(
        [
            kafka.NewTopic(
                t.name,
                num_partitions=t.partitions,
                replication_factor=t.replication,
                config=t.config,
            )
            for t in missing
        ],
        operation_timeout=timeout_s,
        request_timeout=timeout_s,
    )
    made = [t.name for t in missing if _made(requests[t.name], t.name, timeout_s)]
    _wait_until_known(admin, settings, missing)
    _wait_until_led(settings, missing)
    return made


def renew(settings: Settings, name: str) -> str:
    """Delete a topic of `RENEWABLE`, by its short name, and make it anew; return its name.

    Raises UnreachableError after `kafka.timeout`, and RetryableError when the broker refuses.
    """
    admin, topic, timeout_s = kafka.admin(settings.kafka), settings.topic(name), settings.kafka.timeout
    request = admin.delete_topics([topic], operation_timeout=timeout_s, request_timeout=timeout_s)[topic]
    try:
        request.result(timeout_s + GRACE_S)
    except kafka.KafkaException as error:
        if error.args[0].code() == kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise FatalError(
                f"could not delete topic {topic} as user {settings.kafka.username!r}: only an administrator of the "
                "brokers can do that (of a local Kafka: --profile local-admin)"
            ) from error
        if error.args[0].code() != kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:  # somebody has deleted it already
            kafka.raise_from(error, f"delete topic {topic}")
    end_s = clock.monotonic_s() + timeout_s
    while topic in _known(admin, settings) or topic not in create(settings):
        if clock.monotonic_s() > end_s:
            raise UnreachableError(
                f"deleted topic {topic}, but the broker at {settings.kafka.bootstrap} has not let it go after "
                f"{timeout_s:g} s; `hydrodask topics create` makes it later"
            )
        clock.sleep_s(POLL_S)
    return topic


def partitions(settings: Settings) -> dict[str, int]:
    """Return how many partitions each topic of the brokers has; raises UnreachableError."""
    return {name: count for name, (count, _) in _known(kafka.admin(settings.kafka), settings).items()}


def list_topics(settings: Settings) -> list[TopicInfo]:
    """Return those of `all_topics` that the broker has, in that order; raises UnreachableError."""
    admin = kafka.admin(settings.kafka)
    known = _known(admin, settings)
    names = [topic.name for topic in all_topics(settings) if topic.name in known]
    retentions = _retentions(admin, names, settings.kafka.timeout)
    consumer = kafka.consumer(settings.kafka)
    try:
        return [
            TopicInfo(
                name,
                known[name][0],
                known[name][1],
                *_span(consumer, name, known[name][0], settings),
                retentions.get(name),
            )
            for name in names
        ]
    finally:
        consumer.close()


def _spec(settings: Settings, name: str) -> TopicSpec:
    """Return what `topics` says of one topic: the general settings, and above them its own."""
    topics = settings.topics
    config: dict[str, object] = {
        "retention.ms": round((topics.retention_dead if name == DEAD else topics.retention) * 1000),
        "min.insync.replicas": topics.min_insync,
        # What is too far ahead, and when a record goes, is for the broker's clock to say: producers' may be wrong.
        "message.timestamp.type": "LogAppendTime",
    }
    if name == DEAD:
        # It holds whatever a producer managed to send us, so it must take more than other topics.
        config["max.message.bytes"] = kafka.MESSAGE_BYTES_MAX
    shape: dict[str, object] = {"partitions": topics.partitions, "replication": topics.replication}
    for key, value in topics.each.get(name, {}).items():
        (shape if key in shape else config)[key] = value
    partitions, replication = (int(str(shape[key])) for key in ("partitions", "replication"))
    return TopicSpec(
        settings.topic(name), partitions, replication, {key: _text(value) for key, value in config.items()}
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _known(admin: kafka.AdminClient, settings: Settings) -> dict[str, tuple[int, int]]:
    """Return partitions and replicas of each topic of the broker."""
    topics = kafka.connect(admin, settings.kafka).topics
    return {
        name: (
            len(topic.partitions),
            min((len(p.replicas) for p in topic.partitions.values()), default=0),
        )
        for name, topic in list(topics.items())[:TOPICS_MAX]
        if topic.error is None
    }


def _made(request: Future[None], name: str, timeout_s: float) -> bool:
    try:
        request.result(timeout_s + GRACE_S)
    except kafka.KafkaException as error:
        if error.args[0].code() == kafka.KafkaError.TOPIC_ALREADY_EXISTS:  # someone else was faster
            return False
        kafka.raise_from(error, f"create topic {name}")
    return True


def _wait_until_known(admin: kafka.AdminClient, settings: Settings, wanted: list[TopicSpec]) -> None:
    """Return once the metadata shows all: until then a producer is told that there is none."""
    end_s = clock.monotonic_s() + settings.kafka.timeout
    while clock.monotonic_s() < end_s:
        known = _known(admin, settings)
        if all(topic.name in known for topic in wanted):
            return
        clock.sleep_s(POLL_S)
    names = ", ".join(topic.name for topic in wanted if topic.name not in known)
    raise UnreachableError(
        f"created topics {names}, but the broker at {settings.kafka.bootstrap} does not show them"
        f" after {settings.kafka.timeout:g} s; look at its log"
    )


def _wait_until_led(settings: Settings, wanted: list[TopicSpec]) -> None:
    """Return once every partition answers: a leader needs a moment after the metadata has named it."""
    end_s = clock.monotonic_s() + settings.kafka.timeout
    consumer = kafka.consumer(settings.kafka)
    try:
        for topic in wanted:
            while True:
                try:
                    _span(consumer, topic.name, topic.partitions, settings)
                    break
                except RetryableError:
                    if clock.monotonic_s() > end_s:
                        raise
                    clock.sleep_s(POLL_S)
    finally:
        consumer.close()


def _span(consumer: kafka.Consumer, name: str, partitions: int, settings: Settings) -> tuple[int, int]:
    """Return the first and the last offsets of a topic, summed over its partitions."""
    first = last = 0
    for partition in range(partitions):
        try:
            low, high = consumer.get_watermark_offsets(
                kafka.TopicPartition(name, partition), timeout=settings.kafka.timeout
            )
        except kafka.KafkaException as error:
            kafka.raise_from(error, f"read the offsets of {name} [{partition}]")
        first, last = first + low, last + high
    return first, last


def _retentions(admin: kafka.AdminClient, names: list[str], timeout_s: float) -> dict[str, float | None]:
    """Return how long topics keep records, without those that the broker does not tell about."""
    if not names:
        return {}
    timeout_s = min(timeout_s, RETENTION_TIMEOUT_S)
    resources = [kafka.ConfigResource(kafka.ConfigResource.Type.TOPIC, name) for name in names]
    retentions: dict[str, float | None] = {}
    try:
        requests = admin.describe_configs(resources, request_timeout=timeout_s)
        for resource, request in requests.items():
            milliseconds = int(request.result(timeout_s + GRACE_S)["retention.ms"].value)
            retentions[resource.name] = None if milliseconds < 0 else milliseconds / 1000
    except kafka.KafkaException as error:
        log.info("the broker does not tell how long topics are kept: %s", error)
    return retentions
