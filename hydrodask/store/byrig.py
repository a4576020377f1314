"""Windows and scores of small files by rig: read once for all rigs, so that the next rig somebody looks at is there.

A file of the newest hours holds a few minutes of all rigs, and whoever wants one of them decodes it whole. What is
decoded is kept within a limit of bytes, the last used longest. Safe for threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

from hydrodask import clock
from hydrodask.records import Float64, Int64
from hydrodask.store import fiveminutes
from hydrodask.store.arrays import numbers, places
from hydrodask.store.browse import AS_IT_IS, Browser
from hydrodask.store.curve import Curve, Span, codes_of, curve_of, us_of
from hydrodask.store.listing import LakeFile
from hydrodask.store.recent import Recent

ROWS_MAX = 8_000
"""A larger file is not kept by rig: an hour of 17 sensors, a file each five minutes, would not fit."""

BYTES_MAX = 64 << 20
"""What is kept: of 100 rigs some two and a half hours."""

SCORES = ("rig", "component", "cycle_start", "verdict", "severity", "settled", "state")
_WINDOWS = (*fiveminutes.COLUMNS, "sampling_rate_hz")


@dataclass(frozen=True, slots=True)
class RigWindows:
    """One file's windows by rig and start; every column has shape (n,). `rigs`: where a rig's rows begin and end."""

    rigs: dict[str, tuple[int, int]]
    start_us: Int64
    end_us: Int64
    mean: Float64
    low: Float64
    high: Float64

    @classmethod
    def of(cls, rows: pa.Table) -> "RigWindows":
        """Return rows of a file of `windows/`, without those of which less than half is there."""
        rows = fiveminutes.usable(rows)
        codes, names = codes_of(rows["rig"])
        start_us = us_of(rows["window_start"])
        order = np.lexsort((start_us, codes))
        values = (numbers(rows[name])[order] for name in ("avg_value", "min_value", "max_value"))
        return cls(_bounds(codes[order], names), start_us[order], us_of(rows["window_end"])[order], *values)

    @property
    def nbytes(self) -> int:
        """What the columns take in memory, and the names of the rigs about as much as a row each."""
        return 5 * self.start_us.nbytes + 200 * len(self.rigs)

    def part(self, rig: str, span: Span) -> Curve:
        """Return a rig's windows that begin between two times."""
        first, end = self.rigs.get(rig, (0, 0))
        fits = (self.start_us[first:end] >= span[0]) & (self.start_us[first:end] <= span[1])
        mean, low, high = (column[first:end][fits] for column in (self.mean, self.low, self.high))
        return Curve(self.end_us[first:end][fits], mean, low, high)


@dataclass(frozen=True, slots=True)
class RigRows:
    """One file's rows by rig. `rigs`: where a rig's rows begin and end."""

    rigs: dict[str, tuple[int, int]]
    rows: pa.Table

    @classmethod
    def of(cls, rows: pa.Table) -> "RigRows":
        """Return rows of a file in the order of their rigs. Stable."""
        codes, names = codes_of(rows["rig"])
        order = np.argsort(codes, kind="stable")
        return cls(_bounds(codes[order], names), rows.take(places(order)).combine_chunks())

    @property
    def nbytes(self) -> int:
        """What the rows take in memory, and the names of the rigs."""
        return int(self.rows.nbytes) + 200 * len(self.rigs)

    def part(self, rig: str) -> pa.Table:
        """Return a rig's rows."""
        first, end = self.rigs.get(rig, (0, 0))
        return self.rows.slice(first, end - first)


def _bounds(codes: Int64, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return where the rows of each name begin and end, of codes in order."""
    begins = np.flatnonzero(np.diff(codes, prepend=-1))
    bounds = zip(begins.tolist(), [*begins[1:].tolist(), len(codes)], strict=False)
    return {names[code]: bound for code, bound in zip(codes[begins].tolist(), bounds, strict=True)}


Kind = TypeVar("Kind", RigWindows, RigRows)


class ByRig:
    """Reads windows and scores of one lake's files."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._kept: Recent[RigWindows | RigRows] = Recent(BYTES_MAX)

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
            return self._browser.read(path, rig, span, SCORES, AS_IT_IS)
        whole = self._whole(path, SCORES, RigRows)
        return None if whole is None else whole.part(rig)

    def ahead(self, files: Sequence[LakeFile], until_s: float) -> int:
        """Read those of these files that are not kept, `until_s` by the monotonic clock; return 1 if some are left."""
        for file in files:
            footer = None if file.path in self._kept else self._browser.footer(file.path)
            if footer is None or footer.metadata.num_rows > ROWS_MAX:
                continue
            if clock.monotonic_s() > until_s:
                return 1
            if file.path.startswith("scores/"):
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
