"""`hydrodask cluster up` says that all is ready when it is, and why it is not; `kubectl` is a stand-in."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hydrodask import clock
from hydrodask.cli.cluster import complete
from hydrodask.cli.cluster.tools import Object, Release, wait_until
from hydrodask.errors import UnreachableError
from hydrodask.testing import VirtualClock

RELEASE = Release(namespace="n", name="hydrodask")
OURS = {"app.kubernetes.io/name": "hydrodask", "app.kubernetes.io/instance": "hydrodask"}
QUOTA = "pods hydrodask-kafka-0 is forbidden: exceeded quota: hydrodask, requested: pods=1"


def owner(kind: str, name: str, ready: int, **status: Any) -> Object:
    """Return a StatefulSet or Deployment of one pod as it is there."""
    said = {"observedGeneration": 2, "readyReplicas": ready, "replicas": 1, "updatedReplicas": 1}
    said |= {"currentRevision": "b", "updateRevision": "b"} | status
    metadata = {"name": name, "namespace": "n", "generation": 2, "labels": OURS}
    return {"kind": kind, "metadata": metadata, "spec": {"replicas": 1}, "status": said}


def pod(name: str, **labels: str) -> Object:
    """Return a pod that is ready, or, of a Job's, has ended."""
    conditions = [{"type": "Ready", "status": "True"}]
    status = {"phase": "Running", "conditions": conditions}
    return {"kind": "Pod", "metadata": {"name": name, "namespace": "n", "labels": OURS | labels}, "status": status}


def dask(part: str, name: str) -> Object:
    """Return a pod of the Dask cluster."""
    return pod(name, **{"dask.org/cluster-name": "hydrodask", "dask.org/component": part})


class Cluster:
    """What the stand-in shows of each kind."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kinds = folder, dict[str, list[Object]]()
        self.show(statefulsets=[owner("StatefulSet", "hydrodask-kafka", 1)])
        self.show(deployments=[owner("Deployment", "hydrodask-driver", 1)])
        self.show(jobs=[], events=[])
        cluster = {"metadata": {"name": "hydrodask"}, "spec": {"worker": {"replicas": 2}}}
        self.show(**{"daskclusters.kubernetes.dask.org": [cluster]})
        workers = [dask("worker", "a"), dask("worker", "b")]
        self.pods = [pod("hydrodask-kafka-0"), pod("hydrodask-driver-1"), dask("scheduler", "s"), *workers]
        self.show(pods=self.pods)

    def show(self, **found: list[Object]) -> None:
        """Let the stand-in show objects of kinds."""
        self.kinds |= found
        several = {complete.ASKED: [one for kind in complete.ASKED.split(",") for one in self.kinds.get(kind, ())]}
        for kind, items in (self.kinds | several).items():
            (self.folder / f"{kind}.json").write_text(json.dumps({"items": items}))

    def calls(self) -> list[str]:
        """Return what was asked so far, and forget it."""
        said = self.folder / "said"
        lines = said.read_text().splitlines()
        said.unlink()
        return lines

    def missing(self) -> str:
        """Return what is missing of a release whose values want four workers."""
        spec = {"worker": {"replicas": 4}}
        wanted = [{"kind": "DaskCluster", "metadata": {"name": "hydrodask", "namespace": "n"}, "spec": spec}]
        wanted += [owner("StatefulSet", "hydrodask-kafka", 0), owner("Deployment", "hydrodask-driver", 0)]
        wanted += [{"kind": "Job", "metadata": {"name": "hydrodask-settle", "namespace": "n"}}]
        return complete.missing(RELEASE, wanted)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return a platform of which all is ready."""
    (tmp_path / "kubectl").write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/said\ncat {tmp_path}/$2.json\n')
    (tmp_path / "kubectl").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return Cluster(tmp_path)


def test_workers_are_as_many_as_somebody_has_scaled_to(cluster: Cluster) -> None:
    """Values say how many there are at the first install, and no more."""
    assert cluster.missing() == ""
    cluster.show(pods=cluster.pods[:-1])
    assert cluster.missing() == "1 of 2 workers are ready"


def test_a_set_without_its_pod_is_not_made_up_for_by_a_job(cluster: Cluster) -> None:
    """Pods of others are not counted for it; why Kubernetes makes none is said in its own words."""
    cluster.show(statefulsets=[owner("StatefulSet", "hydrodask-kafka", 0)], pods=[*cluster.pods[1:], pod("job-1")])
    of_set = {"kind": "StatefulSet", "name": "hydrodask-kafka"}
    old = {"involvedObject": of_set, "lastTimestamp": "2026-01-01", "message": "old", "metadata": {"namespace": "n"}}
    elsewhere = old | {"lastTimestamp": "2026-01-03", "metadata": {"namespace": "m"}}
    cluster.show(events=[old, old | {"lastTimestamp": "2026-01-02", "message": QUOTA}, elsewhere])

    said = f"hydrodask-kafka has 0 of 1 pods ready; StatefulSet hydrodask-kafka: {QUOTA}"
    assert cluster.missing() == said


def test_it_asks_three_times_whatever_is_missing(cluster: Cluster) -> None:
    """Each call is a process, and takes what the parts need to start."""
    cluster.show(statefulsets=[], deployments=[], pods=[])
    cluster.missing()
    asked = cluster.calls()
    assert len(asked) == 3, asked
    assert "get events --all-namespaces --field-selector reason=FailedCreate --output json" in asked


@pytest.mark.parametrize(
    "status",
    [{"observedGeneration": 1}, {"updatedReplicas": 0}, {"replicas": 2}],
)
def test_old_pods_do_not_count(cluster: Cluster, status: dict[str, int]) -> None:
    """What was ready before the values changed is not what is wanted."""
    cluster.show(deployments=[owner("Deployment", "hydrodask-driver", 1, **status)])
    assert cluster.missing().startswith("hydrodask-driver has ")


def test_old_pods_of_a_set_do_not_count(cluster: Cluster) -> None:
    """It replaces them one after the other."""
    cluster.show(statefulsets=[owner("StatefulSet", "hydrodask-kafka", 1, updateRevision="c")])
    assert cluster.missing() == "hydrodask-kafka has old pods"


def test_a_job_that_gets_no_pod_is_named(cluster: Cluster) -> None:
    """One that has run, or was removed after it, is not missed."""
    job = {"kind": "Job", "metadata": {"name": "hydrodask-settle", "namespace": "n"}, "status": {}}
    cluster.show(jobs=[job])
    assert cluster.missing() == "hydrodask-settle has no pod"
    cluster.show(jobs=[job | {"status": {"succeeded": 1}}])
    assert cluster.missing() == ""


@pytest.mark.parametrize(("takes_s", "apart_s"), [(0.1, 1.0), (3.0, 3.0)])
def test_a_question_that_takes_long_is_asked_less_often(takes_s: float, apart_s: float) -> None:
    """What waits takes at most half of the time, and ends when its own is over, with what is missing."""
    asked: list[float] = []

    def missing() -> str:
        asked.append(clock.monotonic_s())
        clock.sleep_s(takes_s)
        return "1 of 2 workers are ready"

    with (
        VirtualClock(now_s=0.0).running(),
        pytest.raises(UnreachableError, match="not all is ready after 60 s: 1 of 2 workers"),
    ):
        wait_until(missing, 60.0, "not all is ready")

    assert asked[1] - asked[0] == pytest.approx(takes_s + apart_s)
    assert asked[-1] == pytest.approx(60.0, abs=takes_s + apart_s)
