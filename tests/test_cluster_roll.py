"""`hydrodask cluster up` where a platform runs: other values reach its workers, without a cluster of Kubernetes.

`kubectl` and `helm` are stand-ins, a program that keeps objects in a file: it does what the API server, the operator of
dask-kubernetes and the controllers of Deployments would do with what they are told, as far as it is needed here.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hydrodask.cli.cluster import roll
from hydrodask.cli.cluster.tools import Release
from hydrodask.errors import HydrodaskError

RELEASE = Release(namespace="n", name="hydrodask")
LABELS = {"app.kubernetes.io/name": "hydrodask", "app.kubernetes.io/instance": "hydrodask"}
PATIENCE_S = 240
"""Limit of what takes a second: each word to `kubectl` starts a Python."""
WORKERS = {"dask.org/cluster-name": "hydrodask", "dask.org/component": "worker"}

STAND_IN = """
import json, sys
from pathlib import Path

state = Path(__file__).with_name("state.json")
objects = json.loads(state.read_text())
said = sys.argv[1:]
verb, rest = said[0], said[1:]

def pods_of(one):
    name = one["metadata"]["name"]
    bad = one["spec"]["template"]["spec"]["containers"][0]["image"] == "bad"
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False" if bad else "True"}]}
    if bad:
        waiting = {"waiting": {"reason": "ErrImagePull"}}
        status["containerStatuses"] = [{"image": "bad", "state": waiting}]
    labels = one["spec"]["selector"]["matchLabels"]
    metadata = {"name": f"{name}-{one['metadata']['generation']}", "labels": labels}
    return {"kind": "Pod", "metadata": metadata, "status": status}

def settle(one):
    if one["spec"].get("paused"):
        return
    spec = one["spec"]["template"]["spec"]
    bad = spec["containers"][0]["image"] == "bad"
    counts = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 0 if bad else 1}
    one["status"] = counts | {"observedGeneration": one["metadata"]["generation"], "runs": spec}

if verb == "get":
    kind = rest[0].split(".")[0].rstrip("s").lower()
    found = [one for one in objects if one["kind"].lower() == kind]
    if kind == "pod":
        found = [pods_of(one) for one in objects if one["kind"] == "Deployment"]
    if "--selector" in rest:
        wanted = dict(part.split("=") for part in rest[rest.index("--selector") + 1].split(","))
        found = [one for one in found if wanted.items() <= one["metadata"].get("labels", {}).items()]
    print(json.dumps({"items": found}))
elif verb == "patch":
    kind = rest[0].split(".")[0].rstrip("s").lower()
    [one] = [one for one in objects if one["kind"].lower() == kind and one["metadata"]["name"] == rest[1]]
    patch = json.loads(rest[rest.index("--patch") + 1])
    if isinstance(patch, dict):
        one["spec"] |= patch["spec"]
    else:
        *way, last = patch[0]["path"].strip("/").split("/")
        inside = one
        for key in way:
            inside = inside[key]
        inside[last] = patch[0]["value"]
    if one["kind"] == "Deployment":
        one["metadata"]["generation"] += 1
        settle(one)
    with state.with_name("done.jsonl").open("a") as done:
        done.write(json.dumps([rest[1], patch if isinstance(patch, dict) else last]) + "\\n")
elif verb == "exec":
    print(json.dumps({"workers": ["a", "b"]}))
else:
    with state.with_name("done.jsonl").open("a") as done:
        done.write(json.dumps([verb, rest[:2]]) + "\\n")
state.write_text(json.dumps(objects))
"""


def pod(image: str, **more: object) -> dict[str, Any]:
    """Return what a pod shall be."""
    return {"containers": [{"name": "a", "image": image, "env": [{"name": "MINE", "value": "1"}], **more}]}


def deployment(name: str, labels: dict[str, str], spec: dict[str, Any]) -> dict[str, Any]:
    """Return a Deployment that runs."""
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "observedGeneration"), 1)
    template = {"spec": json.loads(json.dumps(spec))}
    return {
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels, "generation": 1},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        "status": counts,
    }


class Cluster:
    """A platform with two workers, as the stand-in keeps it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        worker = pod("one")
        given = json.loads(json.dumps(worker))
        given["containers"][0]["env"].append({"name": "DASK_WORKER_NAME", "value": "a"})
        workers = {"replicas": 2, "spec": worker}
        spec = {"worker": workers, "scheduler": {"spec": pod("one")}}
        driver = LABELS | {"app.kubernetes.io/component": "driver"}
        self.write(
            [
                {"kind": "DaskCluster", "metadata": {"name": "hydrodask"}, "spec": spec},
                {
                    "kind": "DaskWorkerGroup",
                    "metadata": {"name": "hydrodask-default"},
                    "spec": {"worker": workers},
                },
                deployment("hydrodask-default-worker-a", WORKERS, given),
                deployment("hydrodask-default-worker-b", WORKERS, given),
                deployment("hydrodask-scheduler", WORKERS | {"dask.org/component": "scheduler"}, pod("one")),
                deployment("hydrodask-driver", driver, pod("one")),
            ]
        )

    def write(self, found: list[dict[str, Any]]) -> None:
        """Keep objects."""
        (self.folder / "state.json").write_text(json.dumps(found))

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the objects by name."""
        found = {one["metadata"]["name"]: one for one in json.loads((self.folder / "state.json").read_text())}
        return dict(found)

    def apply(self, part: str, spec: dict[str, Any]) -> None:
        """Do what helm would: the DaskCluster has other values, which the operator does not look at."""
        found = self.read()
        found["hydrodask"]["spec"][part]["spec"] = spec
        self.write(list(found.values()))

    def done(self) -> list[list[Any]]:
        """Return what was changed by the command, in order."""
        path = self.folder / "done.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return a platform that runs, and let `kubectl` be the stand-in."""
    (tmp_path / "kubectl").write_text(f"#!{sys.executable} -IS\n{STAND_IN}")
    (tmp_path / "kubectl").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return Cluster(tmp_path)


HELD, FREE = ["hydrodask-driver", {"spec": {"paused": True}}], ["hydrodask-driver", {"spec": {"paused": False}}]
A, B = ["hydrodask-default-worker-a", "spec"], ["hydrodask-default-worker-b", "spec"]
GROUP, SCHEDULER = ["hydrodask-default", "spec"], ["hydrodask-scheduler", "spec"]


def test_other_values_reach_workers_one_by_one_and_the_driver_last(cluster: Cluster) -> None:
    """Mounts, limits, variables; the operator's variables stay, and the scheduler is left alone if it is the same."""
    other = pod("one", resources={"limits": {"memory": "2Gi"}})
    with roll.rolled(RELEASE, PATIENCE_S):
        cluster.apply("worker", other)

    assert cluster.done() == [HELD, A, B, GROUP, FREE]
    found = cluster.read()["hydrodask-default-worker-b"]["spec"]["template"]["spec"]["containers"][0]
    assert found["resources"] == {"limits": {"memory": "2Gi"}}
    assert [one["name"] for one in found["env"]] == ["MINE", "DASK_WORKER_NAME"]

    with roll.rolled(RELEASE, PATIENCE_S):
        pass
    assert cluster.done() == [HELD, FREE], "the second time changes nothing"

    with roll.rolled(RELEASE, PATIENCE_S):
        cluster.apply("scheduler", other)
    assert cluster.done() == [HELD, SCHEDULER, FREE]


def test_values_that_no_worker_starts_with_stop_at_the_first(cluster: Cluster) -> None:
    """It gets back what it had, the driver keeps what it has; right values then reach all of them."""
    said = "worker-a did not start with these values, and has those from before"
    with pytest.raises(HydrodaskError, match=said), roll.rolled(RELEASE, PATIENCE_S):
        cluster.apply("worker", pod("bad"))

    assert cluster.done() == [HELD, A, A]
    there = cluster.read()
    for name in ("a", "b"):
        assert there[f"hydrodask-default-worker-{name}"]["spec"]["template"]["spec"]["containers"][0]["image"] == "one"
    assert there["hydrodask-driver"]["spec"]["paused"]

    with roll.rolled(RELEASE, PATIENCE_S):
        cluster.apply("worker", pod("two"))
    assert cluster.done() == [HELD, A, B, SCHEDULER, GROUP, FREE], "it was not known what the scheduler has"
    assert not cluster.read()["hydrodask-driver"]["spec"]["paused"]


def test_a_driver_that_refuses_old_workers_is_started_anew(cluster: Cluster) -> None:
    """An older release's `up` has left it so: nobody waits for it, and it does not wait for its next try either."""
    found = cluster.read()
    found["hydrodask-driver"]["spec"]["template"]["spec"]["containers"][0]["image"] = "bad"
    found["hydrodask"]["spec"]["worker"]["spec"] = pod("two")
    cluster.write(list(found.values()))

    with roll.rolled(RELEASE, PATIENCE_S):
        pass

    done = cluster.done()
    assert done[:5] == [HELD, A, B, SCHEDULER, GROUP]
    assert done[5][0] == "delete"
    assert done[-1] == FREE


def test_what_helm_refuses_holds_nobody(cluster: Cluster) -> None:
    """The driver goes on as it was."""
    with pytest.raises(HydrodaskError, match="no"), roll.rolled(RELEASE, PATIENCE_S):
        raise HydrodaskError("no")

    assert cluster.done() == [HELD, FREE]
