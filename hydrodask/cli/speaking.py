"""How every command speaks: in what the terminal can show, in sentences, and with stack traces only when asked."""

import io
import sys

from rich.markup import escape

from hydrodask.cli.common import errors
from hydrodask.errors import ConfigError, HydrodaskError, forbidden
from hydrodask.extras import absent
from hydrodask.logs import named

DEBUG = "--debug"
"""Before or after the command's name: a flag of every command."""


def show_what_can_be_shown() -> None:
    """Let a terminal that knows few letters show question marks for the others: no output may end a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and (stream.encoding or "").lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="replace")


def wants_debug(arguments: list[str]) -> bool:
    """Say whether stack traces are asked for, and take that out of the command line."""
    found = DEBUG in arguments
    while DEBUG in arguments:
        arguments.remove(DEBUG)
    return found


def complain(error: Exception) -> int:
    """Say what has ended a command, and return the exit code."""
    error = absent(error) or error
    code, text, advice = 1, named(error), f"; that is a mistake in hydrodask: the same with {DEBUG} shows where"
    if isinstance(error, HydrodaskError):
        code, advice = error.exit_code, ""
    if forbidden(error):  # whatever it was needed for, and whoever has met it
        code, advice = ConfigError.exit_code, ""
    errors.print(f"[bold red]hydrodask:[/] {escape(text + advice)}", highlight=False, soft_wrap=True)
    return code
