"""Apache Kafka on this machine: one or three nodes, each broker and controller (KRaft), on loopback.

Each node has three ports in a row: INTERNAL for this machine's own platform, EXTERNAL with TLS for everybody else and
the brokers themselves, CONTROLLER for the quorum. Each wants a login (`logins`); rights are in `cluster/security`.
"""

import base64
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydrodask import kafka as clients
from hydrodask.doors import access
from hydrodask.errors import ConfigError, UnreachableError, UsageError
from hydrodask.services import java, logins, pinned, ports, security
from hydrodask.services.java import JavaService
from hydrodask.services.server import ServiceProcess
from hydrodask.services.service import Say
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka

VERSION = "4.4.0"
PORT = 9092
PORTS_EACH = 3
NODES = (1, 3)
"""Two nodes would stand still when one dies, just as one does."""

SOURCE = pinned.SOURCE / "kafka"
"""The committed pom.xml, checksums.txt and log4j2.xml."""
ANSWER_S = 5.0

_PROPERTIES = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    # Few partitions of the internal topics start sooner.
    "offsets.topic.num.partitions": 8,
    "transaction.state.log.num.partitions": 8,
    "auto.create.topics.enable": "false",  # a mistyped topic is an error, not a new topic
    "group.initial.rebalance.delay.ms": 0,
    # After a kill the controller refuses the broker until its old session is over: 9 s by default.
    "broker.session.timeout.ms": 4000,
    "broker.heartbeat.interval.ms": 500,
    "message.max.bytes": clients.MESSAGE_BYTES_MAX,
    "replica.fetch.max.bytes": clients.MESSAGE_BYTES_MAX,
    # Replays carry old event times; only a topic's own retention.ms may delete records.
    "log.message.timestamp.before.max.ms": 2**63 - 1,
    "log.retention.ms": -1,
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,  # the default takes a quarter of our heap
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "false",
}


@dataclass(frozen=True, slots=True)
class KafkaNode:
    """One node: its id from 1 on, what its server is called, the first of its three ports, its folder."""

    id: int
    name: str
    port: int
    folder: Path

    @property
    def properties(self) -> Path:
        """The file with its settings."""
        return self.folder / "server.properties"

    def at(self, place: int) -> str:
        """Return the address of its INTERNAL (0), EXTERNAL (1) or CONTROLLER (2) listener."""
        return f"{ports.LOOPBACK}:{self.port + place}"


class KafkaService(JavaService):
    """Kafka with data, logs, keys and process records in `folder`; `nodes` is 1 or 3."""

    name = "kafka"
    version = VERSION

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        nodes: int | None = None,
        heap: str | None = None,
        with_parent: bool = False,
    ) -> None:
        super().__init__(folder, heap=heap, with_parent=with_parent)
        self.port = self.choice("port", port, PORT)
        count = self.choice("kafka_nodes", nodes, 1)
        if count not in NODES:
            raise UsageError(f"--kafka-nodes is {count}; want 1 or 3")
        self.nodes = [KafkaNode(1, "kafka", self.port, self.folder)]
        if count > 1:
            self.nodes = [
                KafkaNode(one, f"kafka-{one}", self.port + PORTS_EACH * (one - 1), self.folder / f"node-{one}")
                for one in range(1, count + 1)
            ]
        self.security = self.folder / "security"
        """The folder with keys and passwords."""

    @property
    def bootstrap(self) -> str:
        """The addresses of the INTERNAL listeners."""
        return ",".join(node.at(0) for node in self.nodes)

    @property
    def external(self) -> str:
        """The addresses of the EXTERNAL listeners."""
        return ",".join(node.at(1) for node in self.nodes)

    @property
    def address(self) -> str:
        return self.bootstrap

    def login(self, role: str = logins.ADMIN) -> Kafka:
        """Return how a role of `cluster/security`, or the administrator, reaches the INTERNAL listeners."""
        return logins.login(self.bootstrap, role, security.password_file(self.security, role))

    def first_login(self) -> Kafka:
        """Return how the administrator reaches brokers that know no user yet."""
        password_file = security.password_file(self.security, logins.ADMIN)
        return logins.first_login(self.external, password_file, security.ca_pem(self.security))

    def sets(self) -> list[str]:
        return [*logins.sets(self.login(logins.OPERATOR)), *self._replicated()]

    def servers(self) -> Sequence[ServiceProcess]:
        return [ServiceProcess(node.name, node.at(0), self._log(node)) for node in self.nodes]

    def argv(self, server: ServiceProcess) -> Sequence[str]:
        node = next(node for node in self.nodes if node.name == server.name)
        return self.java("kafka.Kafka", str(node.properties), jvm=self._logging(node), server=True)

    def prepare(self, say: Say) -> None:
        """Make keys and settings, and format the data folders of a new cluster."""
        self._refuse_other_count()
        self.folder.chmod(0o700)  # one that an older version has made was open
        security.server_pem(self.security, "broker")
        cluster_id = self._cluster_id() or _new_id()
        for node in self.nodes:
            if self.process(node.name) is None:
                self._check_ports(node)
                self._prepare(node, cluster_id, say)

    def settle(self, say: Say) -> None:
        """Make the users with their passwords, and give each its rights."""
        say("giving users their rights")
        patient = self.first_login()
        admin = clients.admin(patient)
        clients.connect(admin, patient)
        passwords = {role: security.password(self.security, role) for role in (logins.ADMIN, *access.roles())}
        access.enrol(admin, passwords, patient.timeout)
        access.grant(admin, Settings(kafka=patient))

    def answers(self) -> bool:
        try:
            found = clients.admin(self.login()).list_topics(timeout=ANSWER_S)
        except (clients.KafkaException, ConfigError):  # the latter: there is no password yet
            return False
        # Another Kafka may sit on the port: ours has the id that its data was formatted with.
        return len(found.brokers) == len(self.nodes) and found.cluster_id == self._cluster_id()

    def _prepare(self, node: KafkaNode, cluster_id: str, say: Say) -> None:
        node.folder.mkdir(parents=True, exist_ok=True)
        security.write_secret(node.properties, self._properties_text(node).encode())
        if not (node.folder / "data" / "meta.properties").exists():
            say("formatting the data folders")
            tool = self.java("kafka.tools.StorageTool", jvm=self._logging(node))
            command = ["format", "--cluster-id", cluster_id, "--config", str(node.properties), "--ignore-formatted"]
            java.run([*tool, *command], f"format {node.folder / 'data'}")

    def _properties_text(self, node: KafkaNode) -> str:
        listeners = {"INTERNAL": node.at(0), "EXTERNAL": node.at(1), "CONTROLLER": node.at(2)}
        texts = [f"{name}://{address}" for name, address in listeners.items()]
        properties = (
            _PROPERTIES
            | self.guards()
            | self._copies()
            | {
                "node.id": node.id,
                "listeners": ",".join(texts),
                "advertised.listeners": ",".join(texts[:2]),
                "controller.quorum.voters": ",".join(f"{one.id}@{one.at(2)}" for one in self.nodes),
                "log.dirs": str(node.folder / "data"),
            }
        )
        return "".join(f"{key}={value}\n" for key, value in properties.items())

    def guards(self) -> dict[str, str]:
        """Return the settings that say who gets in; the administrator's password is made when there is none."""
        return logins.guards(self.security, security.password(self.security, logins.ADMIN))

    def refuse_other_options(self) -> None:
        """Refuse, besides, to leave brokers running that let in others: an older version's, or with another password.

        One by one they could not be changed: brokers of both kinds would not understand each other.
        """
        super().refuse_other_options()
        for node in self.nodes:
            if self.process(node.name) and logins.differ(node.properties.read_text(), self._properties_text(node)):
                raise UsageError(
                    f"{node.name} runs with other logins than it should: those of an older version or password; "
                    "`hydrodask services down kafka` first: its data stays"
                )

    def _copies(self) -> dict[str, int]:
        """Return how often records are kept: on every node, and acknowledged by all but one of three."""
        copies, acknowledged = len(self.nodes), 2 if len(self.nodes) == 3 else 1
        return {
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": acknowledged,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": acknowledged,
            "default.replication.factor": copies,
            "min.insync.replicas": acknowledged,
        }

    def _replicated(self) -> list[str]:
        return ["topics.replication=3", "topics.min_insync=2"] if len(self.nodes) == 3 else []

    def _refuse_other_count(self) -> None:
        """Refuse to make three nodes of one, or one of three: replicas and the quorum are in the data."""
        there = len(self._formatted())
        if there not in (0, len(self.nodes)):
            raise UsageError(
                f"the data of kafka in {self.folder} is that of {there} nodes, and not of {len(self.nodes)};"
                f" start it with --kafka-nodes {there}, or delete the folder and with it all records"
            )

    def _check_ports(self, node: KafkaNode) -> None:
        for place in range(PORTS_EACH):
            if not ports.can_bind(node.port + place):
                raise UnreachableError(
                    f"could not start {node.name}: port {node.port + place} of {ports.LOOPBACK} is taken by another"
                    f" program; a node needs {PORTS_EACH} ports in a row; choose the first with --port"
                )

    def _log(self, node: KafkaNode) -> Path:
        return self.folder / f"{node.name}.log"

    def _logging(self, node: KafkaNode) -> list[str]:
        return [f"-Dlog4j2.configurationFile={self.source / 'log4j2.xml'}", f"-Dhydrodask.log={self._log(node)}"]

    def _cluster_id(self) -> str | None:
        """Return the id that the data was formatted with; None when there is no data."""
        for path in self._formatted():
            found = re.search(r"^cluster\.id=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            if found:
                return found[1].strip()
        return None

    def _formatted(self) -> list[Path]:
        """Return what each data folder, of one node or of three, says of itself."""
        return sorted([*self.folder.glob("data/meta.properties"), *self.folder.glob("node-*/data/meta.properties")])


def _new_id() -> str:
    # An id that begins with a dash would be taken for an option.
    return re.sub("^-", "k", base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))
