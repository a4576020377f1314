"""The task that Dask runs: a thin shell round the host that this worker process keeps between steps."""

import logging
import threading
from dataclasses import dataclass, field, replace

from hydrodask import clock
from hydrodask.errors import FencedError, RetryableError, kind_and_sentence
from hydrodask.failpoints import failpoint
from hydrodask.reports import StepReport
from hydrodask.stream.failures import Failures
from hydrodask.stream.host import Host
from hydrodask.stream.order import Order
from hydrodask.stream.surroundings import REAL, Surroundings

log = logging.getLogger(__name__)

STEP_S = 3.0
"""So long a worker that is ending waits for the step that it is at; one that hangs would hang for good."""


@dataclass(slots=True)
class Desk:
    """What a worker process keeps between steps: one host at most, and the newest run that it has worked for.

    Runs are counted by `group`: its name and where its snapshots are. `one`: a worker with several threads must not do
    a step while one that was given up still runs. `left`: the process is ending, and begins nothing any more.
    """

    host: Host | None = None
    group: tuple[str, str] = ("", "")
    run: int = 0
    used_s: float = float("-inf")
    failures: Failures | None = None
    order: Order | None = None
    left: bool = False
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
    would take turns for ever, each with hosts of its own: the newer one stays, and the other is told so. Of two groups
    none is newer: one waits until the other has let go of the worker, or has not used it for `step.time_max`.
    """
    group = (order.settings.kafka.group, str(order.settings.snapshots_url))
    with desk.one:
        if desk.left:
            raise RetryableError(f"worker {order.worker} is ending")
        if group != desk.group:
            _change(desk, group, order)
        if order.run < desk.run:
            raise FencedError(f"worker {order.worker} works for run {desk.run} of this group, which came later")
        if order.run > desk.run or desk.failures is None:
            desk.failures = Failures(order.settings.step.patience)  # a later run may have other flows
        desk.run, host, desk.used_s, desk.order = order.run, desk.host, clock.monotonic_s(), order
        if host is not None and (host.run_id, host.generation) != (order.run_id, order.generation):
            desk.clear()
        return _step(order, surroundings, desk)


def leave(desk: Desk = _DESK) -> None:
    """Hand over what this worker holds, because its process is ending: commit, write files and snapshots, let go.

    It is an order to stop that nobody gave. If it can't be done others begin from what is committed. Never raises.
    """
    if not desk.one.acquire(timeout=STEP_S):
        return
    try:
        desk.left = True
        if desk.host is not None and desk.order is not None:
            count = len(desk.host.partitions)
            report = desk.host.step(replace(desk.order, mode="stop"))
            log.warning("this worker is ending: %s", report.waiting or f"{count} partitions are handed over")
    except Exception as error:  # whatever it is, this process is ending
        log.warning("this worker is ending, and could not hand its partitions over: %s", kind_and_sentence(error))
    finally:
        desk.clear()
        desk.one.release()


def _change(desk: Desk, group: tuple[str, str], order: Order) -> None:
    """Let a worker work for another group. Raises RetryableError while one is using it."""
    if desk.host is not None and clock.monotonic_s() - desk.used_s < order.settings.step.time_max:
        raise RetryableError(
            f"worker {order.worker} works for group {desk.group[0]!r} (snapshots in {desk.group[1]}); "
            "a worker serves one group at a time: end that run, or give this one workers of its own"
        )
    desk.clear()
    desk.group, desk.run, desk.failures = group, 0, None


def _step(order: Order, surroundings: Surroundings, desk: Desk) -> StepReport:
    try:
        failpoint("step.begun")
        host = desk.host = desk.host or Host(order, surroundings=surroundings, failures=desk.failures)
        report = host.step(order)
        failpoint("step.done")
    except BaseException:
        desk.clear()
        raise
    if order.mode == "stop" and not report.waiting:
        desk.host = None  # it has let go of everything itself
    return report
