"""Three real Kafka nodes: what is acknowledged is on two of them at least, and one may die."""

import os
import signal
import socketserver
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hydrodask import kafka as clients
from hydrodask.errors import UsageError
from hydrodask.ingest.topics import create, list_topics
from hydrodask.services import KafkaService
from hydrodask.services.ports import can_bind, free_port
from hydrodask.settings import Settings, load
from tests.delivery import until
from tests.doors import kafka as stranger

pytestmark = pytest.mark.integration

RECORDS = 200
TLS = b"\x16\x03"
"""How a connection begins whose client wants to see a certificate first."""


@pytest.fixture(scope="module")
def three(kafka_service: KafkaService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaService]:
    """Run a cluster of three nodes, whose jars the session's one has brought."""
    assert kafka_service.jars.exists()
    service = KafkaService(tmp_path_factory.mktemp("three"), port=free_port(9), nodes=3, heap="256m", with_parent=True)
    service.start(lambda _said: None)
    yield service
    service.stop()
    assert all(can_bind(service.port + place) for place in range(9))


@pytest.fixture(scope="module")
def settings(three: KafkaService) -> Settings:
    """Return the settings that the service itself says, with topics made."""
    found = load(sets=three.sets(), environ={})[0]
    assert len(create(found)) == 21
    return found


def replicas_in_sync(settings: Settings) -> set[int]:
    """Return how many replicas of the sensors' topics have all that was acknowledged: the numbers that occur."""
    topics = clients.admin(settings.kafka).list_topics(timeout=60).topics
    sensors = [topic for name, topic in topics.items() if name.startswith(settings.topics.prefix)]
    return {len(partition.isrs) for topic in sensors for partition in topic.partitions.values()}


def send(settings: Settings, records: int) -> None:
    """Publish records and wait until each is acknowledged."""
    producer = clients.producer(settings.kafka)
    for _ in range(records):
        producer.produce(settings.topic("PS1"), b"{}")
    assert producer.flush(180) == 0


@contextmanager
def squatting(*ports: int) -> Iterator[dict[int, list[bytes]]]:
    """Listen where a node was, as any user can; give what was heard on each port."""
    heard: dict[int, list[bytes]] = {port: [] for port in ports}

    class Hear(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if data := self.request.recv(4096):
                heard[self.server.server_address[1]].append(data)  # type: ignore[index]

    with ExitStack() as stack:
        for port in ports:
            server = stack.enter_context(Reused(("127.0.0.1", port), Hear))
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield heard


class Reused(socketserver.ThreadingTCPServer):
    """A server on a port that somebody has just had."""

    allow_reuse_address = True


def test_every_topic_is_on_three_nodes(three: KafkaService, settings: Settings) -> None:
    """Three copies of each partition of ours and of Kafka's own, two of which have to acknowledge."""
    assert {topic.replication for topic in list_topics(settings)} == {3}
    until(lambda: replicas_in_sync(settings) == {3}, "all replicas are in sync")
    admin = clients.admin(settings.kafka)
    kind = clients.ConfigResource.Type.TOPIC
    names = [settings.topic("PS1"), settings.topic("analytics")]
    requests = admin.describe_configs([clients.ConfigResource(kind, name) for name in names])
    assert {request.result(60)["min.insync.replicas"].value for request in requests.values()} == {"2"}
    assert len(three.state().servers) == 3


def test_one_node_may_die_and_come_back(three: KafkaService, settings: Settings) -> None:
    """Kill -9 of one: what is sent is acknowledged all the same; started again, only that one is, and it catches up.

    Whoever listens on its ports meanwhile is told no password by the others: they want to see a certificate first.
    """
    until(lambda: replicas_in_sync(settings) == {3}, "all replicas are in sync")
    before = {server.name: server.pid for server in three.state().servers}
    victim = three.process("kafka-2")
    assert victim is not None
    os.kill(victim.pid, signal.SIGKILL)
    until(lambda: not victim.alive(), "it is gone")

    with squatting(three.nodes[1].port + 1, three.nodes[1].port + 2) as heard:
        send(settings, RECORDS)
        until(lambda: all(heard.values()), "the other nodes look for it")
    assert {data[:2] for found in heard.values() for data in found} == {TLS}
    assert three.state().state == "not answering"
    three.start(lambda _said: None)

    after = {server.name: server.pid for server in three.state().servers}
    assert {name for name in after if after[name] != before[name]} == {"kafka-2"}
    until(lambda: replicas_in_sync(settings) == {3}, "the third has caught up")
    assert list_topics(settings)[0].last == RECORDS


def test_number_of_nodes_is_in_the_data(three: KafkaService) -> None:
    """Three nodes are not started as one, nor the other way round: their data would not fit."""
    with pytest.raises(UsageError, match="runs already, with kafka_nodes 3 and not 1"):
        KafkaService(three.folder, nodes=1).start(lambda _said: None)


def test_a_stranger_is_refused_by_every_node(three: KafkaService) -> None:
    """With the ports of all three alone nobody harms anything, and each node's settings are its owner's."""
    context = {"topic": "hydraulic-PS1", "group": "hydrodask", "roles": ["publisher"]}
    harms = list(stranger.harms(context))
    outcomes = [
        stranger.outcome(node.at(place), way, harm)
        for node in three.nodes
        for place in range(3)
        for way, tried in ((stranger.plainly, harms), (stranger.guessing_by_tls, harms[:1]))
        for harm in tried
    ]

    assert len(outcomes) == 3 * 3 * (5 + 1)
    assert [said for said in outcomes if not said.startswith("refused")] == []
    assert {stat.S_IMODE(node.properties.stat().st_mode) for node in three.nodes} == {0o600}


def test_two_nodes_are_refused(tmp_path: Path) -> None:
    """Two can't agree when one is gone: they would only be less available than one."""
    with pytest.raises(UsageError, match="want 1 or 3"):
        KafkaService(tmp_path, nodes=2)
