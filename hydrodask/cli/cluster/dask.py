"""The DaskCluster of a release: changed in helm's name, so that helm finds what it has said itself.

Helm 4 applies on the server, which knows who has set a field, and lists as a whole: after a `kubectl patch` of an image
or a number the next upgrade of the chart would be refused.
"""

import json

from hydrodask.cli.cluster.preflight import manifest_of
from hydrodask.cli.cluster.tools import Object, Release
from hydrodask.errors import UsageError

GROUPS = "daskworkergroups.kubernetes.dask.org"


def the_cluster(release: Release) -> Object:
    """Return our DaskCluster as it is there; raises UsageError when there is none."""
    found = release.dask()
    if found is None:
        raise UsageError(
            f"there is no DaskCluster {release.full} in {release.namespace}: `hydrodask cluster up` makes it"
        )
    return found


def image_of(part: Object) -> str:
    """Return the image of a DaskCluster's workers or scheduler."""
    return str(part["spec"]["containers"][0]["image"])


def change(release: Release, *, workers: int | None = None, image: str | None = None) -> None:
    """Change the number of workers, or the image of workers to come and of a scheduler that is made anew."""
    found = the_cluster(release)
    there, kept = found["spec"], found["metadata"]
    [ours] = [one for one in manifest_of(release.helm("get", "manifest", release.name)) if one["kind"] == "DaskCluster"]
    # By these helm knows what is its own; a manifest has none of them, and who applies without them takes them off.
    marks = {key: value for key, value in kept.get("annotations", {}).items() if key.startswith("meta.helm.sh/")}
    ours["metadata"] |= {"labels": kept["labels"], "annotations": marks}
    spec = ours["spec"]
    spec["worker"]["replicas"] = workers or there["worker"]["replicas"]
    for part in ("worker", "scheduler"):
        spec[part]["spec"]["containers"][0]["image"] = image or image_of(there[part])
    as_helm = ["--server-side", "--field-manager=helm", "--force-conflicts"]
    release.kubectl("apply", *as_helm, "--namespace", release.namespace, "-f", "-", text=json.dumps(ours))
    if image is not None:  # the operator has copied it
        patch = [{"op": "replace", "path": "/spec/worker/spec/containers/0/image", "value": image}]
        where = ["--namespace", release.namespace, "--type", "json", "--patch", json.dumps(patch)]
        release.kubectl("patch", GROUPS, f"{release.full}-default", *where)
