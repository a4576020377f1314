"""Workers that the scheduler has let go of and that are not gone yet: they hand over what they hold.

Dask forgets a worker that it retires, and then tells it to close. If its slot were fenced at once it could not commit,
and who takes its partitions would find no snapshot. So it counts as there until its port is closed, for a while.
One that was killed has no port, and is not waited for.
"""

import asyncio
import contextlib
from collections.abc import Iterable

from hydrodask import clock

WAIT_S = 5.0
"""So long a worker may take to leave; its partitions stand still meanwhile."""

CONNECT_S = 0.5
"""Limit of an attempt to connect: the address of a pod that is gone does not answer."""


class Leaving:
    """Remembers who was there."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._until_s: dict[str, float] = {}

    async def beside(self, workers: Iterable[str]) -> list[str]:
        """Return the workers that the scheduler knows, and those that are about to leave."""
        there, now_s = set(workers), clock.monotonic_s()
        until_s = {worker: self._until_s.get(worker, now_s + WAIT_S) for worker in self._known - there}
        self._until_s = {w: end_s for w, end_s in until_s.items() if now_s < end_s and await listens(w)}
        self._known = there | self._until_s.keys()
        return sorted(self._known)


async def listens(worker: str) -> bool:
    """Say whether somebody has the port of a worker's address open."""
    host, _, port = worker.rpartition("://")[2].rpartition(":")
    with contextlib.suppress(OSError, TimeoutError, ValueError):
        _, stream = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), CONNECT_S)
        stream.close()
        return True
    return False
