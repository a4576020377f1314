"""What has to be there before the chart is installed: each question with its answer, and what to do."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import yaml

from hydrodask.cli.cluster.tools import Object, Release
from hydrodask.errors import ConfigError, HydrodaskError

CRDS = ("daskclusters", "daskworkergroups")
OPERATOR = "2026.3"
"""The release of dask-kubernetes that was tried; an older one has other bugs."""
KINDS = ("namespaces", "statefulsets.apps", "deployments.apps", "secrets", "networkpolicies.networking.k8s.io")
HELMS = (3, 4)
AT_ONCE = 4
"""Questions: each is a call of `kubectl`, which mostly waits."""
_UNITS = {
    "": 1.0,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


@dataclass(frozen=True, slots=True)
class PreflightCheck:
    """One check: `good` True passes, None warns, False stops."""

    what: str
    good: bool | None
    says: str


def look(release: Release, manifest: list[Object]) -> Iterator[PreflightCheck]:
    """Give an answer to each question; what can't be asked is a warning."""
    client = _answer("client", lambda: _client(release))
    yield client
    if client.good is False:
        return
    checks: tuple[tuple[str, Callable[[], tuple[bool | None, str]]], ...] = (
        ("rights", lambda: _rights(release)),
        ("dask-kubernetes", lambda: _crds(release)),
        ("its operator", lambda: _operator(release)),
        ("storage", lambda: _storage(release, manifest)),
        ("capacity", lambda: _capacity(release, manifest)),
        ("pod security", lambda: _security(release)),
        ("names", lambda: _names(release, manifest)),
        ("image", lambda: _image(release, manifest)),
    )
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda one: _answer(*one), checks)


def _answer(what: str, check: Callable[[], tuple[bool | None, str]]) -> PreflightCheck:
    try:
        good, says = check()
    except ConfigError:
        raise
    except HydrodaskError as error:
        good, says = (False if what == "client" else None), str(error)
    return PreflightCheck(what, good, says)


def _client(release: Release) -> tuple[bool | None, str]:
    helm = release.helm("version", "--template", "{{.Version}}").strip()
    server = json.loads(release.kubectl("version", "--output", "json"))["serverVersion"]["gitVersion"]
    match = re.match(r"v(\d+)", helm)
    good = match is not None and int(match[1]) in HELMS
    return good, f"helm {helm}, Kubernetes {server}" + ("" if good else "; want Helm 3 or 4")


def _rights(release: Release) -> tuple[bool | None, str]:
    with ThreadPoolExecutor(len(KINDS)) as pool:
        may = pool.map(lambda kind: _may_create(release, kind), KINDS)
        missing = [kind for kind, yes in zip(KINDS, may, strict=True) if not yes]
    if missing == ["namespaces"]:
        return None, "you may make no namespaces: values namespaces.one=true and namespaces.create=false"
    return not missing, f"you may not create {', '.join(missing)}" if missing else "you may create what the chart has"


def _may_create(release: Release, kind: str) -> bool:
    try:
        return release.kubectl("auth", "can-i", "create", kind, "--namespace", release.namespace).strip() == "yes"
    except HydrodaskError:  # it ends with 1 when the answer is no
        return False


def _crds(release: Release) -> tuple[bool | None, str]:
    there = release.kubectl("get", "crd", "--output", "name")
    missing = [name for name in CRDS if f"{name}.kubernetes.dask.org" not in there]
    how = "helm install --repo https://helm.dask.org --create-namespace -n dask-operator dask-kubernetes-operator"
    return not missing, f"its CRDs are not there: {how} --generate-name" if missing else "its CRDs are there"


def _operator(release: Release) -> tuple[bool | None, str]:
    images = [
        container["image"]
        for one in release.get("deployments")
        for container in one["spec"]["template"]["spec"]["containers"]
        if "dask-kubernetes-operator" in container["image"]
    ]
    if not images:
        return None, "no Deployment of it is seen; if it runs elsewhere, all is well"
    version = images[0].rpartition(":")[2]
    return (True if version.startswith(OPERATOR) else None), f"{version}; {OPERATOR} was tried"


def _storage(release: Release, manifest: list[Object]) -> tuple[bool | None, str]:
    claims = [claim for one in manifest for claim in one.get("spec", {}).get("volumeClaimTemplates", ())]
    claims += [one for one in manifest if one["kind"] == "PersistentVolumeClaim"]
    if not claims:
        return True, "no claim is wanted"
    wanted = {claim["spec"].get("storageClassName") for claim in claims}
    classes = {one["metadata"]["name"]: one for one in release.get("storageclasses")}
    mark = "storageclass.kubernetes.io/is-default-class"
    default = [n for n, one in classes.items() if one["metadata"].get("annotations", {}).get(mark) == "true"]
    missing = sorted(str(name) for name in wanted - {None} - set(classes))
    if missing:
        return (
            False,
            f"there is no storage class {', '.join(missing)}; there are {', '.join(sorted(classes)) or 'none'}",
        )
    if None in wanted and not default:
        return False, "no storage class is the default one: name one in values, …storage.storageClass"
    return True, f"{len(claims)} kinds of claims, of {', '.join(sorted(filter(None, wanted))) or default[0]}"


def _capacity(release: Release, manifest: list[Object]) -> tuple[bool | None, str]:
    free = {"cpu": 0.0, "memory": 0.0}
    for node in release.get("nodes"):
        if not node["spec"].get("unschedulable"):
            for key in free:
                free[key] += quantity(node["status"]["allocatable"][key])
    ours = release.labels.split(",")[1].split("=")[1]
    for pod in release.get("pods"):
        mine = pod["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == ours
        if pod["status"].get("phase") in ("Running", "Pending") and not mine:
            for key in free:
                free[key] -= _asked(pod["spec"], key)
    wanted = {key: sum(count * _asked(pod, key) for count, pod in workloads(manifest)) for key in free}
    good = all(wanted[key] <= free[key] for key in free)
    says = f"asks for {wanted['cpu']:.1f} CPUs and {wanted['memory'] / 2**30:.1f} GiB"
    return (good or None), f"{says}; free are {free['cpu']:.1f} and {free['memory'] / 2**30:.1f}"


def workloads(manifest: list[Object]) -> Iterator[tuple[int, Object]]:
    """Give the pods that keep running, with how many of each there are."""
    for one in manifest:
        spec = one.get("spec", {})
        if one["kind"] == "DaskCluster":
            yield spec["worker"]["replicas"], spec["worker"]["spec"]
            yield 1, spec["scheduler"]["spec"]
        elif one["kind"] in ("Deployment", "StatefulSet"):
            yield spec["replicas"], spec["template"]["spec"]


def _asked(pod: Object, key: str) -> float:
    return sum(quantity(one.get("resources", {}).get("requests", {}).get(key, "0")) for one in pod["containers"])


def quantity(text: object) -> float:
    """Return a quantity of Kubernetes as a number.

    >>> quantity("500m"), quantity("1Gi"), quantity("2"), quantity("16k")
    (0.5, 1073741824.0, 2.0, 16000.0)
    """
    match = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(text))
    return float(match[1]) * _UNITS[match[2]] if match and match[2] in _UNITS else 0.0


def _security(release: Release) -> tuple[bool | None, str]:
    for one in release.get("namespaces"):
        if one["metadata"]["name"] == release.namespace:
            level = one["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce", "none")
            return True, f"namespace {release.namespace} enforces {level}; our pods pass restricted"
    return True, f"namespace {release.namespace} will be made, and enforces restricted"


def _names(release: Release, manifest: list[Object]) -> tuple[bool | None, str]:
    """Things of the names that the chart wants, but of others, would stop helm half way."""
    wanted = {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in manifest}
    taken = []
    for kind in ("Service", "StatefulSet", "Deployment", "Namespace"):
        for one in release.get(kind.lower() + "s"):
            meta = one["metadata"]
            owner = meta.get("annotations", {}).get("meta.helm.sh/release-name")
            if (kind, meta.get("namespace", ""), meta["name"]) in wanted and owner != release.name:
                taken.append(f"{kind} {meta['name']}")
    return not taken, f"{', '.join(taken)} is there, and not ours: another --release" if taken else "none is taken"


def _image(release: Release, manifest: list[Object]) -> tuple[bool | None, str]:
    """Say when another image than these values' runs: after `cluster upgrade`, or because `up` shall change it."""
    wanted = next((one for one in manifest if one["kind"] == "DaskCluster"), None)
    try:
        there = release.dask()
    except HydrodaskError:  # without the CRD there is none
        there = None
    if wanted is None or there is None:
        return True, "no workers run yet"
    old, new = (one["spec"]["worker"]["spec"]["containers"][0]["image"] for one in (there, wanted))
    if old == new:
        return True, f"workers run {old}"
    return None, f"workers run {old}, and these values say {new}: all is rolled to that; else correct images.hydrodask"


def manifest_of(text: str) -> list[Object]:
    """Return the objects that helm has rendered."""
    return [one for one in yaml.safe_load_all(text) if one]


def images_in(found: object) -> set[str]:
    """Return each image that is named anywhere in objects.

    >>> images_in([{"spec": {"containers": [{"image": "a:1"}, {"image": "b:2"}]}}]) == {"a:1", "b:2"}
    True
    """
    if isinstance(found, list):
        return set().union(*(images_in(one) for one in found))
    if not isinstance(found, dict):
        return set()
    own = {found["image"]} if isinstance(found.get("image"), str) else set()
    return own.union(*(images_in(one) for one in found.values()))
