"""`hydrodask cluster` on a real one, from an empty cluster to an empty cluster."""

import json
import sys
from typing import Any

from tests.conftest import RECORDING, needs
from tests.kubernetes.kit import Kit
from tests.kubernetes.platform import NAME, VALUES, Platform
from tests.kubernetes.test_platform import stream, verified

OURS = "localhost/hydrodask:dev"
NEXT = "localhost/hydrodask:next"
COMMAND_S = 1200.0
SPACES = (NAME, f"{NAME}-kafka", f"{NAME}-storage", f"{NAME}-observe")


def cluster(kit: Kit, *argv: str) -> str:
    """Run a command of `hydrodask cluster`; return what it prints."""
    return kit.inside(sys.executable, "-m", "hydrodask", "cluster", *argv, timeout_s=COMMAND_S)


def refused(kit: Kit, *argv: str) -> str:
    """Run a command that has to fail; return what it says."""
    try:
        cluster(kit, *argv)
    except AssertionError as error:
        return str(error)
    raise AssertionError(f"{argv} was not refused")


def pods(kit: Kit) -> dict[str, str]:
    """Return our pods by name, and which one of that name it is."""
    found = kit.get("pods", "--all-namespaces", f"--selector=app.kubernetes.io/instance={NAME}")["items"]
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in found}


def workers(kit: Kit) -> tuple[int, set[str]]:
    """Return how many workers are wanted, and the images of those that are there."""
    spec: Any = kit.get("daskclusters.kubernetes.dask.org", "--namespace", NAME, NAME)["spec"]
    found = kit.get("pods", "--namespace", NAME, "--selector=dask.org/component=worker")["items"]
    images = {pod["spec"]["containers"][0]["image"] for pod in found if "deletionTimestamp" not in pod["metadata"]}
    return spec["worker"]["replicas"], images


def test_the_life_of_a_platform(kit: Kit, ours: str, servers: None) -> None:  # noqa: ARG001  # loaded images
    """Up, up again, scaled, a bad image, a good one in mid-stream, tried, and down: with its data, and then without."""
    needs(there=RECORDING.exists(), what=f"there is no recording in {RECORDING}")
    where = 'ctr --address "${K8S_KIT_DIR:-$HOME/.cache/hydrodask-k8s}/run/containerd/containerd.sock"'
    kit.inside("sh", "-c", f"{where} --namespace k8s.io images tag --force {OURS} {NEXT}")
    values = ("--values", str(VALUES), "--set", "training.enabled=false", "--set", "mlflow.enabled=false")
    platform = Platform(kit)

    cluster(kit, "up", *values)
    before = pods(kit)
    cluster(kit, "up", *values)
    assert pods(kit) == before, "the second time changes nothing"

    platform.store(RECORDING)
    cluster(kit, "scale", "3")
    job = stream(platform, "15")
    assert workers(kit)[0] == 3, "an upgrade of the chart, which the Job was, does not scale back"
    cluster(kit, "scale", "2")
    assert "ErrImage" in refused(kit, "upgrade", "localhost/hydrodask:bad")
    assert workers(kit) == (2, {OURS})
    stores = {name: uid for name, uid in pods(kit).items() if name.endswith("-0")}
    cluster(kit, "upgrade", NEXT)
    assert workers(kit) == (2, {NEXT})
    assert stores.items() <= pods(kit).items(), "Kafka, HDFS and MongoDB went on"
    platform.published(job)
    verified(platform)
    cluster(kit, "quick-test", "--no-train")

    said = cluster(kit, "down")
    assert "kept: PersistentVolumeClaim" in said
    assert not pods(kit)
    cluster(kit, "down", "--data", "--yes")
    left = json.loads(kit.kubectl("get", "namespaces", "--output=json"))["items"]
    assert not {one["metadata"]["name"] for one in left} & set(SPACES)
