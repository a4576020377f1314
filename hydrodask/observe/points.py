"""Points: what the page /hydro draws, one a second, on their way from the driver to where the page is.

A scheduler of our own is in the driver's process: `publish` hands points over directly. A remote one gets them as
events of the topic `TOPIC` (`client.log_event(TOPIC, point)`, by `publish(…, send=…)`).
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from hydrodask import clock
from hydrodask.background import Aside
from hydrodask.channels import SENSORS
from hydrodask.health import level
from hydrodask.observe.figures import Figures, part_delay_s
from hydrodask.reports import Overview
from hydrodask.settings.model import Observe

TOPIC = "hydrodask"
"""The only topic of events that the driver logs with a remote scheduler."""

POINTS_MAX = 300
"""Points that are kept: five minutes at one a second."""

SAMPLE_S = 1.0
CLOSE_S_MAX = 5.0
PARTITIONS_MAX = 60
"""Partitions with a bar; of more those with the largest lag."""

COLOURS = {None: "#dddddd", "": "#66bd63", "warning": "#fee08b", "critical": "#d73027"}

Point = dict[str, Any]
_OBSERVE = Observe()
_published: deque[Point] = deque(maxlen=POINTS_MAX)


class OverviewSampler:
    """Samples the overview once a second until it is closed, and gives it to the page.

    Without `send` the page is in this process; with it, `send` takes each point to the scheduler.
    Errors end it; they never stop the run, see `Aside`.
    """

    def __init__(
        self, overview: Callable[[], Overview], send: Callable[[Point], object] | None, observe: Observe
    ) -> None:
        self._overview = overview
        self._send = send or _published.append
        self._observe = observe
        self._stop = threading.Event()
        self.thread = Aside("dashboard page", self._run, self._stop)
        self.thread.start()

    def close(self) -> None:
        """Stop sampling. May be called twice."""
        self._stop.set()
        self.thread.join(CLOSE_S_MAX)

    def _run(self) -> None:
        while not self._stop.is_set():
            now_us = clock.now_us()
            self._send(point(self._overview(), now_us=now_us, observe=self._observe))
            self._stop.wait(SAMPLE_S)


def publish(
    overview: Callable[[], Overview], *, send: Callable[[Point], object] | None = None, observe: Observe = _OBSERVE
) -> OverviewSampler:
    """Begin to give the page the newest overview once a second, from a thread; see `OverviewSampler`."""
    forget()
    return OverviewSampler(overview, send, observe)


def forget() -> None:
    """Drop what was published: a new run begins."""
    _published.clear()


def point(overview: Overview, *, now_us: int, observe: Observe = _OBSERVE) -> Point:
    """Return what the page draws of one overview, as plain values that can be sent."""
    figures = Figures(overview, rigs_max=observe.rigs_max)
    health = [[figures.health.get((rig, sensor)) for sensor in SENSORS] for rig in figures.rigs]
    shown = sorted(figures.parts, key=lambda part: -part.lag)[:PARTITIONS_MAX]
    shown.sort(key=lambda part: (part.topic, part.partition))
    delays = {part.topic: part_delay_s(part) for part in shown}
    return {
        "time_us": now_us,
        "state": overview.state,
        "records_per_s": overview.records_per_s,
        "lag": figures.lag,
        "delay_s": figures.delay_s,
        "workers": len(overview.workers),
        "lags": [[f"{part.topic}/{part.partition}", part.lag] for part in shown],
        "delays": [[topic, delay] for topic, delay in delays.items() if delay is not None],
        "rigs": figures.rigs,
        "rigs_hidden": figures.rigs_hidden,
        "health": health,
        "colours": [[COLOURS[None if one is None else level(one, observe.health)] for one in ours] for ours in health],
    }


def points_of(scheduler: Any) -> list[Point]:
    """Return the newest points, oldest first: our own process's, or those sent to the scheduler."""
    if _published:
        return list(_published)
    events: Iterable[tuple[float, Point]] = scheduler.get_events(TOPIC)
    return [message for _, message in events][-POINTS_MAX:]
