"""`hydrodask models` and `hydrodask promote`: what is registered, and which version scores."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from hydrodask.cli.common import Json, Profile, Sets, console, print_json, settings


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(models)
    app.command()(promote)


def models(*, json: Json = False, profile: Profile = None, sets: Sets = None) -> None:
    """Show the registered models: versions, figures, and which is the champion that scores.

    Example: `hydrodask models`
    """
    from hydrodask.learn.registry import Registry

    found = Registry(settings(profile, sets)).versions()
    if json:
        print_json([asdict(version) for version in found])
        return
    table = Table(title="Models: macro-F1 by split")
    for name in ("target", "version", "model", "alias", "grouped", "cooler out", "random"):
        table.add_column(name, no_wrap=True)
    for one in found:
        shown = [
            f"{one.figures[key]:.3f}" if (key := f"{split}.macro_f1") in one.figures else "–"
            for split in ("grouped", "leave-cooler", "random")
        ]
        style = "bold" if "champion" in one.aliases else ""
        aliases = ", ".join(one.aliases)
        table.add_row(one.target, str(one.version), one.kind, aliases, *shown, style=style)
    console.print(table if found else "No models; `hydrodask train` makes them.")


def promote(
    target: Annotated[str, typer.Argument(metavar="NAME", help="Target: cooler, valve, pump, accumulator or stable.")],
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Which version is to score from now on.")],
    *,
    force: Annotated[
        str | None, typer.Option(metavar="REASON", help="Do it although it is worse; the reason is kept.")
    ] = None,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Make a version the champion; refused when it is worse on unseen combinations, unless forced.

    Running scorers pick it up between two cycles.

    Example: `hydrodask promote valve 3`
    """
    from hydrodask.learn.registry import PREFIX, Registry

    chosen = Registry(settings(profile, sets)).promote(target.removeprefix(PREFIX), version, reason=force)
    console.print(f"{chosen.target} version {chosen.version} ({chosen.kind}) is the champion now", highlight=False)
