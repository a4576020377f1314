"""`hydrodask windows`: begin windows of another length, slide or lateness."""

import typer
from rich.markup import escape

from hydrodask.cli.common import Json, Profile, Sets, console, errors, print_json, settings

group = typer.Typer(no_args_is_help=True, help="Begin windows of another length, slide or lateness.")

_HELP = """Begin the windows that window.length, slide and lateness say, with the next record of each partition.

Stop the platform cleanly first; where the windows are these already, nothing changes. The first new windows are whole:
they are computed from the raw rows of the lake. Rows that are stored stay as they are; each file of windows/ says in
its metadata (hydrodask.windows) which windows it holds, and `verify` judges each by those.

Example: `hydrodask windows reset --set window.slide=5s`
"""


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="windows")


@group.callback()
def _windows() -> None:
    """Keep `reset` a command of its own: a group of one would be that command."""


@group.command(help=_HELP)
def reset(as_json: Json = False, profile: Profile = None, sets: Sets = None) -> None:
    """Change the windows of every partition."""
    from hydrodask.audit.windows import reset as begin
    from hydrodask.run.datadir import DataDir
    from hydrodask.window.geometry import Geometry

    effective = settings(profile, sets)
    with (
        DataDir(effective.data_dir),
        DataDir(effective.data_dir, "maintenance-lock"),
        errors.status("reading …") as status,
    ):
        changed = begin(effective, say=lambda said: status.update(escape(said)))
    if as_json:
        print_json([f"{topic}-{partition}" for topic, partition in changed])
        return
    now = Geometry.of(effective.window)
    text = (
        f"{len(changed)} partitions go on with windows of {now}." if changed else f"All windows are of {now} already."
    )
    console.print(text, highlight=False, soft_wrap=True)
