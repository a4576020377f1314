"""Workers of a cluster that are ended in order: what they hold goes to others, and nothing is missing."""

import re
import signal
from pathlib import Path

import pytest
from distributed import Client

from hydrodask.services import MongoService
from hydrodask.services.ports import free_port
from hydrodask.settings.model import Kafka
from hydrodask.stream import step
from tests.delivery import (
    DaskProcesses,
    Delivered,
    Driver,
    assert_same,
    collect,
    documents_of,
    sets_of,
    settings_of,
    until,
)

pytestmark = [pytest.mark.cluster, pytest.mark.integration]


def hosting() -> bool:
    """Say whether this worker hosts something."""
    return bool(step._DESK.host and step._DESK.host.partitions)


def test_workers_that_are_ended_in_order_hand_their_partitions_over(
    kafka: Kafka, mongodb: MongoService, short: Path, wanted: Delivered, tmp_path: Path
) -> None:
    """One by SIGTERM, as Kubernetes does, one retired, as a smaller cluster does; what comes out is the same."""
    mongo = documents_of(mongodb)
    sets, settings = sets_of(kafka, tmp_path, "leaving", *mongo), settings_of(kafka, tmp_path, "leaving", *mongo)
    options = ("--speed", "4", "--until-idle", "--cluster")

    def handed() -> list[str]:
        return re.findall(r"(?m)is ending: .*$", dask.said)

    with DaskProcesses(tmp_path, free_port()) as dask, Client(dask.address) as client:
        for _ in range(3):
            dask.start_worker("--preload", "hydrodask.stream.preload", nanny=True)
        client.wait_for_workers(3, timeout=120)
        with Driver(sets, tmp_path / "log", *options, dask.address, source=f"recording:{short}") as driver:
            until(lambda: list(client.run(hosting).values()) == [True] * 3, "all have something to hand over")
            dask.workers[0].send_signal(signal.SIGTERM)
            until(lambda: len(handed()) == 1, "the first has handed over")
            still = client.run(hosting, on_error="return")
            client.retire_workers([next(worker for worker, hosts in still.items() if hosts is True)])
            until(lambda: len(handed()) == 2, "the second has handed over")
            assert driver.wait() == 0
            assert dask.workers[0].wait(60) == 0
    assert [text for text in handed() if not re.search(r": [1-9]\d* partitions are handed over", text)] == []
    assert_same(collect(settings), wanted)
