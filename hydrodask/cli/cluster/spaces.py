"""Which namespaces a release is in: another one of the same name elsewhere has the same labels, and is left alone."""

import json
from dataclasses import replace

from hydrodask.cli.cluster import preflight
from hydrodask.cli.cluster.tools import Object, Release
from hydrodask.errors import UnreachableError, UsageError

PARTS = ("kafka", "storage", "observe")


def bound(release: Release) -> Release:
    """Return the release so that it sees its own namespaces only: those of helm's manifest, and of what it has kept."""
    found = {release.namespace, *(f"{release.namespace}-{part}" for part in PARTS), *_installed(release)}
    for kind in ("namespaces", "secrets"):
        found |= {_space(one) for one in _seen(release, kind) if _by(release, one)}
    return replace(release, spaces=frozenset(found))


def unknown(release: Release) -> UsageError:
    """Return the error for a release that is not there, with those that are."""
    try:
        listed = json.loads(release.helm("list", "--all-namespaces", "--all", "--output", "json"))
    except UnreachableError:  # who may not look everywhere
        listed = json.loads(release.helm("list", "--all", "--output", "json"))
    names = [f"{one['name']} in {one['namespace']}" for one in listed if one["chart"].startswith("hydrodask-")]
    return UsageError(
        f"there is no release {release.name} in {release.namespace}; there are {', '.join(names) or 'none'}: "
        f"--release, --namespace"
    )


def _installed(release: Release) -> set[str]:
    try:
        manifest = preflight.manifest_of(release.helm("get", "manifest", release.name))
    except UnreachableError as error:
        if "not found" in str(error) or "forbidden" in str(error).lower():  # it is kept in a Secret
            return set()
        raise
    return {_space(one) for one in manifest if one["kind"] == "Namespace" or "namespace" in one["metadata"]}


def _seen(release: Release, kind: str) -> list[Object]:
    """Return the objects of a kind with our labels; none for those who may not see them."""
    try:
        return release.get(kind, release.labels)
    except UnreachableError as error:
        if "forbidden" in str(error).lower():
            return []
        raise


def _space(one: Object) -> str:
    """Return the namespace that an object is in, or is."""
    meta = one["metadata"]
    return str(meta.get("namespace") or meta["name"])


def _by(release: Release, one: Object) -> bool:
    marks = one["metadata"].get("annotations", {})
    wanted = {"meta.helm.sh/release-name": release.name, "meta.helm.sh/release-namespace": release.namespace}
    return bool(wanted.items() <= marks.items())
