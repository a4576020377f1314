"""A Dask cluster of others: it is waited for, looked at before anything begins, and found again once it was away.

Everything here is real: scheduler and workers are processes, Kafka and MongoDB are the session's.
"""

import asyncio
from pathlib import Path

import pytest

from hydrodask.doors import remote
from hydrodask.errors import UnreachableError
from hydrodask.services import MongoService
from hydrodask.services.ports import free_port as find_free_port
from hydrodask.settings.model import Cluster, Kafka
from hydrodask.stream.cluster import DaskCluster
from tests.delivery import DaskProcesses, Driver, Progress, publish, sets_of, settings_of, until
from tests.running import status_of

pytestmark = pytest.mark.cluster


def test_a_scheduler_that_was_away_is_found_again(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client of Dask's gives up after its limit, for good; ours answers as long as it is asked."""
    monkeypatch.setattr(remote, "CONNECT_S", 2.0)

    async def story(dask: DaskProcesses) -> None:
        starting = asyncio.create_task(DaskCluster.start(Cluster(address=dask.address), patience_s=60))
        await asyncio.sleep(0)
        dask.start_scheduler()
        cluster = await starting
        try:
            assert await cluster.workers() == []
            dask.scheduler.kill()
            dask.scheduler.wait(10)
            while cluster._client.status != "closed":
                with pytest.raises(UnreachableError, match="the Dask scheduler"):
                    await cluster.workers()
            dask.start_scheduler()
            dask.start_worker()
            found: list[str] = []
            while not found:
                try:
                    found = await cluster.workers()
                except UnreachableError:
                    await asyncio.sleep(0.1)
            assert found[0].startswith("tcp://127.0.0.1:")
        finally:
            await cluster.close()

    processes = DaskProcesses(tmp_path, free_port)
    try:
        asyncio.run(asyncio.wait_for(story(processes), 90))
    finally:
        processes.__exit__()


def test_a_scheduler_that_does_not_come_is_waited_for_as_long_as_patience_says(free_port: int) -> None:
    """The sentence names the setting; a login that is wrong would be said at once."""
    with pytest.raises(UnreachableError, match=rf"gave up after 1 s \(step.patience\): .*127.0.0.1:{free_port}"):
        asyncio.run(DaskCluster.start(Cluster(address=f"tcp://127.0.0.1:{free_port}"), patience_s=1))


@pytest.mark.integration
def test_a_run_waits_for_its_scheduler_and_outlives_it(
    kafka: Kafka, mongodb: MongoService, short: Path, tmp_path: Path, free_port: int
) -> None:
    """It begins before there is one; probes say so all the time; one that dies in mid-stream is found again."""
    port = find_free_port()
    mongo = [*mongodb.sets(), "documents.database=hydrodask"]
    sets = sets_of(kafka, tmp_path, "outlives", *mongo, f"observe.metrics=127.0.0.1:{port}", "step.rows_max=500")
    settings = settings_of(kafka, tmp_path, "outlives")
    total = publish(settings, short)
    dask = DaskProcesses(tmp_path, free_port)

    def says(path: str) -> int:
        try:
            return status_of(f"127.0.0.1:{port}", path)
        except OSError:
            return 0

    try:
        with (
            Driver(sets, tmp_path / "log", "--until-idle", "--cluster", dask.address) as driver,
            Progress(settings) as progress,
        ):
            until(lambda: "is waited for" in driver.output, "the scheduler is waited for")
            assert (says("/live"), says("/ready")) == (200, 503)
            dask.start_scheduler()
            dask.start_worker(nanny=True)
            until(lambda: says("/ready") == 200, "steps move")
            until(lambda: progress.records() > 0, "something is committed")
            dask.scheduler.kill()
            dask.scheduler.wait(10)
            until(lambda: "does not answer" in driver.output, "it is missed")
            assert progress.records() < total, "there is work left"
            dask.start_scheduler()
            dask.start_worker(nanny=True)

            assert driver.wait() == 0
            assert progress.records() == total
    finally:
        dask.__exit__()
