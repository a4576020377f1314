"""Apache Kafka on this machine: one node that is broker and controller (KRaft), on loopback."""

import base64
import re
import uuid
from collections.abc import Sequence
from pathlib import Path

from hydrodask import kafka as clients
from hydrodask.services import java, pinned, ports
from hydrodask.services.contract import Say
from hydrodask.services.java import JavaService
from hydrodask.services.server import Server
from hydrodask.settings.model import Kafka

VERSION = "4.4.0"
PORT = 9092
SOURCE = pinned.SOURCE / "kafka"
"""The committed pom.xml, checksums.txt and log4j2.xml."""
ANSWER_S = 5.0

_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    # One node holds every internal topic, and few partitions of them start sooner.
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 8,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 8,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "auto.create.topics.enable": "false",  # a mistyped topic is an error, not a new topic
    "group.initial.rebalance.delay.ms": 0,
    # After a kill the controller refuses the broker until its old session is over: 9 s by default.
    "broker.session.timeout.ms": 4000,
    "broker.heartbeat.interval.ms": 500,
    "message.max.bytes": clients.MESSAGE_BYTES_MAX,
    # Replays carry old event times; only a topic's own retention.ms may delete records.
    "log.message.timestamp.before.max.ms": 2**63 - 1,
    "log.retention.ms": -1,
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,  # the default takes a quarter of our heap
}


class KafkaService(JavaService):
    """Kafka with data, logs and process record in `folder`."""

    name = "kafka"
    version = VERSION

    def __init__(
        self, folder: Path, *, port: int | None = None, heap: str | None = None, with_parent: bool = False
    ) -> None:
        super().__init__(folder, heap=heap, with_parent=with_parent)
        self.port = self.choice("port", port, PORT)
        self._log = self.folder / "kafka.log"
        self._properties = self.folder / "server.properties"

    @property
    def bootstrap(self) -> str:
        """The address that clients use."""
        return f"{ports.LOOPBACK}:{self.port}"

    @property
    def address(self) -> str:
        return self.bootstrap

    def sets(self) -> list[str]:
        return ["kafka.embedded=false", f"kafka.bootstrap={self.bootstrap}"]

    def servers(self) -> Sequence[Server]:
        return [Server("kafka", self.bootstrap, self._log)]

    def argv(self, server: Server) -> Sequence[str]:  # noqa: ARG002  # there is but one
        return self.java("kafka.Kafka", str(self._properties), jvm=self._logging(), server=True)

    def prepare(self, say: Say) -> None:
        """Write the settings, and format the data folder if it is new."""
        tool = self.java("kafka.tools.StorageTool", jvm=self._logging())
        self._properties.write_text(self._properties_text(), encoding="utf-8")
        if not (self.folder / "data" / "meta.properties").exists():
            say("formatting the data folder")
            cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            # An id that begins with a dash would be taken for an option.
            command = ["format", "--cluster-id", re.sub("^-", "k", cluster_id)]
            command += ["--config", str(self._properties), "--ignore-formatted"]
            java.run([*tool, *command], f"format {self.folder / 'data'}")

    def answers(self) -> bool:
        try:
            settings = Kafka(embedded=False, bootstrap=self.bootstrap)
            found = clients.admin(settings).list_topics(timeout=ANSWER_S)
        except clients.KafkaException:
            return False
        # Another Kafka may sit on the port: ours has the id that its data was formatted with.
        return bool(found.brokers) and found.cluster_id == self._cluster_id()

    def _logging(self) -> list[str]:
        return [f"-Dlog4j2.configurationFile={self.source / 'log4j2.xml'}", f"-Dhydrodask.log={self._log}"]

    def _properties_text(self) -> str:
        controller = f"{ports.LOOPBACK}:{ports.free_port()}"
        properties = _PROPERTIES | {
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self.folder / "data"),
        }
        return "".join(f"{key}={value}\n" for key, value in properties.items())

    def _cluster_id(self) -> str | None:
        path = self.folder / "data" / "meta.properties"
        found = re.search(r"^cluster\.id=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        return found[1].strip() if found else None
