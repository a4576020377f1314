"""Which log a topic's name stands for now: the cluster's id and the topic's, which no other topic ever gets.

An identity is `CLUSTER/TOPIC`, and a name for nothing else: ids hold `/` and `+`, so it is no file's name. A topic that
is deleted and made anew has another one, and so has a topic of the same name on another broker. The embedded broker has
no topic ids; each of its starts is known by the run that it lives for. Brokers before 2.8 have none either: all that is
known then is the cluster.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol

from hydrodask import clock
from hydrodask.errors import UnreachableError
from hydrodask.kafka import AdminClient, KafkaError, KafkaException, TopicCollection, admin, raise_from
from hydrodask.settings.model import Kafka

EMBEDDED = "embedded"
_NONE = "AAAAAAAAAAAAAAAAAAAAAA"
"""The zero id, of brokers that do not know topic ids."""

_GRACE_S = 5.0

_TRY_S = 2.0
"""How long the first try waits, where a broker answers in milliseconds; each other one waits twice as long."""

_LEFT_S = 0.1
"""How long the last try waits at least."""

_GONE = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT)
"""What is said of a broker that has died."""


def forgets(log: str) -> bool:
    """Say whether a log is of an embedded broker, which forgets all when it stops: the next one goes on with its rows.

    >>> forgets("0f6b7f9a1c2d/embedded"), forgets("5L6g3n/kQ+z")
    (True, False)
    """
    return log.endswith(f"/{EMBEDDED}")


def same_cluster(log: str, other: str) -> bool:
    """Say whether two logs are of one cluster: there a topic id that has gone never comes back."""
    return log.partition("/")[0] == other.partition("/")[0]


def named(log: str) -> bool:
    """Say whether the broker tells topics of one name apart."""
    return bool(log.partition("/")[2])


class Ids(Protocol):
    """Whoever knows which log a name stands for."""

    def of(self, topics: Iterable[str]) -> dict[str, str]:
        """Return the identity of each topic by name; one that is not there now is left out. May raise."""


class OneStart:
    """The identities of an embedded broker, which lives as long as its run.

    librdkafka names its mock cluster by where it lies in memory, and another start may lie there, too.
    """

    def __init__(self, run_id: str) -> None:
        self._log = f"{run_id}/{EMBEDDED}"

    def of(self, topics: Iterable[str]) -> dict[str, str]:
        """Return the identity of each topic, as `Identities` does."""
        return dict.fromkeys(topics, self._log)


class Identities:
    """Asks the broker for identities, with a client of its own. DESCRIBE or READ on the topics is enough."""

    def __init__(self, kafka: Kafka, *, connect: Callable[[Kafka], AdminClient] = admin) -> None:
        self._kafka = kafka
        self._client = connect(kafka)
        self._cluster_of: dict[str, str] = {}
        """By topic id: another broker behind the same address has other ids, and another cluster's."""

    def of(self, topics: Iterable[str]) -> dict[str, str]:
        """Return the identity of each topic by name; one that is not there now is left out. Some 0.5 ms.

        Raises UnreachableError when the broker does not answer, FatalError when it may not be asked.
        """
        wanted = sorted(set(topics))
        if not wanted:
            return {}
        try:
            found = self._found(wanted)
            return {name: self._identity(known) for name, known in found.items() if known is not None}
        except KafkaException as error:
            raise_from(error, f"ask {self._kafka.bootstrap} for the ids of {', '.join(wanted[:2])}")
        except TimeoutError as error:
            raise UnreachableError(f"{self._kafka.bootstrap} does not say which ids its topics have") from error

    def _found(self, wanted: list[str]) -> dict[str, str | None]:
        """Ask until there is an answer, for `kafka.timeout`.

        librdkafka asks the broker that its newest metadata called the controller, and no other, however long that one
        is dead: nothing makes it ask for metadata while another broker answers. So we do, before the next try.
        """
        end_s = clock.monotonic_s() + self._kafka.timeout
        limit_s = min(_TRY_S, self._kafka.timeout)
        while True:
            try:
                requests = self._client.describe_topics(TopicCollection(wanted), request_timeout=limit_s)
                return {name: _topic_id(request, limit_s + _GRACE_S) for name, request in requests.items()}
            except KafkaException as error:
                left_s = end_s - clock.monotonic_s()
                if error.args[0].code() not in _GONE or left_s <= 0:
                    raise
            with suppress(KafkaException):  # the next try says so
                self._client.list_topics(timeout=min(limit_s, left_s))
            limit_s = min(2 * limit_s, max(end_s - clock.monotonic_s(), _LEFT_S))

    def _identity(self, topic: str) -> str:
        if topic not in self._cluster_of:
            self._cluster_of[topic] = str(self._client.list_topics(timeout=self._kafka.timeout).cluster_id or "")
        return f"{self._cluster_of[topic]}/{topic}"


def _topic_id(request: "Future[Any]", limit_s: float) -> str | None:
    """Return a topic's id, empty when the broker has none, None when there is no such topic."""
    try:
        found = str(request.result(limit_s).topic_id)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise
    return "" if found == _NONE else found
