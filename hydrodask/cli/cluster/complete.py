"""What is not ready yet of a release: each part by its owner, and the workers that somebody has scaled to."""

from collections.abc import Iterator, Sequence

from hydrodask.cli.cluster import tools
from hydrodask.cli.cluster.tools import Object, Release
from hydrodask.errors import ConfigError

KINDS = ("StatefulSet", "Deployment", "Job")
ASKED = ",".join(["pods", *(f"{kind.lower()}s" for kind in KINDS)])
"""At once: each call of `kubectl` is a process, and who waits takes that from what starts."""


def missing(release: Release, manifest: Sequence[Object]) -> str:
    """Return what is not ready yet, nothing when all is; raises ConfigError for what will not become so by itself."""
    # A Job that has failed shows in `cluster status`; it will not become ready, and need not.
    there = release.get(ASKED, release.labels)
    pods = [one for one in there if one["kind"] == "Pod" and one["status"].get("phase") != "Failed"]
    waiting = {one["metadata"]["name"]: tools.trouble(one) for one in pods if not tools.ready(one)}
    stuck = [f"{name}: {why}" for name, why in waiting.items() if why and "Image" in why]
    if stuck:
        raise ConfigError(f"{stuck[0]}; see images.* of the chart's values, and `hydrodask cluster images`")
    lacking = [*_of_owners(there, manifest), *_of_dask(release, manifest, pods)]
    if lacking:
        refused = _refused(release, [(namespace, name) for namespace, name, _ in lacking])
        return "; ".join([", ".join(says for *_, says in lacking), *refused])
    return f"waiting for {', '.join(sorted(waiting))}" if waiting else ""


def _of_owners(found: Sequence[Object], manifest: Sequence[Object]) -> Iterator[tuple[str, str, str]]:
    """Give namespace, name and what is said of each owner without all of its pods, the new ones."""
    there = {_key(one): one for one in found if one["kind"] in KINDS}
    for wanted in manifest:
        if wanted["kind"] not in KINDS:
            continue
        kind, namespace, name = key = _key(wanted)
        one = there.get(key, {})
        status = one.get("status", {})
        if kind == "Job":  # one that has run may be gone
            if one and not any(status.get(count) for count in ("active", "succeeded", "failed")):
                yield namespace, name, f"{name} has no pod"
            continue
        if not one:
            yield namespace, name, f"there is no {kind} {name}"
            continue
        count = one["spec"].get("replicas", 1)
        ready = status.get("readyReplicas", 0)
        if status.get("observedGeneration", 0) < one["metadata"]["generation"] or ready < count:
            yield namespace, name, f"{name} has {ready} of {count} pods ready"
        elif not _rolled_out(kind, status, count):
            yield namespace, name, f"{name} has old pods"


def _rolled_out(kind: str, status: Object, count: int) -> bool:
    """Say whether all pods are the new ones, as `kubectl rollout status` does."""
    if kind == "StatefulSet":
        return status.get("currentRevision") == status.get("updateRevision")
    return bool(status.get("updatedReplicas", 0) == status.get("replicas", 0) == count)


def _of_dask(release: Release, manifest: Sequence[Object], pods: Sequence[Object]) -> Iterator[tuple[str, str, str]]:
    """Give the same for scheduler and workers: their number is the live one, which `cluster scale` has changed."""
    if not any(one["kind"] == "DaskCluster" for one in manifest):
        return
    cluster = release.dask()
    if cluster is None:
        yield release.namespace, release.full, f"there is no DaskCluster {release.full}"
        return
    for part, count in (("scheduler", 1), ("worker", int(cluster["spec"]["worker"]["replicas"]))):
        wanted = {"dask.org/cluster-name": release.full, "dask.org/component": part}
        ours = [pod for pod in pods if wanted.items() <= pod["metadata"]["labels"].items()]
        ready = sum(tools.ready(pod) for pod in ours)
        if ready < count:
            name = f"{release.full}-scheduler" if part == "scheduler" else f"{release.full}-default-worker"
            yield release.namespace, name, f"{ready} of {count} {part}s are ready"


def _refused(release: Release, owners: Sequence[tuple[str, str]]) -> list[str]:
    """Return why Kubernetes makes no pod of one of the owners, in its newest words: a quota, Pod Security."""
    said = release.get("events", fields="reason=FailedCreate")
    for namespace, name in owners:
        ours = [
            one
            for one in said
            if one["metadata"]["namespace"] == namespace and str(one["involvedObject"].get("name", "")).startswith(name)
        ]
        if ours:
            newest = max(ours, key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""))
            what = f"{newest['involvedObject']['kind']} {newest['involvedObject']['name']}"
            return [f"{what}: {newest.get('message', '')[:400]}"]
    return []


def _key(one: Object) -> tuple[str, str, str]:
    return one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]
