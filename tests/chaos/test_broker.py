"""The broker dies, or is slow, or can't be reached."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hydrodask import clock
from hydrodask.services import KafkaService
from hydrodask.services.kafkanodes import KafkaNode
from hydrodask.services.ports import free_port
from tests.chaos.proxy import Proxy
from tests.chaos.stage import ALL_OPEN, Stage
from tests.conftest import kill, quiet, running
from tests.delivery import Delivered

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

Build = Callable[..., Stage]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaService]:
    """Run a broker of the test's own, to be killed."""
    service = KafkaService(tmp_path / "kafka", port=free_port(3), heap="256m", with_parent=True)
    service.install(quiet)
    yield from running(service)


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaService]:
    """Run three brokers, one of which may be killed. For the session, as starting takes long and seeds take turns."""
    folder = tmp_path_factory.mktemp("three")
    service = KafkaService(folder, port=free_port(9), nodes=3, heap="256m", with_parent=True)
    service.install(quiet)
    yield from running(service)


@pytest.fixture(scope="session")
def network() -> Iterator[Proxy]:
    """Run a network to a broker that has its last listener at the port after its own three."""
    with Proxy(free_port(4) + 3) as proxy:
        yield proxy


class FarKafka(KafkaService):
    """A broker with one more listener, which says that it is at the end of a network."""

    network: Proxy

    def _properties_text(self, node: KafkaNode) -> str:
        far = {
            "listeners": f"FAR://{node.at(3)}",
            "advertised.listeners": f"FAR://127.0.0.1:{self.network.port}",
            "listener.security.protocol.map": "FAR:SASL_PLAINTEXT",
        }
        lines = super()._properties_text(node).splitlines()
        lines += [
            line.replace("name.internal", "name.far") for line in lines if line.startswith("listener.name.internal")
        ]
        return "".join(
            f"{line},{far[name]}\n" if (name := line.partition("=")[0]) in far else f"{line}\n" for line in lines
        )


@pytest.fixture(scope="session")
def far(network: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarKafka]:
    """Run a broker at the end of `network`."""
    service = FarKafka(tmp_path_factory.mktemp("far"), port=network.target_port - 3, heap="256m", with_parent=True)
    service.network = network
    service.install(quiet)
    yield from running(service)


def test_only_broker_killed(broker: KafkaService, short: Path, tmp_path: Path, seed: int, wanted: Delivered) -> None:
    """Kill -9 of the only broker; it comes back after some seconds, and the run has waited for it."""
    kafka = broker.login()
    case = Stage(kafka, short, tmp_path / "data", name="only-broker-killed", seed=seed)
    with case.driver() as driver:
        case.reach(driver, case.moments(1)[0])
        with case.recovery():
            kill(broker, "kafka")
            clock.sleep_s(case.rng.uniform(0.5, 3.0))
            broker.start(quiet)

        assert driver.wait() == 0
    case.settled(wanted)


def test_one_of_three_brokers_killed(
    three: KafkaService, short: Path, tmp_path: Path, seed: int, wanted: Delivered
) -> None:
    """Kill -9 of one of three brokers: the run goes on with two, and with three again when it comes back."""
    kafka = three.login()
    sets = (*ALL_OPEN, "topics.replication=3", "topics.min_insync=2")  # three.sets() has the operator's login too
    case = Stage(kafka, short, tmp_path, name="one-of-three-brokers-killed", seed=seed, sets=sets)
    victim = case.rng.choice(three.servers()).name
    try:
        with case.driver() as driver:
            case.reach(driver, case.moments(1)[0])
            with case.recovery():
                kill(three, victim)
            three.start(quiet)

            assert driver.wait() == 0
    finally:
        three.start(quiet)  # the next seed wants three
    case.settled(wanted)


def test_broker_cut_off(far: FarKafka, short: Path, tmp_path: Path, seed: int, wanted: Delivered) -> None:
    """The network to the broker is cut for some seconds: connections break, or nothing comes through and none does."""
    kafka, network = far.login(), far.network
    case = Stage(kafka, short, tmp_path, name="broker-cut-off", seed=seed)
    with case.driver(more=[f"kafka.bootstrap=127.0.0.1:{network.port}"]) as driver:
        case.reach(driver, case.moments(1)[0])
        with case.recovery():
            case.rng.choice([network.partition, network.hold])()
            clock.sleep_s(case.rng.uniform(1.0, 8.0))
            network.heal()

        assert driver.wait() == 0
    case.settled(wanted)


def test_transaction_timeout(stage: Build, wanted: Delivered) -> None:
    """A worker stands still for longer than its transaction may last: it is aborted and begun anew."""
    case = stage("kafka.producer={transaction.timeout.ms: 1000}", "step.rows_max=500")
    with case.driver() as driver:
        case.reach(driver, case.moments(1)[0])
        worker = driver.workers()[0]
        for _ in range(3):
            worker.send_signal(signal.SIGSTOP)
            clock.sleep_s(1.5)
            with case.recovery():
                worker.send_signal(signal.SIGCONT)
            clock.sleep_s(case.rng.uniform(0.0, 0.3))
            if driver.process.poll() is not None:
                break

        assert driver.wait() == 0
    case.settled(wanted)
