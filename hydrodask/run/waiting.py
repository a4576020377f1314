"""Waiting for the first of several tasks, and for what is still being started when it has to end."""

import asyncio
import contextlib

from hydrodask.driver.cluster import DaskCluster
from hydrodask.errors import HydrodaskError


async def first(*tasks: "asyncio.Task[None]") -> None:
    """Return once one of `tasks` has. Raises what the first of those raises."""
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in filter(asyncio.Task.done, tasks):
        task.result()


async def close(cluster: "asyncio.Task[DaskCluster]") -> None:
    """Close a cluster that is there, or still being started when something else has failed."""
    with contextlib.suppress(HydrodaskError):  # who waited for the cluster has it already
        await (await cluster).close()
