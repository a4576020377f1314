"""Read the history of one rig for people: windows, five-minute rows, bands, raw samples, and scores of components.

Fast rather than complete: what can't be read is left out and said in `troubles`, and nobody computes anything from it.
Safe for threads.
"""

from collections.abc import Sequence

import numpy as np

from hydrodask import clock
from hydrodask.store import fiveminutes
from hydrodask.store.arrays import numbers
from hydrodask.store.browse import Browser
from hydrodask.store.curve import CYCLE_US, Band, Buckets, Curve, Stretch, codes_of, curve_of, nothing, stretches, us_of
from hydrodask.store.lake import Lake
from hydrodask.store.listing import Named
from hydrodask.store.summing import Sums

SUMMED_MAX = 300
"""Files of a sensor that are summed before anybody asks: a day of files of five minutes, and a little more."""

_COARSE = ["rig", "window_start", "avg_value", "min_value", "max_value", "windows"]


class History:
    """Reads one lake. `troubles` are what can't be read now, by path."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.troubles = lake, dict[str, str]()
        self._browser = Browser(lake, self.troubles)
        self._sums = Sums(self._browser)

    def windows(self, rig: str, sensor: str, start_us: int, end_us: int) -> Curve:
        """Return the final windows that begin between two times; each is at its end. None below half of its samples."""
        columns = [*fiveminutes.COLUMNS, "sampling_rate_hz"]
        rows = self._browser.rows("windows", sensor, rig, (start_us, end_us), columns)
        if rows is None:
            return nothing()
        rows = fiveminutes.usable(rows)
        return curve_of(us_of(rows["window_end"]), rows["avg_value"], rows["min_value"], rows["max_value"])

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
            rows = self._browser.read(path, rig, (start_us - fiveminutes.BUCKET_US, end_us), _COARSE)
            if rows is not None and rows.num_rows:
                parts.append(Buckets.of(rows))
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

    def _made(self, sensor: str) -> set[str]:
        """Return the paths of the five-minute rows that there are."""
        return {file.path for files in self._browser.chains(fiveminutes.FOLDER, sensor) for file in files}

    def raw(self, rig: str, sensor: str, start_us: int, end_us: int) -> Curve:
        """Return the raw samples between two times."""
        rows = self._browser.rows("raw", sensor, rig, (start_us, end_us), ["rig", "timestamp", "value"])
        if rows is None:
            return nothing()
        return curve_of(us_of(rows["timestamp"]), rows["value"], rows["value"], rows["value"])

    def bands(self, rig: str, start_us: int, end_us: int, step_us: int = 0) -> dict[str, Band]:
        """Return what each sensor's mean usually was between two times, every `step_us`: the baseline that judged."""
        columns = ["rig", "sensor", "statistic", "window_start", "centre", "scale", "enter"]
        rows = self._browser.rows("bands", "", rig, (start_us, end_us), columns, step_us=step_us)
        if rows is None:
            return {}
        at_us, (sensor, sensors), (statistic, statistics) = (
            us_of(rows["window_start"]), codes_of(rows["sensor"]), codes_of(rows["statistic"]),
        )  # fmt: skip
        centre, scale, enter = (numbers(rows[name]) for name in ("centre", "scale", "enter"))
        means = np.array([name == "avg_value" for name in statistics], np.bool_)[statistic]
        found = {}
        for code in np.unique(sensor[means]).tolist():
            ours = np.flatnonzero(means & (sensor == code))
            ours = ours[np.argsort(at_us[ours], kind="stable")]
            found[sensors[code]] = Band(at_us[ours], centre[ours], scale[ours] * enter[ours])
        return found

    def scores(self, rig: str, start_us: int, end_us: int) -> dict[str, list[Stretch]]:
        """Return what was said of each component between two times."""
        columns = ["rig", "component", "cycle_start", "verdict", "severity", "settled", "state"]
        rows = self._browser.rows("scores", "", rig, (start_us - CYCLE_US, end_us), columns)
        return {} if rows is None else stretches(rows)

    def newest_us(self, rig: str, sensor: str) -> int | None:
        """Return the end of the newest window that files have of a rig's sensor; None without any."""
        for file in self._browser.newest(sensor):
            rows = self._browser.read(file.path, rig, None, ["rig", "window_end"])
            if rows is not None and rows.num_rows:
                return int(us_of(rows["window_end"]).max())
        return None

    def rigs(self, sensors: Sequence[str]) -> dict[str, int]:
        """Return the rigs that the newest files of these sensors name, each with its newest window's end."""
        found: dict[str, int] = {}
        for file in (file for sensor in sensors for file in self._browser.newest(sensor)):
            for rig, end_us in self._ends(file).items():
                found[rig] = max(end_us, found.get(rig, end_us))
        return found

    def _ends(self, file: Named) -> dict[str, int]:
        rows = self._browser.read(file.path, None, None, ["rig", "window_end"])
        if rows is None or not rows.num_rows:
            return {}
        codes, names = codes_of(rows["rig"])
        ends_us = np.full(len(names), -1, np.int64)
        np.maximum.at(ends_us, codes, us_of(rows["window_end"]))
        return {name: end_us for name, end_us in zip(names, ends_us.tolist(), strict=True) if end_us >= 0}
