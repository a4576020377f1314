"""What commands share: options, settings, JSON output, exit codes."""

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from hydrodask.settings import Settings, load

Profile = Annotated[str | None, typer.Option("--profile", help="Name of a file in conf/profiles.", show_default=False)]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value over all other layers; repeatable.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

console = Console()
"""Where commands print for people."""

errors = Console(stderr=True)
"""Where errors and progress go, so that stdout stays clean for pipes."""


def settings(profile: str | None, sets: list[str] | None) -> Settings:
    """Return the effective settings; raises ConfigError."""
    return load(profile=profile, sets=sets or ())[0]


def moment(iso: str) -> str:
    """Return a time as people read it, to the second.

    >>> moment("2026-11-24T22:05:20.500000Z")
    '2026-11-24 22:05:20'
    """
    return iso[:19].replace("T", " ")


def print_json(value: object) -> None:
    """Print one JSON document on stdout."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")
