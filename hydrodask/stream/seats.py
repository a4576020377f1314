"""What the coordinator keeps about workers: a seat each, and what is wanted of all of them."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hydrodask import clock
from hydrodask.errors import FatalError, HydrodaskError
from hydrodask.reports import StepReport
from hydrodask.stream.order import Order


class Cluster(Protocol):
    """Workers by address, and steps that run on them."""

    async def workers(self) -> list[str]:
        """Return who is there. Raises UnreachableError."""

    def paused(self) -> Mapping[str, str]:
        """Return who of them starts no step for want of memory, and what to do about it, by what `workers` knows."""

    def step(self, worker: str, order: Order) -> Awaitable[StepReport]:
        """Run one step. Raises WorkerLostError when the worker goes away, or the step's error."""

    async def memory(self, worker: str) -> str:
        """Say what is wrong with a worker's memory, also of one that is gone; nothing if all is well. Never raises."""

    async def restart(self, worker: str) -> None:
        """End a worker that does not come back from a step; its nanny, if it has one, starts another. Never raises."""


@dataclass(slots=True)
class Trouble:
    """Something that goes wrong, and since when: it is waited out, though not for ever."""

    since_s: float | None = None

    def goes_on(self, error: HydrodaskError, patience_s: float) -> None:
        """Take note that it has gone wrong again. Raises FatalError once it has for longer than `patience_s`."""
        now_s = clock.monotonic_s()
        self.since_s = now_s if self.since_s is None else self.since_s
        if now_s - self.since_s > patience_s:
            raise FatalError(f"gave up after {patience_s:.0f} s (step.patience): {error}") from error

    def is_over(self) -> None:
        """Take note that it has gone well."""
        self.since_s = None


@dataclass(eq=False, slots=True)
class Seat:
    """A worker with a slot, for one generation: from when it came until it is lost or stopped."""

    worker: str
    slot: int
    generation: int
    lost: bool = False
    stopped: bool = False
    reached: str = ""
    steps: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when its worker is no longer there: a step on it may never come back."""
    task: asyncio.Task[None] | None = None
    failing: Trouble = field(default_factory=Trouble)


@dataclass(slots=True)
class Wish:
    """What somebody wants of all seats; `mode` as in `Order`."""

    mode: str = "run"
    since_s: float = field(default_factory=clock.monotonic_s)
