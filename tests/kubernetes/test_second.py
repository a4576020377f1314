"""A second platform beside the first: in one namespace, with small workers, and with what may be in its way there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydrodask import clock
from tests.conftest import RECORDING, needs
from tests.kubernetes.figures import note
from tests.kubernetes.kit import Kit
from tests.kubernetes.platform import VALUES, Platform
from tests.kubernetes.test_cluster import clear, cluster
from tests.kubernetes.test_platform import RECORDS, stream, verified

NAME = "second"
OFF = {"enabled": False}
SMALL = {
    "namespaces": {"one": True},
    "hdfs": OFF,
    "mlflow": OFF,
    "prometheus": OFF,
    "pushgateway": OFF,
    "training": OFF,
    "dask": {
        "workerResources": {
            "requests": {"cpu": "50m", "memory": "256Mi"},
            "limits": {"cpu": "200m", "memory": "1Gi"},
        }
    },
}
"""Its lake is a claim; workers have a fifth of a CPU."""

FILL = """
import sys
from distributed import Client
from distributed.security import Security
from hydrodask.doors.login import dask_settings
from hydrodask.settings import load

def fill():
    return len(bytearray(b"x") * 2**31)

cluster = load(profile=sys.argv[1])[0].cluster
with Client(cluster.address, security=Security(**dask_settings(cluster))) as client:
    worker = sorted(client.scheduler_info()["workers"])[0]
    future = client.submit(fill, workers=[worker], allow_other_workers=False, retries=0)
    print(type(future.exception()).__name__)
"""
"""Run in the driver's pod: let a worker ask for more memory than its container may have."""


@pytest.fixture
def second(kit: Kit, ours: str, servers: None, tmp_path: Path) -> Iterator[Platform]:  # noqa: ARG001  # loaded images
    """Return it, running, in a namespace where a Service is called as we are."""
    needs(there=RECORDING.exists(), what=f"there is no recording in {RECORDING}")
    kit.kubectl("create", "namespace", NAME)
    kit.kubectl("label", "namespace", NAME, "pod-security.kubernetes.io/enforce=restricted")
    kit.kubectl("create", "service", "clusterip", "hydrodask", "--namespace", NAME, "--tcp=80:80")
    values = tmp_path / "small.json"
    values.write_text(json.dumps(SMALL), encoding="utf-8")
    where = ("--namespace", NAME, "--release", NAME)
    cluster(kit, "up", *where, "--values", str(VALUES), "--values", str(values))
    platform = Platform(kit, name=NAME, together=True)
    platform.store(RECORDING)
    yield platform
    clear(kit, NAME)


def test_a_second_platform_with_small_workers(kit: Kit, second: Platform) -> None:
    """The recording goes through without a lost slot; a worker that is out of memory is named, and all goes on."""
    began_s = clock.monotonic_s()
    second.published(stream(second, "max"))
    note("the recording with two workers of 1 GiB and 200m CPU → all of it", clock.monotonic_s() - began_s)
    assert second.consumed() >= RECORDS
    assert "is lost" not in said(second)

    job = stream(second, "8")
    kit.until("it streams", lambda: second.consumed() > RECORDS, 120)
    second.driver("python3", "-", "/etc/hydrodask/platform.yaml", stdin=FILL, timeout_s=120)
    second.published(job)
    assert [line for line in said(second).splitlines() if "is lost" in line and "memory" in line]
    verified(second)

    cluster(kit, "down", "--namespace", NAME, "--release", NAME, "--data", "--yes")


def said(platform: Platform) -> str:
    """Return the driver's log."""
    return platform.kit.kubectl("logs", "--namespace", platform.name, f"deploy/{platform.full}-driver")
