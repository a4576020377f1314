"""Apache Kafka on this machine: one node that is broker and controller (KRaft), on loopback."""

import base64
import re
import shutil
import subprocess
import uuid
from pathlib import Path

from hydrodask import clock
from hydrodask import kafka as clients
from hydrodask.errors import ConfigError, UnreachableError, UsageError
from hydrodask.services import maven, ports, processes
from hydrodask.services.contract import Say, State
from hydrodask.services.processes import Process
from hydrodask.settings.model import Kafka

VERSION = "4.4.0"
PORT = 9092
JAVA_MIN = 17
SOURCE = Path(__file__).resolve().parents[2] / "cluster" / "local" / "kafka"
"""The committed pom.xml, checksums.txt and log4j2.xml: a checkout has them, a wheel has not."""

JAVA_S = 60.0
"""Limit of a Java command that should take a second."""
START_S = 90.0
STOP_S = 30.0
ANSWER_S = 5.0
POLL_S = 0.1
TAIL_LINES = 3

JAVA_ADVICE = "install Java 17 or newer (Debian, Ubuntu: apt-get install default-jre-headless)"

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


class KafkaService:
    """Kafka with data, logs and process record in `folder`; `heap` is the JVM's, like `512m`.

    `with_parent`: the broker ends when the process that started it does, even if that is killed.
    """

    name = "kafka"

    def __init__(self, folder: Path, *, port: int = PORT, heap: str = "512m", with_parent: bool = False) -> None:
        if not re.fullmatch(r"[1-9]\d*[kKmMgG]", heap):
            raise UsageError(f"heap is {heap!r}; want a number with k, m or g, for example 512m")
        self.folder = folder.absolute()
        self.port = port
        self.heap = heap
        self.with_parent = with_parent
        self.jars = maven.cache_folder() / f"kafka-{VERSION}"
        self.log = self.folder / "kafka.log"
        self._console = self.folder / "console.log"
        self._record = self.folder / "process.json"
        self._properties = self.folder / "server.properties"

    @property
    def bootstrap(self) -> str:
        """The address that clients use."""
        return f"{ports.LOOPBACK}:{self.port}"

    def install(self, say: Say) -> None:
        """Fetch the jars into the user's cache, once, and verify them every time (0.1 s)."""
        _check_source()
        maven.install(SOURCE, self.jars, say)

    def start(self, say: Say) -> None:
        """Start the broker, and return once it answers. What the contract says."""
        with processes.locked(self.folder / "lock"):
            process = processes.running(self._record)
            if process is None:
                self._start(say)
            elif process.address != self.bootstrap:
                raise UsageError(
                    f"kafka runs already, on {process.address} and not on {self.bootstrap}; "
                    "`hydrodask services down kafka` first"
                )

    def healthy(self) -> bool:
        """Say whether the broker that we started answers on its port."""
        process = processes.running(self._record)
        if process is None or not ports.answers(int(process.address.rpartition(":")[2])):
            return False
        try:
            settings = Kafka(embedded=False, bootstrap=process.address)
            found = clients.admin(settings).list_topics(timeout=ANSWER_S)
        except clients.KafkaException:
            return False
        # Another Kafka may sit on the port: ours has the id that its data was formatted with.
        return bool(found.brokers) and found.cluster_id == self._cluster_id()

    def stop(self) -> bool:
        """Stop the broker: SIGTERM, after 30 s SIGKILL; then the next start checks the log."""
        with processes.locked(self.folder / "lock"):
            process = processes.running(self._record)
            if process is not None:
                process.stop(wait_s=STOP_S)
            self._record.unlink(missing_ok=True)
            return process is not None

    def state(self) -> State:
        """Return what is known of the broker now."""
        process = processes.running(self._record)
        if process is None:
            return State(self.name, "stopped", None, None, VERSION, self.folder, self.log)
        state = "running" if self.healthy() else "not answering"
        return State(self.name, state, process.address, process.pid, VERSION, self.folder, self.log)

    def _start(self, say: Say) -> None:
        java = _java()
        if not ports.can_bind(self.port):
            raise UnreachableError(
                f"could not start kafka: port {self.port} of {ports.LOOPBACK} is taken by another "
                "program; stop that one, or choose another with --port"
            )
        self._properties.write_text(self._properties_text(), encoding="utf-8")
        if not (self.folder / "data" / "meta.properties").exists():
            say("formatting the data folder")
            self._format(java)
        say(f"starting kafka {VERSION} on {self.bootstrap}")
        process = self._spawn(java)
        try:
            processes.save(process, self._record)
            self._wait(process)
        except BaseException:  # Ctrl-C too: what does not answer must not be left running
            process.stop(wait_s=STOP_S)
            self._record.unlink(missing_ok=True)
            raise

    def _spawn(self, java: str) -> Process:
        return processes.spawn(
            [
                *self._java_command(java),
                f"-Xmx{self.heap}",
                *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"),
                *("kafka.Kafka", str(self._properties)),
            ],
            console=self._console,
            folder=self.folder,
            address=self.bootstrap,
            with_parent=self.with_parent,
        )

    def _java_command(self, java: str) -> list[str]:
        logging = [
            f"-Dlog4j2.configurationFile={SOURCE / 'log4j2.xml'}",
            f"-Dhydrodask.log={self.log}",
        ]
        return [java, "-cp", f"{self.jars}/*", *logging]

    def _format(self, java: str) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # An id that begins with a dash would be taken for an option.
        cluster_id = re.sub("^-", "k", cluster_id)
        command = [
            "format",
            "--cluster-id",
            cluster_id,
            "--config",
            str(self._properties),
            "--ignore-formatted",
        ]
        done = _run([*self._java_command(java), "kafka.tools.StorageTool", *command])
        if done.returncode != 0:
            raise UnreachableError(f"could not format {self.folder / 'data'}: {_tail(done.stdout)}")

    def _wait(self, process: Process) -> None:
        """Return once the broker answers; first the port, as clients log refused connections."""
        end_s = clock.monotonic_s() + START_S
        while clock.monotonic_s() < end_s:
            if not process.alive():
                raise UnreachableError(f"could not start kafka: it ended at once: {self._last_lines()}")
            if ports.answers(self.port) and self.healthy():
                return
            clock.sleep_s(POLL_S)
        raise UnreachableError(
            f"could not start kafka: no answer on {self.bootstrap} after {START_S:g} s; see {self.log}"
        )

    def _last_lines(self) -> str:
        texts = (p.read_text(errors="replace") for p in (self._console, self.log) if p.exists())
        return _tail("\n".join(texts)) or f"no message; see {self._console}"

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


def _check_source() -> None:
    if not (SOURCE / "pom.xml").exists():
        raise ConfigError(f"local services need a checkout of hydrodask: there is no {SOURCE / 'pom.xml'}")


def _java() -> str:
    """Return the path of a Java that is new enough."""
    java = shutil.which("java")
    if java is None:
        raise UnreachableError(f"could not start kafka: there is no `java` on the PATH; {JAVA_ADVICE}")
    said = _run([java, "-version"]).stdout
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_MIN:
        raise UnreachableError(f"could not start kafka with {java}: it says {_tail(said)!r}; {JAVA_ADVICE}")
    return java


def _run(argv: list[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(  # noqa: S603  # arguments are ours, none goes through a shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=JAVA_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnreachableError(f"could not run {argv[0]}: no end within {JAVA_S:g} s") from error


def _tail(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-TAIL_LINES:])
