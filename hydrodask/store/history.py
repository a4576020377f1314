"""Read the history of one rig for people: windows, five-minute rows, bands, raw samples, and scores of components.

Fast rather than complete: what can't be read is left out and said in `troubles`, and nobody computes anything from it.
Safe for threads.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from hydrodask import clock
from hydrodask.channels import SENSORS
from hydrodask.store import fiveminutes
from hydrodask.store.browse import Browser, part_of
from hydrodask.store.byrig import ByRig
from hydrodask.store.curve import (
    CYCLE_US,
    Buckets,
    Curve,
    CurveBand,
    Stretch,
    codes_of,
    curve_of,
    joined,
    nothing,
    stretches,
    us_of,
)
from hydrodask.store.lake import Lake
from hydrodask.store.listing import LakeFile
from hydrodask.store.rigtables import BandRows
from hydrodask.store.schemas import FLAT
from hydrodask.store.summing import Sums

SUMMED_MAX = 300
"""Files of a sensor that are summed or looked at before anybody asks: a day of files of five minutes, and some."""

HOUR_FILES = 13
"""Files of a partition that are read before anybody asks: an hour of files of five minutes."""

_HOLDING = ("windows", fiveminutes.FOLDER, "cycles", "raw")
"""Folders by sensor, the cheapest first."""


class History:
    """Reads one lake. `troubles` are what can't be read now, by path."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.troubles = lake, dict[str, str]()
        self._browser = Browser(lake, self.troubles)
        self._sums = Sums(self._browser)
        self._by_rig = ByRig(self._browser)

    def windows(self, rig: str, sensor: str, start_us: int, end_us: int) -> Curve:
        """Return the final windows that begin between two times; each is at its end. None below half of its samples."""
        span = start_us, end_us
        paths = self._browser.in_time("windows", sensor, span)
        return joined([part for path in paths if (part := self._by_rig.windows(path, rig, span)) is not None])

    def coarse(self, rig: str, sensor: str, start_us: int, end_us: int, until_s: float | None = None) -> Curve:
        """Return five-minute rows between two times, each in its middle: of what `compact` has written where it has.

        Other files are summed, newest first, `until_s` by the monotonic clock; how many are left then is `pending`.
        """
        made, small, parts = self._made(sensor), [], [Buckets.none()]
        for file in self._browser.between("windows", sensor, start_us, end_us):
            path = fiveminutes.path_of(file.path)
            if path not in made:
                small.append(file)
                continue
            rows = self._by_rig.buckets(path, rig, (start_us - fiveminutes.BUCKET_US, end_us))
            if rows is not None:
                parts.append(rows)
        summed, pending = self._sums.of(sensor, rig, small, until_s)
        rows_ = Buckets.joined([*parts, summed])
        inside = (rows_.start_us + fiveminutes.BUCKET_US > start_us) & (rows_.start_us < end_us)
        return rows_.part(np.flatnonzero(inside)).curve(pending)

    def sum_ahead(self, sensor: str, seconds: float) -> int:
        """Sum the newest small files of a sensor, so that nobody waits for it; return how many are left."""
        made = self._made(sensor)
        newest = [file for files in self._browser.chains("windows", sensor) for file in files[:SUMMED_MAX]]
        small = [file for file in newest if fiveminutes.path_of(file.path) not in made]
        return self._sums.of(sensor, "", small, clock.monotonic_s() + seconds)[1]

    def look_ahead(self, seconds: float) -> int:
        """Read the footers of the newest files, so that nobody waits for them; return 1 while more are left."""
        until_s = clock.monotonic_s() + seconds
        by_sensor = [(folder, sensor) for sensor in SENSORS for folder in ("windows", fiveminutes.FOLDER)]
        for folder, sensor in [("bands", ""), ("scores", ""), *by_sensor]:
            for file in (file for files in self._browser.chains(folder, sensor) for file in files[:SUMMED_MAX]):
                if clock.monotonic_s() > until_s:
                    return 1
                self._browser.footer(file.path)
        return 0

    def read_ahead(self, seconds: float) -> int:
        """Read the newest small files, so that nobody waits for them; return 1 while more are left."""
        files = []
        for folder, sensor in [("bands", ""), *(("windows", sensor) for sensor in SENSORS)]:
            files += [file for files in self._browser.chains(folder, sensor) for file in files[:HOUR_FILES]]
        files += [file for files in self._browser.chains("scores", "") for file in files[:SUMMED_MAX]]
        return self._by_rig.ahead(files, clock.monotonic_s() + seconds)

    def week_ahead(self, seconds: float) -> int:
        """Read five-minute rows and usual ranges of large files, so that nobody waits; return 1 while some are left."""
        folders = [*((fiveminutes.FOLDER, sensor) for sensor in SENSORS), ("bands", "")]
        chains = [files for folder, sensor in folders for files in self._browser.chains(folder, sensor)]
        return self._by_rig.week_ahead(chains, clock.monotonic_s() + seconds)

    def _made(self, sensor: str) -> set[str]:
        """Return the paths of the five-minute rows that there are."""
        return {file.path for files in self._browser.chains(fiveminutes.FOLDER, sensor) for file in files}

    def raw(self, rig: str, sensor: str, start_us: int, end_us: int) -> Curve:
        """Return the raw samples between two times."""
        rows = self._browser.rows("raw", sensor, rig, (start_us, end_us), ["rig", "timestamp", "value"])
        if rows is None:
            return nothing()
        return curve_of(us_of(rows["timestamp"]), rows["value"], rows["value"], rows["value"])

    def bands(self, rig: str, start_us: int, end_us: int, step_us: int = 0) -> dict[str, CurveBand]:
        """Return what each sensor's mean usually was between two times, every `step_us`: the baseline that judged."""
        each_us = 1 << max(0, step_us.bit_length() - 1)  # so that ranges of nearly a length share what is kept
        span = start_us, end_us
        paths = self._browser.in_time("bands", "", span, step_us)
        parts = [part for path in paths if (part := self._by_rig.bands(path, rig, span, each_us)) is not None]
        if not parts:
            return {}
        rows = BandRows.joined(parts).thinned(each_us)
        begins = np.searchsorted(rows.sensor, np.arange(len(SENSORS) + 1)).tolist()
        found = {}
        for sensor, first, end in zip(SENSORS, begins, begins[1:], strict=False):
            if end > first:
                found[sensor] = CurveBand(rows.at_us[first:end], rows.centre[first:end], rows.reach[first:end])
        return found

    def scores(self, rig: str, start_us: int, end_us: int) -> dict[str, list[Stretch]]:
        """Return what was said of each component between two times."""
        span = start_us - CYCLE_US, end_us
        found = (self._by_rig.scores(path, rig, span) for path in self._browser.in_time("scores", "", span))
        there = [rows for rows in found if rows is not None and rows.num_rows]
        if not there:
            return {}
        return stretches(part_of(pa.concat_tables(there, promote_options="permissive"), None, span, "cycle_start"))

    def rigs(self, sensors: Sequence[str]) -> dict[str, int]:
        """Return the rigs that the newest files of these sensors name, each with its newest window's end."""
        found: dict[str, int] = {}
        for file in (file for sensor in sensors for file in self._browser.newest(sensor)):
            for rig, end_us in self._ends(file).items():
                found[rig] = max(end_us, found.get(rig, end_us))
        return found

    def holds(self, rig: str, until_s: float) -> bool | None:
        """Return whether any file has a row of a rig, newest first; None: not all are looked at `until_s`.

        `until_s` is by the monotonic clock. Footers rule most files out; of the others the rigs' names are read.
        """
        by_sensor = [(folder, sensor) for folder in _HOLDING for sensor in SENSORS]
        for folder, sensor in [*((name, "") for name in FLAT), *by_sensor]:
            for file in (file for files in self._browser.chains(folder, sensor) for file in files):
                if clock.monotonic_s() > until_s:
                    return None
                rows = self._browser.read(file.path, rig, None, ["rig"])
                if rows is not None and rows.num_rows:
                    return True
        return False

    def _ends(self, file: LakeFile) -> dict[str, int]:
        rows = self._browser.read(file.path, None, None, ["rig", "window_end"])
        if rows is None or not rows.num_rows:
            return {}
        codes, names = codes_of(rows["rig"])
        ends_us = np.full(len(names), -1, np.int64)
        np.maximum.at(ends_us, codes, us_of(rows["window_end"]))
        return {name: end_us for name, end_us in zip(names, ends_us.tolist(), strict=True) if end_us >= 0}
