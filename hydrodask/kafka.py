"""Kafka clients: the only module that imports confluent-kafka.

Gives consumers, producers and an admin client whose settings come from one place, and turns librdkafka's errors into
ours. The cause of a failed connection (wrong password, CA, name) only comes through `error_cb`, so each client keeps
its last one and messages quote it.
"""

import ctypes
import logging
from collections.abc import Mapping
from typing import Any, NoReturn

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
    cimpl,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # they are its documented names
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
)

from hydrodask.errors import FatalError, FencedError, HydrodaskError, RetryableError, UnreachableError
from hydrodask.settings.model import Kafka

__all__ = [
    "OFFSET_BEGINNING",
    "OFFSET_END",
    "OFFSET_INVALID",
    "TIMESTAMP_NOT_AVAILABLE",
    "AdminClient",
    "ConfigResource",
    "Consumer",
    "KafkaError",
    "KafkaException",
    "Message",
    "NewPartitions",
    "NewTopic",
    "Producer",
    "TopicPartition",
    "admin",
    "consumer",
    "fetch_settings",
    "librdkafka",
    "producer",
    "raise_from",
    "remember",
    "translate",
]

log = logging.getLogger(__name__)

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
"""Largest record that we send: a dead letter must hold what a producer managed to send us."""

_CONSUMER = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",  # a position outside the log is ours to handle: it may be data loss
    "isolation.level": "read_committed",
    "fetch.queue.backoff.ms": 5,  # the default of 1000 caps a catching-up consumer at 310,000 records/s
    "fetch.wait.max.ms": 50,  # with fetch.min.bytes: a quiet topic costs 20 requests a second, not thousands
    "fetch.min.bytes": 65_536,
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 16_384,  # what is fetched long before it is read has left the caches again
    "fetch.message.max.bytes": 8 * 1024 * 1024,
}
_PRODUCER = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 5,
    "compression.type": "lz4",
    "message.max.bytes": MESSAGE_BYTES_MAX,
    "queue.buffering.max.messages": 500_000,
    "queue.buffering.max.kbytes": 262_144,
}


def consumer(kafka: Kafka, **overrides: object) -> Consumer:
    """Return a consumer for manual assignment; it never joins the group and never commits by itself."""
    return Consumer(_config(kafka, {"group.id": kafka.group, **_CONSUMER}, kafka.consumer, overrides))


def producer(kafka: Kafka, **overrides: object) -> Producer:
    """Return an idempotent producer; give `transactional.id` (as `**{"transactional.id": …}`) for transactions."""
    return Producer(_config(kafka, _PRODUCER, kafka.producer, overrides))


def fetch_settings(kafka: Kafka) -> dict[str, str]:
    """Return the settings of `consumer` as librdkafka's own interface takes them; it has no Python callbacks."""
    settings = _config(kafka, {"group.id": kafka.group, **_CONSUMER}, kafka.consumer, {})
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in settings.items()}
    return {name: text for name, text in texts.items() if name not in ("error_cb", "logger")}


def admin(kafka: Kafka) -> AdminClient:
    """Return an admin client."""
    return AdminClient(_config(kafka, {}, {}, {}))


def librdkafka() -> ctypes.CDLL:
    """Return the clients' own C library, for what Python has no call for: the mock cluster.

    Loading the extension module again gives its handle, through which the library that it was
    linked with is found, wherever the wheel or the distribution has put it.
    """
    return ctypes.CDLL(cimpl.__file__)


def raise_from(error: KafkaException, what: str) -> NoReturn:
    """Raise our error for librdkafka's, naming `what` was attempted."""
    cause = error.args[0] if error.args else None
    if not isinstance(cause, KafkaError):
        raise FatalError(f"could not {what}: {error}") from error
    raise translate(cause, what) from error


def translate(cause: KafkaError, what: str) -> HydrodaskError:
    """Return our error class for `cause`: fenced, fatal, unreachable or retryable."""
    message = f"could not {what}: {cause.str()} ({cause.name()})"
    if cause.code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH):
        return FencedError(message)
    if cause.fatal() or cause.code() in _PERMANENT:
        return FatalError(message)
    if cause.code() in _UNREACHABLE:
        return UnreachableError(f"{message}; is the broker running and the address right?")
    return RetryableError(message)


_PERMANENT = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
)
_UNREACHABLE = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
)


def _config(
    kafka: Kafka,
    ours: Mapping[str, object],
    theirs: Mapping[str, object],
    overrides: Mapping[str, object],
) -> dict[str, Any]:
    secret: dict[str, object] = {}
    if kafka.username:
        secret["sasl.username"] = kafka.username
    password = kafka.secret()
    if password:
        secret["sasl.password"] = password
    return {
        "bootstrap.servers": kafka.bootstrap,
        "client.id": "hydrodask",
        "error_cb": _remember,
        "logger": log,
        "log.connection.close": False,
        **ours,
        **secret,
        **kafka.client,
        **theirs,
        **overrides,
    }


last_error: list[str] = []
"""The newest client error, at most one: what a timeout's message quotes."""


def remember(code: int, text: str) -> None:
    """Keep a client's error."""
    last_error[:] = [f"{text} ({KafkaError(code).name()})"]
    if code in _PERMANENT:
        log.error("kafka client: %s", text)


def _remember(error: KafkaError) -> None:
    remember(error.code(), error.str())
