"""Workers that Dask has paused for want of memory: they start no step, and would stand still in silence.

People are told at once, with the cure. A partition is not left for long with such a worker if there are others; it gets
no seat before it works again.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from hydrodask import clock
from hydrodask.driver.seats import Seat
from hydrodask.errors import RetryableError

PAUSED_S = 10.0
"""For so long a worker may be paused before others get what it hosts: a short pause is cheaper than that."""

log = logging.getLogger(__name__)


class Pauses:
    """Who is paused, and since when. `note` gets a sentence when somebody is, and when that is over."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.why: Mapping[str, str] = {}
        """Worker → what is wrong, and what to do."""
        self._note = note
        self._since_s: dict[str, float] = {}

    def look(self, paused: Mapping[str, str], seats: Iterable[Seat], ready: Sequence[Seat]) -> None:
        """Take note of who is paused now; those of `seats` that have been for long are given up if others are ready."""
        now_s = clock.monotonic_s()
        for worker in sorted(paused.keys() - self._since_s.keys()):
            log.warning("worker %s: %s", worker, paused[worker], extra={"worker": worker})
            self._note(f"worker {worker}: {paused[worker]}")
        for worker in sorted(self._since_s.keys() - paused.keys()):
            self._note(f"worker {worker} is not paused any more")
        self._since_s = {worker: self._since_s.get(worker, now_s) for worker in paused}
        self.why = paused
        if any(seat.worker not in paused for seat in ready):
            for seat in seats:
                if now_s - self._since_s.get(seat.worker, now_s) >= PAUSED_S:
                    seat.gone.set()

    def state(self, living: Sequence[Seat]) -> str:
        """Return what the run does with these seats."""
        if self.why and self.why.keys() >= {seat.worker for seat in living}:
            return "waiting for memory"
        return "running" if living else "waiting for workers"

    def alone(self) -> RetryableError:
        """Return why nobody has a seat."""
        paused = next((f"worker {worker}: {why}" for worker, why in self.why.items()), "")
        return RetryableError(paused or "the Dask cluster has no worker")
