"""What a log is known by: marks in commits, and the ids of topics and clusters."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from hydrodask import kafka as clients
from hydrodask.errors import UnreachableError
from hydrodask.ingest import identity, mark
from hydrodask.ingest.identity import Identities, OneStart, forgets, named
from hydrodask.ingest.mark import Mark
from hydrodask.kafka import NewTopic
from hydrodask.settings.model import Kafka
from tests.delivery import until


@pytest.mark.parametrize(
    "one", [Mark("c/t+/x", 2_000_000_000, 2_000_000_007, 3, 4, 5), Mark("c/", 0, 7), Mark("c/t", 0, 0)]
)
def test_mark_is_read_as_it_was_written(one: Mark) -> None:
    """Whatever ids hold: slashes, plus signs, nothing."""
    assert mark.parse(mark.write(one)) == one
    assert len(mark.write(one)) < 250


@pytest.mark.parametrize(
    "text", [None, "", "x", "emitted=", "hd1", "hd1 log=a", "hd2 log=a base=0 emitted=0", "emitted=-3"]
)
def test_metadata_of_others_is_no_mark(text: str | None) -> None:
    """A tool's offset has none, or text of its own."""
    assert mark.parse(text) is None


@pytest.mark.integration
@pytest.mark.cluster
def test_topic_made_anew_has_another_id(kafka: Kafka) -> None:
    """The same name, another log; while there is no topic there is no id."""
    admin, identities = clients.admin(kafka), Identities(kafka)
    admin.create_topics([NewTopic("named", 1)])["named"].result(60)
    until(lambda: "named" in identities.of(["named"]), "the topic is known")
    first = identities.of(["named", "nowhere"])

    admin.delete_topics(["named"])["named"].result(60)
    until(lambda: not identities.of(["named"]), "the topic is gone")
    admin.create_topics([NewTopic("named", 1)])["named"].result(60)
    until(lambda: "named" in identities.of(["named"]), "the topic is known again")

    assert list(first) == ["named"]
    assert named(first["named"])
    assert identities.of(["named"]) != first
    assert Identities(kafka).of(["named"]) == identities.of(["named"])


def test_each_start_of_the_embedded_broker_is_another_log() -> None:
    """It has no topic ids, and its cluster's is an address in memory: it is known by its run."""
    found = [OneStart(run).of(["a"])["a"] for run in ("r1", "r2")]

    assert found[0] != found[1]
    assert all(map(forgets, found))


def test_dead_controller_is_not_asked_for_ever() -> None:
    """The client asks the broker that its metadata called the controller; who asks anew for metadata hears of another.

    With real brokers it takes three, one of which dies: tests/chaos/test_broker.py.
    """
    alive, tries_s = [False], []

    def describe(_topics: object, request_timeout: float) -> "dict[str, Future[Any]]":
        tries_s.append(request_timeout)
        answer: Future[Any] = Future()
        if alive[0]:
            answer.set_result(SimpleNamespace(topic_id="t1"))
        else:
            answer.set_exception(clients.KafkaException(clients.KafkaError(clients.KafkaError._TIMED_OUT)))
        return {"a": answer}

    def listed(timeout: float) -> Any:
        alive[0] = timeout > 0
        return SimpleNamespace(cluster_id="c1")

    client: Any = SimpleNamespace(describe_topics=describe, list_topics=listed)

    assert Identities(Kafka(timeout=30), connect=lambda _: client).of(["a"]) == {"a": "c1/t1"}
    assert tries_s == [2.0, 4.0]


def test_ids_that_never_come_are_waited_for_as_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client keeps its own limits, as a rule."""
    monkeypatch.setattr(identity, "_GRACE_S", 0.0)
    silent: Any = SimpleNamespace(describe_topics=lambda *_, **__: {"a": Future()})

    with pytest.raises(UnreachableError, match="does not say which ids"):
        Identities(Kafka(timeout=0.01), connect=lambda _: silent).of(["a"])
