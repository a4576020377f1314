"""Rows of files by rig: read once for all rigs, so that the next rig somebody looks at is there.

A file of the newest hours holds a few minutes of all rigs, and whoever wants one of them decodes it whole. Five-minute
rows and usual ranges of a week are some hundred files, of which each rig is a little: to open one costs more than to
read it. What is decoded is kept within limits of bytes. Safe for threads.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import TypeVar

import pyarrow as pa

from hydrodask import clock
from hydrodask.store import fiveminutes
from hydrodask.store.browse import Browser
from hydrodask.store.curve import Buckets, Curve, Span, curve_of, us_of
from hydrodask.store.listing import LakeFile
from hydrodask.store.recent import Recent
from hydrodask.store.rigtables import BandRows, RigBands, RigBuckets, RigRows, RigWindows

ROWS_MAX = 8_000
"""A larger file of windows or scores is not kept by rig: those of an hour, a file each five minutes, would not fit."""

BANDS_MAX = 40_000
"""The same of usual ranges, which a file has of all sensors."""

BYTES_MAX = 64 << 20
"""What is kept of small files: of 100 rigs some two and a half hours."""

WEEK_BYTES_MAX = 112 << 20
"""What is kept of large ones: a week of 100 rigs."""

WEEK_STEP_US = 1 << 30
"""How far apart usual ranges of large files are kept, some 18 minutes: a week's curve has fewer pixels."""

SCORES = ("rig", "component", "cycle_start", "verdict", "severity", "settled", "state")
_WINDOWS = (*fiveminutes.COLUMNS, "sampling_rate_hz")
_BUCKETS = ("rig", "window_start", "avg_value", "min_value", "max_value", "windows")
_BANDS = ("rig", "sensor", "statistic", "window_start", "centre", "scale", "enter")
_BAND_BYTES = 1.0
"""What a row of usual ranges comes to: half of them are of means, and of these one in some twenty is kept."""

Kind = TypeVar("Kind", RigWindows, RigRows, RigBands)


class ByRig:
    """Reads windows and scores of one lake's files."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._kept: Recent[RigWindows | RigRows | RigBands | BandRows] = Recent(BYTES_MAX)
        self._week: Recent[RigBuckets | RigBands] = Recent(WEEK_BYTES_MAX)
        self._asked: set[str] = set()
        """Large files that were read ahead: each once, whatever became of it."""

    def windows(self, path: str, rig: str, span: Span) -> Curve | None:
        """Return a rig's windows in a file that begin between two times, each at its end; None without any."""
        footer = self._browser.footer(path)
        if footer is None or not footer.groups(rig, span):
            return None
        if footer.metadata.num_rows <= ROWS_MAX:
            whole = self._whole(path, _WINDOWS, RigWindows)
            return None if whole is None else whole.part(rig, span)
        rows = self._browser.read(path, rig, span, _WINDOWS)
        if rows is None:
            return None
        rows = fiveminutes.usable(rows)
        return curve_of(us_of(rows["window_end"]), rows["avg_value"], rows["min_value"], rows["max_value"])

    def scores(self, path: str, rig: str, span: Span) -> pa.Table | None:
        """Return a rig's rows of `scores/` in a file that can have some between two times; None without any."""
        footer = self._browser.footer(path)
        if footer is None or not footer.groups(rig, span):
            return None
        if footer.metadata.num_rows > ROWS_MAX:
            return self._browser.read(path, rig, span, SCORES, keep=True)
        whole = self._whole(path, SCORES, RigRows)
        return None if whole is None else whole.part(rig)

    def buckets(self, path: str, rig: str, span: Span) -> Buckets | None:
        """Return a rig's five-minute rows in a file that can have some between two times; None without any."""
        kept = self._week.get(path, self._browser.stamp(path))
        if isinstance(kept, RigBuckets):
            return kept.part(rig)
        rows = self._browser.read(path, rig, span, _BUCKETS, keep=True)
        return None if rows is None else Buckets.of(rows)

    def bands(self, path: str, rig: str, span: Span, each_us: int) -> BandRows | None:
        """Return what a rig's means usually were in a file between two times, every `each_us`; None without any."""
        footer = self._browser.footer(path)
        if footer is None or not footer.groups(rig, span):
            return None
        if footer.metadata.num_rows <= BANDS_MAX:
            whole = self._whole(path, _BANDS, RigBands)
            return None if whole is None else whole.part(rig).between(span)
        kept = self._week.get(path, self._browser.stamp(path)) if each_us >= WEEK_STEP_US else None
        if isinstance(kept, RigBands):
            return kept.part(rig).between(span)
        key, stamp = (path, rig, each_us), self._browser.stamp(path)
        found = self._kept.get(key, stamp)
        if not isinstance(found, BandRows):
            rows = self._browser.read(path, rig, None, _BANDS)
            if rows is None:
                return None
            found = BandRows.of(rows).thinned(each_us)
            self._kept.put(key, stamp, found)
        return found.between(span)

    def week_ahead(self, chains: Sequence[Sequence[LakeFile]], until_s: float) -> int:
        """Read the large files of these, the newest of each first, `until_s`; return 1 if some are left.

        `until_s` is by the monotonic clock. As many as fit, and each once.
        """
        room: float = WEEK_BYTES_MAX
        for file in (file for files in zip_longest(*chains) for file in files if file is not None):
            footer = self._browser.footer(file.path)
            if footer is None:
                continue
            bands = file.path.startswith("bands/")
            room -= footer.metadata.num_rows * (_BAND_BYTES if bands else RigBuckets.ROW_BYTES)
            if room < 0:
                break
            if file.path in self._asked or (bands and footer.metadata.num_rows <= BANDS_MAX):
                continue
            if clock.monotonic_s() > until_s:
                return 1
            self._asked.add(file.path)
            stamp = self._browser.stamp(file.path)
            rows = self._browser.read(file.path, None, None, _BANDS if bands else _BUCKETS)
            if rows is not None:
                self._week.put(file.path, stamp, RigBands.of(rows, WEEK_STEP_US) if bands else RigBuckets.of(rows))
        self._asked &= {file.path for files in chains for file in files}
        return 0

    def ahead(self, files: Sequence[LakeFile], until_s: float) -> int:
        """Read those of these files that are not kept, `until_s` by the monotonic clock; return 1 if some are left."""
        for file in files:
            footer, bands = None if file.path in self._kept else self._browser.footer(file.path), "bands/" in file.path
            if footer is None or footer.metadata.num_rows > (BANDS_MAX if bands else ROWS_MAX):
                continue
            if clock.monotonic_s() > until_s:
                return 1
            if bands:
                self._whole(file.path, _BANDS, RigBands)
            elif file.path.startswith("scores/"):
                self._whole(file.path, SCORES, RigRows)
            else:
                self._whole(file.path, _WINDOWS, RigWindows)
        return 0

    def _whole(self, path: str, columns: Sequence[str], kind: type[Kind]) -> Kind | None:
        stamp = self._browser.stamp(path)
        kept = self._kept.get(path, stamp)
        if isinstance(kept, kind):
            return kept
        rows = self._browser.read(path, None, None, columns)
        if rows is None:
            return None
        made = kind.of(rows)
        self._kept.put(path, stamp, made)
        return made
