"""How every command speaks: in what the terminal can show, in sentences, and with stack traces only when asked."""

import copy
import io
import logging
import sys

from rich.markup import escape

from hydrodask.cli.common import errors
from hydrodask.errors import HydrodaskError, kind_and_sentence

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

DEBUG = "--debug"
"""Before or after the command's name: a flag of every command."""


class Brief(logging.Formatter):
    """Formats a record with the sentence of its error in place of its stack trace."""

    def format(self, record: logging.LogRecord) -> str:
        brief = copy.copy(record)
        brief.exc_info = brief.exc_text = brief.stack_info = None
        text = super().format(brief)
        error = record.exc_info[1] if record.exc_info else None
        return text if error is None else f"{text}: {named(error)}"


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


def log_to_stderr(level: int, *, debug: bool) -> None:
    """Log for people; what libraries that have handlers of their own say as well."""
    logging.basicConfig(level=level, format=FORMAT, stream=sys.stderr)
    if debug:
        return
    known = [logging.getLogger(), *map(logging.getLogger, ("distributed", "bokeh", "mlflow", "alembic"))]
    for handler in (handler for logger in known for handler in logger.handlers):
        handler.setFormatter(Brief(FORMAT))


def named(error: BaseException) -> str:
    """Return the sentence of an error; of one that is none of ours with its kind."""
    return str(error) if isinstance(error, HydrodaskError) else kind_and_sentence(error)


def complain(error: Exception) -> int:
    """Say what has ended a command, and return the exit code."""
    code, text, advice = 1, named(error), f"; that is a mistake in hydrodask: the same with {DEBUG} shows where"
    if isinstance(error, HydrodaskError):
        code, advice = error.exit_code, ""
    errors.print(f"[bold red]hydrodask:[/] {escape(text + advice)}", highlight=False, soft_wrap=True)
    return code
