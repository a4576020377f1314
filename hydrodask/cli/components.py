"""`hydrodask components`: what models say of each component, and when that has changed."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from hydrodask.cli import completion, looking
from hydrodask.cli.common import Json, Profile, Sets, check_ran, console, moment, none_found, print_json, settings
from hydrodask.clock import Zone
from hydrodask.redaction import visible
from hydrodask.settings import Settings
from hydrodask.store.documents import open_documents

COLUMNS = (
    *("at", "confirmed_at", "rig", "component", "before", "state", "unit", "verdict", "severity", "cycle"),
    *("probability", "model", "model_version", "why", "_id"),
)
NOW_MAX = 10_000


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(components)


def components(
    rig: Annotated[
        str | None,
        typer.Argument(
            help="Timeline of this rig; all rigs as they are now without it.", autocompletion=completion.rigs
        ),
    ] = None,
    *,
    since: looking.Since = None,
    limit: looking.Limit = None,
    follow: looking.Follow = False,
    csv: looking.Csv = False,
    json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Show what is said of each component now, or with a RIG, `--since` or `--follow` when that has changed.

    A change is a state that `learn.confirm` cycles in a row have shown, `cycle` what the rig's own load cycles are.
    Times are the ends of cycles: event time, in `observe.timezone`, in JSON and CSV in UTC. Each cycle is in `scores/`.

    Example: `hydrodask components rig-1 --since 8h`
    """
    effective = settings(profile, sets)
    if rig is None and since is None and not (follow or csv):
        _now(effective, as_json=json)
        return
    look = looking.DocumentQuery(
        collection="component_changes",
        newest="at",
        columns=COLUMNS,
        where=looking.wanted(rig=rig),
        since_us=looking.since(since, effective),
        limit=limit,
    )
    look.tell(effective, _timeline, _line, follow=follow, as_csv=csv, as_json=json)


def _now(effective: Settings, *, as_json: bool) -> None:
    """Show the newest document of each component."""
    documents = open_documents(effective)
    try:
        found = documents.find("components", {}, limit=NOW_MAX)
    finally:
        documents.close()
    if as_json:
        print_json(found)
    if not found:
        check_ran(effective, "components")
    if as_json:
        return
    if not found:
        none_found("components", effective, {})
        return
    zone = Zone(effective.observe.timezone)
    table = Table("rig", "component", "state", "since", "newest cycle", title=f"Components (event time, {zone.name})")
    for one in found:
        row = (str(one["rig"]), str(one["component"]), _state(one), _since(one, zone), moment(one["time"], zone))
        table.add_row(*map(Text, row))
    console.print(table)


def _state(one: dict[str, Any]) -> str:
    """Return in words what a document says of now."""
    if one["state"] is None:
        return f"unknown: {one.get('unknown_because') or 'no reason is given'}"
    doubt = "" if one.get("probability") is None else f", {one['probability']:.0%} sure"
    return f"{one['state']} {one.get('unit') or ''}".rstrip() + doubt


def _since(one: dict[str, Any], zone: Zone) -> str:
    return moment(str(one.get("unknown_since") or one.get("settled_since") or ""), zone)


def _timeline(found: list[dict[str, Any]], zone: Zone) -> Table:
    table = Table(
        "since", "component", "what", title=f"Changes of components (event time, {zone.name})", show_lines=True
    )
    for one in found:
        what = _change(one) + (f"\n{one['why']}" if one["why"] else "")
        # As Text, because rig names come from outside and may look like markup.
        table.add_row(*map(Text, (moment(one["at"], zone), f"{one['rig']}/{one['component']}", what)))
    return table


def _change(one: dict[str, Any]) -> str:
    """Return a change in words.

    >>> _change({"before": 100, "state": 3, "unit": "%", "severity": "critical", "model": "cooler", "model_version": 4})
    '100 % → 3 %, critical, says cooler 4'
    """
    before, state = (_named(one[name], one["unit"]) for name in ("before", "state"))
    severity = f", {one['severity']}" if one["severity"] else ""
    says = f", says {one['model']} {one['model_version']}" if one["model"] else ""
    return f"{before} → {state}{severity}{says}"


def _named(state: object, unit: str) -> str:
    return "unknown" if state is None else f"{state} {unit}".rstrip()


def _line(one: dict[str, Any], zone: Zone) -> str:
    return visible(f"{moment(one['at'], zone)} {one['rig']}/{one['component']}: {_change(one)}")
