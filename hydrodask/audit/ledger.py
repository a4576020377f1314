"""Hold what should be on a topic against what is: eight bytes each for which row it is and what it says.

Rows of a topic come from many partitions, in the order of commits, so the two sides can't be compared as they come.
"""

import hashlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hydrodask.records import Int64, Outgoing


def digest(*parts: bytes | None) -> int:
    """Return 64 bits of a hash; two rows of a million agree by chance once in ten million audits.

    >>> digest(b"a", b"bc") == digest(b"ab", b"c")
    False
    """
    text = b"".join(b"-" if part is None else b"%d:%s" % (len(part), part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


@dataclass(slots=True)
class Ledger:
    """Rows as (which, what, place, at): `place` numbers a partition, `at` is an offset in it. 36 bytes a row.

    `older` is what an older release would have said of the row.
    """

    _which: "array[int]" = field(default_factory=lambda: array("Q"))
    _what: "array[int]" = field(default_factory=lambda: array("Q"))
    _older: "array[int]" = field(default_factory=lambda: array("Q"))
    _place: "array[int]" = field(default_factory=lambda: array("i"))
    _at: "array[int]" = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self._which)

    def add(self, which: int, what: int, place: int, at: int, older: int | None = None) -> None:
        """Take a row."""
        self._which.append(which)
        self._what.append(what)
        self._older.append(what if older is None else older)
        self._place.append(place)
        self._at.append(at)

    def want(self, row: tuple[int, ...], record: Callable[[], Outgoing]) -> None:
        """Take a row, as `add` does, that has to be on a topic of ours; `record` makes what is published of it."""
        del record
        self.add(*row)

    def which(self, row: int) -> int:
        """Return which row it is."""
        return self._which[row]

    def where(self, row: int) -> tuple[int, int]:
        """Return the place and the offset of a row."""
        return self._place[row], self._at[row]

    def ordered(self) -> "Ordered":
        """Return the rows in the order of `which`, and of their coming among equals."""
        which = np.frombuffer(self._which, np.uint64) if len(self) else np.zeros(0, np.uint64)
        order = np.argsort(which, kind="stable")
        what = np.frombuffer(self._what, np.uint64) if len(self) else which
        older = np.frombuffer(self._older, np.uint64) if len(self) else which
        return Ordered(which[order], what[order], older[order], order)


@dataclass(frozen=True, slots=True)
class Ordered:
    """A ledger by `which`; `row` leads back to where it came from."""

    which: np.ndarray
    what: np.ndarray
    older: np.ndarray
    row: Int64

    def apart(self, shared: np.ndarray) -> "Ordered":
        """Return the same with the rows of `shared` told apart by what they say."""
        which = np.where(np.isin(self.which, shared), self.which ^ self.what, self.which)
        order = np.argsort(which, kind="stable")
        return Ordered(which[order], self.what[order], self.older[order], self.row[order])


@dataclass(frozen=True, slots=True)
class Balance:
    """Rows that differ, as rows of their ledgers: `missing` and the first of `different` of the wanted, else found."""

    missing: list[int]
    extra: list[int]
    double: list[tuple[int, int]]
    different: list[tuple[int, int]]


def balance(wanted: Ledger, found: Ledger) -> Balance:
    """Return what is not on both sides exactly once.

    >>> want, have = Ledger(), Ledger()
    >>> for which in (1, 2, 3):
    ...     want.add(which, 10 * which, 0, which)
    >>> for which, what in ((3, 30), (4, 40), (2, 21), (3, 30)):
    ...     have.add(which, what, 0, which)
    >>> want.add(5, 50, 1, 5), want.add(5, 51, 2, 5), have.add(5, 51, 0, 5), have.add(5, 50, 0, 6)
    (None, None, None, None)
    >>> balance(want, have)
    Balance(missing=[0], extra=[1], double=[(0, 3)], different=[(1, 2)])
    """
    want, have = wanted.ordered(), found.ordered()
    # Two partitions of a topic may have a row of the same window at the same offset: what it says tells them apart.
    shared = np.unique(want.which[1:][want.which[1:] == want.which[:-1]])
    if len(shared):
        want, have = want.apart(shared), have.apart(shared)
    repeated = np.flatnonzero(have.which[1:] == have.which[:-1]) if len(have.which) else np.zeros(0, np.int64)
    places = np.searchsorted(have.which, want.which)
    there = np.zeros(len(want.which), np.bool_)
    inside = places < len(have.which)
    there[inside] = have.which[places[inside]] == want.which[inside]
    changed = np.flatnonzero(there)
    said = have.what[places[changed]]
    changed = changed[(said != want.what[changed]) & (said != want.older[changed])]
    return Balance(
        missing=_rows(want.row[~there]),
        extra=_rows(have.row[~np.isin(have.which, want.which)]),
        double=sorted((int(have.row[i]), int(have.row[i + 1])) for i in repeated),
        different=sorted((int(want.row[i]), int(have.row[places[i]])) for i in changed),
    )


def _rows(rows: Int64) -> list[int]:
    return [int(row) for row in np.sort(rows)]
