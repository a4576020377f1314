"""What the coordinator keeps about workers: a seat each, and what is wanted of all of them."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hydrodask.outage import Outage
from hydrodask.protocol.order import Order
from hydrodask.reports import StepReport


class Cluster(Protocol):
    """Workers by address, and steps that run on them."""

    async def workers(self) -> list[str]:
        """Return who is there. Raises UnreachableError."""

    def paused(self) -> Mapping[str, str]:
        """Return who of them starts no step for want of memory, and what to do about it, by what `workers` knows."""

    def step(self, worker: str, order: Order) -> Awaitable[StepReport]:
        """Run one step. Raises WorkerLostError when the worker goes away, or the step's error."""

    async def memory(self, worker: str, *, died: bool = False) -> str:
        """Say what is wrong with a worker's memory, also of one that `died`; nothing if all is well. Never raises."""

    async def restart(self, worker: str) -> None:
        """End a worker that does not come back from a step; its nanny, if it has one, starts another. Never raises."""


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
    failing: Outage = field(default_factory=Outage)
