"""`hydrodask models`: what is registered, and which version scores."""

from dataclasses import asdict

import typer
from rich.table import Table

from hydrodask.cli.common import Json, Profile, Sets, console, print_json, settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(models)


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
    for name in ("target", "version", "model", "alias", "grouped", "leave-cooler", "random"):
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
