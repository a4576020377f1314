"""`hydrodask status`: what runs, or ran last, from the status document."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from hydrodask import clock
from hydrodask.channels import CYCLE_S
from hydrodask.cli.common import Json, Profile, Sets, console, nothing_ran, print_json, settings
from hydrodask.clock import Zone
from hydrodask.observe.figures import FINE
from hydrodask.observe.news import OPEN_MAX
from hydrodask.observe.status import liveness, newest_status, places_of
from hydrodask.observe.styled import plain
from hydrodask.observe.wording import amount, reasons_text, span
from hydrodask.store.documents import open_documents

LIMIT_MAX = 2_000
NAMES_MAX = 10
"""Rigs and sensors that a line names."""
NOTES_SHOWN = 5
"""The newest notes of the run."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    *,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="At most so many partitions.")] = 40,
    json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Show what runs, or ran last: state, workers, partitions with what to do, totals, places.

    Works while `run` runs, and after it. Exit code 1 when nothing has ever run here.

    Example: `hydrodask status --json`
    """
    effective = settings(profile, sets)
    documents = open_documents(effective)
    try:
        found = newest_status(documents)
        still_open = documents.find("incidents", {"status": "open"}, limit=OPEN_MAX)
    finally:
        documents.close()
    places = places_of(effective)
    if found is None:
        _nothing(nothing_ran(effective), json=json)
        raise typer.Exit(1)
    running, sentence = liveness(found, clock.now_us(), Zone(effective.observe.timezone))
    found["places"] = places | found.get("places", {})
    found["drift_max"] = effective.learn.drift_max
    if json:
        print_json(found | {"running": running, "says": sentence, "open_incidents": len(still_open)})
        return
    count = f"{OPEN_MAX}+" if len(still_open) >= OPEN_MAX else str(len(still_open))
    _show(found, sentence, running=running, open_count=count, limit=limit)


def _nothing(sentence: str, *, json: bool) -> None:
    if json:
        print_json({"running": False, "run_id": None, "says": sentence})
    else:
        console.print(escape(sentence), highlight=False, soft_wrap=True)


def _show(found: dict[str, Any], sentence: str, *, running: bool, open_count: str, limit: int) -> None:
    """Print everything for people."""
    style = "bold green" if running else "bold yellow"
    for name, text in _facts(found, open_count).items():
        if name == "run":
            text = f"{text}, [{style}]{_safe(sentence)}[/]"  # noqa: PLW2901 - only this one has a style
        console.print(f"[dim]{name:<11}[/] {text}", highlight=False, soft_wrap=True)
    for flow in found.get("flows", ()):
        advice = f": {flow['advice']}" if flow["advice"] else ""
        lost = f", lost {amount(count)}" if (count := flow.get("totals", {}).get("lost")) else ""
        text = (
            f"{flow['name']} {flow['state']}, {flow['partitions']} partitions, lag {amount(flow['lag'])}{lost}{advice}"
        )
        console.print(f"[dim]flow[/]        {_safe(text)}", highlight=False, soft_wrap=True)
    for one in found.get("channels", ()):
        console.print(f"[dim]told[/]        {_safe(told(one))}", highlight=False, soft_wrap=True)
    console.print(partitions(found, limit))
    for note in found.get("notes", [])[-NOTES_SHOWN:]:
        console.print(f"[dim]note[/]        {_safe(note)}", highlight=False, soft_wrap=True)
    more = max(0, len(found["partitions"]) - limit) + found["partitions_hidden"]
    if more:
        console.print(f"{more} more partitions; --limit, or --json")


def told(one: dict[str, Any]) -> str:
    """Return how people are told through a channel.

    >>> told({"name": "desk", "kind": "webhook", "delivered": 3, "waiting": 0, "given_up": 0, "trouble": ""})
    'desk (webhook): 3 arrived'
    """
    said = [f"{one['delivered']:,} arrived"]
    said += [f"{one['waiting']:,} wait, the oldest for {span(one['oldest_s'])}"] if one["waiting"] else []
    said += [f"{one['given_up']:,} given up"] if one["given_up"] else []
    return f"{one['name']} ({one['kind']}): {', '.join([*said, *filter(None, [one['trouble']])])}"


def _facts(found: dict[str, Any], open_count: str) -> dict[str, str]:
    totals, quantiles = found["totals"], found["latency_s"]
    workers = ", ".join(found["workers"]) or "none"
    facts = {
        "run": _safe(found["run_id"]),
        "workers": _safe(workers),
        "incidents": f"{open_count} open, {amount(totals['incidents'])} in all",
        "now": f"{amount(found['records_per_s'])} records/s, lag {amount(found['lag'])} "
        f"({span(found['lag_s'])}), watermark -{span(found['watermark_delay_s'])}, "
        f"latency p50 {span(quantiles['p50'])} p99 {span(quantiles['p99'])}",
        "totals": _safe(", ".join(f"{name} {amount(count)}" for name, count in totals.items())),
    }
    refused = [
        f"{rig} {one['late']:,} late {one['dead']:,} dead"
        for rig, one in found.get("rigs", {}).items()
        if one["late"] or one["dead"]
    ]
    if refused:
        facts["refused"] = _safe(_listed(refused))
    if lacking := [
        f"{rig} {one['unprofiled']:,} samples {one['short']:,} s"
        for rig, one in found.get("rigs", {}).items()
        if one.get("unprofiled") or one.get("short")
    ]:
        facts["cycles lack"] = _safe(f"{_listed(lacking)}: sample_idx begins at 0 in each cycle of {CYCLE_S} s")
    if silent := found.get("silent"):
        facts["silent"] = _safe(_listed([f"{rig}/{sensor}" for rig, sensor in silent]))
    if reasons := found.get("dead_reasons"):
        facts["dead"] = _safe(reasons_text((one["reason"], one["count"]) for one in reasons))
    wanted = [one for one in found.get("look_first", ()) if one["attention"]]  # 0 deserves no look
    if look := [f"{one['rig']} ({one['attention']} of 100: {one['why']})" for one in wanted]:
        facts["look first"] = _safe(_listed(look))
    for rig, said in found.get("components", {}).items():
        facts[_safe(rig)] = _safe(
            ", ".join(f"{name} {one['state']} ({one['probability']:.0%}){_far(one)}" for name, one in said.items())
        )
    if drift := found.get("drift"):
        facts["drift"] = _safe(
            f"{drift['outside']:.0%} of today's cycles are beyond the training data in {drift['worst']}"
        )
        facts["drift"] += "; `hydrodask train`" if drift["outside"] > found.get("drift_max", 1.0) else ""
    if found["progress"] is not None:
        facts["source"] = f"{found['progress']:.0%} published"
    named = found["places"] | found["links"]
    return facts | {_safe(name): _safe(where) for name, where in named.items()}


def _far(said: dict[str, Any]) -> str:
    """Return where between its states a component is, if not at the one that was said, and when it is worse."""
    severity, hours = said.get("severity"), said.get("worse_in_hours")
    at = "" if severity is None or severity[0] == said["state"] else f" at {severity[0]:.3g}"
    return at + ("" if hours is None else f", worse in {hours:.1f} h")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_MAX:,} more: hydrodask incidents" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more


def partitions(found: dict[str, Any], limit: int) -> Table:
    """Return the partitions as a table, those in trouble first."""
    table = Table("partition", "state", "position", "lag", "late", "dead", "what to do")
    for name in ("position", "lag", "late", "dead"):
        next(c for c in table.columns if c.header == name).justify = "right"
    for part in found["partitions"][:limit]:
        style = "green" if part["state"] in FINE else "bold red"
        table.add_row(
            _safe(f"{part['topic']}/{part['partition']}"),
            f"[{style}]{_safe(part['state'])}[/]",
            *(f"{part[name]:,}" for name in ("position", "lag", "late", "dead")),
            _safe(part["advice"]),
        )
    return table


def _safe(text: object) -> str:
    """Return text from outside as rich prints it literally."""
    return escape(plain(text))
