"""`hydrodask cluster` on a real one, from an empty cluster to an empty cluster."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hydrodask import clock
from tests.conftest import RECORDING, needs
from tests.kubernetes.figures import note
from tests.kubernetes.kit import Kit
from tests.kubernetes.platform import NAME, VALUES, Platform
from tests.kubernetes.test_platform import SLOW, stream, verified

OURS = "localhost/hydrodask:dev"
NEXT = "localhost/hydrodask:next"
COMMAND_S = 1200.0
FIRST_S = 60.0
"""From `cluster up` in an empty cluster to the first window row."""
GAP_S = 30.0
"""Between two rows while another image reaches all parts."""
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


def limits(kit: Kit) -> set[str]:
    """Return how much memory workers may have."""
    found = kit.get("pods", "--namespace", NAME, "--selector=dask.org/component=worker")["items"]
    there = [pod["spec"]["containers"][0] for pod in found if "deletionTimestamp" not in pod["metadata"]]
    return {one["resources"]["limits"]["memory"] for one in there}


def simulated(folder: Path) -> Path:
    """Return values with which three rigs send a quarter of an hour in 96 s, with a fault: enough to learn from.

    Not at once: two cores that publish two million records start nothing else meanwhile.
    """
    start = clock.iso(clock.now_us() - 960 * clock.US_PER_S)
    send = ["--rigs", "3", "--speed", "10", "--start", start, "--for", "96s", "--faults", "faults-demo.yaml"]
    values = folder / "values.yaml"
    values.write_text(json.dumps({"jobs": {"simulator": {"enabled": True, "arguments": send}}}), encoding="utf-8")
    return values


@pytest.fixture
def emptied(kit: Kit) -> Iterator[Kit]:
    """Return a cluster in which nothing of a platform is left afterwards, whatever fails."""
    yield kit
    clear(kit, *SPACES)


def clear(kit: Kit, *spaces: str) -> None:
    """Remove the namespaces of a platform, the operator's part first: it lets go of its own only while it is there."""
    where = ("--ignore-not-found", f"--timeout={COMMAND_S:.0f}s")
    dask = ("daskclusters.kubernetes.dask.org", "--namespace", spaces[0], "--all")
    kit.kubectl("delete", *dask, *where, timeout_s=COMMAND_S)
    kit.kubectl("delete", "namespace", *spaces, *where, timeout_s=COMMAND_S)


def test_the_life_of_a_platform(emptied: Kit, ours: str, servers: None, tmp_path: Path) -> None:  # noqa: ARG001  # loaded images
    """Up, up again, scaled, a bad image, other values and an image in mid-stream, tried; down, and with its data."""
    needs(there=RECORDING.exists(), what=f"there is no recording in {RECORDING}")
    kit = emptied
    where = 'ctr --address "${K8S_KIT_DIR:-$HOME/.cache/hydrodask-k8s}/run/containerd/containerd.sock"'
    kit.inside("sh", "-c", f"{where} --namespace k8s.io images tag --force {OURS} {NEXT}")
    values = ("--values", str(VALUES), "--values", str(simulated(tmp_path)))
    platform = Platform(kit)

    began_ms = clock.now_us() // 1000
    cluster(kit, "up", *values)
    up_s = clock.now_us() / 1e6 - began_ms / 1e3
    kit.until("there is a window row", lambda: bool(platform.written_ms()), 2 * FIRST_S)
    first_s = (platform.written_ms()[0] - began_ms) / 1000
    note("`cluster up` in an empty cluster → first window row, all parts ready", first_s, up_s)
    before = pods(kit)
    cluster(kit, "up", *values)
    assert pods(kit) == before, "the second time changes nothing"

    platform.store(RECORDING)
    there = platform.consumed()
    job = stream(platform, "2")
    kit.until("it streams", lambda: platform.consumed() > there, 120)
    from_ms = clock.now_us() // 1000
    cluster(kit, "scale", "3")
    platform.upgrade()
    assert workers(kit)[0] == 3, "an upgrade of the chart does not scale back"
    cluster(kit, "scale", "2")
    scaled_ms = clock.now_us() // 1000
    assert "ErrImage" in refused(kit, "upgrade", "localhost/hydrodask:bad")
    assert workers(kit) == (2, {OURS})
    kept = tmp_path / "kept.yaml"  # with the Job that publishes
    kept.write_text(kit.inside("helm", "get", "values", NAME, "--namespace", NAME, "--output", "yaml"))
    changed = ("--values", str(kept), "--set", "dask.workerResources.limits.memory=1100Mi")
    values_ms = clock.now_us() // 1000
    cluster(kit, "up", *changed)
    valued_ms = clock.now_us() // 1000
    assert limits(kit) == {"1100Mi"}
    rolled = pods(kit)
    cluster(kit, "up", *changed)
    assert pods(kit) == rolled, "they are there already"
    platform.published(job)
    there = platform.consumed()
    job = stream(platform, "2")  # five minutes: longer than what comes, or its end would look like a gap
    kit.until("it streams again", lambda: platform.consumed() > there, 120)
    stores = {name: uid for name, uid in rolled.items() if name.endswith("-0")}
    upgraded_ms = clock.now_us() // 1000
    cluster(kit, "upgrade", NEXT)
    until_ms = clock.now_us() // 1000
    assert workers(kit) == (2, {NEXT})
    assert stores.items() <= pods(kit).items(), "Kafka, HDFS and MongoDB went on"
    platform.published(job)
    verified(platform)
    note("2 → 3 → 2 workers: longest gap in rows", platform.gap_s(from_ms, scaled_ms))
    note("`cluster up` with other limits for workers: longest gap in rows", platform.gap_s(values_ms, valued_ms))
    gap_s = platform.gap_s(upgraded_ms, until_ms)
    note("another image for all: longest gap in rows", gap_s)
    note("another image for all: as a whole", (until_ms - upgraded_ms) / 1e3)
    assert gap_s < GAP_S * SLOW, "scheduler and driver: two gaps, not one"
    cluster(kit, "quick-test")

    emptied_ms = clock.now_us() // 1000
    cluster(kit, "reset-data", "--yes")
    kit.until("the driver is ready again", lambda: platform.ready("driver") == 1, COMMAND_S)
    platform.published(stream(platform, "max"))
    assert platform.written_ms()[0] > emptied_ms, "what was in the topics is gone"
    verified(platform)

    said = cluster(kit, "down")
    assert "kept: PersistentVolumeClaim" in said
    assert not pods(kit)
    cluster(kit, "down", "--data", "--yes")
    left = json.loads(kit.kubectl("get", "namespaces", "--output=json"))["items"]
    assert not {one["metadata"]["name"] for one in left} & set(SPACES)
    assert first_s < FIRST_S * SLOW
