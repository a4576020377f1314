"""`hydrodask models`: what is registered, which version scores; and a model of one's own beside them."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hydrodask.cli.common import Json, Profile, Sets, console, print_json, settings

group = typer.Typer(invoke_without_command=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="models")


@group.callback()
def models(context: typer.Context, *, json: Json = False, profile: Profile = None, sets: Sets = None) -> None:
    """Show the registered models: versions, figures, and which is the champion that scores.

    Example: `hydrodask models`
    """
    if context.invoked_subcommand is not None:
        return
    from hydrodask.learn.registry import Registry
    from hydrodask.learn.shelf import file_of

    chosen = settings(profile, sets)
    file = file_of(chosen.mlflow_uri)
    found = Registry(chosen).versions() if file is None or file.exists() else []  # to look makes no registry
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
    if found:
        console.print(table)
        return
    where = f"No models in {chosen.mlflow_uri}; those of a run with a profile show with the same --profile."
    text = f"{where} `hydrodask train` makes them."
    console.print(text, highlight=False, markup=False, soft_wrap=True)


@group.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="A model that takes features of one cycle a row.")],
    *,
    target: Annotated[
        str, typer.Option(metavar="NAME", help="What it says: cooler, valve, pump, accumulator or stable.")
    ],
    columns: Annotated[
        Path | None,
        typer.Option(help="File with the names of its features, one a line.", show_default="those it names itself"),
    ] = None,
    json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Register a model of your own; it is tried on the lake's cycles, and refused when it can't score.

    It takes one tensor of floats, (cycles, features), and gives probabilities, (cycles, states). It scores
    once it is promoted.

    Example: `hydrodask models add valve.onnx --target valve --columns features.txt`
    """
    from hydrodask.errors import UsageError, meant
    from hydrodask.learn.targets import TARGETS
    from hydrodask.learn.train import own

    if target not in TARGETS:
        raise UsageError(f"there is no target {target!r}; known: {', '.join(TARGETS)}{meant(target, TARGETS)}")
    try:
        names = [] if columns is None else columns.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"could not read --columns {columns}: {error}") from error
    done = own.add(settings(profile, sets), file, TARGETS[target], names)
    if json:
        print_json(asdict(done))
        return
    tried = f"tried on {done.cycles:,} cycles of the lake" if done.cycles else "the lake has no cycle to try it on"
    right = "" if done.macro_f1 is None else f", macro-F1 {done.macro_f1:.3f} where they have labels"
    console.print(f"{target} version {done.version.version} is registered: {tried}{right}", highlight=False)
    console.print(
        f'It scores once you say so: `hydrodask promote {target} {done.version.version} --force "REASON"`; how it does '
        "on combinations of faults that it has not seen is not known here.",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
