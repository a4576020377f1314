"""`hydrodask drift`: how far the data has moved away from what the models were trained on."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from hydrodask.cli.common import Json, Profile, Sets, console, print_json, settings

SHOWN = 5
"""Features of a day that people are shown."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drift)


def drift(
    *,
    since: Annotated[str | None, typer.Option(help="Only from then on, ISO 8601.", show_default="all days")] = None,
    json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Compare each day's features with the training data, record a table in MLflow, and say whether to train again.

    Example: `hydrodask drift --since 2026-01-01`
    """
    from hydrodask.learn.train import lakedrift

    effective = settings(profile, sets)
    days = lakedrift.drift_of_lake(effective, since_us=lakedrift.since(since))
    if json:
        print_json([asdict(day) for day in days])
        return
    table = Table(title="Features furthest beyond the training data")
    for name in ("day", "cycles", "feature", "beyond", "stability index"):
        table.add_column(name, no_wrap=True)
    for day in days:
        for one in day.features[:SHOWN]:
            table.add_row(day.date, f"{day.cycles:,}", one.feature, f"{one.outside:.1%}", f"{one.index:.2f}")
    console.print(table)
    drifted = [day.date for day in days if day.suggests_training(effective.learn.drift_max)]
    if drifted:
        console.print(
            f"On {', '.join(drifted)} more than {effective.learn.drift_max:.0%} of the cycles are beyond what the "
            "models have seen: `hydrodask train`.",
            highlight=False,
            soft_wrap=True,
        )
