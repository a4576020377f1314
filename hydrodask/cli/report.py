"""`hydrodask report`: a rig's day, or a fleet's shift, as one HTML file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hydrodask import clock
from hydrodask.cli import completion, looking
from hydrodask.cli.common import Profile, Sets, check_rig_option, console, need_lake, settings, telling
from hydrodask.clock import US_PER_S, Zone
from hydrodask.errors import UsageError, meant
from hydrodask.observe.wording import natural
from hydrodask.settings import Settings

if TYPE_CHECKING:
    from hydrodask.console.sheet import Sheets

DAY_US = 86_400 * US_PER_S
SHIFT_US = DAY_US // 3

_HELP = """Write a report: of a rig's day (--rig), or of the fleet since the shift began.

One HTML file that loads nothing from anywhere: curves with limits and usual ranges, incidents with what people
answered, states of components, data quality. `--pdf` has a Chromium print it. Times are in `observe.timezone`.

Examples:

    hydrodask report --rig rig-1 --day 2026-11-24

    hydrodask report --since 06:00 --output shift.html
"""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", help=_HELP)(report)


def report(
    *,
    rig: Annotated[
        str | None,
        typer.Option(help="Of this rig; else of the fleet.", show_default=False, autocompletion=completion.rigs),
    ] = None,
    day: Annotated[
        str | None, typer.Option(help="With --rig: which day, 2026-11-24.", show_default="that of its newest values")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="8h (ago), 06:00 (the last), or ISO 8601.", show_default="8h before the newest values"),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="HTML file to write.", show_default="report-RIG-DAY.html")] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="A PDF beside it, printed by a Chromium of this machine.")] = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Write a report."""
    from hydrodask.console import paper

    if day is not None and (rig is None or since is not None):
        raise UsageError("--day is for --rig, without --since: a shift is `hydrodask report --since 06:00`")
    if pdf:
        paper.browser()
    effective = settings(profile, sets)
    need_lake(effective)
    with telling("report") as say:
        say("reading")
        name, text = _made(effective, rig, day, since)
    path = output or Path(name)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--output has value '{path}': {error.strerror}") from error
    console.print(str(path), highlight=False, markup=False, soft_wrap=True)
    if pdf:
        paper.print_to(path.with_suffix(".pdf"), path)
        console.print(str(path.with_suffix(".pdf")), highlight=False, markup=False, soft_wrap=True)


def _made(effective: Settings, rig: str | None, day: str | None, since: str | None) -> tuple[str, str]:
    """Return the name of a report's file, and the report."""
    from hydrodask.console.curves import CurveReader
    from hydrodask.console.live import Live
    from hydrodask.console.sheet import Sheets
    from hydrodask.console.sight import Sight
    from hydrodask.detect import load_rules
    from hydrodask.store.documents import open_documents
    from hydrodask.store.history import History
    from hydrodask.store.lake import Lake

    zone, documents = Zone(effective.observe.timezone), open_documents(effective)
    sight = Sight(documents, History(Lake(effective.lake_url)), Live(effective.window.length), effective.observe.health)
    curves = CurveReader(sight, effective, load_rules(effective.detect.rules))
    sheets = Sheets(curves, zone, clock.now_us())
    try:
        if rig is None:
            return _of_fleet(sheets, looking.since(since, effective))
        check_rig_option(rig, effective)
        return _of_rig(sheets, rig, day, looking.since(since, effective))
    finally:
        curves.close()
        documents.close()


def _of_fleet(sheets: "Sheets", since_us: int | None) -> tuple[str, str]:
    """Return a shift up to the newest event: recordings may be of years ago."""
    end_us, zone = sheets.curves.sight.now_us(), sheets.zone
    start_us = end_us - SHIFT_US if since_us is None else since_us
    if start_us >= end_us:
        raise UsageError(f"--since is {zone.text(start_us)}, and nothing is known after {zone.text(end_us)}")
    return f"report-shift-{zone.text(end_us)[:16].replace(' ', '-').replace(':', '')}.html", sheets.fleet(
        start_us, end_us
    )


def _of_rig(sheets: "Sheets", rig: str, day: str | None, since_us: int | None) -> tuple[str, str]:
    sight, zone = sheets.curves.sight, sheets.zone
    if rig not in sight.rigs():
        known = sorted(sight.rigs(), key=natural)
        raise UsageError(f"nothing is known of a rig {rig!r}{meant(rig, known) or f'; known: {_some(known)}'}")
    start_us = since_us if since_us is not None else _midnight(day or zone.text(sight.now_us(rig) - 1)[:10], zone)
    end_us = sheets.now_us if since_us is not None else _midnight(zone.text(start_us + DAY_US + DAY_US // 8)[:10], zone)
    safe = "".join(char if char.isalnum() or char in "-_" else "_" for char in rig)
    return f"report-{safe}-{zone.text(start_us)[:10]}.html", sheets.rig(rig, start_us, end_us)


def _midnight(day: str, zone: Zone) -> int:
    try:
        return zone.parse(f"{day}T00:00:00")
    except ValueError as error:
        raise UsageError(f"--day has value {day!r}; want a day, for example 2026-11-24") from error


def _some(names: list[str]) -> str:
    return (", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")) or "none"
