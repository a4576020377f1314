"""The embedded broker: as other processes see it, and as a process that may die without us."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from hydrodask import clock, kafka
from hydrodask.errors import FatalError
from hydrodask.ingest import broker as program
from hydrodask.ingest.embedded import EmbeddedBroker
from hydrodask.ingest.topics import TopicSpec
from hydrodask.settings.model import Kafka
from tests.delivery import Driver, until
from tests.doors.broker import malformed, send

OTHER = """
import sys
from hydrodask import kafka
from hydrodask.settings.model import Kafka

settings = Kafka(bootstrap=sys.argv[1], embedded=False)
producer = kafka.producer(settings)
for number in range(100):
    producer.produce("numbers", str(number), "rig-1", 0)
assert producer.flush(20) == 0
consumer = kafka.consumer(settings)
consumer.assign([kafka.TopicPartition("numbers", 0, kafka.OFFSET_BEGINNING)])
seen = []
while len(seen) < 100:
    seen += [m.value() for m in consumer.consume(100, timeout=20) if not m.error()]
consumer.close()
sys.stdout.write(b" ".join(seen).decode())
"""

PARENT = """
import os, subprocess, sys
from hydrodask.ingest.embedded import EmbeddedBroker

broker = EmbeddedBroker()
if int(sys.argv[1]):  # somebody who outlives us holds the pipe: its end is not seen
    held = [broker._process.stdin.fileno()]
    subprocess.Popen(["sleep", "10"], pass_fds=held, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
sys.stdout.write(str(broker.pid))
sys.stdout.flush()
os.kill(os.getpid(), 9)
"""


ENDED_S = 150.0
"""Within this a run whose broker has died is over; 5 s on a machine that does nothing else, Dask's nanny takes four."""

QUICK = ("cluster.dashboard=127.0.0.1:0", "observe.metrics=127.0.0.1:0", "lake.roll_age=1s", "source.speed=20")


def listens(broker: EmbeddedBroker) -> bool:
    """Say whether somebody listens on a broker's port."""
    host, _, port = broker.bootstrap.partition(":")
    try:
        send(host, int(port), b"")
    except OSError:
        return False
    return True


def alive(process: psutil.Process) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def attack(bootstrap: str) -> bool:
    """Send malformed frames until nobody listens; say whether that came."""
    host, _, port = bootstrap.partition(":")
    try:
        for frame in malformed():
            send(host, int(port), frame)
    except ConnectionError:
        return True
    return False


def test_another_process_produces_and_consumes() -> None:
    """What another process wrote, it reads back in order, and so do we."""
    with EmbeddedBroker([TopicSpec("numbers", 1, 1)]) as broker:
        done = subprocess.run(
            [sys.executable, "-c", OTHER, broker.bootstrap],
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )

    assert done.stdout.split() == [str(number) for number in range(100)]


def test_topics_have_the_wanted_partitions() -> None:
    """Not the four that the mock cluster gives to a topic that it makes itself."""
    with EmbeddedBroker([TopicSpec("one", 1, 1), TopicSpec("three", 3, 1)]) as broker:
        admin = kafka.admin(Kafka(bootstrap=broker.bootstrap, embedded=False))
        topics = admin.list_topics(timeout=20).topics

    assert {name: len(topic.partitions) for name, topic in topics.items()} == {"one": 1, "three": 3}


def test_two_brokers_share_nothing() -> None:
    """Each has an address and topics of its own."""
    with EmbeddedBroker() as first, EmbeddedBroker() as second:
        assert first.bootstrap != second.bootstrap


def test_close_may_be_called_again() -> None:
    """Its process is gone and that is no death; the second call does nothing."""
    broker = EmbeddedBroker()
    broker.close()
    broker.check()

    broker.close()
    assert not psutil.pid_exists(broker.pid)


def test_malformed_frames_end_it_and_not_us() -> None:
    """What aborts the mock cluster is said with its signal, by who asks, and nobody starts another one."""
    with EmbeddedBroker() as broker:
        broker.check()
        assert attack(broker.bootstrap)
        until(lambda: broker._process.poll() is not None, "it has died")

        with pytest.raises(FatalError, match=r"embedded broker died \(signal \d+, SIG(ABRT|SEGV).*run again"):
            broker.check()
        assert not listens(broker)


def test_signals_of_a_terminal_and_of_service_managers_do_not_end_it() -> None:
    """They are for the driver, which has to commit before its broker goes."""
    with EmbeddedBroker() as broker:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(broker.pid, number)

        assert listens(broker)
        broker.check()


@pytest.mark.parametrize("held", [0, 1], ids=["end of the pipe", "death signal"])
def test_it_ends_with_its_parent(held: int) -> None:
    """Even if that is killed, and even if somebody else holds the pipe to it (then by the system, on Linux)."""
    if held and not sys.platform.startswith("linux"):
        pytest.skip("only Linux ends a process with its parent")
    done = subprocess.run(
        [sys.executable, "-c", PARENT, str(held)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    broker = int(done.stdout)

    until(lambda: not psutil.pid_exists(broker) or not alive(psutil.Process(broker)), "it is gone")


def test_a_broker_of_another_thread_outlives_that_thread() -> None:
    """The system tells of the thread that has forked, not of the process: so it is asked for the main thread only."""
    made: list[EmbeddedBroker] = []
    thread = threading.Thread(target=lambda: made.append(EmbeddedBroker()))
    thread.start()
    thread.join()

    with made[0] as broker:
        assert listens(broker)


def test_one_that_can_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic that is there already, a program that is gone: the last line of its process is quoted."""
    with pytest.raises(FatalError, match=r"could not start the embedded broker.*exit code 1: topic twice"):
        EmbeddedBroker([TopicSpec("twice", 1, 1)] * 2)
    monkeypatch.setattr(program, "__file__", "/nowhere.py")
    with pytest.raises(FatalError, match=r"could not start the embedded broker.*nowhere\.py"):
        EmbeddedBroker()


def pipe(pid: int, number: int) -> str:
    """Return which pipe is the standard stream `number` of a process."""
    return str(Path(f"/proc/{pid}/fd/{number}").readlink())


def holders(found: str, among: list[psutil.Process]) -> set[int]:
    """Return which processes have a pipe open."""
    return {process.pid for process in among if found in _open(process.pid)}


def _open(pid: int) -> set[str]:
    """Return what a process has open; it closes this and that meanwhile."""
    seen = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            seen.add(str(descriptor.readlink()))
    return seen


@pytest.mark.cluster
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="who has a pipe open is read from /proc")
def test_a_run_whose_broker_dies_ends_with_a_sentence(tmp_path: Path) -> None:
    """No worker has inherited its pipe; malformed frames end it, and the run with a sentence that names the signal."""
    sets = [f"data_dir={tmp_path / 'data'}", *QUICK]
    with Driver(sets, tmp_path / "log", source=None) as driver:
        until(lambda: "embedded broker on " in driver.output and driver.workers(), "a worker is there")
        until(lambda: any((tmp_path / "data" / "lake").rglob("*.parquet")), "it works")
        address = driver.output.partition("embedded broker on ")[2].split(": ")[0]
        family = psutil.Process(driver.process.pid).children(recursive=True)
        (broker,) = [one for one in family if one.cmdline()[-1].endswith("ingest/broker.py")]
        assert holders(pipe(broker.pid, 0), [psutil.Process(driver.process.pid), *family]) == {
            driver.process.pid,
            broker.pid,
        }
        assert "HYDRODASK" not in str(broker.environ())

        assert attack(address)
        started_s = clock.monotonic_s()
        assert driver.wait() == 1  # a run that fails
        assert clock.monotonic_s() - started_s < ENDED_S

    assert driver.output.count("the embedded broker died (signal") == 1
    assert "Traceback" not in driver.output
    until(lambda: not any(map(alive, family)), "all that it had started are gone")
