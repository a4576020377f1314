"""Find and read the few files of a lake that hold a rig's rows between two times: what `History` is made of.

A file's footer tells which times and rigs it holds, so of thousands of files a few are opened. What can't be read is
left out and said in `troubles`. Safe for threads.
"""

import io
import os
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hydrodask import clock
from hydrodask.errors import RetryableError, sentence
from hydrodask.records import PartitionId
from hydrodask.store import fiveminutes
from hydrodask.store.arrays import places
from hydrodask.store.curve import Span, codes_of, us_of
from hydrodask.store.footers import Footer, footer_of
from hydrodask.store.lake import Lake
from hydrodask.store.listing import LakeFile, readable
from hydrodask.store.recent import Recent

LISTED_S = 2.0
"""How long a listing of a folder is used."""

FOOTERS_MAX = 60_000
"""Footers that are remembered: a week of 17 sensors that nobody has compacted."""

FILES_MAX = 2_200
"""Files of one sensor that are read for one curve: a week of files of five minutes, and a little more."""

LOOKED_MAX = 20_000
"""Files whose footers are looked at, from the newest on, to find those of one curve."""

OLDER_MAX = 4
"""So many files in a row that end before the time that is asked for mean that there is nothing before them either."""

TROUBLES_MAX = 4

READ_S = 5.0
"""How long files are read for one curve."""

KEPT_BYTES_MAX = 64 << 20
"""Rows that are kept for the next look: five-minute rows and scores of a week of some thirty rigs."""

KEPT_GROUPS_MAX = 4
"""Row groups of a file that can hold a rig at most, for its rows to be kept: in a file by rig there are one or two."""

KEPT_S = 300.0
"""How long rows are kept of a lake that is on no disk of ours: whether a file is still the same is a request there."""

UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError, RetryableError)
_CUT = "more files than are read for one curve; ask for a shorter time, or run `hydrodask compact`"
_SLOW = "it takes too long to read all of these files, the oldest are left out: run `hydrodask compact`"
_EVER = 1 << 62
_TIMES = {
    **dict.fromkeys(("raw", "labels"), "timestamp"),
    **dict.fromkeys(("windows", "bands", fiveminutes.FOLDER), "window_start"),
    **dict.fromkeys(("cycles", "scores"), "cycle_start"),
}

Chains = dict[str, list[list[LakeFile]]]
"""Files by sensor: those of each partition, the newest first."""


@dataclass
class Browser:
    """Reads files of one lake. `troubles` are what can't be read now, by path."""

    lake: Lake
    troubles: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._listing: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._footers: OrderedDict[str, Footer] = OrderedDict()
        self._recent: Recent[pa.Table] = Recent(KEPT_BYTES_MAX)
        self._names: dict[str, tuple[float, list[str], Chains]] = {}
        local = self.lake.files.local
        self._local = None if local is None else str(local)

    def chains(self, folder: str, sensor: str) -> list[list[LakeFile]]:
        """Return the files that hold a sensor's rows, each row once, by partition; of a moment ago at most."""
        with self._lock:
            lock = self._listing[folder]
        with lock:  # whoever comes meanwhile takes what is listed for the first one
            listed_s, before, chains = self._names.get(folder, (float("-inf"), [], {}))
            if clock.monotonic_s() - listed_s > LISTED_S:
                names = self.lake.files.names(folder)
                if names != before:
                    chains = _chains(names)
                    self._forget(folder, before, names)
                self._names[folder] = (clock.monotonic_s(), names, chains)
        return chains.get(sensor, [])

    def _forget(self, folder: str, before: Sequence[str], names: Sequence[str]) -> None:
        """Forget the troubles and footers of files that are gone."""
        with self._lock:
            for path in set(before).difference(names):
                self._footers.pop(path, None)
            ours = {path for path in self.troubles if path.startswith(f"{folder}/") and path.endswith(".parquet")}
            for path in ours.difference(names):
                del self.troubles[path]

    def newest(self, sensor: str) -> list[LakeFile]:
        """Return the newest files of windows of each partition: offsets of two of them say nothing of each other."""
        return [file for files in self.chains("windows", sensor) for file in files[:OLDER_MAX]]

    def between(self, folder: str, sensor: str, start_us: int, end_us: int) -> Iterator[LakeFile]:
        """Give the files of a sensor with rows between two times, newest first; says so if there are too many."""
        cut = False
        for files in self.chains(folder, sensor):
            older = given = 0
            for looked, file in enumerate(files):
                if looked >= LOOKED_MAX:
                    cut = True
                    break
                footer = self.footer(file.path)
                if footer is None or not footer.rigs:
                    continue
                older = older + 1 if footer.high_us < start_us else 0
                if older > OLDER_MAX:
                    break
                here = footer.low_us <= end_us and footer.high_us >= start_us
                if here and given == FILES_MAX:
                    cut = True
                    break
                if here:
                    given += 1
                    yield file
        self.trouble(f"{folder}/sensor={sensor}" if sensor else folder, _CUT if cut else "")

    def rows(
        self,
        folder: str,
        sensor: str,
        rig: str,
        span: Span,
        columns: Sequence[str],
    ) -> pa.Table | None:
        """Return a rig's rows of all files between two times (see `in_time`, `read`); texts are dictionaries."""
        found = (self.read(path, rig, span, columns) for path in self.in_time(folder, sensor, span))
        there = [rows for rows in found if rows is not None and rows.num_rows]
        return pa.concat_tables(there, promote_options="permissive").unify_dictionaries() if there else None

    def in_time(self, folder: str, sensor: str, span: Span, step_us: int = 0) -> Iterator[str]:
        """Give the paths of `between`; with `step_us` no more small files than give rows that often.

        After `READ_S` the older ones are left out, and that is said.
        """
        end_s, before_us, cut = clock.monotonic_s() + READ_S, _EVER, False
        for file in self.between(folder, sensor, *span):
            footer = self.footer(file.path)
            if footer is None or (file.end is None and before_us - step_us < footer.low_us < before_us):
                continue
            if cut := clock.monotonic_s() > end_s:
                break
            before_us = footer.low_us
            yield file.path
        self.trouble(f"{folder}/{sensor} in time", _SLOW if cut else "")

    def read(
        self, path: str, rig: str | None, span: Span | None, columns: Sequence[str], *, keep: bool = False
    ) -> pa.Table | None:
        """Return the rows of a file of one rig between two times: of those row groups that can have some.

        `columns` have the rig and the time. Texts are dictionaries. With `keep` all of a rig's rows in the file are
        kept for the next time.
        """
        footer = self.footer(path) if keep and rig is not None else None
        if footer is None or len(footer.groups(rig, None)) > KEPT_GROUPS_MAX:
            rows = self._groups(path, rig, span, columns)
            return None if rows is None else part_of(rows, rig, span, _time(path))
        if span is not None and not footer.groups(rig, span):
            return None
        key, stamp = (path, rig, tuple(columns)), self.stamp(path)
        kept = self._recent.get(key, stamp)
        if kept is None:
            rows = self._groups(path, rig, None, columns)
            if rows is None:
                return None
            # A copy: a slice would keep all of the row groups.
            kept = part_of(rows, rig, None, "", copy=True)
            self._recent.put(key, stamp, kept)
        return part_of(kept, None, span, _time(path))

    @property
    def here(self) -> bool:
        """Whether the lake is on a disk of ours, where a file's state is known at once."""
        return self._local is not None

    def stamp(self, path: str) -> object:
        """Return what changes when a file is replaced by another of its name; elsewhere than on a disk with time."""
        if self._local is None:
            return int(clock.monotonic_s() / KEPT_S)
        try:
            there = os.stat(f"{self._local}/{path}")  # noqa: PTH116 - two hundred of them an answer, and a Path costs more
        except OSError:
            return None
        return there.st_ino, there.st_size, there.st_mtime_ns

    def _groups(self, path: str, rig: str | None, span: Span | None, columns: Sequence[str]) -> pa.Table | None:
        """Return the row groups that can have some; of a file that was replaced since its footer was read, too."""
        why = ""
        for _ in range(2):
            footer = self.footer(path)
            groups = [] if footer is None else footer.groups(rig, span)
            if footer is None or not groups:
                return None
            texts = [name for name in footer.texts if name in columns]
            try:
                with self._open(path) as opened:
                    file = pq.ParquetFile(opened, metadata=footer.metadata, read_dictionary=texts)
                    has = [name for name in columns if name in footer.columns]
                    rows = file.read_row_groups(groups, columns=has, use_threads=False)
                rows = (rows.unify_dictionaries() if len(groups) > 1 else rows).replace_schema_metadata(None)
            except UNREADABLE as error:
                why = sentence(error)
                with self._lock:
                    self._footers.pop(path, None)
            else:
                self.trouble(path, "")
                return rows
        self.trouble(path, why)
        return None

    def footer(self, path: str) -> Footer | None:
        """Return what a file's footer says, None when it can't be read."""
        known = self._footers.get(path)
        if known is not None:
            return known
        try:
            with self._open(path) as opened:
                made = footer_of(pq.read_metadata(opened), _time(path))
        except UNREADABLE as error:
            self.trouble(path, sentence(error))
            return None
        self.trouble(path, "")
        with self._lock:
            self._footers[path] = made
            while len(self._footers) > FOOTERS_MAX:
                self._footers.popitem(last=False)
        return made

    def _open(self, path: str) -> Any:
        """Return a file to read from: the disk's own where there is one, else all of its bytes."""
        here = self._local
        return io.BytesIO(self.lake.files.read(path)) if here is None else pa.OSFile(f"{here}/{path}")

    def trouble(self, path: str, why: str) -> None:
        """Remember why a file can't be read; nothing: it can."""
        if not why and path not in self.troubles:
            return
        with self._lock:
            if not why:
                self.troubles.pop(path, None)
            elif len(self.troubles) < TROUBLES_MAX or path in self.troubles:
                self.troubles[path] = why


def part_of(rows: pa.Table, rig: str | None, span: Span | None, time: str, *, copy: bool = False) -> pa.Table:
    """Return the rows of one rig between two times; None: of all."""
    if rig is None and span is None:
        return rows
    fits = np.ones(rows.num_rows, np.bool_)
    if rig is not None:
        codes, names = codes_of(rows["rig"])
        fits &= codes == names.index(rig) if rig in names else False
    if span is not None:
        at_us = us_of(rows[time])
        fits &= (at_us >= span[0]) & (at_us <= span[1])
    there = np.flatnonzero(fits)
    if not copy and len(there) and there[-1] - there[0] + 1 == len(there):
        return rows.slice(int(there[0]), len(there))
    return rows.take(places(there))


def _time(path: str) -> str:
    return _TIMES[path.partition("/")[0]]


def _chains(names: Sequence[str]) -> Chains:
    found: dict[str, dict[PartitionId, list[LakeFile]]] = {}
    for file in readable(names):
        found.setdefault(file.parts.get("sensor", ""), {}).setdefault(file.source, []).append(file)
    return {
        sensor: [sorted(files, key=lambda one: -one.first) for files in chains.values()]
        for sensor, chains in found.items()
    }
