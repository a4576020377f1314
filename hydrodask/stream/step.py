"""The task that Dask runs: a thin shell round the host that this worker process keeps between steps."""

import threading

from hydrodask.reports import StepReport
from hydrodask.stream.host import Host, Order

_HOSTS: dict[str, Host] = {}
"""At most one: the host of this process's current run and generation."""

_ONE = threading.Lock()
"""A worker with several threads must not do a step while one that was given up still runs."""


def step(order: Order) -> StepReport:
    """Do one step of `order`, with a new host when the run or the slot's generation is new.

    An error ends the host, so that the next order begins from what is committed.
    """
    with _ONE:
        return _step(order)


def _step(order: Order) -> StepReport:
    host = _HOSTS.get("host")
    if host is not None and (host.run_id, host.generation) != (order.run_id, order.generation):
        release()
        host = None
    if host is None:
        host = _HOSTS["host"] = Host(order)
    try:
        report = host.step(order)
    except BaseException:
        release()
        raise
    if order.mode == "stop" and not report.waiting:
        _HOSTS.clear()
    return report


def release() -> None:
    """Let go of the host, without a commit."""
    host = _HOSTS.pop("host", None)
    if host is not None:
        host.close()
