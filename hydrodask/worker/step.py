"""The task that Dask runs: a thin shell round the host that this worker process keeps between steps."""

import logging
import threading
from dataclasses import dataclass, field, replace

from hydrodask import clock, logs
from hydrodask.errors import FencedError, RetryableError, kind_and_sentence
from hydrodask.failpoints import failpoint
from hydrodask.protocol.order import Order
from hydrodask.reports import StepReport
from hydrodask.worker.failures import Failures
from hydrodask.worker.host import Host
from hydrodask.worker.surroundings import REAL, Surroundings

log = logging.getLogger(__name__)

STEP_S = 3.0
"""So long a worker that is ending waits for the step that it is at; one that hangs would hang for good."""


@dataclass(slots=True)
class Lease:
    """Who a worker process works for, kept between steps: one host at most, and the newest run that it has worked for.

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


class Leases(dict[str, Lease]):
    """Those of this process: one for the platform's own flows, and one for each from outside."""

    def __missing__(self, flow: str) -> Lease:
        self[flow] = lease = Lease()
        return lease


_LEASES = Leases()


def step(order: Order, *, surroundings: Surroundings = REAL, lease: Lease | None = None) -> StepReport:
    """Do one step of `order`, with a new host when the run or the slot's generation is new.

    An error ends the host, so that the next order begins from what is committed. Two runs that share their workers
    would take turns for ever, each with hosts of its own: the newer one stays, and the other is told so. Of two groups
    none is newer: one waits until the other has let go of the worker, or has not used it for `step.time_max`.
    """
    group = (order.settings.kafka.group, str(order.settings.snapshots_url))
    lease = _LEASES[order.flow] if lease is None else lease
    with lease.one:
        if lease.left:
            raise RetryableError(f"worker {order.worker} is ending")
        if group != lease.group:
            _change(lease, group, order)
        if order.run < lease.run:
            raise FencedError(f"worker {order.worker} works for run {lease.run} of this group, which came later")
        later = order.run > lease.run
        if later or lease.failures is None:
            lease.failures = Failures(order.settings.step.patience)  # a later run may have other flows
        lease.run, host, lease.used_s, lease.order = order.run, lease.host, clock.monotonic_s(), order
        if host is not None and (later or (host.run_id, host.generation) != (order.run_id, order.generation)):
            lease.clear()
        return _step(order, surroundings, lease)


def leave(lease: Lease | None = None) -> None:
    """Hand over what this worker holds, because its process is ending: commit, write files and snapshots, let go.

    It is an order to stop that nobody gave. If it can't be done others begin from what is committed. Never raises.
    """
    for one in [*_LEASES.values()] if lease is None else [lease]:
        _leave(one)


def _leave(lease: Lease) -> None:
    if not lease.one.acquire(timeout=STEP_S):
        return
    try:
        lease.left = True
        if lease.host is not None and lease.order is not None:
            count = len(lease.host.partitions)
            report = lease.host.step(replace(lease.order, mode="stop"))
            log.warning("this worker is ending: %s", report.waiting or f"{count} partitions are handed over")
    except Exception as error:  # whatever it is, this process is ending
        log.warning("this worker is ending, and could not hand its partitions over: %s", kind_and_sentence(error))
    finally:
        lease.clear()
        lease.one.release()


def _traced(order: Order, surroundings: Surroundings) -> Surroundings:
    """Return surroundings that are traced, if that is wanted: else nothing of it is even imported."""
    if order.settings.observe.traces is None:
        return surroundings
    from hydrodask.worker.traced import traced  # noqa: PLC0415 - compiles a kernel that others need not have

    return traced(surroundings, order.settings)


def _change(lease: Lease, group: tuple[str, str], order: Order) -> None:
    """Let a worker work for another group. Raises RetryableError while one is using it."""
    if lease.host is not None and clock.monotonic_s() - lease.used_s < order.settings.step.time_max:
        raise RetryableError(
            f"worker {order.worker} works for group {lease.group[0]!r} (snapshots in {lease.group[1]}); "
            "a worker serves one group at a time: end that run, or give this one workers of its own"
        )
    lease.group, lease.run, lease.failures = group, 0, None  # a host of the other's is of another run, and goes


def _step(order: Order, surroundings: Surroundings, lease: Lease) -> StepReport:
    try:
        failpoint("step.begun")
        if lease.host is None:
            logs.use(order.settings.observe.log_format)
            surroundings = _traced(order, surroundings)
        host = lease.host = lease.host or Host(order, surroundings=surroundings, failures=lease.failures)
        report = host.step(order)
        failpoint("step.done")
    except BaseException:
        lease.clear()
        raise
    if order.mode == "stop" and not report.waiting:
        lease.host = None  # it has let go of everything itself
    return report
