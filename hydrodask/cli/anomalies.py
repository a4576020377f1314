"""`hydrodask anomalies`: the windows that broke a rule, newest first."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from hydrodask.cli.common import Json, Profile, Sets, console, moment, none_found, print_json, settings
from hydrodask.store.documents import open_documents

LIMIT_MAX = 100_000


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(anomalies)


def anomalies(
    *,
    rig: Annotated[str | None, typer.Option(help="Only of this rig.", show_default=False)] = None,
    sensor: Annotated[str | None, typer.Option(help="Only of this sensor.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="At most so many.")] = 20,
    json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Show the windows that broke a rule, newest first.

    Works while `run` runs, and after it. A provisional anomaly is one of a window that is not final
    yet.

    Example: `hydrodask anomalies --rig rig-1 --sensor CE --limit 5`
    """
    where = {name: value for name, value in (("rig", rig), ("sensor", sensor)) if value is not None}
    effective = settings(profile, sets)
    documents = open_documents(effective)
    try:
        found = documents.find("anomalies", where, limit=limit, newest_first="window_start")
    finally:
        documents.close()
    if json:
        print_json(found)
        return
    if not found:
        none_found("anomalies", effective, where)
        return
    table = Table("window", "sensor", "what", title="Anomalies (event time, UTC)", show_lines=True)
    for one in found:
        sure = ", provisional" if one["provisional"] else ""
        what = f"{one['rule']}, {one['severity']}{sure}\n{one['message']}"
        # As Text, because rig names come from outside and may look like markup.
        table.add_row(*map(Text, (moment(one["window_start"]), f"{one['rig']}/{one['sensor']}", what)))
    console.print(table)
