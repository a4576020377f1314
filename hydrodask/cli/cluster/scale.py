"""`hydrodask cluster scale N`: more or fewer workers; the DaskCluster's number is the only one."""

import json
from typing import Annotated

import typer

from hydrodask.cli.cluster import tools
from hydrodask.cli.cluster.tools import Context, Name, Namespace, Release, Within
from hydrodask.cli.common import console
from hydrodask.errors import UsageError

DASK = "daskclusters.kubernetes.dask.org"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(scale)


def scale(
    workers: Annotated[int, typer.Argument(min=1, max=1000, help="How many workers.")],
    *,
    namespace: Namespace = "hydrodask",
    name: Name = "hydrodask",
    context: Context = None,
    within: Within = 600,
) -> None:
    """Change the number of workers, and wait until they are there and work. An upgrade of the chart keeps the number.

    Example: `hydrodask cluster scale 4`
    """
    release = Release(namespace=namespace, name=name, context=context)
    dask = release.dask()
    if dask is None:
        raise UsageError(f"there is no DaskCluster {release.full} in {namespace}: `hydrodask cluster up` makes it")
    before = dask["spec"]["worker"]["replicas"]
    patch = json.dumps({"spec": {"worker": {"replicas": workers}}})
    release.kubectl("patch", DASK, release.full, "--namespace", namespace, "--type", "merge", "--patch", patch)
    tools.wait_until(lambda: _missing(release, workers), within, f"there are not {workers} workers")
    console.print(f"{before} → {workers} workers", highlight=False)


def _missing(release: Release, workers: int) -> str:
    pods = release.get("pods", release.workers, namespace=release.namespace)
    stuck = [why for pod in pods if (why := tools.trouble(pod))]
    ready = sum(tools.ready(pod) for pod in pods)
    if (ready, len(pods)) == (workers, workers):
        return ""
    return f"{ready} workers are ready, {len(pods)} there{''.join(f'; {why}' for why in stuck[:1])}"
