"""Reads files and sums small ones before anybody looks, so that nobody waits for the first week after a start."""

import threading
from collections.abc import Callable
from functools import partial

from hydrodask import clock
from hydrodask.background import Aside
from hydrodask.channels import SENSORS
from hydrodask.errors import HydrodaskError
from hydrodask.store.history import History

SLICE_S = 0.1
LET_BY_S = 2.0
"""How long it waits for who asks for curves."""

REST_IN_RUN, REST = 3.0, 0.5
"""So many times as long as a slice took it rests: a run in this process has other things to do."""

AGAIN_S = 30.0


class Ahead:
    """Reads and sums what is new, from when it is made until `close`; `rest` times as long as that takes it waits.

    It lets curves be drawn first: `drawing` says for how many somebody waits.
    """

    def __init__(self, history: History, rest: float, drawing: Callable[[], int]) -> None:
        self._history, self._rest, self._drawing = history, rest, drawing
        self._stop = threading.Event()
        self.thread = Aside("sums of the page", self._run, self._stop)
        self.thread.start()

    def close(self) -> None:
        """Stop. May be called twice."""
        self._stop.set()
        self.thread.join(5.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                left = self._slice(self._history.look_ahead) + self._slice(self._history.read_ahead)
                left += sum(self._slice(partial(self._history.sum_ahead, sensor)) for sensor in SENSORS)
                left += self._slice(self._history.week_ahead)
            except HydrodaskError:  # whoever looks is told why
                left = 0
            self._stop.wait(0.0 if left else AGAIN_S)

    def _slice(self, work: Callable[[float], int]) -> int:
        until_s = clock.monotonic_s() + LET_BY_S
        while self._drawing() and clock.monotonic_s() < until_s and not self._stop.wait(0.02):
            pass
        if self._stop.is_set():
            return 0
        began_s = clock.monotonic_s()
        left = work(SLICE_S)
        self._stop.wait(self._rest * (clock.monotonic_s() - began_s))
        return left
