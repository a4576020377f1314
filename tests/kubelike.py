"""A platform as `kubectl` and `helm` show it, for tests of `hydrodask cluster` without a cluster of Kubernetes.

Both are stand-ins, a program that keeps objects in a file: it does what the API server, the operator of dask-kubernetes
and the controllers of Deployments would do with what they are told, as far as it is needed here.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hydrodask.cli.cluster import flowing
from hydrodask.cli.cluster.tools import Release

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
faults = json.loads(state.with_name("faults.json").read_text())
BAD = ["bad", *faults["bad"]]
said = sys.argv[1:]
verb, rest = said[0], said[1:]

def pods_of(one):
    name = one["metadata"]["name"]
    image = one["spec"]["template"]["spec"]["containers"][0]["image"]
    bad = image in BAD or f"{name} {image}" in BAD
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False" if bad else "True"}]}
    if bad:
        waiting = {"waiting": {"reason": "ErrImagePull"}}
        status["containerStatuses"] = [{"image": image, "state": waiting}]
    labels = one["spec"]["selector"]["matchLabels"]
    metadata = {"name": f"{name}-{one['metadata']['generation']}", "labels": labels}
    return {"kind": "Pod", "metadata": metadata, "status": status, "spec": one["spec"]["template"]["spec"]}

def settle(one):
    if one["spec"].get("paused"):
        return
    spec = one["spec"]["template"]["spec"]
    image = spec["containers"][0]["image"]
    bad = image in BAD or f"{one['metadata']['name']} {image}" in BAD
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
            inside = inside[int(key) if isinstance(inside, list) else key]
        inside[last] = patch[0]["value"]
    if one["kind"] == "Deployment":
        one["metadata"]["generation"] += 1
        settle(one)
    with state.with_name("done.jsonl").open("a") as done:
        done.write(json.dumps([rest[1], patch if isinstance(patch, dict) else last]) + "\\n")
elif verb == "exec":
    driver = json.loads(state.with_name("driver.json").read_text())
    images = [f"{one['metadata']['name']} {one['spec']['template']['spec']['containers'][0]['image']}"
              for one in objects if one["kind"] == "Deployment"]
    driver["updated_us"] += 2_000_000
    driver["steps"] += 0 if set(images) & set(faults["stands"]) else 4
    state.with_name("driver.json").write_text(json.dumps(driver))
    print(json.dumps(driver))
elif verb == "set":
    name, (container, image) = rest[1].partition("/")[2], rest[2].split("=")
    [one] = [one for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == name]
    one["spec"]["template"]["spec"]["containers"][0]["image"] = image
    one["metadata"]["generation"] += 1
    settle(one)
    with state.with_name("done.jsonl").open("a") as done:
        done.write(json.dumps([name, image]) + "\\n")
elif verb == "rollout" and "rollout" in BAD:
    sys.exit("error: timed out waiting for the condition")
elif verb == "apply":
    ours = json.loads(sys.stdin.read())
    [one] = [one for one in objects if one["kind"] == ours["kind"]]
    one["spec"] = ours["spec"]
else:
    with state.with_name("done.jsonl").open("a") as done:
        done.write(json.dumps([verb, rest[:2]]) + "\\n")
state.write_text(json.dumps(objects))
"""

HELM = """#!/bin/sh
shift 2
if [ "$1" = upgrade ]; then
    shift; echo "$*" >> {folder}/helm-upgrades; case "$*" in *"--values -") cat >> {folder}/helm-upgrades;; esac
else
    cat {folder}/helm-$1-$2.json 2>&- || true
fi
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

    def __init__(self, folder: Path, image: str = "one") -> None:
        self.folder = folder
        worker = pod(image)
        given = json.loads(json.dumps(worker))
        given["containers"][0]["env"].append({"name": "DASK_WORKER_NAME", "value": "a"})
        workers = {"replicas": 2, "spec": worker}
        spec = {"worker": workers, "scheduler": {"spec": pod(image)}}
        driver = LABELS | {"app.kubernetes.io/component": "driver"}
        self.write(
            [
                {"kind": "DaskCluster", "metadata": {"name": "hydrodask", "labels": {}}, "spec": spec},
                {
                    "kind": "DaskWorkerGroup",
                    "metadata": {"name": "hydrodask-default"},
                    "spec": {"worker": workers},
                },
                deployment("hydrodask-default-worker-a", WORKERS, given),
                deployment("hydrodask-default-worker-b", WORKERS, given),
                deployment("hydrodask-scheduler", WORKERS | {"dask.org/component": "scheduler"}, pod(image)),
                deployment("hydrodask-driver", driver, pod(image)),
            ]
        )

        self.fail()
        part = {"topic": "t", "partition": 0, "state": "running"}
        self.driver = {"run_id": "r", "updated_us": 0, "steps": 0, "commit_age_s": 0.5, "partitions": [part]}
        self.driver |= {"workers": {"a": 0, "b": 1}}
        self.say()

    def fail(self, *, bad: tuple[str, ...] = (), stands: tuple[str, ...] = ()) -> None:
        """Let no pod start, or no step be finished, where a Deployment has an image: `NAME IMAGE`."""
        (self.folder / "faults.json").write_text(json.dumps({"bad": bad, "stands": stands}))

    def say(self, **status: Any) -> None:
        """Let the driver's status say something else."""
        self.driver |= status
        (self.folder / "driver.json").write_text(json.dumps(self.driver))

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


def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: str = "one") -> Cluster:
    """Return a platform that runs, and let `kubectl` and `helm` be the stand-ins."""
    (tmp_path / "kubectl").write_text(f"#!{sys.executable} -IS\n{STAND_IN}")
    (tmp_path / "kubectl").chmod(0o700)
    (tmp_path / "helm").write_text(HELM.format(folder=tmp_path))
    (tmp_path / "helm").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(flowing, "ASK_S", 0.01)  # documents of the stand-in come as often as it is asked
    return Cluster(tmp_path, image)
