"""What a supervisor of processes, such as Kubernetes, is told of a run: `/live` and `/ready`, beside `/metrics`.

Live: the driver still turns; one that does not is to be started again. One that waits for its scheduler, a worker or a
broker turns, and to start it again would not help: `step.patience` ends it. Ready: workers finish and commit steps.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hydrodask import clock
from hydrodask.doors.pages import Application
from hydrodask.reports import Overview, Pulse
from hydrodask.settings import Settings

LOOK_S = 30.0
"""How long the driver may stand still at most, without what it waits for a broker: twice at a look."""

READY_S = 30.0
"""A step is finished that often at least, or three times as often as one polls."""

Told = tuple[bool, str]
"""Whether all is well, and a sentence."""


class Probes:
    """Says how a run is, from any thread."""

    def __init__(self, overview: Callable[[], Overview], settings: Settings, pulse: Pulse) -> None:
        self._overview, self._pulse = overview, pulse
        self._live_s = LOOK_S + 2 * settings.kafka.timeout
        self._ready_s = max(READY_S, 3 * settings.step.trigger)

    @property
    def pages(self) -> Mapping[str, Application]:
        """The pages by path."""
        return {"/live": _page(self.live), "/ready": _page(self.ready)}

    def live(self) -> Told:
        """Say whether the driver's event loop turns, and while there is one, its coordinator."""
        now_s, pulse = clock.monotonic_s(), self._pulse
        ages_s = {"the driver": pulse.loop_s, "the coordinator": pulse.look_s}
        for who, since_s in ages_s.items():
            if since_s is not None and now_s - since_s > self._live_s:
                return False, f"{who} has stood still for {now_s - since_s:.0f} s"
        return True, "the driver turns"

    def ready(self) -> Told:
        """Say whether steps are moving."""
        overview, step_s = self._overview(), self._pulse.step_s
        why = f"{overview.state}{f'; {overview.notes[-1]}' if overview.notes else ''}"
        if overview.state != "running":
            return False, why
        age_s = float("inf") if step_s is None else clock.monotonic_s() - step_s
        if age_s > self._ready_s:
            return False, f"no step was finished in the last {self._ready_s:.0f} s; {why}"
        return True, f"steps are moving; the last one was finished {age_s:.1f} s ago"


def _page(say: Callable[[], Told]) -> Application:
    def page(_request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        well, text = say()
        start("200 OK" if well else "503 Not now", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]

    return page
