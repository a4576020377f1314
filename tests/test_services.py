"""Local services: verified jars, processes that are ours, and a real Kafka."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hydrodask import clock
from hydrodask import kafka as clients
from hydrodask.errors import FatalError, IntegrityError, UnreachableError, UsageError
from hydrodask.services import KafkaService, maven, pinned, processes
from hydrodask.services.kafkanodes import SOURCE, VERSION
from hydrodask.services.ports import can_bind
from hydrodask.services.processes import Process
from hydrodask.settings.model import Kafka

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
READY = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
PARENT = """
import os
from pathlib import Path
from hydrodask import clock
from hydrodask.services import processes
folder, out = Path("."), Path("out")
child = processes.spawn({argv!r}, console=out, folder=folder, address="", with_parent=True)
processes.save(child, Path("process.json"))
while "ready" not in out.read_text():  # before that it is not tied to us yet
    clock.sleep_s(0.01)
os.kill(os.getpid(), 9)
"""
STUBBORN_CODE = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""
STUBBORN = [sys.executable, "-c", STUBBORN_CODE]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    """Return a process that only sleeps."""
    process = start(SLEEP, tmp_path)
    yield process
    process.stop(wait_s=5)


def start(argv: list[str], folder: Path) -> Process:
    """Start a process as services do."""
    return processes.spawn(argv, console=folder / "console.log", folder=folder, address="127.0.0.1:1", with_parent=True)


def quiet(_said: str) -> None:
    """Take no notice of progress."""


class TestProcess:
    """A recorded process is recognised, or left alone."""

    def test_is_found_again_by_its_record(self, sleeper: Process, tmp_path: Path) -> None:
        """Another command finds the process through the file."""
        processes.save(sleeper, tmp_path / "process.json")

        assert processes.running(tmp_path / "process.json") == sleeper

    def test_other_process_with_its_number_is_not_it(self, sleeper: Process, tmp_path: Path) -> None:
        """A process id that the system gave to someone else is never signalled."""
        other = replace(sleeper, started_ticks=sleeper.started_ticks - 1)
        processes.save(other, tmp_path / "process.json")
        other.stop(wait_s=5)

        assert processes.running(tmp_path / "process.json") is None
        assert sleeper.alive()

    def test_other_boot_is_not_it(self, sleeper: Process) -> None:
        """After a restart of the machine numbers and times may repeat."""
        assert not replace(sleeper, boot="another").alive()

    def test_stops(self, sleeper: Process) -> None:
        """Once it is stopped it is gone, and stopping again does nothing."""
        sleeper.stop(wait_s=5)
        sleeper.stop(wait_s=5)

        assert not sleeper.alive()

    def test_stubborn_one_is_killed(self, tmp_path: Path) -> None:
        """A process that ignores SIGTERM does not outlive the limit."""
        process = start(STUBBORN, tmp_path)
        while "ready" not in (tmp_path / "console.log").read_text() and process.alive():
            pass
        process.stop(wait_s=0.1)

        assert not process.alive()

    def test_broken_record_is_said(self, tmp_path: Path) -> None:
        """A record that can't be read is not taken for "not running"."""
        (tmp_path / "process.json").write_text("{")

        with pytest.raises(FatalError, match=r"process\.json"):
            processes.running(tmp_path / "process.json")

    @pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv does it, and is not here")
    def test_ends_with_its_parent(self, tmp_path: Path) -> None:
        """When a test run is killed, the services it started end too."""
        code = PARENT.format(argv=READY)
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False, timeout=240)
        child = Process(**json.loads((tmp_path / "process.json").read_text()))

        assert child._ended(60.0)


WANTED = {"a.jar": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}
"""SHA-256 of a file that holds `a`."""


def test_a_port_of_ipv6_can_be_probed() -> None:
    """`observe.metrics` may be one, and `doctor` looks."""
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with server:
        port = server.getsockname()[1]
        assert not can_bind(port, "::1")

    assert can_bind(port, "::1")


class TestJars:
    """Only what was pinned is accepted."""

    def test_pinned_are_accepted(self, tmp_path: Path) -> None:
        """The same bytes under the same names pass."""
        (tmp_path / "a.jar").write_text("a")

        pinned.verify(tmp_path, WANTED)

    @pytest.mark.parametrize(
        ("files", "word"),
        [
            ({"a.jar": "b"}, "SHA-256"),
            ({}, "missing"),
            ({"a.jar": "a", "b.jar": "b"}, "not on the list"),
        ],
    )
    def test_others_are_refused(self, files: dict[str, str], word: str, tmp_path: Path) -> None:
        """Changed, missing and additional jars are each named."""
        for name, text in files.items():
            (tmp_path / name).write_text(text)

        with pytest.raises(IntegrityError, match=word):
            pinned.verify(tmp_path, WANTED)

    def test_list_is_of_the_pinned_version(self) -> None:
        """The list, the pom and the code name one version of Kafka."""
        names = pinned.read_checksums(SOURCE / "checksums.txt")

        assert f"kafka_2.13-{VERSION}.jar" in names
        assert f"<version>{VERSION}</version>" in (SOURCE / "pom.xml").read_text()

    def test_missing_maven_says_what_to_do(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without Maven nothing is left behind, and the message says how to get it."""
        monkeypatch.setenv("PATH", str(tmp_path))

        with pytest.raises(UnreachableError, match="install Maven"):
            maven.install(SOURCE, tmp_path / "cache" / "jars", quiet)

        assert list((tmp_path / "cache").iterdir()) == []


class TestKafkaService:
    """Starting goes wrong in clear words."""

    def test_missing_java_says_what_to_do(
        self, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without Java the message says how to get it."""
        monkeypatch.setenv("PATH", str(tmp_path))

        with pytest.raises(UnreachableError, match="install Java"):
            KafkaService(tmp_path, port=free_port).start(quiet)

    def test_heap_is_checked(self, tmp_path: Path) -> None:
        """A heap that Java would not understand is refused before anything starts."""
        with pytest.raises(UsageError, match="heap"):
            KafkaService(tmp_path, heap="lots")

    def test_nothing_runs_at_first(self, tmp_path: Path) -> None:
        """A folder that was never used holds no service, and stopping it is no error."""
        service = KafkaService(tmp_path)

        assert service.state().state == "stopped"
        assert not service.stop()


@pytest.mark.integration
class TestRealKafka:
    """The real thing, on free ports."""

    def test_shared_one_answers(self, kafka: Kafka) -> None:
        """The fixture's broker is there, and makes no topic by itself."""
        topics = clients.admin(kafka).list_topics("no-such-topic", timeout=60).topics

        assert topics["no-such-topic"].error is not None

    def test_keeps_data_over_restart_and_kill(self, tmp_path: Path, free_port: int, kafka: Kafka) -> None:
        """What was acknowledged is there after a stop, and after a kill -9."""
        assert kafka.bootstrap != f"127.0.0.1:{free_port}"
        service = KafkaService(tmp_path, port=free_port, heap="256m", with_parent=True)
        try:
            service.start(quiet)
            settings = service.login()
            create_topic(settings, "kept")
            produce(settings, "kept", b"one")
            assert service.stop()
            assert service.state().state == "stopped"
            service.start(quiet)
            produce(settings, "kept", b"two")
            pid = service.state().pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            while service.process("kafka"):
                clock.sleep_s(0.05)
            service.start(quiet)
            service.start(quiet)  # a second start changes nothing

            assert end_of(settings, "kept") == 2
        finally:
            service.stop()
        assert can_bind(free_port)

    def test_taken_port_is_said(self, tmp_path: Path, kafka: Kafka) -> None:
        """A port that another program has is named, and that program is left alone."""
        port = int(kafka.bootstrap.rpartition(":")[2])

        with pytest.raises(UnreachableError, match=f"port {port}"):
            KafkaService(tmp_path, port=port).start(quiet)
        with socket.create_connection(("127.0.0.1", port), timeout=60):
            pass


def create_topic(settings: Kafka, name: str) -> None:
    """Make a topic with one partition."""
    topic = clients.NewTopic(name, num_partitions=1, replication_factor=1)
    admin = clients.admin(settings)  # it must live until the answer is there
    admin.create_topics([topic])[name].result(60)


def produce(settings: Kafka, topic: str, value: bytes) -> None:
    """Publish one record and wait until it is acknowledged."""
    producer = clients.producer(settings)
    producer.produce(topic, value)
    assert producer.flush(60) == 0


def end_of(settings: Kafka, topic: str) -> int:
    """Return the next offset of the topic's only partition."""
    consumer = clients.consumer(settings)
    try:
        _, end = consumer.get_watermark_offsets(clients.TopicPartition(topic, 0), timeout=60)
        return int(end)
    finally:
        consumer.close()
