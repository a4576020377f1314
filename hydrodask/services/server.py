"""Services that are server processes in a folder: `ServerService` starts, watches and stops them.

A new service is a subclass in a module of its own: it says its name and version, what to install,
which servers there are, with which command each starts, and how to tell that all of them answer.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from hydrodask import clock
from hydrodask.errors import FatalError, UnreachableError, UsageError
from hydrodask.services import ports, processes
from hydrodask.services.processes import Process
from hydrodask.services.service import Say, ServerState, State

POLL_S = 0.1
TAIL_LINES = 3
TAIL_BYTES = 64 * 1024

_Option = TypeVar("_Option", int, str, float)


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """One process of a service. It serves `address` (host:port; None when the system gives it a port).

    `log` is the file that it writes itself; without one its log is what it prints.
    """

    name: str
    address: str | None
    log: Path | None = None


class ServerService(ABC):
    """A service with everything in `folder`: data, logs, process records, options.

    `with_parent`: the servers end when the process that started them does, even if that is killed.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    start_s: ClassVar[float] = 240.0
    """Limit of the wait for an answer: one that ends is said at once, and a machine at work may be slow."""
    stop_s: ClassVar[float] = 30.0
    """How long each server may take to end before it is killed."""

    def __init__(self, folder: Path, *, with_parent: bool = False) -> None:
        self.folder = folder.absolute()
        self.with_parent = with_parent
        self._options: dict[str, int | str | float] = {}

    # What a subclass says of itself.

    @property
    @abstractmethod
    def address(self) -> str:
        """The address that clients use: host:port, or a URL."""

    @abstractmethod
    def install(self, say: Say) -> None:
        """Fetch and verify what is needed. What the contract says."""

    @abstractmethod
    def servers(self) -> Sequence[ServiceProcess]:
        """Return the servers in the order in which they start. Needs nothing that `install` brings."""

    @abstractmethod
    def argv(self, server: ServiceProcess) -> Sequence[str]:
        """Return the command that runs `server` in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Say whether all of the service is usable, and is ours and not another one on its port."""

    def sets(self) -> list[str]:
        """Return what `--set` takes so that the platform uses this service where it is."""
        return []

    def environ(self, server: ServiceProcess) -> Mapping[str, str]:  # noqa: ARG002  # for subclasses
        """Return what the environment of `server` has besides what `processes.INHERITED` names."""
        return {}

    def prepare(self, say: Say) -> None:  # noqa: B027  # most need nothing
        """Write settings and format data, before a server starts; repeated at every start."""

    def settle(self, say: Say) -> None:  # noqa: B027  # most need nothing
        """Set up what needs running servers, once their ports answer; repeated at every start."""

    def choice(self, option: str, given: _Option | None, default: _Option) -> _Option:
        """Return the value of an option: as given, or as at the last start, or the default.

        So `down` and `status` need not be told what `up` was told, and `up` the next time neither.
        """
        value = given if given is not None else self._remembered().get(option, default)
        self._options[option] = value
        return value

    # The contract.

    def start(self, say: Say) -> None:
        with processes.locked(self.folder / "lock"):
            missing = [server for server in self.servers() if self.process(server.name) is None]
            if len(missing) < len(self.servers()) or self._recorded():
                self.refuse_other_options()
            started: dict[str, Process] = {}
            try:
                self._start(missing, started, say)
                self._await(say)
            except BaseException:  # Ctrl-C too: what does not answer must not be left running
                _stop_all(list(started.values()), wait_s=self.stop_s)
                for name in started:
                    self._record(name).unlink(missing_ok=True)
                raise

    def healthy(self) -> bool:
        return all(self.process(server.name) for server in self.servers()) and self.answers()

    def stop(self) -> bool:
        with processes.locked(self.folder / "lock"):
            recorded = self._recorded()
            _stop_all(list(recorded.values()), wait_s=self.stop_s)
            for path in self.folder.glob("*.process.json"):
                path.unlink()
            return bool(recorded)

    def state(self) -> State:
        servers = tuple(self._state_of(server) for server in self.servers())
        state = "stopped"
        if any(server.pid for server in servers):
            state = "running" if self.healthy() else "not answering"
        first = servers[0]
        address = None if state == "stopped" else self.address
        return State(self.name, state, address, first.pid, self.version, self.folder, first.log, servers)

    def process(self, server: str) -> Process | None:
        """Return the process of a server by its name, if it runs."""
        return processes.running(self._record(server))

    # The rest is how.

    def _start(self, missing: Sequence[ServiceProcess], started: dict[str, Process], say: Say) -> None:
        if not missing:
            return
        for server in missing:
            self._check_port(server)
        self.prepare(say)
        (self.folder / "options.json").write_text(json.dumps(self._options), encoding="utf-8")
        say(f"starting {self.name} {self.version} on {self.address}")
        for server in missing:
            started[server.name] = self._spawn(server)
            processes.save(started[server.name], self._record(server.name))

    def _spawn(self, server: ServiceProcess) -> Process:
        return processes.spawn(
            self.argv(server),
            console=self._console(server),
            folder=self.folder,
            address=server.address or "",
            with_parent=self.with_parent,
            environ=self.environ(server),
        )

    def _await(self, say: Say) -> None:
        """Return once all answer; first the ports, as clients log refused connections."""
        end_s = clock.monotonic_s() + self.start_s
        self._until(lambda: all(ports.open_at(s.address) for s in self.servers() if s.address), end_s)
        self.settle(say)
        self._until(self.answers, end_s)

    def _until(self, there: Any, end_s: float) -> None:
        while clock.monotonic_s() < end_s:
            for server in self.servers():
                if self.process(server.name) is None:
                    raise UnreachableError(f"could not start {server.name}: it ended: {self._last_lines(server)}")
            if there():
                return
            clock.sleep_s(POLL_S)
        logs = ", ".join(str(self.log_of(server)) for server in self.servers())
        raise UnreachableError(
            f"could not start {self.name}: no answer on {self.address} after {self.start_s:g} s; see {logs}"
        )

    def _check_port(self, server: ServiceProcess) -> None:
        if server.address and not ports.can_bind(ports.port_of(server.address)):
            raise UnreachableError(
                f"could not start {server.name}: port {ports.port_of(server.address)} of {ports.LOOPBACK} is taken by "
                "another program; stop that one, or choose another with --port"
            )

    def refuse_other_options(self) -> None:
        """Raise UsageError if what runs was started with other options."""
        remembered = self._remembered()
        changed = [
            f"{option} {remembered[option]} and not {value}"
            for option, value in self._options.items()
            if option in remembered and remembered[option] != value
        ]
        if changed:
            raise UsageError(
                f"{self.name} runs already, with {', '.join(changed)}; `hydrodask services down {self.name}` first"
            )

    def _remembered(self) -> dict[str, Any]:
        path = self.folder / "options.json"
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise FatalError(f"could not read {path}: {error}; delete it and name the options again") from error

    def _recorded(self) -> dict[str, Process]:
        """Return every process of the service that runs, by its server's name."""
        names = [path.name.removesuffix(".process.json") for path in sorted(self.folder.glob("*.process.json"))]
        return {name: process for name in names if (process := self.process(name)) is not None}

    def _state_of(self, server: ServiceProcess) -> ServerState:
        process = self.process(server.name)
        log = self.log_of(server)
        if process is None:
            return ServerState(server.name, "stopped", None, None, log)
        return ServerState(server.name, "running", process.address or None, process.pid, log)

    def log_of(self, server: ServiceProcess) -> Path:
        """Return the file that has a server's log."""
        return server.log or self._console(server)

    def _console(self, server: ServiceProcess) -> Path:
        return self.folder / f"{server.name}.console.log"

    def _record(self, server: str) -> Path:
        return self.folder / f"{server}.process.json"

    def _last_lines(self, server: ServiceProcess) -> str:
        texts = [_end_of(path) for path in dict.fromkeys((self._console(server), self.log_of(server)))]
        return tail("\n".join(texts)) or f"no message; see {self._console(server)}"


def tail(text: str) -> str:
    r"""Return the last lines of `text` that say something, as one.

    >>> tail("a  \n\n  b")
    'a | b'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-TAIL_LINES:])


def _end_of(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read().decode("utf-8", errors="replace")


def _stop_all(running: Sequence[Process], *, wait_s: float) -> None:
    """Ask all to end, then wait for each."""
    for process in running:
        process.ask_to_end()
    for process in running:
        process.stop(wait_s=wait_s)
