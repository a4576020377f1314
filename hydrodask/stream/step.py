"""The task that Dask runs: a thin shell round the host that this worker process keeps between steps."""

import threading
from dataclasses import dataclass, field

from hydrodask.errors import FencedError
from hydrodask.failpoints import failpoint
from hydrodask.reports import StepReport
from hydrodask.stream.host import Host
from hydrodask.stream.order import Order
from hydrodask.stream.surroundings import REAL, Surroundings


@dataclass(slots=True)
class Desk:
    """What a worker process keeps between steps: one host at most, and the newest run that it has worked for.

    `one`: a worker with several threads must not do a step while one that was given up still runs.
    """

    host: Host | None = None
    run: int = 0
    one: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Let go of the host, without a commit."""
        host, self.host = self.host, None
        if host is not None:
            host.close()


_DESK = Desk()
"""That of this process."""


def step(order: Order, *, surroundings: Surroundings = REAL, desk: Desk = _DESK) -> StepReport:
    """Do one step of `order`, with a new host when the run or the slot's generation is new.

    An error ends the host, so that the next order begins from what is committed. Two runs that share their workers
    would take turns for ever, each with hosts of its own: the newer one stays, and the other is told so.
    """
    with desk.one:
        if order.run < desk.run:
            raise FencedError(f"worker {order.worker} works for run {desk.run} of this group, which came later")
        desk.run, host = order.run, desk.host
        if host is not None and (host.run_id, host.generation) != (order.run_id, order.generation):
            desk.clear()
        return _step(order, surroundings, desk)


def _step(order: Order, surroundings: Surroundings, desk: Desk) -> StepReport:
    try:
        failpoint("step.begun")
        host = desk.host = desk.host or Host(order, surroundings=surroundings)
        report = host.step(order)
        failpoint("step.done")
    except BaseException:
        desk.clear()
        raise
    if order.mode == "stop" and not report.waiting:
        desk.host = None  # it has let go of everything itself
    return report
