"""A cluster as the driver sees it, of ours and of others: start, who is there, memory, a scheduler lost, and the end.

Scheduler and workers are in this process; what needs processes is in `test_cluster` and `test_others_cluster`.
"""

import asyncio
import logging
import os
from functools import partial
from typing import Any

import dask
import pytest
from distributed import Client, Nanny, SpecCluster, Status
from distributed.core import Server

from hydrodask.doors import local
from hydrodask.doors.local import HOST, Scheduler, Worker
from hydrodask.driver import cluster as room
from hydrodask.driver.cluster import DaskCluster
from hydrodask.errors import ConfigError, UnreachableError
from hydrodask.settings.model import Cluster
from hydrodask.worker.nanny import ENDED
from tests.daskhere import LIMIT_S, scheduling, until, with_others, with_ours
from tests.heard import Logged

pytestmark = pytest.mark.cluster

NOBODY = "tcp://127.0.0.1:1"
"""The address of a worker that is gone."""


def test_a_cluster_of_ours_is_as_it_should_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A dead worker's step comes back at once, Dask says little, and libraries start no threads; who wants some may."""
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    talkative = "distributed", "distributed.client", "bokeh", "tornado"
    for name in talkative:
        caplog.set_level(logging.INFO, name)

    async def act(cluster: DaskCluster) -> tuple[int, str, list[str]]:
        assert cluster._cluster is not None
        return cluster._cluster.scheduler.allowed_failures, cluster.dashboard, await cluster.workers()

    with dask.config.set({"distributed.scheduler.allowed-failures": 3}):
        assert with_ours(act) == (0, "", [])

    assert [logging.getLogger(name).level for name in talkative] == [logging.WARNING] * 4
    threads = [os.environ[f"{name}_NUM_THREADS"] for name in ("OMP", "OPENBLAS", "MKL")]
    assert threads == ["4", "1", "1"]


def test_who_closes_stops_what_is_his() -> None:
    """The client in either case, the cluster if it is ours; one of others goes on."""

    async def ours(cluster: DaskCluster) -> list[object]:
        await cluster.close()
        assert cluster._cluster is not None
        return [cluster._client.status, cluster._cluster.status]

    async def others(cluster: DaskCluster, scheduler: Scheduler) -> list[object]:
        await cluster.close()
        return [cluster._client.status, scheduler.status]

    assert with_ours(ours) == ["closed", Status.closed]
    assert with_others(others) == ["closed", Status.running]


@pytest.mark.parametrize("error", [AssertionError("can only join a started process"), RuntimeError("Nanny failed")])
def test_a_run_has_ended_well_however_its_cluster_ends(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Of a worker that is just being started again Dask says such things, and all is committed by then."""
    close, asked = SpecCluster.close, list[str]()

    async def ended(cluster: SpecCluster, **options: Any) -> None:
        await close(cluster, **options)
        asked.append(cluster.status.name)
        raise error

    async def act(cluster: DaskCluster) -> None:
        monkeypatch.setattr(SpecCluster, "close", ended)
        await cluster.close()
        monkeypatch.setattr(SpecCluster, "close", close)

    with_ours(act)

    assert asked == ["closed"]


class Unlucky(Nanny):  # type: ignore[misc]  # Dask has no types
    """A nanny that can't begin."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        raise OSError("too many open files")


def test_a_cluster_that_does_not_start_is_tried_three_times(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    """Each time it is said, and what was there already is closed again."""
    monkeypatch.setattr(local, "Nanny", Unlucky)
    before = set(Scheduler._instances)

    with pytest.raises(UnreachableError, match=r"start a Dask cluster here \(attempt 3 of 3\): .*too many open files"):
        asyncio.run(asyncio.wait_for(DaskCluster.start(Cluster(dashboard=None)), LIMIT_S))

    said = [one.getMessage() for one in logged.records if one.name == room.__name__]
    assert [f"(attempt {number} of 3)" in text for number, text in enumerate(said, 1)] == [True, True]
    assert {one.status for one in set(Scheduler._instances) - before} <= {Status.closed}


def test_a_cluster_is_reached_as_somebodys_client_reaches_it() -> None:
    """Notebooks have one; it is theirs, and stays open."""

    async def act(_cluster: DaskCluster, scheduler: Scheduler) -> list[object]:
        async with Client(scheduler.address, asynchronous=True, set_as_default=False) as theirs:
            (worker,) = scheduler.workers
            cluster = await DaskCluster.start(Cluster(), client=theirs)
            same = await cluster.workers() == [worker]
            await cluster.close()
            return [same, theirs.status]

    assert with_others(act, workers=1) == [True, "running"]


def test_who_is_no_scheduler_is_named() -> None:
    """An address of something else of Dask's is an error of the settings."""

    async def go() -> None:
        async with Server({}) as other:
            await other.listen(f"tcp://{HOST}:0")
            await DaskCluster.connect(Cluster(address=other.address))

    with pytest.raises(ConfigError, match="there is a Server, no Scheduler"):
        asyncio.run(asyncio.wait_for(go(), LIMIT_S))


def test_a_scheduler_that_stands_still_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is connected, and says nothing: that is said after a while, and its client is kept."""
    monkeypatch.setattr(room, "_ASK_S", 0.05)

    async def act(cluster: DaskCluster, scheduler: Scheduler) -> None:
        client, identity = cluster._client, scheduler.handlers["identity"]
        scheduler.handlers["identity"] = partial(asyncio.sleep, LIMIT_S)
        with pytest.raises(UnreachableError, match="the Dask scheduler does not answer"):
            await cluster.workers()
        scheduler.handlers["identity"] = identity
        monkeypatch.setattr(room, "_ASK_S", LIMIT_S)
        assert await cluster.workers() == []
        assert cluster._client is client

    with_others(act)


def test_a_scheduler_that_is_replaced_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What listens at its port meanwhile is no scheduler yet: that ends no run. Nothing is left of the old client."""
    monkeypatch.setattr(room, "_ASK_S", 5.0)

    async def go() -> None:
        async with scheduling() as first:
            cluster = await DaskCluster.connect(Cluster(address=first.address))
            old = cluster._client
        await until(lambda: old.status != "running")
        async with Server({}) as other:
            await other.listen(first.address)
            with pytest.raises(UnreachableError, match=r"the Dask scheduler was lost: .* no Scheduler"):
                await cluster.workers()
        assert old.status == "closed"
        async with scheduling(int(first.address.rpartition(":")[2])) as second:
            async with Worker(second.address, host=HOST, nthreads=1) as worker:
                assert await cluster.workers() == [worker.address]
            await cluster.close()

    asyncio.run(asyncio.wait_for(go(), LIMIT_S))


def asked_for_events(scheduler: Scheduler) -> list[float]:
    """Return when the scheduler is asked for events, from now on."""
    times, events = list[float](), scheduler.handlers["events"]

    def noted(*arguments: Any, **options: Any) -> Any:
        times.append(asyncio.get_running_loop().time())
        return events(*arguments, **options)

    scheduler.handlers["events"] = noted
    return times


def test_why_a_worker_died_may_be_told_late() -> None:
    """Its death is known before its nanny could tell: whoever died is asked for again, others once."""

    async def act(cluster: DaskCluster, scheduler: Scheduler) -> str:
        asked = asked_for_events(scheduler)
        assert await cluster.memory(NOBODY) == ""
        assert len(asked) == 1
        asking = asyncio.create_task(cluster.memory(NOBODY, died=True))
        await until(lambda: len(asked) > 1)
        scheduler.log_event(ENDED, {"worker": NOBODY, "rss": 2**20})
        return await asking

    assert with_others(act) == "Dask ended it at 1 MiB of memory"


def test_nobody_may_tell_why_a_worker_died(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its nanny gets some time for it; then it did not die of memory."""
    monkeypatch.setattr(room, "_AGAIN", 3)
    monkeypatch.setattr(room, "_AGAIN_S", 0.05)

    async def act(cluster: DaskCluster, scheduler: Scheduler) -> list[float]:
        asked = asked_for_events(scheduler)
        assert await cluster.memory(NOBODY, died=True) == ""
        return asked

    asked = with_others(act)
    assert len(asked) == 4
    assert asked[-1] - asked[0] >= 0.14


def test_nannies_of_ours_tell_nothing_late() -> None:
    """They are in this process: one question is enough."""

    async def act(cluster: DaskCluster) -> int:
        assert cluster._cluster is not None
        asked = asked_for_events(cluster._cluster.scheduler)
        assert await cluster.memory(NOBODY, died=True) == ""
        return len(asked)

    assert with_ours(act) == 1
