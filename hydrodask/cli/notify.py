"""`hydrodask notify test`: does a message arrive? And `hydrodask notify`: what people were told, and what waits."""

import re
import secrets
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from hydrodask import clock
from hydrodask.cli.common import Json, Profile, Sets, console, errors, moment, print_json, settings
from hydrodask.clock import Zone, parse_iso
from hydrodask.errors import RetryableError, UnreachableError, UsageError
from hydrodask.notify import text
from hydrodask.notify.cause import MESSAGES
from hydrodask.notify.senders import open_channels
from hydrodask.store.documents import open_documents

LIMIT_MAX = 2_000

_ISO = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
"""A time in what is stored as words: people read it in `observe.timezone`."""

group = typer.Typer(help="Show what people were told of; test that messages arrive.")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="notify")


@group.callback(invoke_without_command=True)
def notify(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="At most so many.")] = 20,
    json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Show what people are told of, newest first: through which channels, what waits, and what is kept back and why.

    Example: `hydrodask notify`
    """
    if context.invoked_subcommand is not None:
        return
    effective = settings(profile, sets)
    documents = open_documents(effective)
    try:
        found = documents.find(MESSAGES, {"kind": "cause"}, limit=limit, newest_first="found_us")
    finally:
        documents.close()
    if json:
        print_json(found)
        return
    if not found:
        nobody = "" if effective.notify.channels else "; notify.channels is empty"
        console.print(f"Nobody was told of anything{nobody}.", highlight=False, soft_wrap=True)
        return
    zone = Zone(effective.observe.timezone)
    table = Table(f"since ({zone.name})", "what", "told", "waits", show_lines=True)
    for one in found:
        first = one["rigs"][0]
        what = first["message"] + (f" and {len(one['rigs']) - 1} more" if len(one["rigs"]) > 1 else "")
        state = _ISO.sub(lambda at: zone.full(parse_iso(at[0])), one["kept_back"]) or ("over" if one["done_us"] else "")
        waiting = {str(w["channel"]): f"{w['channel']}: {w['error'] or 'on its way'}" for w in one["waiting"]}
        arrived = {name: said for name, said in one["told"].items() if name not in waiting}  # what waits was not told
        told = ", ".join(f"{name}{' (over)' if said['over'] else ''}" for name, said in arrived.items())
        waits = "\n".join(waiting.values())
        head = f"{first['rig']} {first['severity']}{f', {state}' if state else ''}"
        table.add_row(*map(Text, (moment(first["since"], zone), f"{head}\n{what}", told or "nobody", waits)))
    console.print(table)


@group.command("test")
def send(
    to: Annotated[str | None, typer.Option(help="Only through this channel.", show_default=False)] = None,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Send a test message through each channel, once; exit code 4 if one does not arrive.

    Example: `hydrodask notify test --to desk`
    """
    effective = settings(profile, sets).notify
    if not effective.channels:
        raise UsageError("notify.channels is empty: nobody can be told; docs/notify.md has examples")
    if to is not None and to not in effective.channels:
        raise UsageError(f"--to has value {to!r}, which is no channel; known: {', '.join(effective.channels)}")
    link = str(effective.link or "")
    failed = []
    for name, sender in open_channels(effective).items():
        if to not in (None, name):
            continue
        try:
            but = sender.send(text.trial(name, f"test-{secrets.token_hex(4)}", clock.now_us(), link))
        except RetryableError as error:
            failed.append(name)
            errors.print(f"{name}: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        else:
            console.print(
                f"{name}: arrived{f', but {but}' if but else ''}", markup=False, highlight=False, soft_wrap=True
            )
    if failed:
        raise UnreachableError(f"the test message did not arrive through {', '.join(failed)}")
