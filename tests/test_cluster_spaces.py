"""Two releases of one name in two namespaces: what is done to one leaves the other alone; the tools are stand-ins."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hydrodask.cli.cluster import preflight, spaces
from hydrodask.cli.cluster.tools import Object, Release
from hydrodask.cli.main import app
from hydrodask.errors import UnreachableError, UsageError

LABELS = {"app.kubernetes.io/name": "hydrodask", "app.kubernetes.io/instance": "hydrodask"}


def thing(kind: str, name: str, namespace: str = "", by: str = "", **more: Any) -> Object:
    """Return an object with our labels, made by the release of a namespace."""
    meta = {"name": name, "uid": f"{namespace}/{name}", "labels": LABELS | {"app.kubernetes.io/component": "keys"}}
    meta |= {"namespace": namespace} if namespace else {}
    marks = {"meta.helm.sh/release-name": "hydrodask", "meta.helm.sh/release-namespace": by}
    meta |= {"annotations": marks} if by else {}
    return {"kind": kind, "metadata": meta} | more


class Tools:
    """What both tools show, and what was asked of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # A claim that is deleted is shown once more, as one is whose pod still ends.
        kubectl = f'cd {folder}; echo "$*" >> said; if [ "$1" = get ]; then cat "$2.json"; fi; '
        kubectl += 'if [ "$1 $2" = "delete PersistentVolumeClaim" ]; then touch going; '
        kubectl += 'elif [ -e going -a "$2" = persistentvolumeclaims ]; then echo \'{"items": []}\' > "$2.json"; fi'
        helm = f'cd {folder}; shift 2; echo "helm $*" >> said; '
        helm += 'if [ -e "no-$1" ]; then cat "no-$1" >&2; exit 1; fi; cat "$1.json"'
        for tool, script in {"kubectl": kubectl, "helm": helm}.items():
            (folder / tool).write_text(f"#!/bin/sh\n{script}\n")
            (folder / tool).chmod(0o700)
        two = [("one", "far-kafka"), ("two", "two-kafka")]
        self.show("namespaces", [thing("Namespace", kafka, by=ns) for ns, kafka in two])
        claims = [thing("PersistentVolumeClaim", f"data-{ns}", kafka) for ns, kafka in two]
        self.show("persistentvolumeclaims", claims)
        self.show("secrets", [thing("Secret", f"keys-{ns}", ns, ns) for ns, _ in two])
        spec = {"replicas": 1, "selector": {"matchLabels": {"app.kubernetes.io/component": "kafka"}}}
        self.show("statefulsets", [thing("StatefulSet", "hydrodask-kafka", kafka, ns, spec=spec) for ns, kafka in two])
        for kind in ("deployments", "jobs", "pods"):
            self.show(kind, [])
        manifest = [thing("Namespace", "far-kafka"), thing("StatefulSet", "hydrodask-kafka", "far-kafka")]
        (folder / "get.json").write_text("\n---\n".join(json.dumps(one) for one in manifest))
        listed = [{"name": "hydrodask", "namespace": ns, "chart": "hydrodask-1.0"} for ns, _ in two]
        (folder / "list.json").write_text(json.dumps([*listed, {"name": "x", "namespace": "y", "chart": "x-1"}]))
        for verb in ("status", "version", "uninstall", "upgrade"):
            (folder / f"{verb}.json").write_text("v4.0.0")

    def show(self, kind: str, items: list[Object]) -> None:
        """Let `kubectl get` show objects."""
        (self.folder / f"{kind}.json").write_text(json.dumps({"items": items}))

    def lacking(self) -> None:
        """Let helm know no release."""
        for verb in ("status", "get"):
            (self.folder / f"no-{verb}").write_text("Error: release: not found\n")

    def said(self, *verbs: str) -> list[str]:
        """Return what was asked with some verbs."""
        lines = (self.folder / "said").read_text().splitlines()
        return [line for line in lines if line.split()[0] in verbs]


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Return both tools."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return Tools(tmp_path)


def run(*argv: str) -> Result:
    """Return how a command ends."""
    return CliRunner().invoke(app, ["cluster", *argv])


def test_a_release_sees_its_own_namespaces(tools: Tools) -> None:
    """As long as helm knows it by the manifest, later by what it has kept."""
    release = Release(namespace="one", name="hydrodask")
    wanted = frozenset(("one", "far-kafka", "one-kafka", "one-storage", "one-observe"))
    assert spaces.bound(release).spaces == wanted
    tools.lacking()
    assert spaces.bound(release).spaces == wanted
    (tools.folder / "no-get").write_text("Error: secrets is forbidden: no\n")
    assert spaces.bound(release).spaces == wanted
    (tools.folder / "no-get").write_text("Error: no route to host\n")
    with pytest.raises(UnreachableError, match="no route"):
        spaces.bound(release)


def test_down_names_the_data_of_its_own_release(tools: Tools) -> None:
    """Claims, passwords and namespaces of the other one have the same labels, and stay."""
    done = run("down", "-n", "one")

    assert done.exception is None
    assert "data-one" in done.stdout
    assert "keys-one" in done.stdout
    assert "two" not in done.stdout
    assert not [line for line in tools.said("delete") if "two" in line]


def test_reset_data_stops_and_empties_its_own_release(tools: Tools) -> None:
    """And the chart's newer values get their defaults: Helm 3.14 and later have a word for that."""
    done = run("reset-data", "-n", "one", "--yes")

    assert done.exception is None
    changed = tools.said("scale", "delete")
    assert [line for line in changed if "far-kafka" in line]
    assert not [line for line in changed if "two" in line]
    acts = [line.partition(" --namespace")[0] for line in tools.said("scale", "delete", "get")]
    gone = acts.index("delete PersistentVolumeClaim data-one")
    again = acts.index("scale statefulset/hydrodask-kafka", gone)
    asked = [line for line in acts[gone:again] if line.startswith("get persistentvolumeclaims")]
    assert len(asked) == 2, "it waits until the claims are gone"
    assert "delete pods" in acts[gone:again], "workers hold a lake on a claim"
    [upgrade] = [line for line in tools.said("helm") if line.startswith("helm upgrade")]
    assert "--reset-then-reuse-values" in upgrade


@pytest.mark.parametrize("argv", [("down",), ("down", "--data", "--yes"), ("reset-data", "--yes")])
def test_a_release_that_is_not_there_is_told_from_those_that_are(tools: Tools, argv: tuple[str, ...]) -> None:
    """A misspelt name removes nothing, and does not say that nothing is left."""
    tools.lacking()

    error = run(*argv, "-n", "elsewhere", "--release", "hydrodsk").exception

    assert isinstance(error, UsageError)
    said = "there is no release hydrodsk in elsewhere; there are hydrodask in one, hydrodask in two: "
    assert str(error).startswith(said)
    assert not tools.said("delete", "scale")


def test_the_preflight_needs_no_storage_class_without_claims(tools: Tools) -> None:
    """All of it elsewhere: nothing is stored here."""
    tools.show("storageclasses", [])

    assert preflight._storage(Release(namespace="one", name="hydrodask"), []) == (True, "no claim is wanted")


def test_the_preflight_says_when_another_image_would_be_gone_back_to(tools: Tools) -> None:
    """After `upgrade` values may still have the former one."""

    def cluster(image: str) -> Object:
        part = {"spec": {"containers": [{"image": image}]}}
        return thing("DaskCluster", "hydrodask", "one", spec={"worker": part, "scheduler": part})

    tools.show("daskclusters.kubernetes.dask.org", [cluster("r/hydrodask:1.1")])
    release = Release(namespace="one", name="hydrodask")

    good, says = preflight._image(release, [cluster("r/hydrodask:1.0")])
    assert good is None
    assert says.startswith("workers run r/hydrodask:1.1, and these values say r/hydrodask:1.0")
    assert preflight._image(release, [cluster("r/hydrodask:1.1")])[0]
    tools.show("daskclusters.kubernetes.dask.org", [])
    assert preflight._image(release, [cluster("r/hydrodask:1.1")])[0]
