"""Workers that the kernel kills for want of memory, faster than Dask's nanny looks: the driver can say so."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from hydrodask.driver import cluster as driver
from hydrodask.driver.cluster import DaskCluster
from hydrodask.settings.model import Cluster
from hydrodask.worker.nanny import oom_kills
from tests.delivery import DaskProcesses

V2 = "low 0\nhigh 0\nmax 12\noom {0}\noom_kill {0}\noom_group_kill 0\n"
"""A container's `memory.events` in cgroup v2."""

V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill {0}\n"
"""A container's `memory.oom_control` in cgroup v1."""


@pytest.mark.parametrize(
    ("texts", "kills"),
    [
        pytest.param((V2.format(3), None), 3, id="cgroup v2"),
        pytest.param((None, V1.format(2)), 2, id="cgroup v1"),
        pytest.param((None, "oom_kill_disable 0\nunder_oom 0\n"), 0, id="a kernel that does not count"),
        pytest.param((None, None), 0, id="no container"),
    ],
)
def test_the_kernels_kills_are_counted(texts: tuple[str | None, ...], kills: int, tmp_path: Path) -> None:
    """By whichever file there is, of the version of cgroups that the container has."""
    files = [tmp_path / str(place) for place in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        if text is not None:
            file.write_text(text)

    assert oom_kills(files) == kills


async def nannies(cluster: DaskCluster) -> list[str]:
    """Return the workers whose nannies know that they are there: what is killed before that is no worker yet."""

    def known(dask_worker: Any) -> str:
        return str(dask_worker.status.name == "running" and dask_worker.worker_address)

    return list((await cluster._client.run(known, nanny=True)).values())


@pytest.mark.cluster
def test_an_oom_kill_is_named_and_another_kill_is_not(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nanny knows of a death later than the driver, which asks again before it says what it knows."""
    monkeypatch.setattr(driver, "_AGAIN", 100)  # for more than a second: a nanny may have to wait for its turn
    counts, preload = tmp_path / "memory.events", tmp_path / "counts.py"
    counts.write_text(V2.format(1))
    preload.write_text(
        f"from pathlib import Path\nfrom hydrodask.worker import nanny\nnanny.COUNTS = Path({str(counts)!r}),"
    )
    preloads = ("--preload-nanny", str(preload), "--preload-nanny", "hydrodask.worker.nanny")

    def die(count: int) -> None:
        counts.write_text(V2.format(count))
        os.kill(os.getpid(), signal.SIGKILL)

    async def killed(cluster: DaskCluster, count: int) -> str:
        while not (workers := await cluster.workers()) or workers != await nannies(cluster):
            pass  # asking takes its time
        step = asyncio.ensure_future(cluster._run(workers[0], die, count))
        while workers[0] in await cluster.workers():
            pass
        step.cancel()  # nobody else may do it
        return await cluster.memory(workers[0], died=True)

    async def said(address: str) -> list[str]:
        cluster = await DaskCluster.connect(Cluster(address=address))
        try:
            return [await killed(cluster, count) for count in (2, 2, 3)]
        finally:
            await cluster.close()

    with DaskProcesses(tmp_path, free_port) as dask:
        dask.start_worker("--memory-limit", "1GiB", *preloads, nanny=True)
        first, other, third = asyncio.run(asyncio.wait_for(said(dask.address), 400))

    assert first == "the kernel killed it, as its container was out of memory (OOM kill), its limit is 1,024 MiB"
    assert (other, third) == ("", first)
