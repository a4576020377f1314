"""Every door of a running platform, tried by another user of this machine; `python -m tests.doors` shows the table."""

import json
import sys
from pathlib import Path

import pytest

from hydrodask import kafka as clients
from hydrodask.doors import access
from hydrodask.services import HdfsService, KafkaService, MongoService
from hydrodask.settings import load
from tests.doors import _stranger
from tests.doors._platform import running
from tests.doors._services import services

pytestmark = pytest.mark.cluster


def show(rows: list[_stranger.Row]) -> None:
    """Print what became of each attempt: it is shown if one is open."""
    sys.stdout.write(f"{_stranger.table(rows)}\n{json.dumps(rows)}\n")


def test_no_door_is_open_with_the_embedded_broker(tmp_path: Path) -> None:
    """Nobody else gets in where there is a key; what has none is named as known, and the broker's end is a sentence."""
    with running(tmp_path) as doors:
        rows = doors.tried()
    show(rows)

    assert _stranger.holes(rows) == []
    assert {row["door"] for row in rows} >= {"embedded broker", "port of driver", "port of worker"}


@pytest.mark.integration
def test_no_door_is_open_on_a_local_kafka(tmp_path: Path, kafka_service: KafkaService) -> None:
    """Nor with the brokers of `services up kafka`; the run goes on meanwhile, and stops well."""
    names = ["topics.prefix=doors-", "kafka.group=doors"]
    access.grant(clients.admin(kafka_service.login()), load(sets=names, environ={})[0])
    with running(tmp_path, kafka_service, names) as doors:
        rows = doors.tried()
    show(rows)

    assert _stranger.holes(rows) == []


@pytest.mark.integration
@pytest.mark.timeout(900)  # MLflow's environment is made the first time
def test_no_door_of_other_services_is_open(tmp_path: Path, mongodb: MongoService, hdfs: HdfsService) -> None:
    """Each wants its password; of HDFS, which has none, the table says so."""
    with services(tmp_path) as web:
        known = {**web, "mongodb": mongodb.address, "hdfs": f"127.0.0.1:{hdfs.http_port}"}
        rows = _stranger.tried("services", {"services": known})
    show(rows)

    assert _stranger.holes(rows) == []
    assert {row["door"] for row in rows} == set(known)
    assert [row["door"] for row in rows if row["outcome"].startswith("known")] == ["hdfs"]
