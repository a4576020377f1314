"""`hydrodask dlq`: look at dead letters, and publish them again."""

import base64
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from hydrodask import clock
from hydrodask.cli import looking
from hydrodask.cli.common import Json, Profile, Sets, console, errors, moment, print_json, settings
from hydrodask.clock import Zone
from hydrodask.errors import UsageError

if TYPE_CHECKING:
    from hydrodask.audit.letters import Letter
    from hydrodask.audit.retry import DeadLetters, LetterFilter

LIMIT_MAX = 100_000
SHOWN_BYTES_MAX = 65_536

group = typer.Typer(no_args_is_help=True, help="Records that could not be used: look at them, publish them again.")

Topic = Annotated[str | None, typer.Option(help="Only of this topic or sensor.", show_default=False)]
Reason = Annotated[str | None, typer.Option(help="Only with this text in the reason.", show_default=False)]
Since = Annotated[
    str | None, typer.Option(help="Only written since: 8h (ago), 06:00 (the last), or ISO 8601.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="dlq")


@group.command("list")
def list_(
    *,
    topic: Topic = None,
    reason: Reason = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="At most so many, the newest.")] = 20,
    as_json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """List dead letters: why, from where, when, and whether they were published again.

    Times are those of `observe.timezone`, in JSON UTC.

    Example: `hydrodask dlq list --topic PS1 --reason 'not JSON'`
    """
    with _opened(profile, sets) as dead:
        # Bytes are not listed, and of many letters they would not fit into memory.
        found = deque((replace(one, value=None) for one in dead.find(_wanted(dead, [], topic, reason, since))), limit)
        marks, zone = dead.marks(), Zone(dead.settings.observe.timezone)
    rows = [_row(letter, retried=(letter.partition, letter.at) in marks) for letter in found]
    if as_json:
        print_json(rows)
        return
    table = Table("letter", "written", "topic", "partition", "offset", "reason", "retried", title="Dead letters")
    for row in rows:
        shown = row | {"written": moment(row["written"], zone), "retried": "yes" if row["retried"] else ""}
        # As Text, because reasons quote records, which may look like markup.
        table.add_row(*(Text(str(cell)) for cell in shown.values()))
    console.print(table if rows else "No dead letters.")


@group.command()
def show(
    letter: Annotated[str, typer.Argument(help="PARTITION-OFFSET, as `list` shows it.")],
    as_json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Show one dead letter with its bytes, and whether it would fail again.

    Example: `hydrodask dlq show 0-17`
    """
    from hydrodask.audit.letters import why_again

    place = _place(letter)
    with _opened(profile, sets) as dead:
        found = dead.one(place)
        if found is None:
            raise UsageError(f"there is no dead letter {letter}; see `hydrodask dlq list`")
        retried = place in dead.marks()
        again = why_again(found, dead.settings)
    row = _row(found, retried=retried) | {
        "key": _said(found.key),
        "value": _said(found.value),
        "fails_again": again,
    }
    if as_json:
        encoded = None if found.value is None else base64.b64encode(found.value).decode()
        print_json(row | {"value_base64": encoded})
        return
    for name, value in row.items():
        console.print(Text(f"{name:>12}  {value}"), soft_wrap=True)


@group.command()
def retry(
    letters: Annotated[list[str] | None, typer.Argument(help="PARTITION-OFFSET …", show_default=False)] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that fit the filters.")] = False,
    topic: Topic = None,
    reason: Reason = None,
    since: Since = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Those too that would fail again.")] = False,
    as_json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Publish dead letters again where they came from, with their key and bytes; each once.

    Those that would certainly fail again are refused. A sample that comes so late may be a late one by then.

    Example: `hydrodask dlq retry --all --topic PS1 --dry-run`
    """
    if bool(letters) == everything:
        raise UsageError("want either letters (0-17 0-18) or --all")
    with _opened(profile, sets) as dead:
        wanted = _wanted(dead, letters or [], topic, reason, since)
        missing = [f"{p}-{at}" for p, at in sorted(wanted.places) if dead.one((p, at)) is None]
        if missing:
            raise UsageError(f"there is no dead letter {', '.join(missing)}; see `hydrodask dlq list`")
        result = dead.would(wanted, force=force) if dry_run else dead.retry(wanted, force=force, say=errors.print)
    if as_json:
        print_json(
            {"dry_run": dry_run, "published": result.published, "done_before": result.done_before,
             "refused": result.refused}
        )  # fmt: skip
        return
    console.print(f"{len(result.published):,} {'would be ' if dry_run else ''}published again", highlight=False)
    if result.done_before:
        console.print(f"{len(result.done_before):,} left alone, published again before", highlight=False)
    for place, why in result.refused.items():
        console.print(Text(f"{place} refused: {why}"), soft_wrap=True)


@contextmanager
def _opened(profile: str | None, sets: list[str] | None) -> "Iterator[DeadLetters]":
    """Give the dead letters, and let go of them."""
    from hydrodask.audit.retry import DeadLetters

    dead = DeadLetters(settings(profile, sets))
    try:
        yield dead
    finally:
        dead.close()


def _wanted(
    dead: "DeadLetters", letters: list[str], topic: str | None, reason: str | None, since: str | None
) -> "LetterFilter":
    from hydrodask.audit.retry import LetterFilter

    since_us = looking.since(since, dead.settings)
    return LetterFilter(places=frozenset(map(_place, letters)), topic=topic, reason=reason, since_us=since_us)


def _place(text: str) -> tuple[int, int]:
    from hydrodask.audit.letters import place_of

    place = place_of(text)
    if place is None:
        raise UsageError(f"{text!r} is no dead letter; want PARTITION-OFFSET, for example 0-17")
    return place


def _row(letter: "Letter", *, retried: bool) -> dict[str, Any]:
    return {
        "letter": letter.place,
        "written": clock.iso(letter.time_us),
        "topic": letter.source[0],
        "partition": letter.source[1],
        "offset": letter.offset,
        "reason": letter.reason,
        "retried": retried,
    }


def _said(data: bytes | None) -> str | None:
    """Return bytes as text, what is none as escapes, and of much only the beginning."""
    if data is None:
        return None
    text = data[:SHOWN_BYTES_MAX].decode("utf-8", errors="backslashreplace")
    return text if len(data) <= SHOWN_BYTES_MAX else f"{text} … {len(data)} bytes in all"
