"""Five-minute rows of files that `compact` has not been at yet: summed once, kept for all rigs, within limits.

Whoever asks says until when it wants to wait: what is not summed by then is told as so many files, and goes on at the
next call. Of what does not fit into memory the oldest is left out, and that is said. Safe for threads.
"""

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from hydrodask import clock
from hydrodask.records import Int64
from hydrodask.store import fiveminutes
from hydrodask.store.arrays import numbers, places
from hydrodask.store.browse import Browser
from hydrodask.store.curve import Buckets, codes_of, us_of
from hydrodask.store.listing import LakeFile

ROWS_MAX = 120_000
"""Rows of a sensor that are kept: of all 17 sensors some 90 MB."""

BATCH_ROWS = 100_000
"""Rows of files that are summed at once: a clock is looked at after each batch."""

_COLUMNS = [*fiveminutes.COLUMNS, "sampling_rate_hz"]
_FULL = "more small files than can be summed; the oldest are left out: run `hydrodask compact`"


@dataclass
class _SensorSums:
    """What is known of one sensor. `rows` are by rig, and replaced as a whole: who reads needs no lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    numbers: dict[str, int] = field(default_factory=dict)
    numbered: int = 0
    """Files that ever got a number: none is given twice, or who reads meanwhile would take one file for another."""
    rigs: dict[str, int] = field(default_factory=dict)
    rows: tuple[Int64, Int64, Buckets] = field(
        default_factory=lambda: (np.zeros(0, np.int64), np.zeros(0, np.int64), Buckets.none())
    )
    """Each row's rig, its file, and what it says."""

    def of(self, rig: str, files: Sequence[LakeFile]) -> Buckets:
        """Return the rows of a rig in these files, as far as they are known."""
        code, numbers_, (rigs, files_, buckets) = self.rigs.get(rig), self.numbers, self.rows
        known = [numbers_[file.path] for file in files if file.path in numbers_]
        if code is None or not known:
            return Buckets.none()
        low, high = np.searchsorted(rigs, [code, code + 1])
        return buckets.part(low + np.flatnonzero(np.isin(files_[low:high], known)))

    def keep(self, files: Sequence[LakeFile]) -> None:
        """Forget all files but these."""
        kept = {file.path: self.numbers[file.path] for file in files if file.path in self.numbers}
        there = np.isin(self.rows[1], list(kept.values()))
        self.rows = self.rows[0][there], self.rows[1][there], self.rows[2].part(np.flatnonzero(there))
        self.numbers = kept

    def add(self, files: Sequence[LakeFile], tables: Sequence[pa.Table]) -> None:
        """Sum files."""
        first, self.numbered = self.numbered, self.numbered + len(files)
        numbered = [
            table.append_column("file", places(np.full(table.num_rows, first + at))) for at, table in enumerate(tables)
        ]
        rows = fiveminutes.usable(pa.concat_tables(numbered, promote_options="permissive").unify_dictionaries())
        codes, names = codes_of(rows["rig"])
        rigs = np.array([self.rigs.setdefault(name, len(self.rigs)) for name in names], np.int64)[codes]
        file, at_us = numbers(rows["file"]), us_of(rows["window_start"]) // fiveminutes.BUCKET_US
        order = np.lexsort((at_us, file, rigs))
        rigs, file, at_us = rigs[order], file[order], at_us[order]
        changes = (np.diff(column, prepend=-1) != 0 for column in (rigs, file, at_us))
        begins = np.flatnonzero(np.logical_or.reduce([*changes]))
        if len(order):
            mean, low, high = (numbers(rows[name])[order] for name in ("avg_value", "min_value", "max_value"))
            windows = np.diff(np.append(begins, len(order)))
            made = Buckets(
                at_us[begins] * fiveminutes.BUCKET_US, np.add.reduceat(mean, begins) / windows,
                np.minimum.reduceat(low, begins), np.maximum.reduceat(high, begins), windows,
            )  # fmt: skip
            rigs, file = np.append(self.rows[0], rigs[begins]), np.append(self.rows[1], file[begins])
            by_rig = np.argsort(rigs, kind="stable")
            buckets = Buckets.joined([self.rows[2], made]).part(by_rig)
            self.rows = rigs[by_rig], file[by_rig], buckets
        self.numbers |= {file.path: first + at for at, file in enumerate(files)}


class Sums:
    """Sums files of one lake."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._lock = threading.Lock()
        self._sums: dict[str, _SensorSums] = defaultdict(_SensorSums)

    def of(self, sensor: str, rig: str, files: Sequence[LakeFile], until_s: float | None) -> tuple[Buckets, int]:
        """Return a rig's rows of these files, newest first, and how many of them are not summed yet.

        `until_s` is when to return at the latest, by the monotonic clock; None: when all is summed.
        """
        with self._lock:
            sums = self._sums[sensor]
        left = sum(file.path not in sums.numbers for file in files)
        if left and sums.lock.acquire(timeout=-1 if until_s is None else max(0.0, until_s - clock.monotonic_s())):
            try:
                left = self._sum(sums, sensor, files, until_s)
            finally:
                sums.lock.release()
        return sums.of(rig, files), left

    def _sum(self, sums: _SensorSums, sensor: str, files: Sequence[LakeFile], until_s: float | None) -> int:
        """Sum what is not summed until it is time, and return how many files are left."""
        missing, full = [file for file in files if file.path not in sums.numbers], _no_room(sums, files)
        while missing and not full and (until_s is None or clock.monotonic_s() < until_s):
            batch: list[tuple[LakeFile, pa.Table]] = []
            rows = 0
            while missing and rows < BATCH_ROWS and (until_s is None or clock.monotonic_s() < until_s):
                file = missing.pop(0)
                table = self._browser.read(file.path, None, None, _COLUMNS)
                if table is not None:
                    batch.append((file, table))
                    rows += table.num_rows
            if batch:
                sums.add(*zip(*batch, strict=True))
            full = _no_room(sums, files)
        self._browser.trouble(f"{fiveminutes.FOLDER}/sensor={sensor}", _FULL if full else "")
        return 0 if full else len(missing)


def _no_room(sums: _SensorSums, files: Sequence[LakeFile]) -> bool:
    """Say whether there is no room for more, also when all but these files are forgotten."""
    if len(sums.rows[0]) > ROWS_MAX:
        sums.keep(files)
    return len(sums.rows[0]) > ROWS_MAX
