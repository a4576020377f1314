"""The broker dies, or is slow, or can't be reached."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hydrodask import clock
from hydrodask.services import KafkaService
from hydrodask.services.ports import free_port
from hydrodask.settings.model import Kafka
from tests.chaos.stage import Stage
from tests.delivery import NEVER_QUICK, Delivered, assert_same, collect

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

Build = Callable[..., Stage]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaService]:
    """Run a broker of the test's own, to be killed."""
    service = KafkaService(tmp_path / "kafka", port=free_port(3), heap="256m", with_parent=True)
    service.install(lambda _said: None)
    service.start(lambda _said: None)
    try:
        yield service
    finally:
        service.stop()


def test_only_broker_killed(broker: KafkaService, short: Path, tmp_path: Path, seed: int, wanted: Delivered) -> None:
    """Kill -9 of the only broker; it comes back after some seconds, and the run has waited for it."""
    kafka = Kafka(embedded=False, bootstrap=broker.bootstrap)
    sets = (*NEVER_QUICK, "step.rows_max=500")
    case = Stage(kafka, short, tmp_path / "data", name="only-broker-killed", seed=seed, sets=sets)
    with case.driver() as driver:
        case.reach(driver, case.moments(1)[0])
        with case.recovery():
            os.kill(broker.state().pid or 0, signal.SIGKILL)
            clock.sleep_s(case.rng.uniform(0.5, 3.0))
            broker.start(lambda _said: None)

        assert driver.wait() == 0
    assert_same(collect(case.settings), wanted)


def test_transaction_timeout(stage: Build, wanted: Delivered) -> None:
    """A worker stands still for longer than its transaction may last: it is aborted and begun anew."""
    case = stage("kafka.producer={transaction.timeout.ms: 1000}", "step.rows_max=300")
    with case.driver() as driver:
        case.reach(driver, case.moments(1)[0])
        worker = driver.workers()[0]
        for _ in range(5):
            worker.send_signal(signal.SIGSTOP)
            clock.sleep_s(1.5)
            with case.recovery():
                worker.send_signal(signal.SIGCONT)
            clock.sleep_s(case.rng.uniform(0.0, 0.3))
            if driver.process.poll() is not None:
                break

        assert driver.wait() == 0
    assert_same(collect(case.settings), wanted)
