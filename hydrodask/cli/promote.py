"""`hydrodask promote`: another version scores from now on."""

from typing import Annotated

import typer

from hydrodask.cli import completion
from hydrodask.cli.common import Profile, Sets, console, settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(promote)


def promote(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Target: cooler, valve, pump, accumulator or stable.",
            autocompletion=completion.targets,
        ),
    ],
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Which version is to score from now on.")],
    *,
    force: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Do it though it is worse, or not judged; the reason is kept."),
    ] = None,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Make a version the champion; refused when it is worse on unseen combinations, or not judged, unless forced.

    Running scorers pick it up between two cycles.

    Example: `hydrodask promote valve 3`
    """
    from hydrodask.learn.registry import PREFIX, Registry

    chosen = Registry(settings(profile, sets)).promote(target.removeprefix(PREFIX), version, reason=force)
    console.print(f"{chosen.target} version {chosen.version} ({chosen.kind}) is the champion now", highlight=False)
