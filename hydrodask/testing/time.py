"""Time that passes when it is told to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hydrodask import clock


@dataclass
class VirtualClock:
    """A clock for `hydrodask.clock`: it stands until somebody sleeps, or lets time pass.

    >>> with VirtualClock(now_s=0.0).running() as time:
    ...     clock.sleep_s(2.5)
    ...     time.now_s += 1
    ...     clock.monotonic_s(), clock.now_us()
    (3.5, 3500000)
    """

    now_s: float = 1_767_225_600.0

    def now_us(self) -> int:
        """Return the time in microseconds since the epoch."""
        return round(self.now_s * 1e6)

    def monotonic_s(self) -> float:
        """Return the time in seconds."""
        return self.now_s

    def sleep_s(self, seconds: float) -> None:
        """Let time pass at once."""
        self.now_s += seconds

    @contextmanager
    def running(self) -> Iterator["VirtualClock"]:
        """Let this process live by it while the block lasts."""
        with clock.replaced_by(self):
            yield self
