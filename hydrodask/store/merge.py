"""Put rows of cycles into the lake that are not there yet: a cycle of a rig is in a folder once.

What is known of a cycle is its rig, number and start. Rows that an import has brought are replaced by newer ones that
differ, in the file where they are; rows of the stream stay as they are.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hydrodask.errors import IntegrityError, sentence
from hydrodask.records import Float64, PartitionId
from hydrodask.store.lake import Lake
from hydrodask.store.listing import LakeFile, readable

IMPORTED = "import-"
"""What the topic of files that an import made begins with."""

ROUNDED = 1e-4
"""Means that differ by less, of themselves and absolutely, are the same, written with fewer digits."""

_KEPT = ("partition", "revision")
"""Columns that say where a row is, and nothing of its cycle."""


@dataclass(slots=True)
class Merged:
    """What became of rows: files that were written, of these `replaced`, and files that hold them already (`known`).

    `streamed` counts rows that differ from what the stream has stored, which stays; `moved` those whose cycle another
    import has brought with another start. Of several folders with the same cycles the largest count of those holds.
    `unlike` counts rows of means alone that are not taken, though they differ: beside them is all of the samples.
    """

    files: int = 0
    known: int = 0
    replaced: int = 0
    streamed: int = 0
    moved: int = 0
    unlike: int = 0
    file_bytes: int = 0

    def __iadd__(self, other: "Merged") -> Self:
        self.files += other.files
        self.known += other.known
        self.replaced += other.replaced
        self.streamed = max(self.streamed, other.streamed)
        self.moved = max(self.moved, other.moved)
        self.unlike += other.unlike
        self.file_bytes += other.file_bytes
        return self


class Folder:
    """The rows of one folder of the lake; `start` is the column that holds the cycle's start."""

    def __init__(self, lake: Lake, path: str, *, start: str) -> None:
        self._lake, self._path, self._start = lake, path, start
        self._files = readable(lake.files.names(path))

    def merge(self, source: PartitionId, table: pa.Table, *, each: int, rows_max: int) -> Merged:
        """Put in those rows of `table` that are not there, at most `rows_max` a file.

        A row's records have the offsets from `revision` + 1 - `each` up to `revision`. May be repeated, also after a
        crash. Raises RetryableError, and IntegrityError for a damaged file.
        """
        done = Merged()
        wanted = {key: row for row, key in enumerate(self._keys(table))}
        for file in self._files:
            self._compare(file, table, wanted, done)
        rows = sorted(wanted.values())
        for at in range(0, len(rows), rows_max):
            part = table.take(rows[at : at + rows_max])
            first, end = part["revision"][0].as_py() + 1 - each, part["revision"][-1].as_py() + 1
            written = self._lake.put(self._path, source, first, end, part)
            done.files += written.ours
            done.known += not written.ours
            done.file_bytes += written.file_bytes
        return done

    def _compare(self, file: LakeFile, table: pa.Table, wanted: dict[tuple[str, int, int], int], done: Merged) -> None:
        """Take what a file holds out of `wanted`, and put into it what is newer."""
        there = self._keys(self._read(file, ["rig", "cycle", self._start]))
        both = {place: wanted.pop(key) for place, key in enumerate(there) if key in wanted}
        if file.topic.startswith(IMPORTED):
            done.moved += len({key[:2] for key in there} & {key[:2] for key in wanted})
        if not both:
            return
        old = self._read(file)
        ours, theirs = table.take(list(both.values())), old.take(list(both))
        if _is_less(ours, theirs):
            done.known += 1
            done.unlike += _unlike(ours, theirs)
        elif _is_equal(ours, theirs):
            done.known += 1
        elif not file.topic.startswith(IMPORTED):
            done.streamed += len(both)
        else:
            done.file_bytes += self._replace(file, old, ours, list(both))
            done.replaced += 1
            done.files += 1

    def elsewhere(self, table: pa.Table) -> Counter[str]:
        """Return which other rigs have cycles with the very means of `table`, and how many of them."""
        rigs, ours = set(table["rig"].to_pylist()), set(_curves(table)) - {b""}
        found: Counter[str] = Counter()
        for file in self._files:
            there = self._read(file, ["rig", "mean"])
            named = zip(there["rig"].to_pylist(), _curves(there), strict=True)
            found.update(rig for rig, curve in named if rig not in rigs and curve in ours)
        return found

    def _replace(self, file: LakeFile, old: pa.Table, rows: pa.Table, places: list[int]) -> int:
        """Write a file anew with other `rows` in some places; return its size."""
        order = list(range(len(old)))
        for number, place in enumerate(places):
            order[place] = len(old) + number
        new = pa.concat_tables([old, rows.select(old.column_names)]).take(order)
        for name in _KEPT:
            new = new.set_column(new.column_names.index(name), name, old[name])
        data = self._lake.encoded(file.path, new, file.first, self._lake.end_of(file.path))
        self._lake.files.replace(file.path, data)
        return len(data)

    def _read(self, file: LakeFile, columns: list[str] | None = None) -> pa.Table:
        try:
            data = pq.ParquetFile(pa.BufferReader(self._lake.files.read(file.path)))
            return data.read(columns).replace_schema_metadata(None)
        except (pa.ArrowException, KeyError) as error:
            raise IntegrityError(
                f"{file.path} in {self._lake.files.url} is damaged ({sentence(error)}); move it away"
            ) from error

    def _keys(self, table: pa.Table) -> list[tuple[str, int, int]]:
        start_us = pc.cast(table[self._start], pa.int64())
        return list(zip(table["rig"].to_pylist(), table["cycle"].to_pylist(), start_us.to_pylist(), strict=True))


def _is_less(ours: pa.Table, theirs: pa.Table) -> bool:
    """Say whether rows are means alone beside all statistics."""
    return "m2" in ours.column_names and _missing(ours["m2"]) and not _missing(theirs["m2"])


def _unlike(ours: pa.Table, theirs: pa.Table) -> int:
    """Return of how many rows the means differ."""
    mine, other = (np.stack(list(_means(table))) for table in (ours, theirs))
    same = np.isclose(mine, other, rtol=ROUNDED, atol=ROUNDED, equal_nan=True)
    return int((~same.all(axis=1)).sum())


def _means(table: pa.Table) -> Iterator[Float64]:
    """Give the means of each row, NaN where there are none."""
    for row in table["mean"].to_pylist():
        yield np.array(row, np.float64)


def _curves(table: pa.Table) -> list[bytes]:
    """Return the means of each row as bytes; nothing for a flat one, which says nothing of where it is from."""
    return [row.tobytes() if len(np.unique(row)) > 1 else b"" for row in _means(table)]


def _is_equal(ours: pa.Table, theirs: pa.Table) -> bool:
    """Say whether rows tell the same."""
    names = [name for name in ours.column_names if name not in _KEPT and name in theirs.column_names]
    return bool(ours.select(names).equals(theirs.select(names)))


def _missing(lists: pa.ChunkedArray) -> bool:
    """Say whether there is nothing in any of the lists."""
    flat = pc.list_flatten(lists)
    return bool(flat.null_count == len(flat))
