"""`hydrodask incidents`: what was or is wrong, newest first."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from hydrodask.cli.common import Json, Profile, Sets, console, moment, none_found, print_json, settings
from hydrodask.store.documents import open_documents

LIMIT_MAX = 100_000


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(incidents)


def incidents(
    *,
    still_open: Annotated[bool, typer.Option("--open", help="Only those that are not resolved.")] = False,
    rig: Annotated[str | None, typer.Option(help="Only of this rig.", show_default=False)] = None,
    sensor: Annotated[str | None, typer.Option(help="Only of this sensor.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="At most so many.")] = 20,
    json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Show incidents, newest first: runs of windows that broke one rule.

    Works while `run` runs, and after it. Times are event times: the ends of the windows that showed
    it.

    Example: `hydrodask incidents --open`
    """
    wanted = (("rig", rig), ("sensor", sensor), ("status", "open" if still_open else None))
    where = {name: value for name, value in wanted if value is not None}
    effective = settings(profile, sets)
    documents = open_documents(effective)
    try:
        found = documents.find("incidents", where, limit=limit, newest_first="opened_at")
    finally:
        documents.close()
    if json:
        print_json(found)
        return
    if not found:
        none_found("incidents", effective, where)
        return
    table = Table("opened", "resolved", "what", title="Incidents (event time, UTC)", show_lines=True)
    for one in found:
        resolved = moment(one["resolved_at"] or "") or ("provisional" if one["provisional"] else "open")
        head = f"{one['rig']}/{one['sensor']} {one['rule']}, {one['severity']}, windows: {one['windows']}"
        # As Text, because rig names come from outside and may look like markup.
        table.add_row(*map(Text, (moment(one["opened_at"]), resolved, f"{head}\n{one['message']}")))
    console.print(table)
