"""A Dask cluster of our own: how it starts, and what it says of workers that fail."""

import asyncio
import contextlib
import os
import shutil
import threading
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from hydrodask import clock
from hydrodask.driver.cluster import DaskCluster
from hydrodask.errors import FatalError, RetryableError, WorkerLostError
from hydrodask.kafka import producer
from hydrodask.protocol.order import Order
from hydrodask.settings import Settings
from hydrodask.settings.model import Cluster, Kafka, Limits, Source
from tests.delivery import ROOT, DaskProcesses
from tests.running import run_to_idle

pytestmark = pytest.mark.cluster

FOUND_S = 180.0
"""Limit of what takes some seconds: a worker is there, and answers."""


def kill_first_worker(killed: list[int]) -> None:
    """Kill the first process that is started as a worker, as soon as it is seen."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    end_s = clock.monotonic_s() + FOUND_S
    while not killed and clock.monotonic_s() < end_s:
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
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
    assert [worker.partition("://")[0] for worker in workers] == ["tls"]


def test_who_has_lost_the_scheduler_is_asked_for_memory_in_vain() -> None:
    """A client that has given up has no scheduler any more; that is no error of its own."""
    lost: Any = SimpleNamespace(scheduler=None, get_events=lambda _topic: lost.scheduler.events())

    assert asyncio.run(DaskCluster(lost, None).memory("tcp://127.0.0.1:1")) == ""


class Together:
    """The future of a step whose result is fetched together with those of others, as Dask's client does it."""

    def __init__(self, fetching: "asyncio.Future[int]") -> None:
        self.fetching, self.released = fetching, False

    def __await__(self) -> Generator[Any, None, int]:
        return self.fetching.__await__()

    def release(self) -> None:
        """Take note."""
        self.released = True


def test_a_step_that_is_given_up_takes_no_result_of_another_worker_with_it() -> None:
    """Both are fetched in one go while the first one's worker stands still: the second comes, and ends no run."""

    async def act() -> tuple[bool, int, bool]:
        fetching: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        futures = [Together(fetching), Together(fetching)]
        submitted = iter(futures)
        client: Any = SimpleNamespace(submit=lambda *_, **__: next(submitted))
        steps = [asyncio.ensure_future(DaskCluster(client, None)._run(worker, os.getpid)) for worker in ("w1", "w2")]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        steps[0].cancel()
        await asyncio.wait({steps[0]})
        fetching.set_result(7)
        return steps[0].cancelled(), await steps[1], all(future.released for future in futures)

    assert asyncio.run(act()) == (True, 7, True)


def test_worker_of_another_release_is_named(tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not read an order, and would close without a word: the run ends and says what to do."""
    shutil.copytree(ROOT / "hydrodask", tmp_path / "other" / "hydrodask", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "hydrodask" / "protocol" / "order.py").open("a", encoding="utf-8") as file:
        file.write("\nRELEASE = 'another'\n")

    async def greet(address: str) -> None:
        cluster = await DaskCluster.connect(Cluster(address=address, insecure=True))
        try:
            for _ in range(round(FOUND_S / 0.1)):
                for worker in await cluster.workers():
                    await cluster.step(worker, Order("run", 1, 0, worker, Settings(), mode="greet"))
                await asyncio.sleep(0.1)
        finally:
            await cluster.close()

    with DaskProcesses(tmp_path, free_port) as dask:
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "other"))
        dask.start_worker(cwd=tmp_path / "other")
        dask.until_it_answers()
        with pytest.raises(FatalError, match="another release of hydrodask than this driver"):
            asyncio.run(greet(dask.address))


def with_cluster(act: Callable[[DaskCluster], Awaitable[Any]], **settings: Any) -> Any:
    """Return what `act` returns with a cluster that is started for it."""

    async def go() -> Any:
        cluster = await DaskCluster.start(Cluster(dashboard="127.0.0.1:0", **settings))
        try:
            return await act(cluster)
        finally:
            await cluster.close()

    return asyncio.run(asyncio.wait_for(go(), 240))


async def call(cluster: DaskCluster, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns on a worker."""
    (result,) = [one async for one in cluster.each(function, [arguments])]
    return result


def open_nothing(path: Path) -> None:
    """Fail as code of a step does that meets a file system in trouble."""
    path.open()


def test_an_error_of_the_steps_own_is_not_a_lost_worker(tmp_path: Path) -> None:
    """The worker is well: its error is waited out, not answered by fencing; and it says where it came from."""

    async def act(cluster: DaskCluster) -> None:
        await call(cluster, open_nothing, tmp_path / "nothing")

    with pytest.raises(RetryableError, match=r"open_nothing failed in pathlib.*FileNotFoundError.*nothing") as caught:
        with_cluster(act)

    assert not isinstance(caught.value, WorkerLostError)


def swell(most_bytes: int) -> None:
    """Take memory until somebody ends this process."""
    held: list[np.ndarray] = []
    while sum(block.nbytes for block in held) < most_bytes:
        held.append(np.ones(1_000_000))
    threading.Event().wait(60)


def test_a_worker_that_dies_of_memory_is_known_for_it() -> None:
    """Its nanny ends it, and the cluster can say so afterwards, with how much there was."""

    async def act(cluster: DaskCluster) -> str:
        (worker,) = await cluster.workers()
        with pytest.raises(WorkerLostError):
            await call(cluster, swell, 2 * 2**30)
        said = ""
        async with asyncio.timeout(FOUND_S):  # its end is known a moment before what its nanny tells of it
            while worker in await cluster.workers() or "Dask ended it" not in said:
                await asyncio.sleep(0.1)
                said = await cluster.memory(worker)
        return said

    said = with_cluster(act, memory_limit="900MiB")

    assert "Dask ended it at" in said
    assert "its limit is 900 MiB" in said


def publish_rigs(kafka: Kafka) -> None:
    """Publish samples of more rigs than a small worker can hold, each of another one."""
    client = producer(kafka)
    now = clock.iso(clock.now_us())
    for number in range(60_000):
        record = f'{{"sensor": "TS1", "cycle": 0, "sample_idx": 0, "value": 1.5, "timestamp": "{now}", '
        client.produce("hydraulic-TS1", f'{record}"sampling_rate_hz": 1, "rig": "made-up-{number}"}}'.encode())
    assert client.flush(120) == 0


def test_made_up_rig_names_end_the_run_with_a_sentence(tmp_path: Path) -> None:
    """Workers die of memory in a circle: after three of them somebody is told of memory, rigs and where they are."""
    cluster = Cluster(dashboard="127.0.0.1:0", memory_limit="480MiB")
    limits = Limits(rigs=1_000_000)
    settings = Settings(data_dir=tmp_path, source=Source(kind="none"), cluster=cluster, limits=limits)

    with pytest.raises(FatalError, match=r"3 workers in a row died of memory.* 480 MiB.* rigs") as caught:
        run_to_idle(settings, publish_rigs)

    assert "hydraulic-TS1-0" in str(caught.value)


def test_a_paused_worker_of_somebody_elses_cluster_is_named(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask starts nothing on a worker that is short of memory, and says so to none; with our preload it goes on."""
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE", "0.001")

    async def said(address: str) -> list[str]:
        cluster = await DaskCluster.start(Cluster(address=address))
        try:
            while len(await cluster.workers()) < 2 or not cluster.paused():
                pass  # asking takes its time
            ((paused, why),) = cluster.paused().items()
            (other,) = set(await cluster.workers()) - {paused}
            assert await asyncio.wait_for(cluster._run(other, os.getpid), FOUND_S), "it works"
            assert list(cluster.paused()) == [paused]
            return [why, await cluster.memory(paused)]
        finally:
            await cluster.close()

    with DaskProcesses(tmp_path, free_port) as dask:
        dask.start_worker(nanny=True)
        dask.start_worker("--preload", "hydrodask.worker.preload", nanny=True)
        dask.until_it_answers()
        texts = asyncio.run(asyncio.wait_for(said(dask.address), 240))

    for text in texts:
        assert "Dask has paused it at" in text
        assert "distributed.worker.memory.pause" in text
