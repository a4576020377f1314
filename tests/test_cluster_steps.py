"""Work on the workers of a cluster: steps, batches, and what becomes of them when a worker or the scheduler goes.

Scheduler and workers are in this process; what needs processes is in `test_cluster`.
"""

import asyncio
import gc
import pkgutil
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hydrodask.doors.local import HOST, Scheduler, Worker
from hydrodask.driver.cluster import DaskCluster, told_apart
from hydrodask.errors import FatalError, HydrodaskError, RetryableError, WorkerLostError
from hydrodask.protocol.order import Order
from hydrodask.settings import Settings
from tests.daskhere import LIMIT_S, until, with_others

pytestmark = pytest.mark.cluster

BEGUN, GO = threading.Event(), threading.Event()


def stand_still() -> None:
    """Do nothing until a test says so, and fail."""
    BEGUN.set()
    GO.wait(LIMIT_S)
    raise ValueError("it was to stand still")


@pytest.fixture(autouse=True)
def _standing() -> Iterator[None]:
    BEGUN.clear()
    GO.clear()
    yield
    GO.set()


async def all_of(results: AsyncIterator[Any]) -> list[Any]:
    """Return what comes."""
    return [one async for one in results]


async def begun(cluster: DaskCluster, worker: str) -> "asyncio.Task[Any]":
    """Return a step that a worker has begun."""
    step = asyncio.create_task(cluster._run(worker, stand_still))
    await until(BEGUN.is_set)
    return step


GET_DATA = pkgutil.get_data


def another_release(package: str, resource: str) -> bytes | None:
    """Read a file of a package: workers, who have threads, have another one than the driver."""
    mine = threading.current_thread() is threading.main_thread()
    return GET_DATA(package, resource) if mine else b"another"


def test_a_worker_of_another_release_gets_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked which it has before it is to greet; the sentence says what to do."""
    monkeypatch.setattr(pkgutil, "get_data", another_release)

    async def act(cluster: DaskCluster, _scheduler: Scheduler) -> None:
        (worker,) = await cluster.workers()
        await cluster.step(worker, Order("run", 1, 0, worker, Settings(), mode="greet"))

    with pytest.raises(FatalError, match="has another release of hydrodask than this driver, or none"):
        with_others(act, workers=1)


def test_a_step_whose_worker_dies_comes_back_at_once() -> None:
    """It is not done again elsewhere, and the error is one of the worker's."""

    async def act(cluster: DaskCluster, scheduler: Scheduler) -> None:
        async with Worker(scheduler.address, host=HOST, nthreads=1) as worker:
            step = await begun(cluster, worker.address)
            await worker.close(executor_wait=False)
            await step

    with pytest.raises(WorkerLostError, match="died during a step"):
        with_others(act)


@pytest.mark.parametrize("what", ["step", "batch"])
def test_work_that_is_lost_with_the_scheduler_is_an_error(what: str) -> None:
    """Nobody takes it for done: neither a step nor a part of a batch."""

    async def act(cluster: DaskCluster, scheduler: Scheduler) -> None:
        (worker,) = await cluster.workers()
        work = cluster._run(worker, stand_still) if what == "step" else all_of(cluster.each(stand_still, [()]))
        working = asyncio.create_task(work)
        await until(BEGUN.is_set)
        closing = asyncio.create_task(scheduler.close())
        try:
            await working
        finally:
            GO.set()
            await closing

    with pytest.raises(WorkerLostError, match=r"went away (during a step|with stand_still)"):
        with_others(act, workers=1)


def test_a_step_that_is_given_up_is_not_missed() -> None:
    """Whatever becomes of it afterwards, nobody is told that its error was never looked at."""
    told = list[dict[str, Any]]()

    async def act(cluster: DaskCluster, _scheduler: Scheduler) -> bool:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        (worker,) = await cluster.workers()
        step = await begun(cluster, worker)
        step.cancel()
        await asyncio.wait({step})
        GO.set()
        return step.cancelled()

    assert with_others(act, workers=1)
    gc.collect()
    assert told == []


def open_nothing(path: Path) -> None:
    """Fail as code does that meets a file system in trouble."""
    path.open()


def test_what_is_left_of_a_batch_that_failed_is_let_go(tmp_path: Path) -> None:
    """Also while somebody still holds the error: the scheduler has nothing more to do for it."""

    async def act(cluster: DaskCluster, scheduler: Scheduler) -> None:
        error: HydrodaskError | None = None
        try:
            async for _ in cluster.each(open_nothing, [(tmp_path / "nothing",), (tmp_path / "neither",)]):
                pass
        except RetryableError as caught:
            error = caught
        await until(lambda: not scheduler.tasks)
        assert "open_nothing failed" in str(error)

    with_others(act, workers=1)


def test_an_error_of_the_files_is_no_lost_connection(tmp_path: Path) -> None:
    """It says what failed and where; any other error stays what it is."""
    with pytest.raises(RetryableError, match=r"open_nothing failed in pathlib.*FileNotFoundError.*nothing"):
        told_apart(open_nothing, tmp_path / "nothing")
    with pytest.raises(ZeroDivisionError):
        told_apart(divmod, 1, 0)
    assert told_apart(divmod, 7, 2) == (3, 1)


def test_a_worker_that_hangs_is_started_again_by_its_nanny() -> None:
    """The scheduler is asked for it; that a worker has no nanny is no error."""

    async def act(cluster: DaskCluster, scheduler: Scheduler) -> list[bool]:
        asked = list[list[str]]()

        def noted(workers: list[str], **_: Any) -> dict[str, str]:
            asked.append(list(workers))
            return dict.fromkeys(workers, "OK")

        scheduler.handlers["restart_workers"] = noted
        (worker,) = await cluster.workers()
        await cluster.restart(worker)
        assert asked == []
        scheduler.workers[worker].nanny = "tcp://127.0.0.1:1"
        await cluster.restart(worker)
        return [workers == [worker] for workers in asked]

    assert with_others(act, workers=1) == [True]


def test_a_message_is_left_with_the_scheduler() -> None:
    """Pages find it there, under its topic."""

    async def act(cluster: DaskCluster, scheduler: Scheduler) -> list[dict[str, Any]]:
        await cluster.log_event("of-a-test", {"rows": 7})
        return [message for _, message in scheduler.get_events("of-a-test")]

    assert with_others(act) == [{"rows": 7}]
