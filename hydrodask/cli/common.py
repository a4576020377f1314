"""What commands share: options, settings, JSON output, exit codes."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from hydrodask import logs
from hydrodask.channels import SENSORS
from hydrodask.cli import completion
from hydrodask.clock import Zone, parse_iso
from hydrodask.errors import UsageError
from hydrodask.observe.status import newest_status
from hydrodask.redaction import visible
from hydrodask.reports import WHOLE_RIG
from hydrodask.settings import Settings, load
from hydrodask.settings.kinds import duration_s
from hydrodask.settings.model import Kafka
from hydrodask.store.documents import open_documents

Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="Name of a file in conf/profiles, or any file.yaml.",
        show_default=False,
        autocompletion=completion.profiles,
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="key=value over all other layers; repeatable.",
        show_default=False,
        autocompletion=completion.keys,
    ),
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
    effective = load(profile=profile, sets=sets or ())[0]
    logs.use(effective.observe.log_format)
    return effective


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


_CALLED = {"component_changes": "changes of components"}
"""Collections that people know by another name."""


def none_found(
    what: str, effective: Settings, wanted: Mapping[str, object], *, since: str = "", hint: str = ""
) -> None:
    """Say that there are no documents of a kind, and where that is: it may be the wrong place, or name."""
    where = escape(str(effective.documents_url))
    named = {name: value for name, value in wanted.items() if name != "status"}
    only = "".join(f" of {name} {escape(repr(value))}" for name, value in named.items())
    kind = f"open {what}" if wanted.get("status") == "open" else _CALLED.get(what, what)
    text = f"No {kind}{only}{since} in {where}; those of a run with a profile show with the same --profile."
    if wanted.get("sensor", WHOLE_RIG) not in (WHOLE_RIG, *SENSORS):
        text += f" Sensors are {', '.join(SENSORS)}."
    console.print(text + escape(hint), highlight=False, soft_wrap=True)


def nothing_ran(effective: Settings) -> str:
    """Return what to say where no run has ever left a status: not that all is well."""
    return f"nothing has ever run here: no status in {effective.documents_url}; start with `hydrodask run`"


def check_ran(effective: Settings, collection: str) -> None:
    """Say on stderr when nothing has ever run here, and end with exit code 1: an empty answer is no good news then."""
    documents = open_documents(effective)
    try:
        ran = newest_status(documents) is not None or bool(documents.find(collection, {}, limit=1))
    finally:
        documents.close()
    if not ran:
        text = f"{nothing_ran(effective)}, or name the run's place with --profile and --set, in the folder it began in"
        errors.print(text, highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1)


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


@contextmanager
def telling(name: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal what goes on, and elsewhere a line each time that its first word changes."""
    said: list[str] = []

    def tell(text: str) -> None:
        if errors.is_terminal:
            spinner.update(escape(f"{name}: {text}"))
        elif text.split(maxsplit=1)[0] not in said:  # a count that goes up is no news
            said.append(text.split(maxsplit=1)[0])
            errors.print(f"{name}: {text}", highlight=False, markup=False)

    with errors.status(f"{name}: checking") as spinner:
        yield tell


def moment(iso: str, zone: Zone) -> str:
    """Return a time as people read it, to the second; nothing of nothing.

    >>> moment("2026-11-24T22:05:20.500000Z", Zone("Europe/Berlin")), moment("", Zone())
    ('2026-11-24 23:05:20', '')
    """
    return zone.text(parse_iso(iso)) if iso else ""


def given_time(option: str, text: str, zone: Zone) -> int:
    """Return a time that somebody typed, in microseconds: without an offset it is in `zone`, as times are shown.

    >>> parse_iso("2026-11-24T22:05:20Z") == given_time("--from", "2026-11-24 23:05:20", Zone("Europe/Berlin"))
    True
    """
    try:
        return zone.parse(text)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option} has value {text!r}; want ISO 8601, for example 2026-01-31T06:00:00Z") from error


def compact_json(value: object) -> str:
    """Return JSON on one line, with its end."""
    return f"{json.dumps(value, default=str)}\n"


def print_json(value: object) -> None:
    """Print one JSON document on stdout."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")
