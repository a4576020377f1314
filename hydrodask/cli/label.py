"""`hydrodask label`: say which state a rig's components were in, for training."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hydrodask.cli.common import Json, Profile, Sets, console, errors, given_time, moment, print_json, settings

FILE_ROWS_MAX = 2_000
"""Rows of a file of labels: more of them are a folder's `profile`, for `hydrodask import`."""

_TIME = "ISO 8601, event time; without an offset in `observe.timezone`."


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(label)


def label(
    rig: Annotated[str | None, typer.Argument(help="Of this rig.", show_default="all rigs")] = None,
    states: Annotated[
        list[str] | None,
        typer.Argument(help="States of components: cooler=20 valve=73, or valve=unknown.", show_default="show labels"),
    ] = None,
    *,
    start: Annotated[str | None, typer.Option("--from", help=_TIME, show_default=False)] = None,
    end: Annotated[str | None, typer.Option("--to", help=_TIME, show_default=False)] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="CSV with rig, from, to and columns of components; an empty cell says nothing."),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who says so; else the user of this machine.")] = None,
    note: Annotated[str, typer.Option(help="Why, in words.")] = "",
    json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Say in which state components were from one time to another; without states show what was said.

    A component at a time is enough. The next training takes the cycles whose middle lies in between. Of labels that
    contradict each other the newest counts; `unknown` takes back what was said, by the stream, too. Times without an
    offset are in `observe.timezone`, as all times that are shown; in the file, too. Of a rig of which nothing is known
    labels are stored, with a warning: its cycles may be imported later.

    Example: `hydrodask label rig-1 cooler=20 --from 2026-11-24T22:05:00Z --to 2026-11-24T22:15:00Z`
    """
    from dataclasses import replace

    from hydrodask import clock
    from hydrodask.answers import NAME_MAX, Answer
    from hydrodask.cli import naming
    from hydrodask.clock import Zone
    from hydrodask.errors import UsageError
    from hydrodask.learn import told
    from hydrodask.store.documents import open_documents

    effective = settings(profile, sets)
    zone = Zone(effective.observe.timezone)
    rows = []
    if file is not None:
        if states or start or end:
            raise UsageError("labels are given by --file, or as RIG, states, --from and --to; want one of both")
        rows = _rows(file, rig, zone)
    elif states or start or end or "=" in (rig or ""):
        if not (rig and states and start and end) or "=" in rig:
            raise UsageError(
                "a label says of which cycles it is, and what; want RIG, states such as cooler=20, --from and --to"
            )
        rows = [{"rig": rig, "states": told.states_of(states)} | _span(start, end, zone)]
    who, now_us = naming.who(by), clock.now_us()
    with naming.as_typed(text="--note", rig="RIG", end="--to"):
        given = [Answer.made(row | {"kind": "label", "text": note}, by=who, now_us=now_us) for row in rows]
    if file is not None:
        given = [replace(one, source=file.name[-NAME_MAX:]) for one in given]
    documents = open_documents(effective)
    try:
        documents.write([one.change() for one in given])
        known = given or [one for one in told.answers(documents) if rig in (None, one.rig)]
        doubt = naming.strangers(effective, documents, {one.rig for one in given} or {rig or ""} - {""})
    finally:
        documents.close()
    if doubt:
        errors.print(doubt, highlight=False, markup=False, soft_wrap=True)
    if not (known or json):
        of = f" of rig {rig!r}" if rig else ""
        where = f"No labels{of} in {effective.documents_url}."
        console.print(where, highlight=False, markup=False, soft_wrap=True)
        return
    _show(known, zone, json=json, takes=_takes(effective.lake_url, given) if given and not json else "")


def _rows(file: Path, rig: str | None, zone: Any) -> list[dict[str, Any]]:
    """Return the labels in a file. Raises UsageError with the row that is wrong."""
    import csv

    from hydrodask.errors import UsageError

    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            names, table = [str(name).strip() for name in reader.fieldnames or ()], list(reader)
    except (OSError, UnicodeError, csv.Error) as error:
        raise UsageError(f"could not read {file} as CSV: {error}") from error
    if not 0 < len(table) <= FILE_ROWS_MAX:
        raise UsageError(
            f"{file} has {len(table):,} rows; want 1..{FILE_ROWS_MAX:,}, or `hydrodask import` of a folder"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{file} has two columns {twice[0]!r}; want each once")
    found = []
    for number, row in enumerate(table, 2):
        given = {str(name).strip(): str(value or "").strip() for name, value in row.items()}
        try:
            found.append(_row(given, rig, zone))
        except UsageError as error:
            raise UsageError(f"{file} line {number}: {error}") from error
    return found


def _row(given: dict[str, str], rig: str | None, zone: Any) -> dict[str, Any]:
    """Return the label that a line says. Raises UsageError."""
    from hydrodask.errors import UsageError
    from hydrodask.learn import told

    whose, start, end = given.pop("rig", "") or rig, given.pop("from", ""), given.pop("to", "")
    states = told.states_of(f"{name}={value}" for name, value in given.items() if value)
    if not (whose and start and end and states):
        raise UsageError("want a rig, from, to, and at least one state")
    return {"rig": whose, "states": states} | _span(start, end, zone)


def _span(start: str, end: str, zone: Any) -> dict[str, str]:
    from hydrodask.clock import iso
    from hydrodask.errors import UsageError

    found = {}
    for name, option, text in (("start", "--from", start), ("end", "--to", end)):
        found[name] = iso(given_time(option, text, zone))
        if not zone.once(text):
            raise UsageError(
                f"{option} has value {text!r}, and the clocks of {zone.name} are changed then: it is two moments, or "
                "none; add an offset, for example +01:00"
            )
    return found


def _takes(lake: Any, given: Any) -> str:
    """Say how many cycles of the lake labels are of."""
    from hydrodask.errors import HydrodaskError
    from hydrodask.learn.data.labelling import counted

    try:
        counts = counted(lake, given).tolist()
    except HydrodaskError as error:  # it is stored all the same
        return f"`hydrodask train` takes its cycles, which could not be counted: {error}"
    if not any(counts):
        return "0 cycles of the lake are in it: `hydrodask train` learns nothing of it unless some come"
    none = (
        f"; {counts.count(0):,} of these labels {'has' if counts.count(0) == 1 else 'have'} none" if 0 in counts else ""
    )
    return f"`hydrodask train` takes its {sum(counts):,} cycle{'s' if sum(counts) > 1 else ''}{none}"


def _show(known: Any, zone: Any, *, json: bool, takes: str) -> None:
    from hydrodask.clock import parse_iso
    from hydrodask.learn import told

    if json:
        print_json([one.change("printed-" + one.at[:4]).body for one in known])
        return
    if takes:
        rigs = sorted({one.rig for one in known})
        what = f"{told.words(known[0].states)} of {rigs[0]}" if len(known) == 1 else f"{len(known):,} labels"
        start, end = min(one.start for one in known), max(one.end for one in known)
        span = f"from {moment(start, zone)} to {moment(end, zone)} {zone.label(parse_iso(end))}"
        text = f"{what} stored, by {known[0].by}, {span}; {takes}"
        console.print(escape(text), highlight=False, soft_wrap=True)
        return
    table = Table("from", "to", "rig", "states", "by", "as", title="What people said of components (event time)")
    for one in known:
        cells = (moment(one.start, zone), moment(one.end, zone), one.rig, told.words(one.states), one.by)
        table.add_row(*map(Text, (*cells, told.origin(one))))
    console.print(table)
