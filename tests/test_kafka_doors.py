"""The listeners of a local Kafka: without a login nobody does anything, and data of older versions is locked, too."""

import itertools
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.broker import OpenKafka
from hydrodask import kafka as clients
from hydrodask.doors import access
from hydrodask.errors import ConfigError, FatalError, UnreachableError, UsageError
from hydrodask.ingest.topics import create
from hydrodask.kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from hydrodask.services import KafkaService, logins, security
from hydrodask.services.kafkanodes import KafkaNode
from hydrodask.services.ports import free_port
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka, Topics
from tests.delivery import until
from tests.doors import kafka as stranger

pytestmark = pytest.mark.integration

PREFIX = "locked-"
GROUP = "locked"
SECONDS = 60.0
COMMITTED = 3
LISTENERS = ("INTERNAL", "EXTERNAL", "CONTROLLER")


@dataclass
class Locked:
    """A broker with topics, a record and a committed offset that somebody would like to change."""

    service: KafkaService
    settings: Settings

    @property
    def topic(self) -> str:
        return self.settings.topic("PS1")

    def context(self, node: KafkaNode) -> dict[str, Any]:
        """Return what a stranger knows of a node."""
        kafka = {name: node.at(place) for place, name in enumerate(LISTENERS)}
        return {"kafka": kafka, "topic": self.topic, "group": GROUP, "roles": ["publisher"]}

    def tried(self, harm: str) -> dict[tuple[str, str], str]:
        """Try a harm on each listener of each node in each way; return what became of it."""
        return {
            (f"{node.name} {listener}", how): stranger.outcome(address, way, one)
            for node in self.service.nodes
            for listener, address in self.context(node)["kafka"].items()
            for how, way in stranger.WAYS.items()
            for one in stranger.harms(self.context(node))
            if one[0] == harm
        }

    # What the four harms would change.

    def password_works(self) -> bool:
        """Say whether the role's password is the one in its file."""
        try:
            clients.connect(clients.admin(self.service.login("publisher")), self.settings.kafka)
        except (ConfigError, UnreachableError):
            return False
        return True

    def records(self) -> int:
        """Return how many records the topic has."""
        reader = clients.consumer(self.settings.kafka)
        try:
            return int(reader.get_watermark_offsets(TopicPartition(self.topic, 0), SECONDS)[1])
        finally:
            reader.close()

    def committed(self) -> int:
        """Return the group's offset."""
        admin = clients.admin(self.settings.kafka)
        asked = ConsumerGroupTopicPartitions(GROUP, [TopicPartition(self.topic, 0)])
        found = admin.list_consumer_group_offsets([asked])[GROUP].result(SECONDS)
        return int(found.topic_partitions[0].offset)

    def there(self) -> bool:
        """Say whether the topic is there."""
        return self.topic in clients.admin(self.settings.kafka).list_topics(timeout=SECONDS).topics


CHANGED: dict[str, Callable[[Locked], object]] = {
    "replace a role's password": Locked.password_works,
    "forge a sample": Locked.records,
    "move offsets": Locked.committed,
    "delete a topic": Locked.there,
}
"""Each harm, and what it would change."""


def locked(service: KafkaService) -> Locked:
    """Make the topics and what is to be left alone."""
    kafka = service.login().model_copy(update={"group": GROUP, "timeout": SECONDS})
    found = Locked(service, Settings(kafka=kafka, topics=Topics(prefix=PREFIX)))
    create(found.settings)
    producer = clients.producer(kafka)
    producer.produce(found.topic, b"{}")
    assert producer.flush(SECONDS) == 0
    admin = clients.admin(kafka)
    place = TopicPartition(found.topic, 0, COMMITTED)
    moved = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, [place])])[GROUP].result(SECONDS)
    assert moved.topic_partitions[0].error is None
    return found


@pytest.fixture(scope="module")
def shared(kafka_service: KafkaService) -> Locked:
    """Return the session's broker with topics of this file."""
    return locked(kafka_service)


@pytest.mark.parametrize("harm", CHANGED)
def test_a_stranger_with_the_ports_alone_is_refused(shared: Locked, harm: str) -> None:
    """On no listener, neither plainly, nor by guessing the administrator's password, nor over TLS; nothing changes."""
    before = CHANGED[harm](shared)

    outcomes = shared.tried(harm)

    assert {place: said for place, said in outcomes.items() if not said.startswith("refused")} == {}
    assert len(outcomes) == len(LISTENERS) * len(stranger.WAYS)
    assert CHANGED[harm](shared) == before
    assert before in (True, 1, COMMITTED)


def test_wrong_or_no_login_is_said(shared: Locked) -> None:
    """Who names no login, as one could with an older version, is told what to use; who has a wrong one, that it is."""
    none = Kafka(embedded=False, bootstrap=shared.service.bootstrap, timeout=3.0)
    with pytest.raises(
        UnreachableError,
        match=r"could not reach the broker .*security\.protocol right\? \(--profile local-services",
    ):
        clients.connect(clients.admin(none), none)
    for right in (shared.service.login(), shared.service.first_login()):
        role = right.username
        wrong = Kafka.model_validate({**right.model_dump(), "password": "guessed", "timeout": SECONDS})
        with pytest.raises(ConfigError, match=f"refuses user '{role}'"):
            clients.connect(clients.admin(wrong), wrong)


def test_the_operator_is_no_administrator(shared: Locked) -> None:
    """The role of `local-services` may not do with its login what a stranger can't without."""
    operator = shared.service.login(logins.OPERATOR)
    admin = clients.admin(operator)
    clients.connect(admin, operator)
    change = clients.UserScramCredentialUpsertion(
        "publisher", clients.ScramCredentialInfo(clients.ScramMechanism.SCRAM_SHA_512, 4096), b"mine"
    )
    deeds = {
        "delete a topic": admin.delete_topics([shared.topic], operation_timeout=SECONDS)[shared.topic],
        "replace a password": admin.alter_user_scram_credentials([change])["publisher"],
    }

    for request in deeds.values():
        with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
            request.result(SECONDS)
    with pytest.raises(FatalError, match="only an administrator"):
        access.grant(admin, Settings(kafka=operator))
    assert shared.password_works()
    assert shared.there()


def test_no_secret_is_in_sight(shared: Locked) -> None:
    """Files with passwords are 0600 in a folder that is 0700; no password is in a log or in the process list."""
    service = shared.service
    secrets = [
        *service.security.glob("*.password"),
        service.security / "ca.key",
        *(n.properties for n in service.nodes),
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert stat.S_IMODE(service.folder.stat().st_mode) == stat.S_IMODE(service.security.stat().st_mode) == 0o700

    passwords = [path.read_text() for path in service.security.glob("*.password")]
    assert len(passwords) == len(access.roles()) + 1
    seen = [path.read_text(errors="replace") for path in service.folder.glob("*.log")]
    pids = [server.pid for server in service.state().servers]
    seen += [" ".join(psutil.Process(pid).cmdline()) for pid in pids if pid]
    assert not [password for password, text in itertools.product(passwords, seen) if password in text]


@pytest.fixture
def older(kafka_service: KafkaService, tmp_path: Path) -> Iterator[OpenKafka]:
    """Run a broker as an older version did: without logins, in a folder that is open to others."""
    assert kafka_service.jars.exists()
    service = OpenKafka(tmp_path / "kafka", port=free_port(3), heap="256m", with_parent=True)
    service.start(lambda _said: None)
    service.folder.chmod(0o755)
    yield service
    service.stop()


def test_data_of_an_older_version_is_locked_by_a_restart(older: OpenKafka) -> None:
    """There a stranger could do all four; what runs is not left so; started anew it has its data and lets nobody in."""
    open_one = locked(older)
    for harm in CHANGED:
        done = {listener: said for (listener, how), said in open_one.tried(harm).items() if how == "plainly"}
        assert done["kafka INTERNAL"] == "open: it is done", (harm, done)
    until(lambda: not open_one.there(), "the broker knows it, too: the controller answers before")
    before = locked(older)
    now = KafkaService(older.folder, port=older.port, with_parent=True)
    with pytest.raises(UsageError, match=r"kafka runs with other logins .*services down kafka"):
        now.start(lambda _said: None)
    assert older.stop()

    now.start(lambda _said: None)
    try:
        after = Locked(now, before.settings.model_copy(update={"kafka": now.login()}))
        until(after.password_works, "the role's password is known")
        assert (after.records(), after.committed()) == (1, COMMITTED)
        for harm in CHANGED:
            assert {said.partition(":")[0] for said in after.tried(harm).values()} == {"refused"}
        assert stat.S_IMODE(now.folder.stat().st_mode) == 0o700
        assert_rotated(now, after)
    finally:
        now.stop()


def assert_rotated(service: KafkaService, locked: Locked) -> None:
    """Fail unless a role's new password needs no restart, the administrator's one, and the data is there after both."""
    security.password_file(service.security, "publisher").unlink()
    service.start(lambda _said: None)
    until(locked.password_works, "the broker knows it, too: the controller answers before")
    security.password_file(service.security, logins.ADMIN).unlink()
    with pytest.raises(UsageError, match="services down kafka"):
        service.start(lambda _said: None)
    service.stop()
    service.start(lambda _said: None)
    assert locked.records() == 1


def test_a_password_that_would_end_its_setting_is_refused(tmp_path: Path) -> None:
    """One that a person has written into the file must not be able to change the broker's settings."""
    (tmp_path / "admin.password").write_text('x" user_mallory="y')

    with pytest.raises(ConfigError, match=r"admin\.password has a password with other characters"):
        logins.guards(tmp_path, tmp_path / "admin.password")


def test_no_password_goes_to_who_ever_listens(tmp_path: Path) -> None:
    """PLAIN sends the password itself: it is for listeners that have shown a certificate, on both sides."""
    security.password(tmp_path, "admin")
    guards = logins.guards(tmp_path, security.password_file(tmp_path, "admin"))
    protocols = dict(one.split(":") for one in guards["listener.security.protocol.map"].split(","))
    plain = {
        name
        for name in protocols
        if "PLAIN" in guards[f"listener.name.{name.lower()}.sasl.enabled.mechanisms"].split(",")
    }

    assert plain == {name for name in protocols if protocols[name] == "SASL_SSL"} == {"EXTERNAL", "CONTROLLER"}
    assert guards["inter.broker.listener.name"] in plain
    first = KafkaService(tmp_path).first_login()
    assert (first.client["security.protocol"], first.client["sasl.mechanism"]) == ("SASL_SSL", "PLAIN")
    assert KafkaService(tmp_path).login().client["sasl.mechanism"] == "SCRAM-SHA-512"
