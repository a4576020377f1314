"""The entry point: commands, logging, and errors as exit codes.

0 ok, 1 failed, 2 usage, 3 configuration, 4 a dependency can't be reached, 5 data integrity.
"""

import importlib
import logging
import sys
from typing import Annotated

import typer
from rich.markup import escape

from hydrodask.cli.common import errors
from hydrodask.errors import HydrodaskError

COMMANDS = (
    "run",
    "simulate",
    "replay",
    "import",
    "train",
    "models",
    "promote",
    "score",
    "drift",
    "topics",
    "status",
    "anomalies",
    "incidents",
    "verify",
    "dlq",
    "compact",
    "backfill",
    "windows",
    "doctor",
    "config",
    "services",
)
_MODULES = {"import": "import_"}
"""A module can't have the name of a keyword."""

app = typer.Typer(
    name="hydrodask",
    help="Streaming anomaly platform for hydraulic test rigs, on Dask and Kafka.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for _name in COMMANDS:
    importlib.import_module(f"hydrodask.cli.{_MODULES.get(_name, _name)}").add_to(app)


@app.callback()
def _common(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done, not only what is wrong.")] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        app()
    except HydrodaskError as error:
        errors.print(f"[bold red]hydrodask:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
