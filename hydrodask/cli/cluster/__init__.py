"""`hydrodask cluster`: the platform on Kubernetes, by the chart in cluster/kubernetes.

What Kubernetes is asked or told goes through `kubectl` and `helm`: who has a cluster has them, with his login.
"""

import typer

from hydrodask.cli.cluster import down, look, scale, settle, trial, up, upgrade

group = typer.Typer(
    no_args_is_help=True,
    help="The platform on Kubernetes: install, look, scale, upgrade, remove. (Settings `cluster.*` are Dask's.)",
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for module in (up, look, scale, upgrade, trial, down, settle):
        module.add_to(group)
    app.add_typer(group, name="cluster")
