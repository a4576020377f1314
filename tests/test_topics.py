"""Names, specifications, and what `topics` says of a broker."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hydrodask import kafka
from hydrodask.cli import topics as command
from hydrodask.errors import ConfigError, UnreachableError
from hydrodask.ingest.concerns import told
from hydrodask.ingest.embedded import EmbeddedBroker
from hydrodask.ingest.topics import all_topics, create, list_topics
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka, Topics


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    """Give an embedded broker with all topics but the last."""
    with EmbeddedBroker(all_topics(Settings())[:-1]) as running:
        yield running


def settings_for(bootstrap: str, timeout: float = 20.0) -> Settings:
    """Return settings for a broker."""
    return Settings(kafka=Kafka(bootstrap=bootstrap, embedded=False, timeout=timeout))


def test_all_topics_follow_the_settings() -> None:
    """21 topics with prefix, partitions and retention; only dead letters take 16 MiB."""
    settings = Settings(topics=Topics(prefix="rig-", partitions=4, retention=3600.0, retention_dead=3600.0))

    topics = all_topics(settings)

    assert len(topics) == 21
    assert topics[0].name == "rig-PS1"
    assert {t.partitions for t in topics} == {4}
    assert {t.config["retention.ms"] for t in topics} == {"3600000"}
    large = [t.name for t in topics if t.config.get("max.message.bytes") == str(16 * 1024 * 1024)]
    assert large == ["rig-dead-letter"]


def test_single_topics_may_differ() -> None:
    """What `topics.each` says of a topic goes before what holds for all; a name that is none of ours is said."""
    each = {"labels": {"partitions": 2, "cleanup.policy": "compact", "retention.ms": 900_000, "preallocate": True}}

    topics = {t.name: t for t in all_topics(Settings(topics=Topics(each=each)))}

    assert (topics["hydraulic-labels"].partitions, topics["hydraulic-PS1"].partitions) == (2, 1)
    wanted = {"cleanup.policy": "compact", "retention.ms": "900000", "preallocate": "true", "min.insync.replicas": "1"}
    assert topics["hydraulic-labels"].config == wanted | {"message.timestamp.type": "LogAppendTime"}
    assert topics["hydraulic-dead-letter"].config["retention.ms"] == str(30 * 86_400_000)
    with pytest.raises(ConfigError, match=r"topics\.each names lables; want some of PS1"):
        all_topics(Settings(topics=Topics(each={"lables": {}})))


def test_topics_that_may_not_be_asked_are_a_concern() -> None:
    """A user without the right, and a broker that does not say: what these topics lose is unknown, and that is said."""
    code = kafka.KafkaError
    requests: dict[str, Future[Mapping[str, Any]]] = {name: Future() for name in "abcd"}
    for name in "ab":
        requests[name].set_exception(kafka.KafkaException(code(code.TOPIC_AUTHORIZATION_FAILED)))
    requests["c"].set_exception(kafka.KafkaException(code(code._TIMED_OUT)))
    requests["d"].set_result({"cleanup.policy": SimpleNamespace(value="compact")})

    found, untold = told(requests, 0.0)

    assert found == {"d": {"cleanup.policy": "compact"}}
    assert list(untold.values()) == [["a", "b"], ["c"]]
    (refused, advice), (silent, _) = untold
    assert "its configuration may not be asked by this user" in refused
    assert "topics grant" in advice
    assert "could not be asked (_TIMED_OUT)" in silent


def test_list_shows_what_is_there(broker: EmbeddedBroker) -> None:
    """The topics that exist, with offsets that count what was published."""
    settings = settings_for(broker.bootstrap)
    producer = kafka.producer(settings.kafka)
    for _ in range(5):
        producer.produce("hydraulic-PS1", b"{}")
    assert producer.flush(20) == 0

    found = list_topics(settings)

    assert [t.name for t in found] == [t.name for t in all_topics(settings)[:-1]]
    assert (found[0].partitions, found[0].replication) == (1, 1)
    assert (found[0].first, found[0].last) == (0, 5)
    assert (found[1].first, found[1].last) == (0, 0)


def test_create_leaves_existing_topics_alone() -> None:
    """Nothing is created, and nothing is asked of the broker, when all are there."""
    with EmbeddedBroker(all_topics(Settings())) as broker:
        assert create(settings_for(broker.bootstrap)) == []


def test_create_gives_up_in_time(broker: EmbeddedBroker) -> None:
    """The embedded broker answers no admin request; the error says what was tried."""
    with pytest.raises(UnreachableError, match="create topic hydraulic-dead-letter"):
        create(settings_for(broker.bootstrap, timeout=5.0))


def test_no_broker() -> None:
    """Exit code 4, with the address."""
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1") as caught:
        list_topics(settings_for("127.0.0.1:1", timeout=0.5))

    assert caught.value.exit_code == 4


def test_list_command_prints_json(broker: EmbeddedBroker) -> None:
    """One object a topic."""
    app = typer.Typer()
    command.add_to(app)

    result = CliRunner().invoke(
        app, ["topics", "list", "--bootstrap", broker.bootstrap, "--json"], prog_name="hydrodask"
    )

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["name"] == "hydraulic-PS1"


@pytest.mark.parametrize("asked", ["create", "grant"])
def test_nothing_is_made_on_a_broker_that_nobody_named(asked: str) -> None:
    """Who listens at the default's address may be anybody's."""
    app = typer.Typer()
    command.add_to(app)

    result = CliRunner().invoke(app, ["topics", asked, "--set", "kafka.timeout=1s"], prog_name="hydrodask")

    assert isinstance(result.exception, ConfigError)
    assert "no broker is named" in str(result.exception)
    assert "--bootstrap HOST:PORT" in str(result.exception)
