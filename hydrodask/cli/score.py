"""`hydrodask score`: what the champions say of a folder of cycles."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from hydrodask.cli.common import Json, Profile, Sets, console, errors, print_json, settings, telling


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(score)


def score(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of cycles in either layout, labels not needed.")
    ],
    *,
    output: Annotated[Path, typer.Option(help="Parquet file to write.")],
    json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Score every cycle of a folder with the champions, on Dask, into one Parquet file.

    Columns: `cycle`, and for each target `TARGET_class` (null where it is unknown), `TARGET_why` (why it is) and
    `TARGET_p_CLASS`. Of a folder with labels the figures are given twice: over the answered cycles, and with unknown
    counted as wrong.

    Example: `hydrodask score recording/ --output states.parquet`
    """
    from hydrodask.learn.score.batch import score_folder

    with telling("score") as say:
        done = score_folder(settings(profile, sets), folder, output, say=say)
    for doubt in done["doubts"]:
        errors.print(f"[yellow]{escape(doubt)}[/]", highlight=False, soft_wrap=True)
    if json:
        print_json(done)
        return
    versions = ", ".join(f"{target} version {version}" for target, version in done["models"].items())
    console.print(f"{done['cycles']:,} cycles → {done['output']} ({versions})", highlight=False, soft_wrap=True)
    for target, one in done["figures"].items():
        console.print(
            f"{target}: {one['answered']:.1%} answered, macro-F1 {one['macro_f1_answered']:.3f} of these, "
            f"{one['macro_f1_unknown_wrong']:.3f} with unknown as wrong",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
