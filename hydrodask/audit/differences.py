"""Compare two runs of rows in the same order, without holding either: what is missing, extra, different."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

RATE = "sampling_rate_hz"
"""A column that older files of windows and cycles lack, and that is null in files which `compact` made of them."""

Where = tuple[str, pa.Table]
"""Rows, and the file or snapshot that they are in."""


@dataclass(slots=True)
class Difference:
    """How stored rows differ from the expected ones: counts, and the first case in words."""

    equal: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    waiting: int = 0
    first: str = ""
    at: int = 0
    """The offset of the first case."""

    @property
    def wrong(self) -> int:
        """How many rows are not as expected."""
        return self.missing + self.extra + self.different

    @property
    def what(self) -> str:
        """The counts in words."""
        parts = {"missing": self.missing, "extra": self.extra, "different": self.different}
        return ", ".join(f"{count:,} rows {name}" for name, count in parts.items() if count)

    def note(self, kind: str, count: int, at: int, first: str) -> None:
        """Count rows of one kind; the first of all is kept in words."""
        setattr(self, kind, getattr(self, kind) + count)
        if not self.first:
            self.first, self.at = first, at


@dataclass(slots=True)
class Comparison:
    """Takes expected rows as they come and holds them against the stored ones.

    `key` names the columns that say which row it is; both sides are in its order. Expected rows whose `key[0]` is at or
    past `limit` are counted as `waiting`: nobody has stored them yet.
    """

    stored: Iterator[Where]
    key: tuple[str, ...]
    limit: int
    found: Difference = field(default_factory=Difference)
    _rest: pa.Table | None = None
    _path: str = ""

    def expect(self, table: pa.Table) -> None:
        """Take the next expected rows."""
        due = below(table, self.key[0], self.limit)
        self.found.waiting += table.num_rows - due.num_rows
        while due.num_rows:
            rest = self._peek()
            if rest is None:
                self.found.note("missing", due.num_rows, self._at(due), f"first missing row: {said(due)}")
                return
            due = self._step(due, rest)

    def finish(self) -> Difference:
        """Say what differs; stored rows that are left are extra."""
        while (rest := self._peek()) is not None:
            self.found.note("extra", rest.num_rows, self._at(rest), f"first extra row: {said(rest)} in {self._path}")
            self._rest = None
        return self.found

    def _step(self, due: pa.Table, rest: pa.Table) -> pa.Table:
        """Compare what both sides have, up to the first difference; return what is still due."""
        count = min(due.num_rows, rest.num_rows)
        same = _equal_rows(_as_known(due.slice(0, count), rest.slice(0, count)), rest.slice(0, count))
        self.found.equal += same
        due, rest = due.slice(same), rest.slice(same)
        if same == count:
            self._rest = rest
            return due
        ours, theirs = self._keys(due), self._keys(rest)
        if ours == theirs:
            self.found.note(
                "different",
                1,
                self._at(due),
                f"{_contrast(_as_known(due.slice(0, 1), rest.slice(0, 1)), rest, self.key)} in {self._path}",
            )
            self._rest = rest.slice(1)
            return due.slice(1)
        if ours < theirs:
            what = f"first missing row: {said(due)}; {self._path} goes on with {said(rest)}"
            self.found.note("missing", 1, self._at(due), what)
            self._rest = rest
            return due.slice(1)
        self.found.note("extra", 1, self._at(rest), f"first extra row: {said(rest)} in {self._path}")
        self._rest = rest.slice(1)
        return due

    def _peek(self) -> pa.Table | None:
        """Return the stored rows that come next, None at the end."""
        while self._rest is None or not self._rest.num_rows:
            found = next(self.stored, None)
            if found is None:
                self._rest = None
                return None
            self._path, self._rest = found
        return self._rest

    def _at(self, table: pa.Table) -> int:
        return int(table.column(self.key[0])[0].as_py())

    def _keys(self, table: pa.Table) -> tuple[object, ...]:
        return tuple(table.column(name)[0].as_py() for name in self.key)


def _as_known(due: pa.Table, rest: pa.Table) -> pa.Table:
    """Return `due` without what `rest`, of an older release, does not know: a column that was added, or some of it."""
    due = due.select([name for name in due.column_names if name in rest.column_names or name != RATE])
    if RATE in due.column_names and RATE in rest.column_names and (rate := rest.column(RATE)).null_count:
        place = due.column_names.index(RATE)
        due = due.set_column(place, RATE, pc.if_else(pc.is_valid(rate), due.column(RATE), None))
    return due


def below(table: pa.Table, column: str, limit: int) -> pa.Table:
    """Return the rows whose `column` is below `limit`."""
    return table if not table.num_rows else table.filter(pc.less(table.column(column), limit))


def from_on(table: pa.Table, column: str, start: int) -> pa.Table:
    """Return the rows whose `column` is at least `start`."""
    return table if not table.num_rows else table.filter(pc.greater_equal(table.column(column), start))


def outside(table: pa.Table, column: str, holes: Iterable[tuple[int, int]]) -> pa.Table:
    """Return the rows whose `column` is in none of `holes`, each from an offset up to another."""
    for start, end in holes:
        table = pa.concat_tables([below(table, column, start), from_on(table, column, end)])
    return table


def nonempty(rows: Iterable[Where]) -> Iterator[Where]:
    """Leave out what has no rows."""
    return (one for one in rows if one[1].num_rows)


def said(table: pa.Table) -> str:
    """Return the first row in words, without long lists."""
    row = {name: table.column(name)[0].as_py() for name in table.column_names}
    return ", ".join(f"{name} {_short(value)}" for name, value in row.items() if name != "partition")


def _contrast(due: pa.Table, rest: pa.Table, key: tuple[str, ...]) -> str:
    """Return which row it is, and the columns in which it differs."""
    which = ", ".join(f"{name} {_short(due.column(name)[0].as_py())}" for name in key)
    for name in due.column_names:
        want, have = due.column(name)[0].as_py(), rest.column(name)[0].as_py()
        if want != have:
            return f"row with {which}: {name} is {_short(have, want)}, want {_short(want, have)}"
    return f"row with {which} differs in type only"


def _short(value: object, other: object = None) -> str:
    """Return a value in words; of a list only the first entry in which it differs from `other`."""
    if isinstance(value, list):
        pairs = enumerate(zip(value, other, strict=False)) if isinstance(other, list) else []
        place = next((i for i, (a, b) in pairs if a != b), None)
        return f"[{len(value)} entries]" if place is None else f"{value[place]!r} at entry {place}"
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


def _equal_rows(a: pa.Table, b: pa.Table) -> int:
    """Return how many rows at the beginning are equal; both have as many."""
    if a.equals(b):
        return int(a.num_rows)
    low, high = 0, a.num_rows  # the first `low` rows are equal, the first `high` are not
    while high - low > 1:
        middle = (low + high) // 2
        if a.slice(0, middle).equals(b.slice(0, middle)):
            low = middle
        else:
            high = middle
    return low
