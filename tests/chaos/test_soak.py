"""A rig that goes on, and something dies, hangs or is stopped every few seconds: the audit finds nothing wrong."""

import random
import signal
import statistics
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from hydrodask import clock
from hydrodask.ingest.topics import create
from hydrodask.settings.model import Kafka
from tests.chaos.stage import note
from tests.delivery import ROOT, Driver, sets_of, settings_of

PAUSE_S = (5.0, 25.0)
"""Between two faults."""

SPEED = "4"
GROWTH_MAX = 1.5
"""What the last third of a soak may take of memory, for each that the first third took."""


@pytest.mark.integration
@pytest.mark.cluster
@pytest.mark.timeout(0)
def test_soak(kafka: Kafka, tmp_path: Path, seed: int, request: pytest.FixtureRequest) -> None:
    """Kill a worker, stop one for a while, kill the driver, stop it cleanly: at random, for `--soak-minutes`."""
    minutes = float(request.config.getoption("--soak-minutes"))
    sets = sets_of(kafka, tmp_path, f"soak{seed}", "cluster.workers=2", "step.snapshot_every=5s", "step.time_max=5s")
    create(settings_of(kafka, tmp_path, f"soak{seed}"))
    rng = random.Random(seed)  # noqa: S311 - no secret
    memory_mib: list[float] = []
    with _simulator(sets, seed) as simulator:
        end_s = clock.monotonic_s() + 60 * minutes
        while clock.monotonic_s() < end_s:
            with Driver(sets, tmp_path / "log") as driver:
                _hurt(driver, rng, end_s, memory_mib)
        simulator.send_signal(signal.SIGTERM)
        assert simulator.wait(60) == 0
    with Driver(sets, tmp_path / "log", "--until-idle") as driver:
        assert driver.wait() == 0

    options = [part for one in sets for part in ("--set", one)]
    audit = subprocess.run(
        [sys.executable, "-m", "hydrodask", "verify", *options], capture_output=True, text=True, check=False, cwd=ROOT
    )
    third = len(memory_mib) // 3
    first, last = statistics.median(memory_mib[:third]), statistics.median(memory_mib[-third:])
    note({"case": "soak", "seed": seed, "minutes": minutes, "memory_mib_first": first, "memory_mib_last": last})
    assert audit.returncode == 0, audit.stdout[-3000:]
    assert last < GROWTH_MAX * first


def _simulator(sets: list[str], seed: int) -> "subprocess.Popen[bytes]":
    options = [part for one in sets for part in ("--set", one)]
    command = [sys.executable, "-m", "hydrodask", "simulate", "--speed", SPEED, "--seed", str(seed), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _hurt(driver: Driver, rng: random.Random, end_s: float, memory_mib: list[float]) -> None:
    """Do harm until the driver is dead or stopped, or the time is over."""
    while clock.monotonic_s() < end_s and driver.process.poll() is None:
        clock.sleep_s(rng.uniform(*PAUSE_S))
        workers = driver.workers()
        if not workers or driver.process.poll() is not None:
            continue
        memory_mib.append(_memory_mib([driver.process.pid, *(w.pid for w in workers)]))
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
        elif what == "stop driver":
            assert driver.stop() == 0
    if driver.process.poll() is None:
        assert driver.stop() == 0


def _memory_mib(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            total += psutil.Process(pid).memory_info().rss
    return total / 2**20
