"""Live values: the newest windows of each rig's sensors, beyond where the lake's files end.

Inside a run they come from its overview; a point is a window that is open yet, up to the newest sample, and changes
until a younger one takes its place. Kept for as long as files may lag behind, which have it final.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hydrodask import clock
from hydrodask.background import Aside
from hydrodask.channels import CHANNELS
from hydrodask.observe.figures import Figures
from hydrodask.observe.wording import span
from hydrodask.reports import Overview, Reading

LOOK_S = 0.5
POINTS_MAX = 90
"""Points of a sensor that are kept: 15 minutes of windows that slide by 10 s."""

RIGS_MAX = 1_000
QUIET_S = 15.0
"""So long nothing new may come of a rig before the page says so, or three slides of windows, if that is longer."""

FULL = 0.5
"""A window of which less is there says nothing yet."""

Point = tuple[int, float, float, float]
"""End of a window in microseconds, mean, least, greatest."""


@dataclass
class Live:
    """The newest points of each rig and sensor. Written by one thread, read by others."""

    window_s: float
    source: str = ""
    """Where they come from, in words; nothing: nowhere."""
    revision: int = 0
    behind_s: float | None = None
    health: dict[tuple[str, str], float] = field(default_factory=dict)
    stopped: str = ""
    """Why nothing comes any more."""
    slide_s: float = 10.0
    """How far apart windows are that come."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._points: dict[str, dict[str, deque[Point]]] = {}
        self._changed: dict[str, int] = {}
        self._came_s: dict[str, float] = {}
        """By rig when the newest of what has changed was made, on the clock that never goes back."""

    def take(
        self,
        rows: Iterable[tuple[str, str, Point]],
        *,
        behind_s: float | None = None,
        old_s: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Take points of rigs and sensors in; one of a window that is known replaces the older one.

        `old_s` says how long ago the newest of a rig was made, by the system's clock: event time may be of years ago.
        """
        now_s = clock.monotonic_s()
        with self._lock:
            self.revision += 1
            self.behind_s = behind_s
            for rig, sensor, point in rows:
                if rig not in self._points and len(self._points) >= RIGS_MAX:
                    continue
                ours = self._points.setdefault(rig, {}).setdefault(sensor, deque(maxlen=POINTS_MAX))
                if ours and ours[-1] == point:
                    continue
                if ours and ours[-1][0] == point[0]:
                    ours[-1] = point
                elif not ours or ours[-1][0] < point[0]:
                    ours.append(point)
                else:
                    continue
                self._changed[rig] = self.revision
                self._came_s[rig] = now_s - old_s.get(rig, 0.0)

    def changed(self, rig: str) -> int:
        """Return the revision at which something of a rig has changed last; 0: nothing is known of it."""
        return self._changed.get(rig, 0)

    def newest(self, rig: str) -> dict[str, Point]:
        """Return the newest point of each sensor of a rig."""
        with self._lock:
            return {sensor: points[-1] for sensor, points in self._points.get(rig, {}).items()}

    def without(self, rig: str) -> str:
        """Return why a rig has no live values although others have; nothing if it has, or nobody has."""
        with self._lock:
            if rig in self._points or not self._points:
                return ""
            return f"no live values of this rig, only of {len(self._points):,} others"

    def why_not(self, rig: str) -> str:
        """Return why what is shown of a rig is not live; nothing while new values come, or where none ever did."""
        return self.stopped or self.without(rig) or self._quiet(rig)

    def _quiet(self, rig: str) -> str:
        """Return for how long nothing new has come of a rig, if that is long; in steps, as it is said once a step."""
        came_s = self._came_s.get(rig)
        for_s = 0.0 if came_s is None else clock.monotonic_s() - came_s
        return (
            f"no new rows for {span(for_s // 5 * 5)}".replace(".0 s", " s")
            if for_s >= max(QUIET_S, 3 * self.slide_s)
            else ""
        )

    def tail(self, rig: str, sensor: str, after_us: int) -> list[Point]:
        """Return the points of windows that end after a time, in order."""
        with self._lock:
            points = self._points.get(rig, {}).get(sensor, ())
            return [point for point in points if point[0] > after_us]

    def rigs(self) -> dict[str, int]:
        """Return each rig of which something is known, with its newest window's end."""
        with self._lock:
            return {rig: max(points[-1][0] for points in ours.values()) for rig, ours in self._points.items()}


class FromRun:
    """Takes live values from the overview of the run in this process, until it is closed."""

    def __init__(self, live: Live, overview: Callable[[], Overview], prefix: str) -> None:
        live.source = "this run"
        self._live, self._overview, self._prefix = live, overview, prefix
        self._stop = threading.Event()
        self.thread = Aside("live values of the page", self._run, self._stop)
        self.thread.start()

    def close(self) -> None:
        """Stop. May be called twice."""
        self._stop.set()
        self.thread.join(5.0)

    def _run(self) -> None:
        last: Overview | None = None
        while not self._stop.wait(LOOK_S):
            now = self._overview()
            if now is not last:
                last = now
                self._look(now)

    def _look(self, overview: Overview) -> None:
        figures = Figures(overview, self._prefix, RIGS_MAX)
        full = (one for one in figures.readings.values() if _share(one, self._live.window_s) >= FULL)
        self._live.health = figures.health
        lag_s = figures.lag_s(clock.now_us())
        self._live.take(
            ((one.rig, one.sensor, (one.end_us, one.avg, one.low, one.high)) for one in full), behind_s=lag_s
        )


def _share(reading: Reading, window_s: float) -> float:
    channel = CHANNELS.get(reading.sensor)
    return 1.0 if channel is None else reading.count / (channel.rate_hz * window_s)
