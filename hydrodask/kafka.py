"""Kafka clients: the only module that imports confluent-kafka.

Gives consumers, producers and an admin client whose settings come from one place, and turns librdkafka's errors into
ours. The cause of a failed connection (wrong password, CA, name) only comes through `error_cb`, so each client keeps
its last one and messages quote it.
"""

import ctypes
import logging
import threading
from collections.abc import Mapping
from typing import Any, NoReturn

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
    cimpl,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # they are its documented names
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from hydrodask import clock
from hydrodask.errors import ConfigError, FatalError, FencedError, HydrodaskError, RetryableError, UnreachableError
from hydrodask.settings.hidden import plain
from hydrodask.settings.model import Kafka

__all__ = [
    "OFFSET_BEGINNING",
    "OFFSET_INVALID",
    "AclBinding",
    "AclBindingFilter",
    "AclOperation",
    "AclPermissionType",
    "AdminClient",
    "ConfigResource",
    "Consumer",
    "ConsumerGroupTopicPartitions",
    "KafkaError",
    "KafkaException",
    "Message",
    "NewPartitions",
    "NewTopic",
    "Producer",
    "ResourcePatternType",
    "ResourceType",
    "ScramCredentialInfo",
    "ScramMechanism",
    "TopicCollection",
    "TopicPartition",
    "UserScramCredentialAlteration",
    "UserScramCredentialUpsertion",
    "admin",
    "connect",
    "consumer",
    "fetch_settings",
    "librdkafka",
    "producer",
    "raise_from",
    "remember",
    "translate",
]

log = logging.getLogger(__name__)

_hearing = threading.local()
log.addFilter(lambda _record: not getattr(_hearing, "now", False))  # a client logs in the thread that polls it

Signatures = Mapping[str, tuple[object, list[object]]]  # result and arguments of C functions, as ctypes has them

TRY_S = 1.0
"""How long one question to a broker waits: in between, the client's own errors are looked at."""

REFUSED_S = 2.0
"""A broker that refuses us for this long means it; one that just starts may not know its users yet."""

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
    return Consumer(_consumer(kafka, overrides))


def producer(kafka: Kafka, **overrides: object) -> Producer:
    """Return an idempotent producer; give `transactional.id` (as `**{"transactional.id": …}`) for transactions."""
    return Producer(_config(kafka, _PRODUCER, kafka.producer, overrides))


def fetch_settings(kafka: Kafka) -> dict[str, str]:
    """Return the settings of `consumer` as librdkafka's own interface takes them; it has no Python callbacks."""
    kept = {name: value for name, value in _consumer(kafka, {}).items() if name not in ("error_cb", "logger")}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in kept.items()}


def admin(kafka: Kafka) -> AdminClient:
    """Return an admin client."""
    return AdminClient(_config(kafka, {}, {}, {}))


def connect(client: AdminClient | Consumer | Producer, kafka: Kafka) -> ClusterMetadata:
    """Return what the brokers know once one answers.

    Raises ConfigError within seconds when name, password or certificates are refused, and UnreachableError after
    `kafka.timeout`. Only `error_cb` gets to know why, and only a poll calls that: so questions are short.
    """
    end_s = clock.monotonic_s() + kafka.timeout
    last_error.clear()
    _refusals.clear()
    refused_s = float("inf")
    while True:
        try:
            return client.list_topics(timeout=max(0.01, min(TRY_S, end_s - clock.monotonic_s())))
        except KafkaException as error:
            _hear(client)
            now_s = clock.monotonic_s()
            refused_s = min(refused_s, now_s) if _refusals else float("inf")
            if now_s - refused_s > REFUSED_S:
                raise ConfigError(_refusal(kafka)) from error
            if now_s >= end_s:
                raise UnreachableError(
                    f"could not reach the broker at {kafka.bootstrap} within {kafka.timeout:g} s:"
                    f" {last_error[0] if last_error else 'it does not answer'};"
                    " is it running, and are kafka.bootstrap and security.protocol right? (--profile local-services)"
                ) from error
        clock.sleep_s(min(0.2, max(0.0, end_s - clock.monotonic_s())))


def _hear(client: AdminClient | Consumer | Producer) -> None:
    """Let a client say what is wrong, to `remember` and not to the log: our own error will say it, once."""
    _hearing.now = True
    try:
        client.poll(0)
    finally:
        _hearing.now = False


def librdkafka(signatures: Signatures) -> ctypes.CDLL:
    """Return the clients' own C library, for what Python has no call for: the mock cluster, fetching in columns.

    `signatures` declare the calls that are used; an undeclared one would cut pointers to 32 bits. Loading the extension
    module again gives its handle, through which the library that it was linked with is found, wherever it lies.
    """
    library = ctypes.CDLL(cimpl.__file__)
    for name, (result, arguments) in signatures.items():
        call = getattr(library, name)
        call.restype, call.argtypes = result, arguments
    return library


def raise_from(error: KafkaException, what: str) -> NoReturn:
    """Raise our error for librdkafka's, naming `what` was attempted."""
    cause = error.args[0] if error.args else None
    if not isinstance(cause, KafkaError):
        raise FatalError(f"could not {what}: {error}") from error
    raise translate(cause, what) from error


def translate(cause: KafkaError, what: str) -> HydrodaskError:
    """Return our error class for `cause`: fenced, fatal, unreachable or retryable."""
    hint = "; `hydrodask topics grant` gives the rights that are needed" if cause.code() in _PERMANENT[:2] else ""
    message = f"could not {what}: {cause.str()} ({cause.name()}){hint}"
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


def _consumer(kafka: Kafka, overrides: Mapping[str, object]) -> dict[str, Any]:
    return _config(kafka, {"group.id": kafka.group, **_CONSUMER}, kafka.consumer, overrides)


def _config(
    kafka: Kafka, ours: Mapping[str, object], theirs: Mapping[str, object], overrides: Mapping[str, object]
) -> dict[str, Any]:
    user = {"sasl.username": kafka.username, "sasl.password": kafka.secret()}
    secret = {name: value for name, value in user.items() if value}
    if kafka.ca_file:
        if not kafka.ca_file.exists():
            raise ConfigError(
                f"kafka.ca_file has value {str(kafka.ca_file)!r}, which does not exist; local services make theirs when"
                " they start"
            )
        secret["ssl.ca.location"] = str(kafka.ca_file)
    return {
        "bootstrap.servers": kafka.bootstrap,
        "client.id": "hydrodask",
        "error_cb": _remember,
        "logger": log,
        "log.connection.close": False,
        "reconnect.backoff.max.ms": 1000,  # a broker that comes back is found at once, not after 10 s
        **ours,
        **secret,
        **plain(kafka.client),
        **plain(theirs),
        **overrides,
    }


last_error: list[str] = []
"""The newest client error, at most one: what a timeout's message quotes."""

_refusals: list[KafkaError] = []
"""The newest error that says that a broker refuses us, at most one; `connect` begins without."""


def remember(code: int, text: str) -> None:
    """Keep a client's error."""
    if last_error and code == KafkaError._ALL_BROKERS_DOWN:
        return  # what has taken them down came before it, and says more
    last_error[:] = [f"{text} ({KafkaError(code).name()})"]
    if code in _PERMANENT:
        _refusals[:] = [KafkaError(code, text)]
        log.error("kafka client: %s", text)


def _remember(error: KafkaError) -> None:
    remember(error.code(), error.str())


def _refusal(kafka: Kafka) -> str:
    """Return what is wrong and where to look, for the newest refusal."""
    error = _refusals[0]
    if error.code() == KafkaError._AUTHENTICATION:
        return (
            f"the broker at {kafka.bootstrap} refuses user {kafka.username!r}: {error.str()};"
            " check kafka.username and its password"
        )
    return (
        f"could not make a trusted connection to {kafka.bootstrap}: {error.str()};"
        " check kafka.ca_file, and that the certificate is for this host name"
    )
