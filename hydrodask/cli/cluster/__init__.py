"""`hydrodask cluster`: the platform on Kubernetes, by the chart in cluster/kubernetes."""

import typer

from hydrodask.cli.cluster import settle

group = typer.Typer(no_args_is_help=True, help="The platform on Kubernetes: install, look, scale, upgrade, remove.")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    settle.add_to(group)
    app.add_typer(group, name="cluster")
