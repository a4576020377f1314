"""`hydrodask cluster upgrade`: all parts or none; `kubectl` and `helm` are stand-ins."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hydrodask.cli.cluster import upgrade
from hydrodask.cli.main import app
from tests import kubelike
from tests.kubelike import RELEASE, Cluster

OLD, NEXT = "r.example/hydrodask:1", "r.example/hydrodask:2"
A, B, SCHEDULER = "hydrodask-default-worker-a", "hydrodask-default-worker-b", "hydrodask-scheduler"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return a platform that runs."""
    started = kubelike.started(tmp_path, monkeypatch, OLD)
    given(started)
    ours = [one for one in started.read().values() if one["kind"] == "DaskCluster"]
    (tmp_path / "helm-get-manifest.json").write_text(json.dumps(ours[0]))
    return started


def given(cluster: Cluster, **values: Any) -> None:
    """Let the release have values."""
    hydrodask = {"registry": "r.example", "repository": "hydrodask", "tag": "1", "digest": ""}
    found = {"images": {"registry": "", "hydrodask": hydrodask, "tools": {}}, "dask": {"image": {}}}
    found |= {"driver": {"enabled": True}} | values
    (cluster.folder / "helm-get-values.json").write_text(json.dumps(found))


def upgraded(image: str = NEXT, within: int = 10) -> Result:
    """Return how the command ends."""
    return CliRunner().invoke(app, ["cluster", "upgrade", image, "-n", "n", "--within", str(within)])


def images(cluster: Cluster) -> dict[str, str]:
    """Return what each part runs, and what is kept for those to come."""
    found = cluster.read()
    specs = {name: found[name]["spec"]["template"] for name in (A, B, SCHEDULER)}
    specs["to come"] = found["hydrodask"]["spec"]["worker"]
    return {name: one["spec"]["containers"][0]["image"] for name, one in specs.items()}


def test_workers_then_scheduler_then_driver(cluster: Cluster) -> None:
    """At the end it prints what has to stand in the user's values."""
    done = upgraded(within=240)

    assert done.exception is None, done.exception
    assert set(images(cluster).values()) == {NEXT}
    assert [one for one in cluster.done() if one[1] == NEXT] == [[A, NEXT], [B, NEXT], [SCHEDULER, NEXT]]
    image = 'images.hydrodask: {registry: "r.example", repository: "hydrodask", tag: "2", digest: ""}'
    assert f"in your values from now on: {image}" in done.stdout


@pytest.mark.parametrize(
    ("fault", "part", "rolled"),
    [("bad", A, [A]), ("stands", B, [A, B]), ("bad", SCHEDULER, [A, B, SCHEDULER])],
)
def test_all_that_were_rolled_get_the_old_image_back(
    cluster: Cluster, fault: str, part: str, rolled: list[str]
) -> None:
    """A pod that does not start, or one with which no rows flow: half rolled is worse than either."""
    cluster.fail(**{fault: (f"{part} {NEXT}",)})

    said = str(upgraded().exception)

    assert set(images(cluster).values()) == {OLD}, said
    assert said.endswith(f"the DaskCluster, {', '.join(rolled)} have {OLD} again")
    assert [one for one in cluster.done() if one[1] == OLD] == [[name, OLD] for name in rolled]


def test_a_driver_that_does_not_start_gets_everything_back(cluster: Cluster) -> None:
    """Its values, too: those that people had given, and no revision of helm's, which knows other numbers of workers."""
    cluster.fail(bad=("rollout",))

    said = str(upgraded().exception)

    assert said.endswith(f"the driver, the DaskCluster, {A}, {B}, {SCHEDULER} have {OLD} again"), said
    assert set(images(cluster).values()) == {OLD}, said
    new, old, given = (cluster.folder / "helm-upgrades").read_text().splitlines()
    assert "--set-string images.hydrodask.tag=2" in new
    assert old.endswith("--reset-values --values -")
    assert given == (cluster.folder / "helm-get-values.json").read_text()


def test_pods_of_others_keep_the_image_that_they_have(cluster: Cluster) -> None:
    """Not the workers', which may be another one, without what makes users; without a version that of the release."""
    hydrodask = {"registry": "r.example", "repository": "hydrodask", "tag": "", "digest": ""}
    images = {"hydrodask": hydrodask, "tools": {}}
    values = {"images": images, "dask": {"image": {"repository": "hydrodask-stream"}}}
    (cluster.folder / "helm-list---all.json").write_text(json.dumps([{"app_version": "0.9"}]))

    assert upgrade._tools(RELEASE, values) == hydrodask | {"tag": "0.9"}
    images["hydrodask"] = hydrodask | {"tag": "1"}
    assert upgrade._tools(RELEASE, values) == hydrodask | {"tag": "1"}
    images["tools"] = {"tag": "0.8"}
    assert upgrade._tools(RELEASE, values) == {"tag": "0.8"}, "what is there already"
