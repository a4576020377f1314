"""`hydrodask cluster` without a cluster: what it makes of what kubectl says, and how it refuses."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hydrodask.cli.cluster import tools, upgrade
from hydrodask.cli.cluster.tools import Release
from hydrodask.cli.main import app
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
