"""Dask with scheduler and workers in the test's own process: real ones, and there within a moment."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import dask

from hydrodask.doors.local import HOST, Scheduler, Worker
from hydrodask.driver.cluster import DaskCluster
from hydrodask.settings.model import Cluster

LIMIT_S = 120.0
"""Limit of what takes a moment, on a machine that is not busy."""

OURS = Cluster(dashboard=None).model_copy(update={"workers": 0})
"""A cluster of ours without workers, which would be processes."""


@asynccontextmanager
async def scheduling(port: int = 0) -> AsyncIterator[Scheduler]:
    """Give a scheduler that gives up a task of a worker that is gone, as one of ours does."""
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        async with Scheduler(host=HOST, port=port, dashboard=False, dashboard_address=None) as scheduler:
            yield scheduler


def with_others(act: Callable[[DaskCluster, Scheduler], Awaitable[Any]], workers: int = 0) -> Any:
    """Return what `act` returns with a cluster of others, its scheduler given, too."""

    async def go() -> Any:
        async with scheduling() as scheduler, AsyncExitStack() as stack:
            for _ in range(workers):
                await stack.enter_async_context(Worker(scheduler.address, host=HOST, nthreads=1))
            cluster = await DaskCluster.connect(Cluster(address=scheduler.address))
            try:
                return await act(cluster, scheduler)
            finally:
                await cluster.close()

    return asyncio.run(asyncio.wait_for(go(), LIMIT_S))


def with_ours(act: Callable[[DaskCluster], Awaitable[Any]]) -> Any:
    """Return what `act` returns with a cluster that is started for it, without workers."""

    async def go() -> Any:
        cluster = await DaskCluster.start(OURS)
        try:
            return await act(cluster)
        finally:
            await cluster.close()

    return asyncio.run(asyncio.wait_for(go(), LIMIT_S))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(LIMIT_S / 4):
        while not condition():  # noqa: ASYNC110  (what is waited for has no event)
            await asyncio.sleep(0.005)
