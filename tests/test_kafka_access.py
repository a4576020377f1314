"""TLS, passwords and rights by role on the EXTERNAL listener of a real broker."""

import select
import socket
import socketserver
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from hydrodask import clock
from hydrodask import kafka as clients
from hydrodask.channels import SENSORS
from hydrodask.doors import access
from hydrodask.doors.access import Right
from hydrodask.errors import ConfigError, FatalError, HydrodaskError
from hydrodask.ingest.feed import open_recording
from hydrodask.ingest.publisher import Publisher, producer_for
from hydrodask.ingest.topics import create, list_topics
from hydrodask.kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from hydrodask.records import Outgoing
from hydrodask.services import KafkaService, security
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka, Topics
from hydrodask.store.transactions import Transactions
from tests.delivery import Driver, read, shorten, until

PREFIX = "guarded-"
GROUP = "guarded"
JUMPS = "tests.their_flows:JUMPS"
"""A flow from outside, which publishes a topic of its own."""
QUIET = ("cluster.dashboard=127.0.0.1:0", "observe.metrics=127.0.0.1:0")
SECONDS = 60.0
"""An answer of the broker may take so long on a slow machine."""
REFUSED_S = 25.0
"""A refusal has to come within this, that is before `kafka.timeout` is over: seconds, where nobody else works."""


@dataclass
class Guarded:
    """A broker whose roles have their rights on topics with our prefix."""

    service: KafkaService

    def settings(self, role: str, **client: str) -> Settings:
        """Return the settings of a role on the EXTERNAL listener."""
        kafka = self.kafka(role, None, None, **client)
        return Settings(kafka=kafka, topics=Topics(prefix=PREFIX), flows=(JUMPS,))

    def kafka(self, role: str, password: str | None = None, ca_file: Path | None = None, **client: str) -> Kafka:
        """Return how a role reaches the broker."""
        if password is None:
            password = security.password(self.service.security, role).read_text()
        return Kafka.model_validate(
            {
                "embedded": False,
                "bootstrap": self.service.external,
                "group": "reader-test" if role == "reader" else GROUP,
                "username": role,
                "password": password,
                "client": {
                    "security.protocol": "SASL_SSL",
                    "sasl.mechanism": "SCRAM-SHA-512",
                    **client,
                },
                "ca_file": security.ca_pem(self.service.security) if ca_file is None else ca_file,
            }
        )


@pytest.fixture(scope="module")
def guarded(kafka_service: KafkaService) -> Guarded:
    """Return the session's broker with topics and rights of this file."""
    inside = kafka_service.login().model_copy(update={"group": GROUP})
    settings = Settings(kafka=inside, topics=Topics(prefix=PREFIX), flows=(JUMPS,))
    added, _ = access.grant(clients.admin(inside), settings)
    assert added
    # A second time nothing is missing, once the broker knows what the controller has answered before.
    until(lambda: access.grant(clients.admin(inside), settings)[0] == [], "the rights are there")
    found = Guarded(kafka_service)
    assert len(create(found.settings("platform"))) == 22
    return found


def send_simply(settings: Settings, name: str) -> None:
    """Publish one record with a producer that is not idempotent: a fatal error would hide what the topic says."""
    send(settings, name, **{"enable.idempotence": False})


def send(settings: Settings, name: str, **overrides: object) -> None:
    """Publish one record, and raise what the broker says to it."""
    producer = clients.producer(settings.kafka, **overrides)
    said: list[object] = []
    producer.produce(settings.topic(name), b"{}", on_delivery=lambda error, _message: said.append(error))
    assert producer.flush(SECONDS) == 0
    if said[0] is not None:
        raise KafkaException(said[0])


def fetch(settings: Settings, name: str) -> None:
    """Read a topic from its beginning to its end, or raise what the broker says to it."""
    topic = settings.topic(name)
    client = clients.consumer(settings.kafka)
    try:
        error = client.list_topics(topic, SECONDS).topics[topic].error
        if error:  # a consumer would wait for the topic instead of saying so
            raise KafkaException(error)
        client.assign([TopicPartition(topic, 0, 0)])
        end_s = clock.monotonic_s() + SECONDS
        while clock.monotonic_s() < end_s:
            message = client.poll(0.2)
            error = message and message.error()
            if error and error.code() == clients.KafkaError._PARTITION_EOF:
                return
            if error:
                raise KafkaException(error)
        raise AssertionError(f"neither the end of {name} nor an error in {SECONDS:g} s")
    finally:
        client.close()


def move_group(settings: Settings, group: str) -> None:
    """Set the offsets of a group."""
    admin = clients.admin(settings.kafka)
    places = [TopicPartition(settings.topic("analytics"), 0, 0)]
    request = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])
    error = request[group].result(SECONDS).topic_partitions[0].error
    if error:
        raise KafkaException(error)


def transact(settings: Settings, name: str) -> None:
    """Publish a row and an offset in one transaction, as a worker does."""
    client = clients.consumer(settings.kafka)
    slot = Transactions(settings.kafka, 0)
    try:
        offset = TopicPartition(settings.topic("PS1"), 0, 0)
        slot.commit([Outgoing(settings.topic(name), b"rig-1", b"{}")], [offset], client)
    finally:
        slot.close()
        client.close()


def transact_beside(settings: Settings, name: str) -> None:
    """Publish a row and an offset as a flow from outside: in a group of its own, with an id of that."""
    transact(other_group(settings, f"{GROUP}.jumps"), name)


def make_topic(settings: Settings, name: str) -> None:
    """Create a topic that is on no list."""
    admin = clients.admin(settings.kafka)
    topic = clients.NewTopic(settings.topic(name), num_partitions=1, replication_factor=1)
    admin.create_topics([topic])[topic.topic].result(SECONDS)


def ask_for_group(settings: Settings, group: str) -> None:
    """Ask where another group is."""
    admin = clients.admin(settings.kafka)
    request = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    request[group].result(SECONDS)


def give_rights(settings: Settings, _name: str) -> None:
    """Apply a list of rights."""
    access.grant(clients.admin(settings.kafka), settings)


def other_group(settings: Settings, group: str) -> Settings:
    """Return the settings of a member of another group."""
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"group": group})})


Deed = Callable[[Settings, str], None]

MAY: list[tuple[str, Deed, str]] = [
    ("publisher", send, "PS1"),
    ("publisher", send, "labels"),
    ("platform", fetch, "PS1"),
    ("platform", fetch, "labels"),
    ("platform", fetch, "analytics"),
    ("platform", transact, "analytics"),
    ("platform", transact, "dead-letter"),
    ("platform", ask_for_group, GROUP),
    ("platform", transact_beside, "jumps"),
    ("reader", fetch, "analytics"),
    ("reader", fetch, "cycles"),
    ("reader", fetch, "jumps"),
    ("reader", move_group, "reader-test"),
]
MAY_NOT: list[tuple[str, Deed, str]] = [
    ("publisher", send, "analytics"),
    ("publisher", send, "dead-letter"),
    ("publisher", fetch, "PS1"),
    ("publisher", fetch, "analytics"),
    ("publisher", transact, "PS1"),
    ("publisher", make_topic, "mine"),
    ("publisher", send_simply, "jumps"),
    ("publisher", ask_for_group, GROUP),
    ("platform", send, "PS1"),
    ("platform", send, "labels"),
    ("platform", make_topic, "mine"),
    ("platform", ask_for_group, "another"),
    ("platform", give_rights, ""),
    ("reader", send_simply, "analytics"),
    ("reader", fetch, "PS1"),
    ("reader", fetch, "dead-letter"),
    ("reader", transact, "analytics"),
    ("reader", move_group, GROUP),
    ("reader", move_group, f"{GROUP}.jumps"),
    ("reader", ask_for_group, GROUP),
    ("reader", give_rights, ""),
]


@pytest.mark.integration
@pytest.mark.parametrize(("role", "deed", "name"), MAY, ids=lambda v: getattr(v, "__name__", v))
def test_role_can_do_what_it_must(guarded: Guarded, role: str, deed: Deed, name: str) -> None:
    """Each right of the list is one that the role uses."""
    deed(guarded.settings(role), name)


@pytest.mark.integration
@pytest.mark.parametrize(("role", "deed", "name"), MAY_NOT, ids=lambda v: getattr(v, "__name__", v))
def test_role_is_refused_the_rest(guarded: Guarded, role: str, deed: Deed, name: str) -> None:
    """What the list does not say is denied by the broker, which gives that as the reason."""
    with pytest.raises((KafkaException, HydrodaskError)) as caught:
        deed(guarded.settings(role), name)

    assert "AUTHORIZATION_FAILED" in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.integration
def test_other_platform_has_no_slot_of_ours(guarded: Guarded) -> None:
    """Transactional ids begin with the group: the user of one group can't fence another's slots."""
    with pytest.raises(FatalError, match="TRANSACTIONAL_ID_AUTHORIZATION_FAILED"):
        transact(other_group(guarded.settings("platform"), "another"), "analytics")


@pytest.mark.integration
def test_each_role_sees_its_topics_only(guarded: Guarded) -> None:
    """A list of topics has what the role may use, and nothing of anybody else's."""
    seen = {}
    for role in access.roles():
        admin = clients.admin(guarded.kafka(role))
        names = admin.list_topics(timeout=SECONDS).topics
        seen[role] = {name for name in names if name.startswith(PREFIX)}

    assert seen["reader"] == {f"{PREFIX}analytics", f"{PREFIX}cycles", f"{PREFIX}jumps"}
    assert len(seen["publisher"]) == 18
    assert len(seen["platform"]) == 22
    assert len(list_topics(guarded.settings("platform"))) == 22


WRONG: list[tuple[str, dict[str, str], str]] = [
    (
        "password",
        {"password": "not-the-password"},
        r"refuses user 'platform': .*invalid credentials.*check kafka\.user",
    ),
    ("user", {"role": "nobody", "password": "x"}, r"refuses user 'nobody': .*invalid credentials"),
    (
        "mechanism",
        {"sasl.mechanism": "SCRAM-SHA-256"},
        r"Unsupported SASL mechanism.*supported mechanisms: PLAIN,SCRAM-SHA-512",
    ),
    ("ca", {}, r"trusted connection to .*certificate verify failed.*check kafka\.ca_file"),
]


@pytest.mark.integration
@pytest.mark.parametrize(("what", "changes", "message"), WRONG, ids=[what for what, _, _ in WRONG])
def test_wrong_credentials_are_said_within_seconds(
    *,
    guarded: Guarded,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    what: str,
    changes: dict[str, str],
    message: str,
) -> None:
    """With the default time-out of half a minute the reason is there in a few seconds, once, and no secret in it."""
    given = {"role": "platform", **changes}
    other = None
    if what == "ca":
        security.server_pem(tmp_path, "other")
        other = security.ca_pem(tmp_path)
    kafka = guarded.kafka(given.pop("role"), given.pop("password", None), other, **given)
    start_s = clock.monotonic_s()

    with pytest.raises(ConfigError, match=message) as caught:
        create(Settings(kafka=kafka))

    assert clock.monotonic_s() - start_s < REFUSED_S < kafka.timeout
    assert "not-the-password" not in str(caught.value)
    assert caplog.records == []
    assert caught.value.exit_code == 3


@pytest.mark.integration
def test_wrong_host_name_is_said_within_seconds(guarded: Guarded) -> None:
    """Whoever answers under a name that is not in the certificate is not trusted, whatever CA has signed it."""
    port = int(guarded.service.external.rpartition(":")[2])
    with forwarding("127.0.0.2", port) as address:
        kafka = guarded.kafka("platform").model_copy(update={"bootstrap": address})
        start_s = clock.monotonic_s()

        with pytest.raises(
            ConfigError, match=r"trusted connection to 127\.0\.0\.2.*the certificate is for this host name"
        ):
            create(Settings(kafka=kafka))

    assert clock.monotonic_s() - start_s < REFUSED_S


class Forward(socketserver.BaseRequestHandler):
    """One connection that is passed on to the server's `target`, both ways, until an end of it closes."""

    def handle(self) -> None:
        with suppress(OSError), socket.create_connection(self.server.target) as other:  # type: ignore[attr-defined]
            ways = {self.request: other, other: self.request}
            while ready := select.select(list(ways), [], [], SECONDS)[0]:
                for one in ready:
                    data = one.recv(65_536)
                    if not data:
                        return
                    ways[one].sendall(data)


@contextmanager
def forwarding(host: str, port: int) -> Iterator[str]:
    """Give the address of `host` whose connections go to `port` of 127.0.0.1."""
    with socketserver.ThreadingTCPServer((host, 0), Forward) as server:
        server.target = ("127.0.0.1", port)  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{host}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.integration
@pytest.mark.cluster
def test_platform_runs_with_its_rights_alone(guarded: Guarded, recording: Path, tmp_path: Path) -> None:
    """A run as user `platform` over TLS; what it reads was sent by `publisher`, and `reader` sees the results.

    A flow from outside beside it needs no other rights.
    """
    more = [
        f'flows=["{JUMPS}"]',
        f"kafka.bootstrap={guarded.service.external}",
        f"kafka.group={GROUP}",
        f"topics.prefix={PREFIX}",
    ]
    for key, name in (("password_file", "platform.password"), ("ca_file", "ca.pem")):
        more.append(f"kafka.{key}={guarded.service.security / name}")
    sets = [f"data_dir={tmp_path}", "cluster.dashboard=127.0.0.1:0", "observe.metrics=127.0.0.1:0", *more]
    (tmp_path / "short").mkdir()
    rig = guarded.settings("publisher")
    publisher = Publisher(producer_for(rig.kafka), rig.topic, speed=None)
    summary = publisher.run(open_recording(rig, shorten(recording, tmp_path / "short"), clock.now_us()))
    assert not summary.failed, summary

    with Driver(sets, tmp_path / "log", "--profile", "local-secure", "--until-idle") as driver:
        assert driver.wait() == 0

    rows = [row for row in read(guarded.settings("reader"), "analytics") if row.get("final")]
    assert {row["sensor"] for row in rows} == set(SENSORS)
    assert read(guarded.settings("reader"), "jumps")


def hydrodask(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as a user does."""
    command = [sys.executable, "-m", "hydrodask", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL)


@pytest.mark.integration
@pytest.mark.cluster
@pytest.mark.timeout(1800)
def test_all_goes_on_with_the_profiles_and_nobody_types_a_password(
    kafka_service: KafkaService, recording: Path, tmp_path: Path
) -> None:
    """Rights for other topics by `local-admin`; all that asks a broker, as `operator`."""
    places = [f"kafka.bootstrap={kafka_service.bootstrap}", "topics.prefix=operated-", "kafka.group=operated"]
    places += [f"data_dir={tmp_path / 'data'}", f"lake.url={tmp_path / 'lake'}", "documents.url=null"]
    places += ["documents.username=null", "documents.password_file=null", *QUIET]
    short = shorten(recording, tmp_path, cycles=1)
    files = kafka_service.security
    (tmp_path / "data" / "services" / "kafka").mkdir(parents=True)
    (tmp_path / "data" / "services" / "kafka" / "security").symlink_to(files)
    sets = [word for one in places for word in ("--set", one)]

    granted = hydrodask("topics", "grant", "--profile", "local-admin", *sets)
    assert granted.returncode == 0, granted.stderr
    ours = ["--profile", "local-services", *sets]
    run = hydrodask("run", *ours, "--source", f"recording:{short}", "--speed", "max", "--until-idle")
    assert run.returncode == 0, run.stderr[-3000:]
    assert "21 topics created" in run.stderr
    for command in (
        ["verify"],
        ["doctor"],
        ["replay", str(short), "--speed", "max"],
    ):
        done = hydrodask(*command, *ours)
        assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    refused = hydrodask("topics", "renew", "dead-letter", *ours)
    assert (refused.returncode, "--profile local-admin" in refused.stderr) == (1, True), refused.stderr
    assert hydrodask("topics", "renew", "dead-letter", "--profile", "local-admin", *sets).returncode == 0


@pytest.mark.integration
def test_keys_and_passwords_are_the_owner_s_only(kafka_service: KafkaService) -> None:
    """Nobody else can read them, and the broker's key is PKCS#8, as Kafka wants it."""
    secrets = ["ca.key", "broker.pem", *(f"{role}.password" for role in access.roles())]

    modes = {name: stat.S_IMODE((kafka_service.security / name).stat().st_mode) for name in secrets}
    assert modes == dict.fromkeys(secrets, 0o600)
    assert (kafka_service.security / "broker.pem").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")


class TestList:
    """`cluster/security/acls.yaml`, without a broker."""

    def test_every_right_is_narrow(self) -> None:
        """Topics are named one by one; only groups and ids are open at their end; nothing is ALL."""
        found = access.rights(Settings())

        assert {right.kind for right in found if right.prefix} == {"groups", "transactional_ids"}
        assert not {"ALL", "ALTER", "DELETE", "ALTER_CONFIGS"} & {right.operation for right in found}
        assert Right("reader", "topics", "hydraulic-analytics", prefix=False, operation="READ") in found

    def test_names_follow_the_settings(self) -> None:
        """Prefix and group are the platform's."""
        found = access.rights(Settings(kafka=Kafka(group="plant-2"), topics=Topics(prefix="plant2-"), flows=(JUMPS,)))

        for role in ("platform", "operator"):
            for name in ("plant-2-", "plant-2."):  # our slots, and those of flows from outside
                assert Right(role, "transactional_ids", name, prefix=True, operation="WRITE") in found
            assert Right(role, "groups", "plant-2.", prefix=True, operation="READ") in found
            assert Right(role, "topics", "plant2-jumps", prefix=False, operation="WRITE") in found
        assert {right.name for right in found if right.kind == "topics" and right.user == "reader"} == {
            "plant2-analytics",
            "plant2-cycles",
            "plant2-jumps",
        }

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("reader: [{topics: [cycles], alow: [read]}]", "a rule of reader has keys topics, alow"),
            ("reader: [{topics: [cycles], allow: [reed]}]", "reader may 'reed', which is no operation"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path: Path, text: str, message: str) -> None:
        """A typo does not silently give fewer rights, or more."""
        (tmp_path / "acls.yaml").write_text(text)

        with pytest.raises(ConfigError, match=message):
            access.rights(Settings(), tmp_path / "acls.yaml")

    def test_certificate_that_ends_soon_is_renewed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another start a year later makes a new one with the same authority; one on the next day does not."""
        first = security.server_pem(tmp_path, "broker").read_bytes()
        ca = security.ca_pem(tmp_path).read_bytes()
        now_us = clock.now_us()

        monkeypatch.setattr(clock, "now_us", lambda: now_us + 86_400_000_000)
        assert security.server_pem(tmp_path, "broker").read_bytes() == first
        monkeypatch.setattr(clock, "now_us", lambda: now_us + 350 * 86_400_000_000)
        assert security.server_pem(tmp_path, "broker").read_bytes() != first
        assert security.ca_pem(tmp_path).read_bytes() == ca

    @pytest.mark.parametrize("name", ["ca.pem", "broker.pem"])
    def test_a_certificate_that_is_gone_is_made_anew_with_what_it_needs(self, tmp_path: Path, name: str) -> None:
        """So one file is deleted to change a key, and brokers, which trust the authority, find a pair that fits."""
        security.server_pem(tmp_path, "broker")
        (tmp_path / name).unlink()

        made = security.server_pem(tmp_path, "broker").read_bytes()

        assert made.endswith(security.ca_pem(tmp_path).read_bytes())
