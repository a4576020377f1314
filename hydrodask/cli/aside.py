"""`hydrodask aside`: take files out of the lake, or snapshots, and keep them."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from hydrodask.cli.common import Json, Profile, Sets, console, print_json, settings

_HELP = """Take files that `verify` names out of the lake, or out of the snapshots, to where no reader looks.

They are kept: `lake` moves to `lake-aside`, `snapshots` to `snapshots-aside`, each with the beginning of its digest
behind its name. Stop the platform first. A hole that is left is filled by `backfill`, as `verify` says then; a snapshot
by the next `run`.

Example: `hydrodask aside windows/sensor=PS1/notes.parquet`
"""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("aside", help=_HELP)(aside)


def aside(
    paths: Annotated[list[str], typer.Argument(help="Paths as `verify` names them.", show_default=False)],
    as_json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Move files out of the way."""
    from hydrodask.audit.aside import set_aside
    from hydrodask.run.datadir import DataDir

    effective = settings(profile, sets)
    with DataDir(effective.data_dir), DataDir(effective.data_dir, "maintenance-lock"):
        moved = set_aside(effective, paths)
    if as_json:
        print_json([asdict(one) for one in moved])
        return
    for one in moved:
        console.print(f"{escape(one.path)} is {escape(one.kept)} in {escape(one.url)}-aside now", soft_wrap=True)
