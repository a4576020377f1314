"""The entry point: commands, logging, and errors as exit codes.

0 ok, 1 failed, 2 usage, 3 configuration, 4 a dependency can't be reached, 5 data integrity.
"""

import importlib
import logging
import os
import platform
import sys
import traceback
from typing import Annotated

import typer

from hydrodask import logs, redaction
from hydrodask.cli.speaking import DEBUG, complain, show_what_can_be_shown, wants_debug

PANELS = {
    "Run and look": ("run", "status", "console", "anomalies", "components", "report"),
    "Answer, and be told": ("incidents", "notify"),
    "Data": ("simulate", "replay", "import", "label", "topics"),
    "Models": ("train", "models", "promote", "score", "drift"),
    "Services and Kubernetes": ("services", "cluster"),
    "Check and mend": ("doctor", "config", "verify", "backfill", "dlq", "compact", "windows", "aside", "seal"),
}
"""The commands, in the order in which one needs them."""

COMMANDS = tuple(name for names in PANELS.values() for name in names)
_DEBUG = [False]
"""Whether stack traces are asked for."""

_MODULES = {"import": "import_"}
"""A module can't have the name of a keyword."""


class _InOrder(typer.core.TyperGroup):
    """Lists commands as `PANELS` does: typer would put those that have commands of their own behind the others."""

    def list_commands(self, _ctx: object) -> list[str]:
        return list(COMMANDS)


app = typer.Typer(
    name="hydrodask",
    cls=_InOrder,
    help="Streaming anomaly platform for hydraulic test rigs, on Dask and Kafka.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for _panel, _names in PANELS.items():
    for _name in _names:
        importlib.import_module(f"hydrodask.cli.{_MODULES.get(_name, _name)}").add_to(app)
        _added = app.registered_groups if any(one.name == _name for one in app.registered_groups) else None
        (_added or app.registered_commands)[-1].rich_help_panel = _panel


def _show_version(wanted: bool) -> None:
    """Say which hydrodask this is, and end."""
    if wanted:
        from hydrodask.release import release, version

        typer.echo(f"hydrodask {version()} (sources {release()}, Python {platform.python_version()})")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[  # noqa: ARG001 - see `_show_version`
        bool, typer.Option("--version", help="Show which hydrodask this is.", callback=_show_version, is_eager=True)
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done, not only what is wrong.")] = False,
    debug: Annotated[bool, typer.Option(DEBUG, help="Show stack traces.")] = False,  # noqa: ARG001 - see `main`
) -> None:
    logs.begin(logging.INFO if verbose else logging.WARNING, traces=_DEBUG[0])


def main() -> None:
    """Run the command line and exit with its code. All that it and its children make is its owner's only."""
    os.umask(0o077)
    redaction.guard()
    show_what_can_be_shown()
    _DEBUG[:] = [wants_debug(sys.argv)]
    try:
        app()
    except Exception as error:
        if _DEBUG[0]:
            sys.stderr.write(redaction.redacted(traceback.format_exc()))
        sys.exit(complain(error))
