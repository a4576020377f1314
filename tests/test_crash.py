"""Kill -9 and stop processes of a running platform: what it delivers is what it delivers without.

Everything here is real: Kafka, the command line, Dask's workers, signals. The moments are random but seeded: a number
of committed records, from which on the next commit, snapshot or file is hit.
"""

import random
import signal
from pathlib import Path

import psutil
import pytest

from hydrodask import clock
from hydrodask.settings.model import Kafka
from tests.delivery import (
    NEVER_QUICK,
    Delivered,
    Driver,
    assert_same,
    collect,
    dask_cluster,
    publish,
    reach,
    reference,
    sets_of,
    settings_of,
    shorten,
    until,
)

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

GONE_S = 30.0
"""Within this time the workers of a killed driver have to be gone."""


@pytest.fixture(scope="session")
def short(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the first cycles of the recording."""
    return shorten(recording, tmp_path_factory.mktemp("recording"))


@pytest.fixture(scope="session")
def wanted(kafka: Kafka, short: Path, tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    """Return what a run without a fault delivers."""
    return reference(kafka, short, tmp_path_factory.mktemp("reference"))


def moments(seed: int, total: int, count: int) -> list[int]:
    """Return numbers of committed records at which something happens, in order, early enough to hit the run."""
    return sorted(random.Random(seed).sample(range(1, total * 8 // 10), count))  # noqa: S311 - no secret


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_worker_changes_nothing(kafka: Kafka, short: Path, wanted: Delivered, tmp_path: Path, seed: int) -> None:
    """Kill -9 of the only worker, three times in a run: its nanny starts another, and all is as without."""
    sets = sets_of(kafka, tmp_path, f"worker{seed}", *NEVER_QUICK)
    settings = settings_of(kafka, tmp_path, f"worker{seed}", *NEVER_QUICK)
    total = publish(settings, short)

    with Driver(sets, tmp_path / "log", "--until-idle") as driver:
        for moment in moments(seed, total, 3):
            reach(driver, settings, moment)
            until(driver.workers, "there is a worker", seconds=20)
            driver.workers()[0].kill()

        assert driver.wait() == 0
    assert_same(collect(settings), wanted)


def test_killed_worker_that_nobody_restarts_changes_nothing(
    kafka: Kafka, short: Path, wanted: Delivered, tmp_path: Path, free_port: int
) -> None:
    """Of two workers without nannies one is killed: the other takes over its partitions, and all is as without."""
    sets = sets_of(kafka, tmp_path, "lone", *NEVER_QUICK)
    settings = settings_of(kafka, tmp_path, "lone", *NEVER_QUICK)
    total = publish(settings, short)

    with (
        dask_cluster(2, tmp_path, free_port) as (address, workers),
        Driver(sets, tmp_path / "log", "--until-idle", "--cluster", address) as driver,
    ):
        reach(driver, settings, moments(3, total, 1)[0])
        workers[0].kill()

        assert driver.wait() == 0
    assert_same(collect(settings), wanted)


def test_killed_driver_goes_on_where_it_was(kafka: Kafka, short: Path, wanted: Delivered, tmp_path: Path) -> None:
    """Kill -9 of the driver, twice, each time with a new run at once: all is as without, and no worker is left."""
    sets = sets_of(kafka, tmp_path, "driver", *NEVER_QUICK)
    settings = settings_of(kafka, tmp_path, "driver", *NEVER_QUICK)
    total = publish(settings, short)
    left: list[psutil.Process] = []

    for moment in moments(4, total, 2):
        with Driver(sets, tmp_path / "log", "--until-idle") as driver:
            reach(driver, settings, moment)
            left += driver.kill()
    killed_s = clock.monotonic_s()
    with Driver(sets, tmp_path / "log", "--until-idle") as driver:
        until(lambda: not any(p.is_running() for p in left), "the workers are gone", seconds=GONE_S)

        assert left
        assert clock.monotonic_s() - killed_s < GONE_S
        assert driver.wait() == 0
    assert_same(collect(settings), wanted)


def test_worker_that_stands_still_is_replaced_and_fenced(
    kafka: Kafka, short: Path, wanted: Delivered, tmp_path: Path
) -> None:
    """One of two workers stops for longer than a step may take, and goes on later: it publishes nothing any more."""
    slow = (*NEVER_QUICK, "cluster.workers=2", "step.time_max=3s", "step.rows_max=500")
    sets = sets_of(kafka, tmp_path, "still", *slow)
    settings = settings_of(kafka, tmp_path, "still", *slow)
    total = publish(settings, short)

    with Driver(sets, tmp_path / "log", "--until-idle") as driver:
        reach(driver, settings, total // 10)
        worker = driver.workers()[0]
        worker.send_signal(signal.SIGSTOP)
        reach(driver, settings, total)
        worker.send_signal(signal.SIGCONT)

        assert driver.wait() == 0
    assert_same(collect(settings), wanted)
