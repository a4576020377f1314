"""Topics that lose records by their own configuration: compacted, deleted by old stamps, short of replicas.

Takes what a broker says of the platform's topics, gives `Concern`s, each with its topics and what to do. Changes
nothing. What a user may not ask is a concern, too: nobody knows.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from hydrodask import clock, kafka
from hydrodask.channels import SENSORS
from hydrodask.errors import HydrodaskError
from hydrodask.ingest.topics import GRACE_S, TopicSpec, all_topics
from hydrodask.settings import Settings

ANSWER_S = 10.0
"""How long a broker is waited for at most."""

_DAY_MS = 86_400_000
Config = Mapping[str, str]
Said = tuple[str, str]
"""What is wrong with a topic, and what to do; topics of which the same is said share a concern."""


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that loses records of these topics sooner or later; `advice` says what to do."""

    topics: tuple[str, ...]
    what: str
    advice: str

    @property
    def text(self) -> str:
        """Which topics, and what is wrong with them."""
        return f"{', '.join(self.topics)}: {self.what}"

    def __str__(self) -> str:
        return f"{self.text}; {self.advice}"


def concerns(settings: Settings) -> list[Concern]:
    """Return what is of concern about the topics that there are. Raises UnreachableError."""
    patient = settings.kafka.model_copy(update={"timeout": min(ANSWER_S, settings.kafka.timeout)})
    admin = kafka.admin(patient)
    known = kafka.connect(admin, patient).topics
    specs = [spec for spec in all_topics(settings) if spec.name in known and known[spec.name].error is None]
    configs, grouped = _configs(admin, [spec.name for spec in specs], patient.timeout)
    client = kafka.consumer(patient)
    try:
        for spec in specs:
            replicas = [(len(p.replicas), len(p.isrs)) for p in known[spec.name].partitions.values()]
            config = configs.get(spec.name, {})
            inputs = {settings.topic(name) for name in (*SENSORS, "labels")}
            expired = _expired(client, spec.name, len(replicas), config, patient.timeout) if spec.name in inputs else 0
            for said in (*_cleaning(config), *_stamps(config, expired), *_replicas(spec, replicas, config)):
                grouped.setdefault(said, []).append(spec.name)
    finally:
        client.close()
    return [Concern(tuple(names), *said) for said, names in grouped.items()]


def _cleaning(config: Config) -> Iterator[Said]:
    policy = config.get("cleanup.policy", "delete")
    if "compact" in policy:
        yield (
            f"cleanup.policy={policy} keeps only the newest record of each key, and every key is a rig",
            "set cleanup.policy=delete (kafka-configs --alter)",
        )


def _stamps(config: Config, expired: int) -> Iterator[Said]:
    if config.get("message.timestamp.type", "LogAppendTime") != "CreateTime":
        return
    stamped = "set message.timestamp.type=LogAppendTime (kafka-configs --alter)"
    if expired:
        days = int(config["retention.ms"]) / _DAY_MS
        yield (
            f"{expired:,} records have stamps older than retention.ms ({days:g} d), which takes them, read or not",
            f"set retention.ms=-1 until they are, and {stamped.removeprefix('set ')}",
        )
    yield (
        "message.timestamp.type=CreateTime lets the clocks of producers decide which records are dead, late or deleted",
        stamped,
    )


def _replicas(spec: TopicSpec, replicas: list[tuple[int, int]], config: Config) -> Iterator[Said]:
    fewest, in_sync = (min(counts, default=0) for counts in zip(*replicas, strict=True))
    wanted, least = spec.config["min.insync.replicas"], config.get("min.insync.replicas")
    if fewest < spec.replication:
        yield (
            f"{fewest} replica{'s' * (fewest != 1)}, and the configuration wants {spec.replication}",
            "add replicas (kafka-reassign-partitions), or lower topics.replication",
        )
    if least is not None and int(least) < int(wanted):
        yield (
            f"min.insync.replicas={least}, and the configuration wants {wanted}",
            f"set min.insync.replicas={wanted} (kafka-configs --alter)",
        )
    if least is not None and in_sync < int(least):
        yield (
            f"min.insync.replicas={least}, and a partition has {in_sync} in sync: it takes no records",
            "bring the missing brokers back" if fewest >= int(least) else "add replicas, or lower it",
        )


def _configs(
    admin: kafka.AdminClient, names: list[str], timeout_s: float
) -> tuple[dict[str, Config], dict[Said, list[str]]]:
    """Return what `told` does of topics."""
    if not names:
        return {}, {}
    resources = [kafka.ConfigResource(kafka.ConfigResource.Type.TOPIC, name) for name in names]
    requests = admin.describe_configs(resources, request_timeout=timeout_s)
    return told({resource.name: request for resource, request in requests.items()}, timeout_s)


def told(
    requests: Mapping[str, Future[Mapping[str, Any]]], timeout_s: float
) -> tuple[dict[str, Config], dict[Said, list[str]]]:
    """Return the configuration of each topic, and what is said of those of which we do not get it."""
    found: dict[str, Config] = {}
    untold: dict[Said, list[str]] = {}
    for topic, request in requests.items():
        try:
            entries = request.result(timeout_s + GRACE_S)
        except (kafka.KafkaException, TimeoutError) as error:
            untold.setdefault(_untold(error), []).append(topic)
            continue
        found[topic] = {name: entry.value for name, entry in entries.items()}
    return found, untold


def _untold(error: Exception) -> Said:
    """Return what is said of a topic whose configuration we do not get."""
    cause = error.args[0] if error.args else None
    if isinstance(cause, kafka.KafkaError) and cause.code() == kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED:
        what, advice = "may not be asked by this user", "let it: `hydrodask topics grant` as an administrator"
    else:
        named = cause.name() if isinstance(cause, kafka.KafkaError) else "no answer in time"
        what, advice = f"could not be asked ({named})", "look at the broker's log, and ask again"
    return f"its configuration {what}: it may be compacted, stamped by producers or too short-lived", advice


def _expired(client: kafka.Consumer, name: str, partitions: int, config: Config, timeout_s: float) -> int:
    """Return how many records are stamped so long ago by their producers that retention takes them."""
    keep_ms = int(config.get("retention.ms", "-1"))
    if keep_ms < 0 or config.get("message.timestamp.type") != "CreateTime":
        return 0
    limit_ms = clock.now_us() // 1000 - keep_ms
    wanted = [kafka.TopicPartition(name, partition, limit_ms) for partition in range(partitions)]
    old = 0
    try:
        for found in client.offsets_for_times(wanted, timeout_s):
            low, high = client.get_watermark_offsets(kafka.TopicPartition(name, found.partition), timeout_s)
            old += max(0, (found.offset if found.offset >= 0 else high) - low)
    except (kafka.KafkaException, HydrodaskError):
        return 0  # no right to read it, say: what is known without is said all the same
    return old
