"""The curves of one rig for a range of time: thinned for a screen, with limits, usual ranges and strips."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hydrodask import clock
from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.clock import US_PER_S
from hydrodask.console.sight import Sight
from hydrodask.console.strips import strips_of
from hydrodask.console.thinning import rounded, thin
from hydrodask.detect.rules import Rule
from hydrodask.episodes import words
from hydrodask.settings import Settings
from hydrodask.store.curve import Curve, CurveBand, Span

RANGES_S = {"15m": 900, "1h": 3_600, "1d": 86_400, "1w": 604_800}
COARSE_S = 6 * 3_600
"""From this range on curves are made of five-minute rows."""

RAW_S = 900
"""Up to this range a zoomed curve is made of raw samples."""

PIXELS_MAX = 2_000
SUM_S = 0.5
"""How long a request sums files that `compact` has not been at."""

_EXTREMES = ("max", "min")
_LIMITED = {"avg": "mean", "max": "highest", "min": "lowest"}


@dataclass
class CurveReader:
    """Reads curves for the page. Safe for threads."""

    sight: Sight
    settings: Settings
    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="curves")
        self._lock = threading.Lock()
        self.drawing = 0
        """For how many rigs somebody waits now."""

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def rig(
        self, rig: str, range_s: int, end_us: int | None, pixels: int, *, wait_s: float | None = None
    ) -> dict[str, Any]:
        """Return everything of a rig's page; `end_us` None: up to now.

        What is not summed after `wait_s` is told as so many `pending` files; None: as long as it takes.
        """
        with self._lock:
            self.drawing += 1
        try:
            return self._rig(rig, range_s, end_us, pixels, wait_s)
        finally:
            with self._lock:
                self.drawing -= 1

    def _rig(self, rig: str, range_s: int, end_us: int | None, pixels: int, wait_s: float | None) -> dict[str, Any]:
        until_s = None if wait_s is None else clock.monotonic_s() + wait_s
        documents = self.sight.known().revision  # what is written from now on shows at the next look
        newest_us = self.sight.now_us(rig)
        end = newest_us if end_us is None else end_us
        start = end - range_s * US_PER_S
        story = self._pool.submit(self.story, rig, start, end)
        bands = self._pool.submit(self.sight.history.bands, rig, start, end, _step_us(start, end, pixels))
        jobs = [self._pool.submit(self._sensor, rig, sensor, (start, end), pixels, until_s) for sensor in SENSORS]
        drawn = [job.result() for job in jobs]
        pending = sum(view.pop("pending") for view in drawn)
        usual = bands.result()
        ends = [view.pop("file_end") for view in drawn]
        for view in drawn:
            view["usual"] = _usual(usual.get(view["sensor"]), pixels)
        return {
            "rig": rig,
            "from": start // US_PER_S,
            "to": end // US_PER_S,
            "now": newest_us // US_PER_S,
            "files_end": max(filter(None, ends), default=0) // US_PER_S or None,
            "documents": documents,
            "pending": pending,
            "window_s": self.settings.window.length,
            "coarse": range_s >= COARSE_S,
            "sensors": drawn,
            **story.result(),
            "troubles": [f"{path}: {why}" for path, why in list(self.sight.history.troubles.items())],
            **self.sight.status_line(rig),
        }

    def story(self, rig: str, start_us: int, end_us: int) -> dict[str, Any]:
        """Return a rig's episodes and strips between two times: what changes while one looks."""
        episodes = self.sight.episodes(rig, start_us, end_us)
        told = self.sight.history.scores(rig, start_us, end_us)
        strips = strips_of(self.sight.components(rig), episodes, told)
        return {"episodes": episodes, "strips": strips, "quiet": self.sight.quiet(rig)}

    def zoom(self, rig: str, sensor: str, start_us: int, end_us: int, pixels: int) -> dict[str, Any]:
        """Return one curve between two times: raw samples if that is short, else windows or five-minute rows."""
        range_s = (end_us - start_us) / US_PER_S
        if range_s > RAW_S:
            view = self._sensor(rig, sensor, (start_us, end_us), pixels, clock.monotonic_s() + SUM_S)
            view["of"] = "five minutes" if range_s >= COARSE_S else f"{self.settings.window.length:g} s windows"
        else:
            view = self._close(rig, sensor, (start_us, end_us), pixels)
        view.pop("file_end", None)
        bands = self.sight.history.bands(rig, start_us, end_us, _step_us(start_us, end_us, pixels))
        view["usual"] = _usual(bands.get(sensor), pixels)
        return view | {"from": start_us // US_PER_S, "to": end_us // US_PER_S}

    def _close(self, rig: str, sensor: str, span: Span, pixels: int) -> dict[str, Any]:
        """Return a short range: raw samples, or windows where these go on after the newest file of raw samples.

        Files wait for `lake.roll_age`: what an incident that is open is about would not be on its curve.
        """
        curve = self.sight.history.raw(rig, sensor, *span)
        windows = self._sensor(rig, sensor, span, pixels, clock.monotonic_s() + SUM_S)
        length_s = self.settings.window.length
        raw_end_s = int(curve.at_us[-1]) / US_PER_S if len(curve.at_us) else 0.0
        if windows["at"] and windows["at"][-1] - raw_end_s > length_s + self.settings.window.slide:
            return windows | {"of": f"{length_s:g} s windows: newer than the files of raw samples"}
        return _view(sensor, curve, span, pixels, 5 * US_PER_S) | {"of": "raw samples"}

    def limits(self, sensor: str) -> list[dict[str, Any]]:
        """Return the thresholds of rules that can be drawn on a sensor's curve."""
        return [
            {
                "value": rule.enter,
                "above": rule.above,
                "severity": rule.severity,
                "name": words(rule.name),
                "of": _LIMITED[rule.statistic],
            }
            for rule in self.rules
            if sensor in rule.sensors and rule.statistic in _LIMITED
        ]

    @cached_property
    def sensors(self) -> list[dict[str, Any]]:
        """The sensors in their order, with all that does not change."""
        return [
            {
                "sensor": name,
                "quantity": channel.quantity,
                "unit": channel.unit,
                "limits": self.limits(name),
                "extremes": any(name in rule.sensors and rule.statistic in _EXTREMES for rule in self.rules),
            }
            for name, channel in CHANNELS.items()
        ]

    def _sensor(self, rig: str, sensor: str, span: Span, pixels: int, until_s: float | None) -> dict[str, Any]:
        """Return one card's curve: from files, and from where these end from live values."""
        start, end = span
        coarse = (end - start) >= COARSE_S * US_PER_S
        history = self.sight.history
        curve = history.coarse(rig, sensor, start, end, until_s) if coarse else history.windows(rig, sensor, start, end)
        file_end = int(curve.at_us[-1]) if len(curve.at_us) else None
        tail = self.sight.live.tail(rig, sensor, file_end or start)
        points = np.array([point for point in tail if point[0] <= end], np.float64).reshape(-1, 4)
        columns = [(curve.mean, 1), (curve.low, 2), (curve.high, 3)]
        mean, low, high = (np.concatenate([column, points[:, place]]) for column, place in columns)
        joined = Curve(np.concatenate([curve.at_us, points[:, 0].astype(np.int64)]), mean, low, high)
        gap_us = round((900 if coarse else max(60.0, 3 * self.settings.window.slide)) * US_PER_S)
        return _view(sensor, joined, (start, end), pixels, gap_us) | {"file_end": file_end, "pending": curve.pending}


def _step_us(start_us: int, end_us: int, pixels: int) -> int:
    """Return how far apart points of a usual range may be: it is smooth, so one each two pixels will do."""
    return max(1, (end_us - start_us) * 2 // pixels)


def _view(sensor: str, curve: Curve, span: Span, pixels: int, gap_us: int) -> dict[str, Any]:
    """Return a curve as JSON has it: seconds since the epoch, means, least and greatest values."""
    made = thin(
        curve.at_us, curve.mean, curve.low, curve.high, start_us=span[0], end_us=span[1], pixels=pixels, gap_us=gap_us
    )
    at_s = np.round(made.at_us / US_PER_S, 2)
    return {
        "sensor": sensor,
        "at": at_s.tolist(),
        "mean": rounded(made.mean),
        "low": rounded(made.low),
        "high": rounded(made.high),
    }


def _usual(band: CurveBand | None, pixels: int) -> dict[str, Any] | None:
    """Return a usual range as JSON has it, a point each two pixels."""
    if band is None or not len(band.at_us):
        return None
    pick = np.unique(np.linspace(0, len(band.at_us) - 1, min(len(band.at_us), max(2, pixels // 2))).astype(np.int64))
    at_us, centre, reach = band.at_us[pick], band.centre[pick], band.reach[pick]
    return {
        "at": (at_us / US_PER_S).tolist(),
        "low": rounded(centre - reach),
        "high": rounded(centre + reach),
    }
