"""`hydrodask anomalies`: the windows that broke a rule, newest first."""

from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from hydrodask.cli import looking
from hydrodask.cli.common import Json, Profile, Sets, moment, settings
from hydrodask.clock import Zone
from hydrodask.redaction import visible

COLUMNS = (
    "window_start",
    "window_end",
    "rig",
    "sensor",
    "rule",
    "severity",
    "provisional",
    "value",
    "message",
    "_id",
    "status",
)
"""The last is `withdrawn` of one that came to nothing while one followed, else empty."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(anomalies)


def anomalies(
    *,
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
    """Show the windows that broke a rule, newest first.

    Works while `run` runs, and after it. A provisional anomaly is one of a window that is not final
    yet. Times are those of `observe.timezone`, in JSON and CSV UTC.

    Example: `hydrodask anomalies --rig rig-1 --sensor CE --since 8h`
    """
    effective = settings(profile, sets)
    look = looking.DocumentQuery(
        collection="anomalies",
        newest="window_start",
        columns=COLUMNS,
        where=looking.wanted(rig=rig, sensor=sensor, rule=rule, severity=severity),
        since_us=looking.since(since, effective),
        limit=limit,
    )
    look.tell(effective, _table, _line, follow=follow, as_csv=csv, as_json=json)


def _table(found: list[dict[str, Any]], zone: Zone) -> Table:
    table = Table("window", "sensor", "what", title=f"Anomalies (event time, {zone.name})", show_lines=True)
    for one in found:
        sure = ", provisional" if one["provisional"] else ""
        what = f"{one['rule']}, {one['severity']}{sure}\n{one['message']}"
        # As Text, because rig names come from outside and may look like markup.
        table.add_row(*map(Text, (moment(one["window_start"], zone), f"{one['rig']}/{one['sensor']}", what)))
    return table


def _line(one: dict[str, Any], zone: Zone) -> str:
    sure = " (provisional)" if one["provisional"] else ""
    word = "withdrawn, it came to nothing: " if one.get("status") == looking.WITHDRAWN else ""
    where = f"{word}{one['severity']} {one['rig']}/{one['sensor']} {one['rule']}"
    return visible(f"{moment(one['window_start'], zone)} {where}: {one['message']}{sure}")
