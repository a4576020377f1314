"""A rig that goes on, and something dies, hangs or is stopped every few seconds: the audit finds nothing wrong."""

import random
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from hydrodask import clock
from hydrodask.audit.verify import verify
from hydrodask.ingest.topics import create
from hydrodask.settings.model import Kafka
from tests.audited import fine
from tests.chaos.stage import note
from tests.delivery import ROOT, Driver, sets_of, settings_of, until

PAUSE_S = (5.0, 25.0)
"""Between two faults."""

SPEED = "4"
SETTLED_S = 30.0
"""A process that is younger than this still grows to what it takes."""

GROWTH_MIB_MAX = 150.0
"""What a process may take more at the end of a soak than at its beginning, by the line through all samples."""


@pytest.mark.integration
@pytest.mark.cluster
@pytest.mark.timeout(0)
def test_soak(kafka: Kafka, tmp_path: Path, seed: int, request: pytest.FixtureRequest) -> None:
    """Kill a worker, stop one for a while, kill the driver, stop it cleanly: at random, for `--soak-minutes`."""
    minutes = float(request.config.getoption("--soak-minutes"))
    sets = sets_of(kafka, tmp_path, f"soak{seed}", "cluster.workers=2", "step.snapshot_every=5s", "step.time_max=5s")
    settings = settings_of(kafka, tmp_path, f"soak{seed}")
    create(settings)
    rng = random.Random(seed)  # noqa: S311 - no secret
    memory = Memory()
    with _simulator(sets, seed):
        end_s = clock.monotonic_s() + 60 * minutes
        while clock.monotonic_s() < end_s:
            with Driver(sets, tmp_path / f"{memory.faults}.log") as driver:
                _hurt(driver, rng, end_s, memory)
    with Driver(sets, tmp_path / "log", "--until-idle") as driver:
        assert driver.wait() == 0

    used = {f"{kind}_mib": round(memory.mean_mib(kind)) for kind in ("driver", "worker")}
    found = {"minutes": minutes, "faults": memory.faults, **used, "slope_mib_h": round(memory.slope_mib_h())}
    note({"case": "soak", "seed": seed, **found})
    fine(verify(settings))
    assert memory.slope_mib_h() * minutes / 60 < GROWTH_MIB_MAX, found


@contextmanager
def _simulator(sets: list[str], seed: int) -> Iterator[None]:
    """Run a rig, which has to end well at the end of the block."""
    options = [part for one in sets for part in ("--set", one)]
    command = [sys.executable, "-m", "hydrodask", "simulate", "--speed", SPEED, "--seed", str(seed), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


class Memory:
    """What driver and workers take, in samples over time; only of those that are old enough."""

    def __init__(self) -> None:
        self.faults = 0
        self._began_s = clock.monotonic_s()
        self._samples: dict[str, list[tuple[float, float]]] = {"driver": [], "worker": []}

    def sample(self, driver: Driver) -> None:
        """Take a sample of the driver and one of each worker."""
        workers = [("worker", process.pid) for process in driver.workers()]
        for kind, pid in [("driver", driver.process.pid), *workers]:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if clock.now_us() / 1e6 - process.create_time() > SETTLED_S:
                    seconds, mib = clock.monotonic_s() - self._began_s, process.memory_info().rss / 2**20
                    self._samples[kind].append((seconds, mib))

    def mean_mib(self, kind: str) -> float:
        """Return what a driver, or a worker, takes."""
        return statistics.mean(mib for _, mib in self._samples[kind])

    def slope_mib_h(self) -> float:
        """Return by how much a process grows in an hour: the line through all samples, by least squares."""
        seconds, over = [], []
        for kind, samples in self._samples.items():
            seconds += [second for second, _ in samples]
            over += [mib - self.mean_mib(kind) for _, mib in samples]
        return 3600 * statistics.linear_regression(seconds, over).slope


def _hurt(driver: Driver, rng: random.Random, end_s: float, memory: Memory) -> None:
    """Do harm until the driver is dead or stopped, or the time is over; not before it runs.

    It would end, saying why, if its first worker died, and it hears no signal yet.
    """
    until(lambda: "running:" in driver.output or driver.process.poll() is not None, "the driver runs")
    while clock.monotonic_s() < end_s:
        for _ in range(round(rng.uniform(*PAUSE_S))):
            clock.sleep_s(1.0)
            memory.sample(driver)
        assert driver.process.poll() is None, "the driver has ended by itself"
        workers = driver.workers()
        if not workers:
            continue
        memory.faults += 1
        what = rng.choice(["kill", "kill", "stand still", "hang", "kill driver", "stop driver"])
        with suppress(psutil.NoSuchProcess):
            if what == "kill":
                rng.choice(workers).kill()
            elif what == "stand still":
                worker = rng.choice(workers)
                worker.send_signal(signal.SIGSTOP)
                clock.sleep_s(rng.uniform(0.5, 4.0))
                worker.send_signal(signal.SIGCONT)
            elif what == "hang":
                rng.choice(workers).send_signal(signal.SIGSTOP)
        if what == "kill driver":
            driver.kill()
            return
        if what == "stop driver":
            break
    assert driver.stop() == 0
