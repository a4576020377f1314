"""Rows of files by rig: read once for all rigs, so that the next rig somebody looks at is there.

A file of the newest hours holds a few minutes of all rigs, and whoever wants one of them decodes it whole. Five-minute
rows and usual ranges of a week are some hundred files, of which each rig is a little: to open one costs more than to
read it. What is decoded is kept within limits of bytes. Safe for threads.
"""

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TypeVar

import pyarrow as pa

from hydrodask import clock
from hydrodask.errors import sentence
from hydrodask.store import fiveminutes
from hydrodask.store.browse import KEPT_GROUPS_MAX, UNREADABLE, Browser
from hydrodask.store.curve import Buckets, Curve, Span, curve_of, us_of
from hydrodask.store.footers import Footer
from hydrodask.store.listing import LakeFile
from hydrodask.store.recent import Recent
from hydrodask.store.rigtables import BandRows, RigBands, RigBuckets, RigRows, RigWindows

ROWS_MAX = 8_000
"""A larger file of windows or scores is not kept by rig: those of an hour, a file each five minutes, would not fit."""

BANDS_MAX = 40_000
"""The same of usual ranges, which a file has of all sensors."""

BYTES_MAX = 64 << 20
"""What is kept of small files: of 100 rigs some two hours."""

AHEAD_BYTES_MAX = BYTES_MAX * 7 // 8
"""How much of it is read ahead: the rest is for who looks at other hours."""

WEEK_BYTES_MAX = 112 << 20
"""What is kept of large files, and only of a lake on a disk of ours: a week of 100 rigs."""

WEEK_STEP_US = 1 << 30
"""How far apart usual ranges of large files are kept, some 18 minutes: a week's curve has fewer pixels."""

SCORES = ("rig", "component", "cycle_start", "verdict", "severity", "settled", "state")
_WINDOWS = (*fiveminutes.COLUMNS, "sampling_rate_hz")
_BUCKETS = ("rig", "window_start", "avg_value", "min_value", "max_value", "windows")
_BANDS = ("rig", "sensor", "statistic", "window_start", "centre", "scale", "enter")

Whole = RigWindows | RigRows | RigBands
Kind = TypeVar("Kind", RigWindows, RigRows, RigBands)
T = TypeVar("T")


class ByRig:
    """Reads windows, five-minute rows, usual ranges and scores of one lake's files."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._kept: Recent[Whole | BandRows] = Recent(BYTES_MAX)
        self._week: dict[str, tuple[object, RigBuckets | RigBands]] = {}
        """Large files that `week_ahead` keeps, each with its stamp. One thread writes it."""
        self._sizes: dict[str, int] = {}
        """What large files took that were read ahead, kept or not: each is read once."""

    def windows(self, path: str, rig: str, span: Span) -> Curve | None:
        """Return a rig's windows in a file that begin between two times, each at its end; None without any."""
        footer = self._holding(path, rig, span)
        if footer is None:
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
        footer = self._holding(path, rig, span)
        if footer is None:
            return None
        if footer.metadata.num_rows > ROWS_MAX:
            return self._browser.read(path, rig, span, SCORES, keep=True)
        whole = self._whole(path, SCORES, RigRows)
        return None if whole is None else whole.part(rig)

    def buckets(self, path: str, rig: str, span: Span) -> Buckets | None:
        """Return a rig's five-minute rows in a file that can have some between two times; None without any."""
        kept = self._of_week(path, self._browser.stamp(path))
        if isinstance(kept, RigBuckets):
            return kept.part(rig)
        rows = self._browser.read(path, rig, span, _BUCKETS, keep=True)
        return None if rows is None else Buckets.of(rows)

    def bands(self, path: str, rig: str, span: Span, each_us: int) -> BandRows | None:
        """Return what a rig's means usually were in a file between two times, every `each_us`; None without any."""
        footer = self._holding(path, rig, span)
        if footer is None:
            return None
        stamp = self._browser.stamp(path)
        kept = self._of_week(path, stamp) if each_us >= WEEK_STEP_US else None
        whole = self._kept.get(path, stamp) if kept is None else kept
        if isinstance(whole, RigBands):
            return whole.part(rig).between(span)
        few = len(footer.groups(rig, None)) <= KEPT_GROUPS_MAX
        key = path, rig, each_us
        found = self._kept.get(key, stamp) if few else None
        if not isinstance(found, BandRows):
            rows = self._browser.read(path, rig, None if few else span, _BANDS)
            if rows is None:
                return None
            found = BandRows.of(rows).thinned(each_us)
            if few:
                self._kept.put(key, stamp, found)
        return found.between(span)

    def ahead(self, files: Sequence[LakeFile], until_s: float) -> int:
        """Read those of these small files that are not kept, as many as fit; return 1 if some are left `until_s`.

        `until_s` is by the monotonic clock.
        """
        room = AHEAD_BYTES_MAX
        for path in (file.path for file in files):
            if not (size := self._kept.size(path)):
                if clock.monotonic_s() > until_s:
                    return 1
                footer, bands = self._browser.footer(path), path.startswith("bands/")
                if footer is None or footer.metadata.num_rows > (BANDS_MAX if bands else ROWS_MAX):
                    continue
                if bands:
                    self._whole(path, _BANDS, RigBands)
                elif path.startswith("scores/"):
                    self._whole(path, SCORES, RigRows)
                else:
                    self._whole(path, _WINDOWS, RigWindows)
                size = self._kept.size(path)
            room -= size
            if room < 0:
                break
        return 0

    def week_ahead(self, chains: Sequence[Sequence[LakeFile]], until_s: float) -> int:
        """Read the large files of these, the newest of each first, as many as fit; return 1 if some are left `until_s`.

        `until_s` is by the monotonic clock. Of a lake elsewhere nothing is read: there a file's state is not known.
        """
        if not self._browser.here:
            return 0
        room, inside = WEEK_BYTES_MAX, set[str]()
        files = [file.path for files in zip_longest(*chains) for file in files if file is not None]
        for path in files:
            if (size := self._sizes.get(path)) is None:
                if clock.monotonic_s() > until_s:
                    return 1
                size = self._kept_of_week(path, room)
                if size is None:
                    continue
            room -= size
            if room < 0:
                break
            inside.add(path)
        for path in set(self._week) - inside:
            del self._week[path]
        self._sizes = {path: self._sizes[path] for path in files if path in self._sizes}
        return 0

    def _kept_of_week(self, path: str, room: int) -> int | None:
        """Keep a large file if there is room; return what it takes or would take, None when it is a small one."""
        footer, bands = self._browser.footer(path), path.startswith("bands/")
        if footer is None or (bands and footer.metadata.num_rows <= BANDS_MAX):
            return None
        if not bands and footer.metadata.num_rows * RigBuckets.ROW_BYTES > room:
            return room + 1
        stamp, made = self._browser.stamp(path), self._large(path, bands=bands)
        self._sizes[path] = size = 0 if made is None else made.nbytes
        if made is not None and size <= room:
            self._week[path] = stamp, made
        return size

    def _large(self, path: str, *, bands: bool) -> RigBuckets | RigBands | None:
        return self._made(path, _BANDS, _thinned) if bands else self._made(path, _BUCKETS, RigBuckets.of)

    def _of_week(self, path: str, stamp: object) -> RigBuckets | RigBands | None:
        stamped, kept = self._week.get(path, (None, None))
        return kept if stamped == stamp else None

    def _holding(self, path: str, rig: str, span: Span) -> Footer | None:
        """Return the footer of a file that can have rows of a rig between two times; None of another one."""
        footer = self._browser.footer(path)
        return footer if footer is not None and footer.groups(rig, span) else None

    def _whole(self, path: str, columns: Sequence[str], kind: type[Kind]) -> Kind | None:
        stamp = self._browser.stamp(path)
        kept = self._kept.get(path, stamp)
        if isinstance(kept, kind):
            return kept
        made = self._made(path, columns, kind.of)
        if made is not None:
            self._kept.put(path, stamp, made)
        return made

    def _made(self, path: str, columns: Sequence[str], make: Callable[[pa.Table], T]) -> T | None:
        """Return what is made of all rows of a file; None for one that can't be read, and that is said."""
        rows = self._browser.read(path, None, None, columns)
        try:
            return None if rows is None else make(rows)
        except UNREADABLE as error:  # a column is not there
            self._browser.trouble(path, sentence(error))
            return None


def _thinned(rows: pa.Table) -> RigBands:
    return RigBands.of(rows, WEEK_STEP_US)
