"""What viewers of the operator's page cost its server: CPU, memory, and what is left of them once they are gone.

CPU seconds and memory are of the server's process alone, so other work on the machine disturbs them little.
"""

from collections.abc import Callable
from typing import Any

import psutil

from hydrodask import clock

BETWEEN_S = 10.0
"""A window of each sensor comes so often, as in a run."""

LOOK_S = 60.0
"""CPU is counted for so long."""

GONE_S = 10.0
"""After so long nothing of who has gone may be left."""

Cost = dict[str, Any]


def busy_s(server: psutil.Process) -> float:
    """Return the CPU seconds of a server so far."""
    times = server.cpu_times()
    return float(times.user + times.system)


def held(server: psutil.Process) -> Cost:
    """Return what a server holds now: connections of viewers, open files, threads, MiB of its own."""
    sockets = server.net_connections("tcp")
    port = next(one.laddr.port for one in sockets if one.status == psutil.CONN_LISTEN)
    return {
        "connections": sum(one.laddr.port == port and one.status != psutil.CONN_LISTEN for one in sockets),
        "files": server.num_fds(),
        "threads": server.num_threads(),
        "mib": round(server.memory_full_info().uss / 2**20, 1),
    }


def live_cost(server: psutil.Process, feed: Callable[[], object], seconds: float = LOOK_S) -> float:
    """Return the percentage of a core that a server takes while rows come as in a run, and whoever is there looks."""
    began_s, before_s = clock.monotonic_s(), busy_s(server)
    while clock.monotonic_s() - began_s < seconds:
        feed()
        clock.sleep_s(BETWEEN_S)
    return round(100 * (busy_s(server) - before_s) / (clock.monotonic_s() - began_s), 2)


def cost(server: psutil.Process, feed: Callable[[], object], count: int, open_one: Callable[[int], Any]) -> Cost:
    """Return what so many viewers cost who look at a rig each, live; `open_one` opens the tab of one.

    Before them each of their rigs is looked at once: what the server keeps of a rig's rows is no viewer's.
    """
    for number in range(count):
        open_one(number).context.close()
    clock.sleep_s(GONE_S)
    alone, before = live_cost(server, feed), held(server)
    tabs = [open_one(number) for number in range(count)]
    together, during = live_cost(server, feed), held(server)
    for tab in tabs:
        tab.context.close()
    clock.sleep_s(GONE_S)
    after = held(server)
    return {
        "cpu_alone_percent": alone,
        "cpu_percent": together,
        "mib_each": round((during["mib"] - before["mib"]) / count, 2),
        "before": before,
        "during": during,
        "after_10_s": after,
    }
