"""`hydrodask cluster scale N`: more or fewer workers; the DaskCluster's number is the only one."""

from typing import Annotated

import typer

from hydrodask.cli.cluster import tools
from hydrodask.cli.cluster.dask import change, the_cluster
from hydrodask.cli.cluster.tools import Context, Name, Namespace, Release, Within
from hydrodask.cli.common import console


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
    before = the_cluster(release)["spec"]["worker"]["replicas"]
    change(release, workers=workers)
    tools.wait_until(lambda: _missing(release, workers), within, f"there are not {workers} workers")
    console.print(f"{before} → {workers} workers", highlight=False)


def _missing(release: Release, workers: int) -> str:
    pods = release.get("pods", release.workers, namespace=release.namespace)
    stuck = [why for pod in pods if (why := tools.trouble(pod))]
    ready = sum(tools.ready(pod) for pod in pods)
    if (ready, len(pods)) == (workers, workers):
        return ""
    return f"{ready} workers are ready, {len(pods)} there{''.join(f'; {why}' for why in stuck[:1])}"
