"""A lake on HDFS whose servers die and come back."""

import gc
import io
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from hydrodask import clock
from hydrodask.doctor import reach
from hydrodask.errors import RetryableError
from hydrodask.services import HdfsService
from hydrodask.settings import load
from hydrodask.store import filesystems
from hydrodask.store.files import Files
from tests.conftest import hdfs_service, kill, quiet, running
from tests.delivery import until

pytestmark = pytest.mark.integration

T = TypeVar("T")

REFUSED_S = 30.0
"""How long an attempt may take at most while the name node is down."""
HEALED_S = 180.0


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HdfsService]:
    """Run an HDFS with three data nodes that these tests may hurt."""
    yield from running(hdfs_service(tmp_path_factory.mktemp("own-hdfs"), data_nodes=3))


def again(attempt: Callable[[], T]) -> T:
    """Repeat `attempt` as the platform does while it is refused; return what it gives."""
    end_s = clock.monotonic_s() + HEALED_S
    while True:
        try:
            return attempt()
        except RetryableError:
            if clock.monotonic_s() > end_s:
                raise
            clock.sleep_s(0.5)


@pytest.mark.parametrize("scheme", ["hdfs", "webhdfs"])
def test_name_node_down_and_back(own: HdfsService, scheme: str) -> None:
    """Each attempt is refused within seconds, as worth repeating; then the same object goes on, and nothing is lost."""
    files = Files(f"{own.address if scheme == 'hdfs' else own.web}/down/{scheme}")
    assert again(lambda: files.put_if_absent("a", b"before"))  # a test before may have killed a data node
    kill(own, "namenode")

    for attempt in (
        lambda: files.put_if_absent("b", b"x"),
        lambda: files.names(""),  # an empty list would say that the lake is empty
        lambda: files.read("a"),
    ):
        started_s = clock.monotonic_s()
        with pytest.raises(RetryableError, match=rf"could not .* {scheme}://"):
            attempt()
        assert clock.monotonic_s() - started_s < REFUSED_S

    own.start(quiet)

    assert again(lambda: files.put_if_absent("b", b"after"))
    assert again(lambda: files.read("a")) == b"before"
    assert again(lambda: files.read("b")) == b"after"
    assert files.names("") == ["a", "b"]


@pytest.mark.parametrize("scheme", ["hdfs", "webhdfs"])
def test_name_node_that_hangs(own: HdfsService, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped and not dead, it takes connections and never answers: that too is waited for only so long."""
    url = f"{own.address if scheme == 'hdfs' else own.web}/hangs/{scheme}"
    assert again(lambda: Files(url).put_if_absent("a", b"before"))  # within the usual limits: a machine may be slow
    monkeypatch.setattr(filesystems, "HDFS_WAIT_S", 2.0)
    monkeypatch.setattr(filesystems, "WEB_TIMEOUT_S", 2.0)
    files = Files(url)
    process = own.process("namenode")
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        started_s = clock.monotonic_s()
        with pytest.raises(RetryableError, match=r"no answer within 2 s|timed out"):
            files.put_if_absent("b", b"x")
        assert clock.monotonic_s() - started_s < REFUSED_S
    finally:
        os.kill(process.pid, signal.SIGCONT)

    assert again(lambda: files.read("a")) == b"before"
    monkeypatch.undo()  # an attempt that is given up may have been carried out, and the next one would not be the first
    files = files if scheme == "hdfs" else Files(url)  # which has its limit from when it was opened
    assert again(lambda: files.put_if_absent("c", b"after"))


class ClosedTwice(io.RawIOBase):
    """A file as the HDFS client has it: `close` asks the name node each time, which refuses here; it counts."""

    closed_times = 0

    def write(self, data: object) -> int:  # noqa: ARG002
        """Take anything."""
        return 1

    def close(self) -> None:
        """Count, and refuse."""
        ClosedTwice.closed_times += 1
        raise RuntimeError("the name node stands still")

    def open(self, path: str, mode: str) -> "ClosedTwice":  # noqa: ARG002
        """Be the file system too."""
        return ClosedTwice()


def test_file_that_could_not_be_closed_is_left_alone() -> None:
    """Collected by Python, it would ask the name node again, from any thread and without a limit."""
    file_system = ClosedTwice()
    with pytest.raises(RuntimeError, match="stands still"):
        filesystems._write_to(file_system, "x", b"x")
    gc.collect()

    assert ClosedTwice.closed_times == 1
    file_system.close = lambda: None  # type: ignore[method-assign]


def test_data_node_dies(own: HdfsService) -> None:
    """Of three, one: what was written is read from the others, and writing goes on, under new hidden names.

    When all have died, a run that starts waits for them, and `doctor` does not.
    """
    files = Files(f"{own.address}/dies")
    for number in range(6):
        assert files.put_if_absent(f"before/{number}", b"%d" % number * 1000)
    kill(own, "datanode-2")
    try:
        for number in range(6):
            again(partial(files.put_if_absent, f"after/{number}", b"x" * 1000))

        assert [files.read(f"before/{n}") for n in range(6)] == [b"%d" % n * 1000 for n in range(6)]
        assert len(files.names("after")) == 6
        for name in ("datanode-1", "datanode-3"):
            kill(own, name)
        settings = load(sets=[f"lake.url={own.address}/dies"], environ={})[0]
        assert reach.lake(settings).state == "fail"
        with ThreadPoolExecutor() as pool:
            found = pool.submit(reach.lake, settings, at_run=True)
            own.start(quiet)
            assert found.result().state == "pass"
    finally:
        own.start(quiet)
    until(own.healthy, "it answers in time")


def test_only_what_is_dead_is_started(own: HdfsService) -> None:
    """`up` after a death of one server starts that one, and leaves the others as they are."""
    before = {server.name: server.pid for server in own.state().servers}
    kill(own, "datanode-3")
    assert own.state().state == "not answering"
    own.start(quiet)
    after = {server.name: server.pid for server in own.state().servers}

    assert {name for name in before if before[name] != after[name]} == {"datanode-3"}
    until(lambda: own.state().state == "running", "it answers in time")


def test_files_are_there_after_a_restart(own: HdfsService) -> None:
    """Down and up: nothing is lost, and no process is left in between."""
    Files(f"{own.address}/kept").replace("x", b"kept")
    processes = [own.process(server.name) for server in own.servers()]
    assert own.stop()

    assert not any(process and process.alive() for process in processes)
    assert own.state().state == "stopped"
    again_service = HdfsService(own.folder, with_parent=True)  # which remembers ports and data nodes
    again_service.start(quiet)
    assert again_service.state().servers[3].name == "datanode-3"
    assert Files(f"{own.address}/kept").read("x") == b"kept"


def test_broken_settings_leave_nothing_running(tmp_path: Path) -> None:
    """A start that fails says why in the server's own words, and takes back what it had started."""
    service = hdfs_service(tmp_path, data_nodes=1)
    service.prepare(quiet)
    (service.folder / "names" / "current" / "VERSION").write_text("clusterID=x\n")

    with pytest.raises(Exception, match="could not start namenode: it ended"):
        service.start(quiet)
    assert service.state().state == "stopped"
    assert list(tmp_path.glob("*.process.json")) == []
