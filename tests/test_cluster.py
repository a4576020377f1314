"""Starting a Dask cluster of our own."""

import asyncio
import threading

import psutil
import pytest

from hydrodask import clock
from hydrodask.settings.model import Cluster
from hydrodask.stream.cluster import DaskCluster

pytestmark = pytest.mark.cluster

FOUND_S = 30.0


def kill_first_worker(killed: list[int]) -> None:
    """Kill the first process that is started as a worker, as soon as it is seen."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    end_s = clock.monotonic_s() + FOUND_S
    while not killed and clock.monotonic_s() < end_s:
        for child in psutil.Process().children(recursive=True):
            if child.pid not in before and "spawn_main" in " ".join(child.cmdline()):
                child.kill()
                killed.append(child.pid)
                break
        clock.sleep_s(0.02)


def test_worker_killed_before_it_is_there_is_started_again() -> None:
    """The run begins all the same."""
    killed: list[int] = []
    killer = threading.Thread(target=kill_first_worker, args=(killed,))

    async def start() -> list[str]:
        cluster = await DaskCluster.start(Cluster(dashboard="127.0.0.1:0"))
        try:
            return await cluster.workers()
        finally:
            await cluster.close()

    killer.start()
    workers = asyncio.run(start())
    killer.join()

    assert killed
    assert len(workers) == 1
