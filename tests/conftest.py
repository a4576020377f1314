"""Fixtures that many tests share: a real broker, a free port, the real data."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydrodask.services import KafkaService
from hydrodask.services.ports import free_port as find_free_port
from hydrodask.settings.model import Kafka
from tests.audited import Stored, run_embedded, run_real

CI = os.environ.get("CI") == "true"
"""On CI nothing that is missing may pass for a reason to skip."""

RECORDING = Path(__file__).resolve().parents[2] / "shared" / "data" / "recording"


def needs(*, there: bool, what: str) -> None:
    """Skip the test when `what` is missing, and fail it on CI."""
    if not there and CI:
        pytest.fail(f"{what}, and CI must not skip")
    if not there:
        pytest.skip(what)


@pytest.fixture
def free_port() -> int:
    """Return a TCP port of loopback that nobody uses now."""
    return find_free_port()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Run a real Apache Kafka for the whole session; give the settings that reach it.

    Tests share it: give each its own `topics.prefix` and `kafka.group`.
    """
    needs(there=shutil.which("java") is not None, what="there is no java on the PATH")
    service = KafkaService(tmp_path_factory.mktemp("kafka"), port=find_free_port(), heap="256m", with_parent=True)
    needs(
        there=service.jars.exists() or shutil.which("mvn") is not None,
        what="Kafka's jars are not in the cache, and there is no mvn on the PATH",
    )
    service.install(lambda _said: None)
    service.start(lambda _said: None)
    try:
        yield Kafka(embedded=False, bootstrap=service.bootstrap)
    finally:
        service.stop()


@pytest.fixture(scope="session")
def stored(kafka: Kafka, recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Return what a platform on the real broker has left; copy its folder before you change anything."""
    return run_real(kafka, recording, tmp_path_factory.mktemp("stored"), "stored")


@pytest.fixture(scope="session")
def leftover(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Return what a platform with an embedded broker has left; copy its folder before you change anything."""
    return run_embedded(recording, tmp_path_factory.mktemp("leftover"))


@pytest.fixture(scope="session")
def recording() -> Path:
    """Return the folder of the real ten-cycle recording, which is not part of the repository."""
    needs(there=RECORDING.exists(), what="there is no recording at ../shared/data/recording")
    return RECORDING
