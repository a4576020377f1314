"""`hydrodask cluster` without a cluster: what it makes of what kubectl says, and how it refuses."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from hydrodask.cli.cluster import dask, tools, trial, upgrade
from hydrodask.cli.cluster.tools import Release
from hydrodask.cli.main import app
from hydrodask.cli.train import KINDS, TARGETS
from hydrodask.errors import ConfigError, UnreachableError, UsageError


def pod(**status: Any) -> tools.Object:
    """Return a pod as kubectl shows it."""
    return {"metadata": {"name": "a"}, "status": {"phase": "Running"} | status}


def waiting(reason: str) -> tools.Object:
    """Return a pod of which a container waits for a reason."""
    return pod(containerStatuses=[{"image": "x/y:1", "state": {"waiting": {"reason": reason, "message": "why"}}}])


def test_a_release_is_called_as_the_chart_calls_it() -> None:
    """`hydrodask.name` of the templates, in Python."""
    assert Release(namespace="n", name="hydrodask").full == "hydrodask"
    assert Release(namespace="n", name="plant").full == "plant-hydrodask"
    assert len(Release(namespace="n", name="p" * 53).full) == 40


def test_what_stops_a_pod_is_told_and_what_passes_is_not() -> None:
    """An image that is not there and a crash need somebody; being made does not."""
    assert tools.trouble(waiting("ImagePullBackOff")) == "ImagePullBackOff: x/y:1"
    assert tools.trouble(waiting("CrashLoopBackOff")) == "CrashLoopBackOff: why"
    assert tools.trouble(waiting("ContainerCreating")) is None
    full = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: cpu"}
    assert tools.trouble(pod(conditions=[full])) == "Unschedulable: 0/1 nodes: cpu"


def test_a_pod_that_leaves_is_not_ready() -> None:
    """Until it is gone it still says so itself."""
    there = pod(conditions=[{"type": "Ready", "status": "True"}])
    leaving = there | {"metadata": {"name": "a", "deletionTimestamp": "now"}}

    assert tools.ready(there)
    assert not tools.ready(leaving)
    assert tools.ready(pod(phase="Succeeded")), "a Job that has done its work"


@pytest.mark.parametrize("image", ["hydrodask", "hydrodask:1", "a/hydrodask", "a/b@sha256:12"])
def test_an_image_without_registry_or_version_is_refused(image: str) -> None:
    """Who pulls what must not depend on a default."""
    with pytest.raises(UsageError, match="want registry/repository:tag"):
        upgrade.parsed(image)


def test_an_image_has_to_come_from_the_mirror_that_values_name() -> None:
    """It goes before every image, so another's could not be named."""
    parts = upgrade.parsed("mirror.example:5000/all/hydrodask:2")

    assert upgrade._below("mirror.example:5000/all", parts)["repository"] == "hydrodask"
    assert upgrade._below("", parts) == parts
    with pytest.raises(UsageError, match="not from there"):
        upgrade._below("other.example", parts)


def test_without_the_tools_it_says_where_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Exit code 3, before anything was asked."""
    monkeypatch.setenv("PATH", str(tmp_path))

    done = CliRunner().invoke(app, ["cluster", "up"])

    assert isinstance(done.exception, ConfigError)
    assert "no helm on the PATH" in str(done.exception)


def test_what_a_tool_complains_of_is_told(tmp_path: Path) -> None:
    """The end of it, with which tool and what was asked."""
    tool = tmp_path / "kubectl"
    tool.write_text("#!/bin/sh\necho 'error: the server is not there' >&2\nexit 1\n")
    tool.chmod(0o700)

    with pytest.raises(UnreachableError, match="kubectl get pods: error: the server is not there"):
        tools.run([str(tool), "get", "pods"])


def test_the_chart_is_where_it_is_looked_for() -> None:
    """In a checkout, and in a wheel, which has the folder `cluster` beside the package."""
    assert (tools.CHART / "Chart.yaml").exists()
    assert (tools.CHART / "files" / "conf" / "rules.yaml").exists()


def test_what_is_changed_stays_helms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its marks helm knows what to remove: a DaskCluster without them would stay after `down`, and stop `up`."""
    labels = {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": "hydrodask"}
    marks = {"meta.helm.sh/release-name": "hydrodask", "meta.helm.sh/release-namespace": "n"}
    part = {"spec": {"containers": [{"image": "a/b:1"}]}}
    spec = {"worker": part | {"replicas": 2}, "scheduler": part}
    known = {"name": "hydrodask", "labels": labels, "annotations": marks | {"kopf": "its own"}}
    there = {"metadata": known, "spec": spec}
    ours = {"kind": "DaskCluster", "metadata": {"name": "hydrodask", "labels": {}}, "spec": spec}
    (tmp_path / "there.json").write_text(json.dumps({"items": [there]}))
    (tmp_path / "ours.json").write_text(json.dumps(ours))
    kubectl = "case $1 in get) cat there.json;; *) cat > applied.json;; esac"
    for tool, script in {"helm": "cat ours.json", "kubectl": kubectl}.items():
        (tmp_path / tool).write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
        (tmp_path / tool).chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    dask.change(Release(namespace="n", name="hydrodask"), workers=3)

    applied = json.loads((tmp_path / "applied.json").read_text())
    assert applied["metadata"] == {"name": "hydrodask", "labels": labels, "annotations": marks}
    assert applied["spec"]["worker"]["replicas"] == 3


def test_who_waits_becomes_the_command_then() -> None:
    """As the first process of a container: it takes its place, and what it ends with is what the command ends with."""
    wait = (tools.CHART / "files" / "wait.py").read_text(encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        argv = [sys.executable, "-I", "-S", "-c", wait, place, "--", "sh", "-c", "exit 7"]

        assert subprocess.run(argv, check=False, timeout=60).returncode == 7


def test_a_training_that_has_failed_for_good_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its Job will not be tried again: `quick-test` says so at once. What the kit asks of the trainer, that knows."""
    job: dict[str, Any] = {"metadata": {"name": "hydrodask-quick-test"}, "status": {"failed": 2}}
    (tmp_path / "kubectl").write_text(f"#!/bin/sh\ncat {tmp_path}/jobs.json\n")
    (tmp_path / "kubectl").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    release = Release(namespace="n", name="hydrodask")
    (tmp_path / "jobs.json").write_text(json.dumps({"items": [job]}))
    assert trial._trained(release).startswith("the trainer has failed 2 times")

    job["status"]["conditions"] = [{"type": "Failed", "status": "True"}]
    (tmp_path / "jobs.json").write_text(json.dumps({"items": [job]}))
    assert not trial._passes(trial.TRAINED, lambda: trial._trained(release), 600)
    assert "the trainer has failed 2 times; `hydrodask cluster logs training`" in capsys.readouterr().out
    asked = yaml.safe_load((tools.CHART.parent / "values" / "kit.yaml").read_text(encoding="utf-8"))["training"]
    assert set(asked["arguments"][1::2]) <= {*TARGETS, *KINDS}
