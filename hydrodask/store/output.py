"""One folder's files of one partition: rows come in, files go out, and each file commits itself."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hydrodask.failpoints import failpoint
from hydrodask.records import PartitionId, Samples
from hydrodask.store.lake import LOG, Lake, pack, unpack
from hydrodask.store.rowsum import MASK, rowsum
from hydrodask.store.schemas import samples_table

FolderOf = Callable[[pa.Table], str]
TableOf = Callable[[Sequence[Any]], pa.Table]

BATCHES_MAX = 128
"""Batches, of samples or tables, that wait for a file; more are made into one. A live rig's are of a few rows each, and
Parquet is slow with thousands of tables: a file of five minutes took seconds.
"""

ROWS_MAX = 4_096
"""Rows that wait as objects; more are made a table."""

FIRST_S = 5.0
"""How long a run lets the rows of a first file wait: who has just begun wants to see something."""


class FileOutput:
    """Gathers rows of one partition and writes a file when told to.

    The next file begins at offset `first`, where the newest one ends; rows below `position` are in files. They have a
    column `offset` or `revision`, which says of which record each came. With `keep` the rows that wait are part of a
    snapshot, since they can't be had from the log alone; without, the log is read again from `position`. Where several
    nodes put rows in, `order` names the columns by which a file's rows are ordered: they come as batches are cut.
    """

    def __init__(
        self,
        lake: Lake,
        folder: str,
        source: PartitionId,
        *,
        folder_of: FolderOf,
        keep: bool,
        metadata: Mapping[bytes, bytes] = MappingProxyType({}),
        order: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.first = 0
        self.position = 0
        self.files = 0
        self.file_bytes = 0
        self.waiting = 0
        self.since_s: float | None = None
        self.keep = keep
        self.log = ""
        """Which log the next file's rows are of: its identity and base."""
        self._lake = lake
        self._source = source
        self._folder_of = folder_of
        self._metadata = metadata
        self._order = [(name, "ascending") for name in order]
        self._tables: list[pa.Table] = []
        self._samples: list[Samples] = []  # behind the tables; of a few rows each, a table costs more than they do
        self._rows: list[Any] = []  # as the samples are, and made a table by `_table_of`
        self._table_of: TableOf | None = None
        self._restored = False
        self._covered = 0
        self._total = 0  # what the rows of all files come to
        self._bare = False  # there is no file yet

    def open(self, start: int) -> None:
        """Find out where the files end; without files and snapshot they begin at `start`."""
        newest = self._lake.newest(self.folder, self._source)
        end = newest.end
        self._bare = not end
        self._total = newest.total if end >= self.first else self._total
        # What a snapshot says counts, 0 too: another beginning would be another name, and rows stored twice.
        self.first = max(end, self.first) if end or self._restored else start
        # While the log is read again from before the snapshot, the rows that it held are ahead of the position.
        self._covered = start if self._restored and self.keep else 0
        self.position = max(self.first, self.position)
        self._hold(self._from(end))

    def unfinished(self) -> list[str]:
        """Return this partition's files that a writer left unfinished when it died: nobody reads them."""
        stem = f".{self._source[0]}-{self._source[1]}-"
        paths = self._lake.files.unfinished(self.folder)
        return [path for path in paths if path.rsplit("/", 1)[-1].startswith(stem)]

    def add(self, table: pa.Table, now_s: float) -> None:
        """Take rows in offset order; those below `position` are in files already."""
        if not table.num_rows:
            return
        if _offsets(table)[0].as_py() < self.position:
            table = table.filter(pc.greater_equal(_offsets(table), self.position))
        if table.num_rows:
            self._tables.append(table)
            if len(self._tables) > BATCHES_MAX:
                self._tables = [pa.concat_tables(self._tables, promote_options="default").combine_chunks()]
            self._count(table.num_rows, now_s)

    def add_samples(self, samples: Samples, now_s: float) -> None:
        """Take rows as `add` does: an output takes either samples or tables."""
        # The log is read again for the sake of other files, too: what waited in a snapshot is here already.
        samples = samples.after(max(self.position, self._covered))
        if len(samples):
            self._samples.append(samples)
            if len(self._samples) > BATCHES_MAX:
                self._samples = [Samples.joined(self._samples)]
            self._count(len(samples), now_s)

    def add_rows(self, rows: Sequence[Any], table_of: TableOf, now_s: float) -> None:
        """Take rows as `add` does, each with its `revision`: `table_of` makes a table of many of them at a time."""
        rows = [one for one in rows if one.revision >= self.position]
        if rows:
            self._rows += rows
            self._table_of = table_of
            if len(self._rows) > ROWS_MAX:
                self._settle()
            self._count(len(rows), now_s)

    def pass_over(self, end: int) -> None:
        """Take note that no row below `end` will come any more; rows that wait for their file have to be read again."""
        if not self.waiting:
            self.position = max(end, self.position)

    def due(self, now_s: float, *, rows_max: int, age_s_max: float, first_s_max: float = float("inf")) -> bool:
        """Say whether it is time to write. Rows from a snapshot age from the first time that this is asked.

        The first file, for which somebody may be waiting, is written after `first_s_max` unless it is one of `raw`.
        """
        if not self.waiting:
            return False
        if self.since_s is None:
            self.since_s = now_s
        age_s_max = min(age_s_max, first_s_max) if self._bare and self.keep else age_s_max
        return self.waiting >= rows_max or now_s - self.since_s >= age_s_max

    def roll(self, end: int) -> None:
        """Write what waits as the file `[first, end)`. Raises RetryableError, and then nothing has changed."""
        end = max(end, self._covered)
        self._settle()
        if not self._tables:
            self.position = max(end, self.position)
            return
        failpoint("roll.begun")
        table = self._joined()
        metadata = {**self._metadata, **({LOG: self.log.encode()} if self.log else {})}
        folder = self._folder_of(table)
        written = self._lake.put(folder, self._source, self.first, end, table, before=self._total, metadata=metadata)
        if written.ours:
            self.files += 1
            self.file_bytes += written.file_bytes
        self._hold(self._from(written.end))
        self._bare = False
        self.first, self._total = written.end, written.total
        self.position = max(written.end, self.position)
        failpoint("roll.noted")

    def snapshot(self, position: int) -> dict[str, Any]:
        """Return where files and rows are, what waits if it can't be had from the log alone, and what all come to."""
        if not self.waiting:
            self.position = max(position, self.position)
        if self.keep:
            self._settle()
        rows = self._joined() if self.keep and self._tables else None
        sums = [self._total, self._total if rows is None else (self._total + rowsum(rows)) & MASK]
        waiting = b"" if rows is None else pack(rows)
        return {"first": self.first, "position": self.position, "waiting": waiting, "sums": sums}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot; `open` comes next."""
        self.first, self.position, self._restored = state["first"], state["position"], True
        self._total = state.get("sums", [0])[0]  # older ones have none
        self._hold([unpack(state["waiting"])] if state["waiting"] else [])

    def _joined(self) -> pa.Table:
        """Return the tables that wait as one, in order."""
        table = pa.concat_tables(self._tables, promote_options="default")
        return table.sort_by(self._order) if self._order else table

    def _count(self, rows: int, now_s: float) -> None:
        self.waiting += rows
        self.since_s = now_s if self.since_s is None else self.since_s

    def _settle(self) -> None:
        """Make the samples and the rows that wait a table."""
        if self._samples:
            self._tables.append(samples_table(Samples.joined(self._samples)))
            self._samples = []
        if self._rows and self._table_of is not None:
            self._tables.append(self._table_of(self._rows))
            self._rows = []

    def _from(self, end: int) -> list[pa.Table]:
        """Return the waiting tables without what is in files below `end`."""
        kept = (t.filter(pc.greater_equal(_offsets(t), end)) for t in self._tables)
        return [t for t in kept if t.num_rows]

    def _hold(self, tables: list[pa.Table]) -> None:
        self._tables = tables
        self.waiting = sum(t.num_rows for t in tables)
        self.since_s = self.since_s if tables else None


def _offsets(table: pa.Table) -> pa.ChunkedArray:
    """Return the offset of the record that each row came of."""
    return table.column("offset" if "offset" in table.column_names else "revision")
