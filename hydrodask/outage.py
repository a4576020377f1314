"""Something that does not work now, and since when: it is waited out, though not for ever."""

from dataclasses import dataclass

from hydrodask import clock
from hydrodask.errors import FatalError, HydrodaskError


@dataclass(slots=True)
class Outage:
    """Begins with the first failure and ends with the first success."""

    since_s: float | None = None

    def check(self, error: HydrodaskError, patience_s: float) -> None:
        """Take note of a failure. Raises FatalError once they have gone on for longer than `patience_s`."""
        now_s = clock.monotonic_s()
        self.since_s = now_s if self.since_s is None else self.since_s
        if now_s - self.since_s > patience_s:
            raise FatalError(f"gave up after {patience_s:.0f} s (step.patience): {error}") from error

    def end(self) -> None:
        """Take note of a success."""
        self.since_s = None
