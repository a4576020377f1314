"""Places at which a process can be made to die, so that tests find out what a death there leaves behind.

`HYDRODASK_FAILPOINT=transaction.committed:3` kills the process, as `kill -9` does, when it comes to that place for the
third time; without a number for the first. Unset, a place costs the call of a function that does nothing. A simulation
arms all places at once, and does worse than killing.
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from hydrodask.errors import ConfigError

VARIABLE = "HYDRODASK_FAILPOINT"

NAMES = (
    "open.initialised",  # the slot's transactional id is this worker's, and may be no longer its to have
    "open.begun",  # a partition is to be opened; nothing is read yet
    "open.restored",  # its state is that of a snapshot, its files are looked through
    "open.pinned",  # the beginning of a fresh group is remembered
    "open.assigned",  # the consumer reads it
    "commit.begun",  # open windows are in the outbox, nothing is written
    "commit.documents_written",  # documents are ahead of the offsets
    "transaction.begun",
    "transaction.produced",  # records are with the client, and some with the broker
    "transaction.offsets_sent",
    "transaction.committed",  # the broker knows, the worker does not note it yet
    "commit.noted",  # the worker knows, too
    "roll.begun",  # a file is due
    "file.written",  # its bytes are there under a hidden name
    "file.named",  # it has its name
    "roll.noted",  # the worker goes on behind it
    "snapshot.begun",
    "snapshot.stored",  # the new one is there, and old ones, too
    "snapshot.pruned",
    "close.committed",  # a partition is to be given away: committed, not yet snapshotted
    "close.done",  # it is not hosted any more, and nobody knows
    "end.begun",  # a log has ended: what was taken of it is in memory
    "end.stored",  # it is in files and in the last snapshot of that log
    "step.begun",
    "step.done",  # the report is on its way
    "drive.ordered",  # the driver is to send a step
    "drive.reported",  # it has a report, and has not read it
    "fence.begun",  # a slot is given up, and not fenced yet
    "fence.done",  # fenced, and its partitions are not free yet
)
"""Every place, in the order in which a worker comes to them; the last four are the driver's."""

Armed = Callable[[str], None]


def failpoint(name: str) -> None:
    """Come to the place `name`, which is one of NAMES."""
    if _armed is not None:
        _armed(name)


@contextmanager
def armed(act: Armed) -> Iterator[None]:
    """Let `act` be called with the name of each place that this process comes to while the block lasts."""
    global _armed  # noqa: PLW0603 - there is one death for a process
    before, _armed = _armed, act
    try:
        yield
    finally:
        _armed = before


def killer(environ: Mapping[str, str]) -> Armed | None:
    """Return what kills this process at the place that the environment names. Raises ConfigError for an unknown one.

    >>> killer({}) is None
    True
    """
    text = environ.get(VARIABLE, "")
    if not text:
        return None
    wanted, _, number = text.partition(":")
    if wanted not in NAMES or not (number or "1").isdigit() or number == "0":
        raise ConfigError(f"{VARIABLE} has value {text!r}; want NAME or NAME:COUNT, NAME one of {', '.join(NAMES)}")
    left = int(number or 1)

    def kill(name: str) -> None:
        nonlocal left
        left -= name == wanted
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


_armed = killer(os.environ)
