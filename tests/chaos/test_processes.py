"""Processes die, stop and come: a run delivers what it delivers without.

Everything here is real: Kafka, the command line, Dask's workers, signals. The moments are random but seeded: a number
of committed records, from which on the next commit, snapshot or file is hit.
"""

import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from hydrodask.services import MongoService
from tests.chaos.stage import Stage
from tests.delivery import DaskProcesses, Delivered, Progress, documents_of, until

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

Build = Callable[..., Stage]

FENCED = "starting the Dask cluster"
"""What a run says when it has fenced those before it."""

TIME_MAX = "step.time_max=10s"
"""Long enough for any step that does not stand still, also on a machine that is busy with other tests."""

GONE_S = 60.0
"""Within this time, once the next run goes on, the workers of a killed driver have to be gone."""


@pytest.mark.quick
def test_worker_killed(stage: Build, wanted: Delivered) -> None:
    """Kill -9 of the only worker, three times in a run: its nanny starts another."""
    case = stage()
    with case.driver() as driver:
        for moment in case.moments(3):
            case.reach(driver, moment)
            until(driver.workers, "there is a worker")
            with case.recovery():
                driver.workers()[0].kill()

        assert driver.wait() == 0
    case.settled(wanted)


@pytest.mark.quick
def test_worker_killed_that_nobody_restarts(
    stage: Build, wanted: Delivered, mongodb: MongoService, tmp_path: Path, free_port: int
) -> None:
    """Of two workers without nannies one is killed: the other takes over its partitions."""
    case = stage(*documents_of(mongodb))
    with DaskProcesses(tmp_path, free_port) as dask:
        workers = [dask.start_worker(), dask.start_worker()]
        with case.driver("--cluster", dask.address) as driver:
            case.reach(driver, case.moments(1)[0])
            with case.recovery():
                case.rng.choice(workers).kill()

            assert driver.wait() == 0
    case.settled(wanted)


def test_nanny_killed(stage: Build, wanted: Delivered, mongodb: MongoService, tmp_path: Path, free_port: int) -> None:
    """Of two nannies one is killed; its worker ends with it, and the other one takes over."""
    case = stage(*documents_of(mongodb))
    with DaskProcesses(tmp_path, free_port) as dask:
        nannies = [dask.start_worker(nanny=True), dask.start_worker(nanny=True)]
        with case.driver("--cluster", dask.address) as driver:
            case.reach(driver, case.moments(1)[0])
            with case.recovery():
                case.rng.choice(nannies).kill()

            assert driver.wait() == 0
    case.settled(wanted)


@pytest.mark.quick
def test_driver_killed(stage: Build, wanted: Delivered) -> None:
    """Kill -9 of the driver, twice, each time with a new run at once; no worker is left behind."""
    case = stage()
    left: list[psutil.Process] = []
    with ExitStack() as held:
        driver = held.enter_context(case.driver())
        for moment in case.moments(2):
            case.reach(driver, moment)
            with case.recovery():
                left += driver.kill()
                starts = driver.output.count(FENCED)
                driver = held.enter_context(case.driver())
                until(lambda: driver.output.count(FENCED) > starts, "the workers left behind are fenced")  # noqa: B023
        until(lambda: not any(p.is_running() for p in left), "the workers are gone", seconds=GONE_S)

        assert left
        assert driver.wait() == 0
    case.settled(wanted)


def test_scheduler_killed(
    stage: Build, wanted: Delivered, mongodb: MongoService, tmp_path: Path, free_port: int
) -> None:
    """Without its scheduler a run ends, saying why; with a new one the next run goes on."""
    case = stage(*documents_of(mongodb), "step.patience=5s")
    with DaskProcesses(tmp_path, free_port) as dask:
        dask.start_worker(nanny=True)
        with case.driver("--cluster", dask.address) as driver:
            case.reach(driver, case.moments(1)[0])
            dask.scheduler.kill()

            assert driver.wait() == 1
            assert "the Dask scheduler" in driver.output
            assert "Traceback" not in driver.output
    with DaskProcesses(tmp_path, free_port) as dask:
        dask.start_worker(nanny=True)
        with ExitStack() as held:
            with case.recovery():
                driver = held.enter_context(case.driver("--cluster", dask.address))

            assert driver.wait() == 0
    case.settled(wanted)


@pytest.mark.quick
def test_worker_stands_still(
    stage: Build, wanted: Delivered, mongodb: MongoService, tmp_path: Path, free_port: int
) -> None:
    """One of two workers stops for longer than a step may take, and goes on later: it publishes nothing any more.

    They have no nannies, for a nanny would end it, and there would be no zombie.
    """
    case = stage(*documents_of(mongodb), TIME_MAX, "step.rows_max=500")
    with DaskProcesses(tmp_path, free_port) as dask:
        workers = [dask.start_worker(), dask.start_worker()]
        with case.driver("--cluster", dask.address) as driver:
            case.reach(driver, case.total // 10)
            worker = case.rng.choice(workers)
            with case.recovery():
                worker.send_signal(signal.SIGSTOP)
            with Progress(case.settings) as progress:  # the run may be over by the time that we see it
                until(lambda: progress.records() >= case.total, "all is committed")
            worker.send_signal(signal.SIGCONT)

            assert driver.wait() == 0
    case.settled(wanted)


@pytest.mark.quick
def test_worker_hangs(stage: Build, wanted: Delivered) -> None:
    """The only worker stops for good in the middle of a step: its nanny ends it and starts another."""
    case = stage(TIME_MAX, "step.rows_max=500")
    with case.driver() as driver:
        case.reach(driver, case.moments(1)[0])
        until(driver.workers, "there is a worker")
        with case.recovery():
            driver.workers()[0].send_signal(signal.SIGSTOP)

        assert driver.wait() == 0
    case.settled(wanted)


def test_workers_come_and_go(
    stage: Build, wanted: Delivered, mongodb: MongoService, tmp_path: Path, free_port: int
) -> None:
    """One worker, then three, then one again, in the middle of windows: partitions move and nothing is lost."""
    case = stage(*documents_of(mongodb))
    first, second = case.moments(2)
    with DaskProcesses(tmp_path, free_port) as dask:
        dask.start_worker()
        with case.driver("--cluster", dask.address) as driver:
            case.reach(driver, first)
            with case.recovery():
                more = [dask.start_worker(), dask.start_worker()]
            case.reach(driver, second)
            with case.recovery():
                for worker in more:
                    worker.terminate()

            assert driver.wait() == 0
    case.settled(wanted)


def test_two_drivers_at_once(stage: Build, wanted: Delivered, tmp_path: Path) -> None:
    """Two drivers on one group, lake and document store: one survives, and the other says why it does not."""
    shared = (f"lake.url={tmp_path / 'lake'}", f"documents.url=sqlite:///{tmp_path / 'documents.sqlite'}")
    case = stage(*shared)
    with ExitStack() as held:
        # So few records a step that it has work for several times as long as the second one takes to start.
        first = held.enter_context(case.driver(more=["step.rows_max=50"]))
        case.reach(first, case.total // 20)
        second = held.enter_context(case.driver(more=[f"data_dir={tmp_path / 'second'}"]))
        assert first.wait() == 1
        with case.recovery():
            pass

        assert "another hydrodask run has taken over group" in first.output
        assert second.wait() == 0
    case.settled(wanted)
