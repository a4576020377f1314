"""`hydrodask incidents`: what was or is wrong, newest first."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from hydrodask.cli import answering, looking, naming
from hydrodask.cli.answered import Answered
from hydrodask.cli.common import Json, Profile, Sets, moment, settings
from hydrodask.clock import Zone
from hydrodask.redaction import visible
from hydrodask.settings import Settings
from hydrodask.store.documents import open_documents

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
    it, in `observe.timezone`, in JSON and CSV in UTC. `--since` keeps what was resolved since then, or is open. The
    short id under the time is for `ack`, `note` and the others, as is the `_id` of JSON and CSV. JSON has the answers.

    Example: `hydrodask incidents --open`, `hydrodask incidents --since 06:00 --severity critical --follow`
    """
    if context.invoked_subcommand is not None:
        return
    effective = settings(profile, sets)
    status = "open" if still_open else None
    look = looking.DocumentQuery(
        collection="incidents",
        newest="opened_at",
        columns=COLUMNS,
        where=looking.wanted(rig=rig, sensor=sensor, rule=rule, severity=severity, status=status),
        since_us=looking.since(since, effective),
        limit=limit,
        beside=_beside,
    )

    def table(found: list[dict[str, Any]], zone: Zone) -> Table:
        return _table(found, zone, _answered(effective, found))

    look.tell(effective, table, _line, follow=follow, as_csv=csv, as_json=json)


def _answered(effective: Settings, found: list[dict[str, Any]]) -> Answered:
    documents = open_documents(effective)
    try:
        return Answered(documents, found)
    finally:
        documents.close()


def _beside(effective: Settings, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return incidents with what was said to them, for machines."""
    known = _answered(effective, found)
    return [known.beside(one) for one in found]


def _table(found: list[dict[str, Any]], zone: Zone, known: Answered) -> Table:
    table = Table("opened, id", "resolved", "what", title=f"Incidents (event time, {zone.name})", show_lines=True)
    for one in found:
        resolved = moment(one["resolved_at"] or "", zone) or ("provisional" if one["provisional"] else known.state(one))
        head = f"{one['rig']}/{one['sensor']} {one['rule']}, {one['severity']}, windows: {one['windows']}"
        opened = f"{moment(one['opened_at'], zone)}\n{naming.short(str(one['_id']))}"
        # As Text, because rig names come from outside and may look like markup.
        table.add_row(*map(Text, (opened, resolved, "\n".join((head, one["message"], *known.lines(one, zone))))))
    return table


def _line(one: dict[str, Any], zone: Zone) -> str:
    word = "resolved" if one["resolved_at"] else "opened"
    if one["status"] == looking.WITHDRAWN:
        word = "withdrawn, it came to nothing"
    sure = " (provisional)" if one["provisional"] else ""
    where = f"{one['severity']} {one['rig']}/{one['sensor']} {one['rule']}"
    at = moment(one["resolved_at"] or one["opened_at"], zone)
    return visible(f"{at} {word}: {where}: {one['message']}{sure}, id {naming.short(str(one['_id']))}")
