"""The lake's and the documents' servers die, hang, are slow, or can't be reached."""

import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hydrodask import clock
from hydrodask.services import HdfsService, MongoService
from tests.chaos.proxy import Proxy
from tests.chaos.stage import Stage
from tests.conftest import hdfs_service, kill, mongo_service, quiet, running
from tests.delivery import Delivered

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

Build = Callable[..., Stage]

MEMORY_MIB_MAX = 700
"""What a worker may take while a store is slow: a run with quick stores takes some 350."""


@pytest.fixture(scope="session")
def mortal_hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HdfsService]:
    """Run an HDFS that these tests may kill."""
    yield from running(hdfs_service(tmp_path_factory.mktemp("hdfs"), data_nodes=3))


@pytest.fixture
def mortal_mongodb(tmp_path: Path) -> Iterator[MongoService]:
    """Run a MongoDB of the test's own, which it may kill."""
    yield from running(mongo_service(tmp_path / "mongodb"))


def test_mongod_killed(stage: Build, wanted: Delivered, mortal_mongodb: MongoService) -> None:
    """Kill -9 of the only mongod; it comes back after some seconds, and the run has waited for it."""
    case = stage(*mortal_mongodb.sets(), "documents.timeout=3s")
    with case.driver() as driver:
        case.reach(driver, case.moments(1)[0])
        with case.recovery():
            kill(mortal_mongodb, mortal_mongodb.servers()[0].name)
            clock.sleep_s(case.rng.uniform(0.5, 3.0))
            mortal_mongodb.start(quiet)

        assert driver.wait() == 0
    case.settled(wanted)


@pytest.mark.parametrize("server", ["namenode", "datanode-1"])
def test_hdfs_node_killed(stage: Build, wanted: Delivered, mortal_hdfs: HdfsService, server: str) -> None:
    """Kill -9 of the name node, or of one of three data nodes; it comes back after some seconds."""
    url = f"lake.url={mortal_hdfs.address}/{uuid.uuid4().hex}/lake"
    case = stage(url, "step.snapshot_every=1s", "lake.roll_rows=5000", name=server)
    with case.driver() as driver:
        case.reach(driver, case.moments(1)[0])
        with case.recovery():
            kill(mortal_hdfs, server)
            clock.sleep_s(case.rng.uniform(0.5, 3.0))
            mortal_hdfs.start(quiet)

        assert driver.wait() == 0
    case.settled(wanted)


def test_slow_store(stage: Build, wanted: Delivered, mortal_mongodb: MongoService) -> None:
    """Each answer of MongoDB takes 50 ms, a hundred times as long as here: memory stays, and nothing is dropped."""
    with Proxy(mortal_mongodb.port) as proxy:
        case = stage(*_through(proxy, mortal_mongodb))
        proxy.delay_s = 0.025  # there and back
        with case.driver() as driver:
            case.reach(driver, case.moments(1)[0])
            used = max(psutil.Process(worker.pid).memory_info().rss for worker in driver.workers())

            assert driver.wait() == 0
        assert used / 2**20 < MEMORY_MIB_MAX
        proxy.delay_s = 0.0
        case.settled(wanted)


def test_store_cut_off(stage: Build, wanted: Delivered, mortal_mongodb: MongoService) -> None:
    """The network between the worker and MongoDB is cut for some seconds."""
    with Proxy(mortal_mongodb.port) as proxy:
        case = stage(*_through(proxy, mortal_mongodb), "documents.timeout=3s")
        with case.driver() as driver:
            case.reach(driver, case.moments(1)[0])
            with case.recovery():
                case.rng.choice([proxy.partition, proxy.hold])()
                clock.sleep_s(case.rng.uniform(1.0, 5.0))
                proxy.heal()

            assert driver.wait() == 0
        case.settled(wanted)


def _through(proxy: Proxy, service: MongoService) -> list[str]:
    """Return the settings that reach the server by the proxy, and ask nobody where it really is."""
    sets = [one.replace(f":{service.port}", f":{proxy.port}") for one in service.sets()]
    return [re.sub("replicaSet=[^&]+", "directConnection=true", one) for one in sets]
