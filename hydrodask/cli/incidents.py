"""`hydrodask incidents`: what was or is wrong, newest first."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from hydrodask.cli import answering, looking
from hydrodask.cli.common import Json, Profile, Sets, moment, settings
from hydrodask.clock import Zone
from hydrodask.redaction import visible

COLUMNS = (
    *("opened_at", "resolved_at", "status", "rig", "sensor", "rule", "severity", "provisional", "windows", "message"),
    "_id",
)

group = typer.Typer(help="Show incidents; acknowledge, explain or mute them.")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="incidents")
    answering.add_to(group)


@group.callback(invoke_without_command=True)
def incidents(
    context: typer.Context,
    *,
    still_open: Annotated[bool, typer.Option("--open", help="Only those that are not resolved.")] = False,
    rig: looking.Rig = None,
    sensor: looking.Sensor = None,
    rule: looking.Rule = None,
    severity: looking.Severity = None,
    since: looking.Since = None,
    limit: looking.Limit = None,
    follow: looking.Follow = False,
    csv: looking.Csv = False,
    json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Show incidents, newest first: runs of windows that broke one rule.

    Works while `run` runs, and after it. Times are event times: the ends of the windows that showed
    it, in `observe.timezone`, in JSON and CSV in UTC. `--since` goes by when they were opened.

    Example: `hydrodask incidents --open`, `hydrodask incidents --since 06:00 --severity critical --follow`
    """
    if context.invoked_subcommand is not None:
        return
    effective = settings(profile, sets)
    status = "open" if still_open else None
    look = looking.Look(
        collection="incidents",
        newest="opened_at",
        columns=COLUMNS,
        where=looking.wanted(rig=rig, sensor=sensor, rule=rule, severity=severity, status=status),
        since_us=looking.since(since, effective),
        limit=limit,
    )
    look.tell(effective, _table, _line, follow=follow, as_csv=csv, as_json=json)


def _table(found: list[dict[str, Any]], zone: Zone) -> Table:
    table = Table("opened", "resolved", "what", title=f"Incidents (event time, {zone.name})", show_lines=True)
    for one in found:
        resolved = moment(one["resolved_at"] or "", zone) or ("provisional" if one["provisional"] else "open")
        head = f"{one['rig']}/{one['sensor']} {one['rule']}, {one['severity']}, windows: {one['windows']}"
        # As Text, because rig names come from outside and may look like markup.
        table.add_row(*map(Text, (moment(one["opened_at"], zone), resolved, f"{head}\n{one['message']}")))
    return table


def _line(one: dict[str, Any], zone: Zone) -> str:
    word = "resolved" if one["resolved_at"] else "opened"
    if one["status"] == looking.WITHDRAWN:
        word = "withdrawn, it came to nothing"
    sure = " (provisional)" if one["provisional"] else ""
    where = f"{one['severity']} {one['rig']}/{one['sensor']} {one['rule']}"
    return visible(f"{moment(one['resolved_at'] or one['opened_at'], zone)} {word}: {where}: {one['message']}{sure}")
