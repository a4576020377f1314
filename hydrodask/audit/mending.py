"""What puts a finding right: the command, as it is typed, and what it does.

Each finding names one of these. Where one mends only the first half, `verify` names the next command when it is run
again: a file that is taken out leaves a hole, and holes are filled.
"""

import shlex
from dataclasses import dataclass

from hydrodask.store.merge import IMPORTED


@dataclass(frozen=True, slots=True)
class Mend:
    """A command, empty when none can, and what it does or why there is none."""

    command: str
    does: str

    def __str__(self) -> str:
        return f"`{self.command}` {self.does}" if self.command else self.does


DERIVED = Mend("hydrodask backfill --write", "computes these rows anew from raw/")
RECORDS = Mend("hydrodask backfill --records --write", "takes these rows from the log again, if that has them")
TOPICS = Mend("hydrodask backfill --topics --write", "publishes what is missing, each once")
DOCUMENTS = Mend("hydrodask backfill --documents --write", "stores what the window rows imply, and removes the rest")
COMPACT = Mend("hydrodask compact", "finishes what one that was killed has left")
SEAL = Mend("hydrodask seal", "seals what was there before the key, as it is: make sure first that it is ours")
KEY_BACK = Mend("", "no command can: put that key back into the key file, below the others, then `hydrodask seal`")
SAID = Mend("", "no command can: what models said then can't be asked again; take it from a backup")
COMPONENTS = Mend("", "no command can: documents of a rig's components come back with its next cycle; remove others")
RUNS = Mend("", "no command can: remove it from the store")
ANSWERED = Mend("", "no command can: nobody but who gave it knows what it said; remove it from the store")
REBUILT = Mend("hydrodask run", "rebuilds state and files from the log, as far as that has the records")
LOST = Mend("", "no command can: neither the log nor the lake has it; take it from a backup")

TOPICS_OF = {"analytics": "analytics", "profiles": "cycles", "dead": "dead-letter"}
"""The topic that each check is about, by its short name."""


def aside(path: str) -> Mend:
    """Return what takes a file of the lake, or a snapshot, out of the way of readers."""
    return Mend(f"hydrodask aside {quoted(path)}", "keeps it where no reader looks; then `hydrodask verify` again")


def imported(path: str) -> Mend:
    """Return what takes a file of an import out; what else was in it comes back with the next import."""
    return Mend(f"hydrodask aside {quoted(path)}", "takes it out; then `hydrodask import` its folder again")


def misplaced(path: str) -> Mend:
    """Return what takes a file out that is not where it says that it belongs."""
    return imported(path) if _of_import(path) else aside(path)


def rebuilt(path: str, folder: str) -> Mend:
    """Return what writes a damaged file of a folder anew."""
    return imported(path) if _of_import(path) else refilled(folder)


def refilled(folder: str) -> Mend:
    """Return what writes rows of a folder anew, or fills its hole."""
    if folder == "scores":
        return SAID
    return RECORDS if folder in ("raw", "labels", "bands") else DERIVED


def renewed(check: str) -> Mend:
    """Return what makes a topic of ours anew: a record can't be taken back."""
    return Mend(
        f"hydrodask topics renew {TOPICS_OF[check]}",
        f"makes the topic anew, for a record can't be taken back; then `{TOPICS.command}`",
    )


def quoted(path: str) -> str:
    """Return a path as a shell takes it.

    >>> quoted("windows/sensor=PS1/a b.parquet")
    "'windows/sensor=PS1/a b.parquet'"
    """
    return shlex.quote(path)


def _of_import(path: str) -> bool:
    return path.rpartition("/")[2].startswith(IMPORTED)
