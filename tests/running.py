"""Test doubles and drivers: the life of one partition in memory, and a whole platform until it is idle."""

import asyncio
import http.client
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from hydrodask.doors.trust import basic
from hydrodask.reports import Overview
from hydrodask.run.datadir import DataDir
from hydrodask.run.platform import Platform
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from hydrodask.testing.life import BUILDS, FOREVER_S, Life

__all__ = ["BUILDS", "FOREVER_S", "Life"]


def run_to_idle(
    settings: Settings,
    publish: Callable[[Kafka], None],
    collect: Callable[[Kafka], None] = lambda _kafka: None,
) -> Overview:
    """Start a platform, let `publish` fill its topics, run it until all is stored, and return the last overview.

    `collect` sees what is on the topics in the end.
    """

    async def run() -> Overview:
        with DataDir(settings.data_dir):
            platform = Platform(settings)
            async with platform.started(lambda _said: None):
                await asyncio.to_thread(publish, platform.settings.kafka)
                await asyncio.wait_for(platform.run(seconds=None, until_idle=True), 300)
                await asyncio.to_thread(collect, platform.settings.kafka)
                return platform.coordinator.tracker.overview

    return asyncio.run(run())


def folder(data_dir: Path, name: str) -> pa.Table:
    """Return a folder of the lake as one table, empty when there is none."""
    path = data_dir / "lake" / name
    return ds.dataset(path, partitioning="hive").to_table() if path.exists() else pa.table({})


def status_of(address: str, path: str, login: tuple[str, str] | None = None, method: str = "GET") -> int:
    """Return the status with which the web server at host:port answers."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, headers=basic(*login) if login else {})
        with connection.getresponse() as answer:
            return answer.status
    finally:
        connection.close()
