"""The logs that a topic's name has stood for, one after the other, and where our offsets of each begin.

A topic that is deleted and made anew, another broker behind the same address, an embedded broker that starts again:
each is another log, which counts from 0. Our offsets are the broker's plus the log's base: 0 for the first, for each
later one the next multiple of 10^9 above all that is known of the earlier ones. So files, snapshots and revisions of
two logs never meet, and grow. The files of a partition stay one chain: the one that begins where the earlier log ended
covers the jump.

`log-N` beside a partition's snapshots names the N-th log, and is put once by whoever hosts the partition. Marks of
commits and footers of files name logs too, so a record that is lost is no harm.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec

from hydrodask.ingest.identity import forgets
from hydrodask.protocol.snapshot import folder_of
from hydrodask.records import PartitionId
from hydrodask.store import small
from hydrodask.store.files import Files

SPAN = 10**9
"""Offsets that one log may have."""

_PREFIX = "log-"


class Incarnation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One log: its identity, and our offset of its first record.

    `end` is up to where the log before it was taken, as far as that is known, and `stored` up to where all that came
    of it was stored then. `whole` says that the state there was that of all that was taken, so that what was open is
    final. `first` is the broker's offset at which this one is read from: not 0 if it was read before, as where a broker
    was away for a while.
    """

    log: str
    base: int = 0
    end: int = 0
    stored: int = 0
    whole: bool = False
    first: int = 0

    @property
    def text(self) -> str:
        """What files and snapshots say of it."""
        return f"{self.log} {self.base}"

    def at(self, base: int) -> "Incarnation":
        """Return it with another base."""
        return msgspec.structs.replace(self, base=base)

    def keeps(self, before: "Incarnation") -> bool:
        """Say whether state goes on from the log before: what an embedded broker has forgotten is in our rows."""
        return forgets(self.log) and forgets(before.log)


def of_text(text: str) -> Incarnation | None:
    """Return what `Incarnation.text` says.

    >>> of_text("c/t 1000000000").base
    1000000000
    >>> of_text("") is None
    True
    """
    log, _, base = text.rpartition(" ")
    return Incarnation(log=log, base=int(base)) if log and base.isdigit() else None


def same(log: str, other: str) -> bool:
    """Say whether two identities are of one log: a topic's id is never given again, also by another cluster."""
    ids = log.partition("/")[2], other.partition("/")[2]
    return ids[0] == ids[1] if ids[0] and not forgets(log) else log == other


def base_above(offset: int) -> int:
    """Return the base of a log of which nothing is below `offset`.

    >>> base_above(0), base_above(1), base_above(10**9), base_above(10**9 + 1)
    (0, 1000000000, 1000000000, 2000000000)
    """
    return -(-offset // SPAN) * SPAN


def read(files: Files, source: PartitionId) -> tuple[list[Incarnation], int, list[str]]:
    """Return the logs that are on record, the number of the next record, and notes on records that can't be used."""
    known, notes, number = [], [], 0
    for path in files.names(folder_of(source)):
        name = path.rsplit("/", 1)[-1]
        if not name.startswith(_PREFIX) or not name.removeprefix(_PREFIX).isdigit():
            continue
        number = max(number, int(name.removeprefix(_PREFIX)) + 1)
        try:
            known.append(msgspec.json.decode(small.opened(files.read(path)), type=Incarnation))
        except (ValueError, FileNotFoundError) as error:
            notes.append(f"ignored {path}, which says which log was read: {error}")
    return sorted(known, key=lambda one: one.base), number, notes


def put(files: Files, source: PartitionId, number: int, one: Incarnation) -> bool:
    """Put a log on record; False when somebody else has put one under this number."""
    return files.put_if_absent(f"{folder_of(source)}/{_PREFIX}{number:06d}", small.sealed(msgspec.json.encode(one)))


def joined(known: Iterable[Incarnation], others: Iterable[Incarnation | None]) -> list[Incarnation]:
    """Return the logs on record, and those that marks, snapshots and files name besides."""
    found = {one.base: one for one in others if one is not None}
    return sorted((found | {one.base: one for one in known}).values(), key=lambda one: one.base)


def ends(known: Sequence[Incarnation]) -> list[tuple[Incarnation, int]]:
    """Return each earlier log, and the broker's offset at which it was read last."""
    return [(one, max(one.first, after.end - one.base)) for one, after in pairwise(known)]


@dataclass(frozen=True, slots=True)
class Seam:
    """Where another log begins: at `base`, after the one before was taken up to `end`."""

    base: int
    end: int
    stored: int
    whole: bool
    keeps: bool
    first: int = 0

    @property
    def begin(self) -> int:
        """Our offset at which the log is read from."""
        return self.base + self.first

    @property
    def hole(self) -> tuple[int, int] | None:
        """The offsets of which not all is stored, nor can be computed: the log that held them is gone."""
        return None if self.keeps or (self.whole and self.stored >= self.end) else (self.stored, self.base)


def seams(known: Sequence[Incarnation], after: int) -> list[Seam]:
    """Return the seams at which a state of offset `after` has to be brought into the next log."""
    return [
        Seam(one.base, one.end, one.stored, one.whole, one.keeps(before), one.first)
        for before, one in pairwise(known)
        if after < one.base
    ]


@dataclass(slots=True)
class Start:
    """Where a partition begins. Offsets are ours; `low` and `high` are the log's bounds."""

    incarnation: Incarnation
    number: int
    low: int
    high: int
    begin: int
    """Where it is read from if there is neither commit nor snapshot."""
    floor: int
    """Nothing below is to be read."""
    found: tuple[int, dict[str, Any], list[str]]
    """The newest snapshot, as `snapshot.newest` gives it."""
    committed: int | None = None
    emitted: int | None = None
    seams: list[Seam] = field(default_factory=list)
    published: bool = True
    """What waits in the snapshot for a commit has been published."""
    unsaid: bool = False
    """The group's offset has to be committed anew: it is not ours, or its mark is of an older version."""
    notes: list[str] = field(default_factory=list)
