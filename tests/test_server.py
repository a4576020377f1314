"""What all local services share, on toy servers; and the commands, on a real MongoDB."""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hydrodask.errors import FatalError, UnreachableError, UsageError
from hydrodask.services.ports import answers, can_bind, free_port
from hydrodask.services.server import ServerService, ServiceProcess
from hydrodask.services.service import Say
from tests.conftest import quiet
from tests.delivery import until
from tests.test_cli import data_in, hydrodask

CODE = """
import socket, sys, time
if len(sys.argv) > 2:
    sys.exit(sys.argv[2])
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
sys.stderr.write("listening\\n")
sys.stderr.flush()
time.sleep(600)
"""


class ToyService(ServerService):
    """Two servers that listen and do nothing; the second may end at once, or never be usable."""

    name = "toy"
    version = "1"
    start_s = 200.0

    def __init__(self, folder: Path, *, port: int | None = None, wrong: str = "", usable: bool = True) -> None:
        super().__init__(folder, with_parent=True)
        self.port = self.choice("port", port, 1)
        self.other = self.choice("other", None, free_port())
        self.wrong = wrong
        self.usable = usable

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def install(self, say: Say) -> None:
        say("nothing to do")

    def servers(self) -> Sequence[ServiceProcess]:
        return [ServiceProcess("one", self.address), ServiceProcess("two", f"127.0.0.1:{self.other}")]

    def argv(self, server: ServiceProcess) -> Sequence[str]:
        port = str(self.port if server.name == "one" else self.other)
        wrong = [self.wrong] if self.wrong and server.name == "two" else []
        return [sys.executable, "-c", CODE, port, *wrong]

    def answers(self) -> bool:
        return self.usable


@pytest.fixture
def toy(tmp_path: Path, free_port: int) -> Iterator[ToyService]:
    """Return a toy service that runs."""
    service = ToyService(tmp_path, port=free_port)
    service.start(quiet)
    yield service
    service.stop()


def pids(service: ServerService) -> dict[str, int | None]:
    """Return the process of each server."""
    return {server.name: server.pid for server in service.state().servers}


def test_starting_again_changes_nothing(toy: ToyService) -> None:
    """What runs is left as it is, by whoever knows the folder."""
    before = pids(toy)
    ToyService(toy.folder).start(quiet)

    assert pids(toy) == before
    assert None not in before.values()
    assert toy.state().state == "running"


def test_server_that_died_is_started_again(toy: ToyService) -> None:
    """And no other; in between the service does not pass for running."""
    before = pids(toy)
    process = toy.process("two")
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    assert process._ended(60.0)
    assert (toy.state().state, toy.healthy()) == ("not answering", False)
    toy.start(quiet)
    after = pids(toy)

    assert after["one"] == before["one"]
    assert after["two"] != before["two"]
    assert toy.healthy()


def test_options_are_remembered(toy: ToyService) -> None:
    """Stop, state and the next start need not be told them."""
    again = ToyService(toy.folder)
    assert again.address == toy.address
    assert again.stop()
    again.start(quiet)

    assert ToyService(toy.folder).port == toy.port
    assert answers(toy.port)


def test_other_options_are_refused_while_it_runs(toy: ToyService) -> None:
    """A start can't change what runs; the message says how to."""
    with pytest.raises(UsageError, match=rf"port {toy.port} and not 7; `hydrodask services down toy` first"):
        ToyService(toy.folder, port=7).start(quiet)
    assert toy.healthy()


def test_broken_options_are_said(tmp_path: Path) -> None:
    """A file that can't be read is not taken for "as by default"."""
    (tmp_path / "options.json").write_text("{")

    with pytest.raises(FatalError, match=r"options\.json"):
        ToyService(tmp_path)


def test_failed_start_leaves_nothing_running(tmp_path: Path, free_port: int) -> None:
    """The server that came up is stopped with the one that did not, whose last words are quoted."""
    service = ToyService(tmp_path, port=free_port, wrong="the disk is purple")

    with pytest.raises(UnreachableError, match="could not start two: it ended: the disk is purple"):
        service.start(quiet)
    assert set(pids(service).values()) == {None}
    assert can_bind(free_port)
    assert not service.stop()


def test_failed_start_leaves_what_ran_before(toy: ToyService) -> None:
    """Only what this start has started is taken back."""
    process = toy.process("two")
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    assert process._ended(60.0)
    before = pids(toy)

    with pytest.raises(UnreachableError):
        ToyService(toy.folder, wrong="no").start(quiet)
    assert pids(toy) == before


def test_useless_service_is_given_up(tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports that answer are not enough; the wait has a limit, and the message names the logs."""
    monkeypatch.setattr(ToyService, "start_s", 2.0)

    with pytest.raises(UnreachableError, match=r"no answer on .* after 2 s; see .*one\.console\.log"):
        ToyService(tmp_path, port=free_port, usable=False).start(quiet)
    assert can_bind(free_port)


def test_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    """A port that another program has is named, and that program is left alone."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UnreachableError, match=f"port {port} of 127.0.0.1 is taken"):
            ToyService(tmp_path, port=port).start(quiet)
    assert list(tmp_path.glob("*.process.json")) == []


def test_log_of_a_server_is_kept_over_restarts(toy: ToyService) -> None:
    """What it said before a stop is still there."""
    toy.stop()
    toy.start(quiet)

    assert toy.state().servers[0].log.read_text().count("listening") == 2


@pytest.mark.integration
def test_commands_on_a_real_service(tmp_path: Path, free_port: int, mongodb: ServerService) -> None:
    """Up, status, logs and down, each in a process of its own; after that nothing is left."""
    assert mongodb.healthy()  # the fixture has installed it
    data = data_in(tmp_path)
    up = hydrodask("services", "up", "mongodb", "--port", str(free_port), *data)
    assert (up.returncode, f"127.0.0.1:{free_port}" in up.stdout) == (0, True), up.stderr
    assert "--set documents.password_file=" in up.stdout.replace("\n", "")
    try:

        def states() -> list[tuple[str, str, str]]:
            found = json.loads(hydrodask("services", "status", "mongodb", "--json", *data).stdout)
            return [(one["name"], one["state"], one["address"]) for one in found]

        until(lambda: states() == [("mongodb", "running", f"127.0.0.1:{free_port}")], "it answers in time")
        assert len(hydrodask("services", "logs", "mongodb", "-n", "3", *data).stdout.splitlines()) == 3
    finally:
        down = hydrodask("services", "down", "mongodb", *data)
    assert (down.returncode, down.stdout) == (0, "mongodb stopped\n")
    assert can_bind(free_port)


def test_port_is_for_one_service(tmp_path: Path) -> None:
    """A port for all of them makes no sense."""
    done = hydrodask("services", "up", "--port", "1234", *data_in(tmp_path))

    assert (done.returncode, "name it" in done.stderr) == (2, True)
