"""Tests on a real Kubernetes: `make kubernetes`. Not part of `make test`: they take half an hour, and root."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.images import oci
from cluster.images.__main__ import OUTPUT
from cluster.images.recipes import RECIPES, build
from tests.conftest import needs
from tests.kubernetes.kit import Kit, place

HERE = Path(__file__).parent
BUILD_S = 3600.0
UP_S = 300.0
SERVERS = ("kafka", "hadoop", "mongo", "mlflow", "prometheus", "pushgateway")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out unless they are asked for."""
    ours = [item for item in items if item.path.parent == HERE]
    for item in ours:
        item.add_marker(pytest.mark.kubernetes)
    if ours and not config.getoption("--kubernetes"):
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in set(ours)]


@pytest.fixture(scope="session")
def kit() -> Kit:
    """Return a cluster that runs, with the operator of dask-kubernetes; it is built if it is not there, and stays."""
    kit = Kit(place())
    needs(there=(kit.folder / "build").exists(), what=f"there is no kit of Kubernetes in {kit.folder}: set K8S_KIT")
    needs(there=os.geteuid() == 0, what="the kit of Kubernetes needs root")
    kit.call("build", timeout_s=BUILD_S)
    kit.call("up", timeout_s=UP_S)
    kit.call("dask-operator", timeout_s=UP_S)
    return kit


@pytest.fixture(scope="session")
def ours(kit: Kit) -> str:
    """Return the digest of hydrodask's image, which is built anew and loaded; the one that is there with K8S_KEEP."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    archive = OUTPUT / "hydrodask.tar"
    kept = "K8S_KEEP" in os.environ and archive.exists()
    digest = oci.digest(archive) if kept else build("hydrodask", "", OUTPUT)
    kit.call("load-image", str(archive), timeout_s=UP_S)
    return digest


@pytest.fixture(scope="session")
def servers(kit: Kit) -> None:
    """Load the images of the servers; those that have been built stay."""
    for name in SERVERS:
        archive = OUTPUT / f"{name}.tar"
        if not archive.exists():
            build(name, RECIPES[name].tag, OUTPUT)
        kit.call("load-image", str(archive), timeout_s=UP_S)


@pytest.fixture
def namespace(kit: Kit) -> Iterator[str]:
    """Return a namespace that enforces the strictest policy, and goes after the test."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    kit.kubectl("create", "namespace", name)
    kit.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    kit.kubectl("delete", "namespace", name, "--wait=false")
