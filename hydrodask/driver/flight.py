"""One step in flight: how long it may take, and what is said of it meanwhile."""

import asyncio
from collections.abc import Callable

from hydrodask.driver.seats import Cluster, Seat
from hydrodask.errors import WorkerLostError
from hydrodask.protocol.order import Order
from hydrodask.reports import StepReport
from hydrodask.settings.model import Step

GREET_S = 180.0
"""A worker's first step may take this long, if `step.time_max` is less: it imports and compiles, which takes minutes on
a busy machine. One that were given up meanwhile would begin anew.
"""

ASK_S = 5.0
"""A step that takes longer makes one ask whether its worker still works."""


async def fly(cluster: Cluster, seat: Seat, order: Order, limits: Step, note: Callable[[str], None]) -> StepReport:
    """Run one step.

    Raises its error, WorkerLostError when its worker is gone, and TimeoutError when it takes too long.
    """
    limit_s = limits.time_max + limits.trigger
    limit_s = limit_s if seat.steps else max(limit_s, GREET_S)
    step = asyncio.ensure_future(cluster.step(seat.worker, order))
    gone = asyncio.create_task(seat.gone.wait())
    try:
        for left_s in (min(ASK_S, limit_s), max(0.0, limit_s - ASK_S)):
            await asyncio.wait({step, gone}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if step.done():
                return step.result()
            if gone.done():
                raise WorkerLostError(f"worker {seat.worker} is gone")
            if memory := await cluster.memory(seat.worker):
                note(f"worker {seat.worker}: {memory}")
        raise TimeoutError(f"a step took more than {limit_s:.0f} s (step.time_max)")
    finally:
        step.cancel()
        gone.cancel()
