"""What every local service does, so that commands and tests treat all alike."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

Say = Callable[[str], None]
"""Told what is being done, in a few words, whenever that changes."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """One process of a service now. `state` is `stopped` or `running`."""

    name: str
    state: str
    address: str | None
    pid: int | None
    log: Path


@dataclass(frozen=True, slots=True)
class State:
    """One service now. `state` is `stopped`, `running` or `not answering`.

    `pid` and `log` are those of the first of its servers; all are in `servers`.
    """

    name: str
    state: str
    address: str | None
    pid: int | None
    version: str
    folder: Path
    log: Path
    servers: tuple[ServerState, ...]


class Service(Protocol):
    """One or several server processes on loopback, whose data, logs and records are below one folder.

    Methods may be called from any process that knows the folder; two that start or stop the same
    service at once wait for each other.
    """

    name: ClassVar[str]

    def install(self, say: Say) -> None:
        """Fetch and verify what the service needs; what is there already is not fetched again.

        Blocks. Raises UnreachableError when a tool or the network is missing, and IntegrityError
        when something is not what was pinned.
        """

    def start(self, say: Say) -> None:
        """Start the service, and return once it answers; what runs already is left as it is.

        Blocks. Raises UnreachableError when it does not answer in time, or a port is taken; nothing
        that was started is left running then. Raises UsageError when it runs with other options.
        """

    def healthy(self) -> bool:
        """Say whether the processes that we started answer. Blocks for a few seconds at most."""

    def stop(self) -> bool:
        """Stop the service and wait for its end; say whether it ran. Kills it after a limit."""

    def state(self) -> State:
        """Return what is known of the service now."""

    def sets(self) -> list[str]:
        """Return what `--set` takes so that the platform uses this service where it is."""
