"""Workers of a cluster that are ended in order: what they hold goes to others, and nothing is missing."""

import importlib
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from distributed import Client

from hydrodask.services import MongoService
from hydrodask.services.ports import free_port
from hydrodask.settings.model import Kafka
from hydrodask.worker import preload, step
from tests.delivery import (
    DaskProcesses,
    Delivered,
    Driver,
    Progress,
    assert_same,
    collect,
    documents_of,
    sets_of,
    settings_of,
    until,
)

pytestmark = [pytest.mark.cluster, pytest.mark.integration]


def hosting() -> bool:
    """Say whether this worker hosts something."""
    host = step._LEASES[""].host
    return bool(host and host.partitions)


def test_workers_that_are_ended_in_order_hand_their_partitions_over(
    kafka: Kafka, mongodb: MongoService, short: Path, wanted: Delivered, tmp_path: Path
) -> None:
    """One by SIGTERM, as Kubernetes does, one retired, as a smaller cluster does; what comes out is the same."""
    mongo = documents_of(mongodb)
    sets, settings = sets_of(kafka, tmp_path, "leaving", *mongo), settings_of(kafka, tmp_path, "leaving", *mongo)
    options = ("--speed", "4", "--cluster")

    def handed() -> list[str]:
        return re.findall(r"(?m)is ending: .*$", dask.said)

    with DaskProcesses(tmp_path, free_port()) as dask, Client(dask.address) as client:
        for _ in range(3):
            dask.start_worker("--preload", "hydrodask.worker.preload", nanny=True)
        client.wait_for_workers(3, timeout=240)
        with Driver(sets, tmp_path / "log", *options, dask.address, source=f"recording:{short}") as driver:
            until(lambda: list(client.run(hosting).values()) == [True] * 3, "all have something to hand over")
            dask.workers[0].send_signal(signal.SIGTERM)
            until(lambda: len(handed()) == 1, "the first has handed over")
            still = client.run(hosting, on_error="return")
            client.retire_workers([next(worker for worker, hosts in still.items() if hosts is True)])
            until(lambda: len(handed()) == 2, "the second has handed over")
            assert dask.workers[0].wait(120) == 0
            with Progress(
                settings
            ) as progress:  # it hosts partitions as long as it runs: a hand-over may take its time
                records = len(wanted.raw) + len(wanted.labels)
                until(lambda: progress.records() == records, "all is read")
            assert driver.stop() == 0
        with Driver(sets, tmp_path / "log of the next", "--until-idle", "--cluster", dask.address) as driver:
            assert driver.wait() == 0, driver.output
    assert [text for text in handed() if not re.search(r": [1-9]\d* partitions are handed over", text)] == []
    assert_same(collect(settings), wanted)


def test_the_former_name_of_the_preload_works_and_says_the_new_one(caplog: pytest.LogCaptureFixture) -> None:
    """Workers of others may be started with it by settings that nobody has changed since."""
    sys.modules.pop("hydrodask.stream.preload", None)  # the sentence comes with the first import of a process
    with caplog.at_level(logging.WARNING, "hydrodask.stream.preload"):
        former = importlib.import_module("hydrodask.stream.preload")

    assert (former.dask_setup, former.dask_teardown) == (preload.dask_setup, preload.dask_teardown)
    assert "is hydrodask.worker.preload now" in caplog.text


def test_a_nanny_outlives_its_schedulers(tmp_path: Path) -> None:
    """Who comes after one that was killed, or ended in order, gets a worker of it that was ready before."""
    with DaskProcesses(tmp_path, free_port()) as dask:
        nanny = dask.start_worker(
            "--preload", "hydrodask.worker.preload", "--preload-nanny", "hydrodask.worker.nanny", nanny=True
        )
        for count, end in enumerate((signal.SIGKILL, signal.SIGTERM), 1):
            worker = only_worker(dask)
            dask.scheduler.send_signal(end)
            dask.scheduler.wait(120)
            until(lambda count=count: dask.said.count("Start worker at") > count, "the next worker waits")  # type: ignore[misc]
            dask.start_scheduler()
            assert only_worker(dask) != worker
            assert nanny.poll() is None
        with Client(dask.address) as client:
            client.retire_workers(list(client.scheduler_info()["workers"]))
        assert nanny.wait(120) == 0, "all else ends it as ever"


NANNY = """
import asyncio, dask
from distributed import Nanny
async def main():
    nanny = Nanny("tcp://127.0.0.1:1", preload_nanny=["hydrodask.worker.nanny"])
    await nanny.preloads.start()
    name = "distributed.comm.timeouts.connect"
    print(dask.config.get(name), dask.config.get(name, config=nanny.config))
    await nanny.close()
asyncio.run(main())
"""


def test_a_nanny_waits_for_its_first_scheduler() -> None:
    """Only its workers' attempts are short: it has the patience that Dask's settings say, and does not end before."""
    environ = os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "29s"}
    done = subprocess.run([sys.executable, "-c", NANNY], capture_output=True, text=True, env=environ, check=True)

    assert done.stdout.split() == ["29s", "3s"]


def only_worker(dask: DaskProcesses) -> str:
    """Wait for a worker; return its address."""
    with Client(dask.address, timeout=120) as client:
        client.wait_for_workers(1, timeout=240)
        [worker] = client.scheduler_info()["workers"]
        return str(worker)
