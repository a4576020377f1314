"""Workers of a cluster that are ended in order: what they hold goes to others, and nothing is missing."""

import re
import signal
from pathlib import Path

import pytest
from distributed import Client

from hydrodask.learn.cluster import workers_of
from hydrodask.services import MongoService
from hydrodask.services.ports import free_port
from hydrodask.settings.model import Kafka
from tests.delivery import (
    DaskProcesses,
    Delivered,
    Driver,
    assert_same,
    collect,
    documents_of,
    reach,
    sets_of,
    settings_of,
    until,
)

pytestmark = [pytest.mark.cluster, pytest.mark.integration]


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
            reach(driver, settings, 5000)
            dask.workers[0].send_signal(signal.SIGTERM)
            until(lambda: len(handed()) == 1, "the first has handed over")
            assert dask.workers[0].wait(60) == 0
            client.retire_workers([min(workers_of(client))])
            until(lambda: len(handed()) == 2, "the second has handed over")
            assert driver.wait() == 0
    assert [text for text in handed() if not re.search(r": [1-9]\d* partitions are handed over", text)] == []
    assert_same(collect(settings), wanted)
