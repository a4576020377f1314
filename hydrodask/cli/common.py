"""What commands share: options, settings, JSON output, exit codes."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from hydrodask.channels import SENSORS
from hydrodask.errors import UsageError
from hydrodask.redaction import visible
from hydrodask.reports import WHOLE_RIG
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Kafka, duration_s

Profile = Annotated[
    str | None, typer.Option("--profile", help="Name of a file in conf/profiles, or any file.yaml.", show_default=False)
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value over all other layers; repeatable.", show_default=False),
]
For = Annotated[
    str | None, typer.Option("--for", help="Stop this long after the first record, for example 2m.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


class Visible(Console):
    """A console that shows what is in a text: names, messages and records come from outside, and may hold escapes."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


console = Visible()
"""Where commands print for people."""

errors = Visible(stderr=True)
"""Where errors and progress go, so that stdout stays clean for pipes."""


def settings(profile: str | None, sets: list[str] | None) -> Settings:
    """Return the effective settings; raises ConfigError."""
    return load(profile=profile, sets=sets or ())[0]


def seconds(text: str | None, option: str = "--for") -> float | None:
    """Return the duration that an option has; raises BadParameter, which is a usage error (exit 2).

    >>> seconds("2m")
    120.0
    """
    try:
        return None if text is None else float(str(duration_s(text)))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not a duration; want for example 90s or 2m", param_hint=option
        ) from error


def check_rig_option(rig: str | None, effective: Settings) -> None:
    """Raise UsageError for a rig's name that the stream would not take either."""
    from hydrodask.decode.general import check_rig

    try:
        check_rig(rig, effective.limits.rig_bytes)
    except ValueError as error:
        raise UsageError(f"--rig has value {str(rig)[:60]!r}: {error}") from error


def none_found(what: str, effective: Settings, wanted: Mapping[str, object]) -> None:
    """Say that there are no documents of a kind, and where that is: it may be the wrong place, or name."""
    where = escape(str(effective.documents_url))
    only = "".join(f" of {name} {escape(repr(value))}" for name, value in wanted.items())
    text = f"No {what}{only} in {where}; those of a run with a profile show with the same --profile."
    if wanted.get("sensor", WHOLE_RIG) not in (WHOLE_RIG, *SENSORS):
        text += f" Sensors are {', '.join(SENSORS)}."
    console.print(text, highlight=False, soft_wrap=True)


def need_lake(effective: Settings) -> None:
    """Raise UsageError when there is no lake where the settings say: nothing wrong would be found, or done, there."""
    from hydrodask.store.files import Files

    if not Files(effective.lake_url).exists():
        raise UsageError(
            f"there is no lake at {effective.lake_url}; give the --profile and --set of the run that wrote "
            "it, in the same folder"
        )


def with_key_file(effective: Settings, key_file: Path | None) -> Settings:
    """Return the settings with the keys of a file. Raises ConfigError when those can't be used."""
    from hydrodask.store.keyring import Keyring

    if key_file is not None:
        effective = effective.model_copy(
            update={"lake": effective.lake.model_copy(update={"key_file": key_file.absolute()})}
        )
    if (keyring := Keyring.of(effective)) is not None:
        keyring.names  # noqa: B018 - before anything is read
    return effective


def broker_is_named(effective: Settings, origins: Mapping[str, str]) -> bool:
    """Say whether somebody has named the broker: who listens at the default's address may be anybody's."""
    return origins["kafka.bootstrap"] != "default" or effective.kafka.bootstrap != Kafka().bootstrap


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
