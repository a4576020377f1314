"""The pages of commands and of exit codes: what the command line itself knows."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from docs.pages.markdown import block, code, page, table
from hydrodask import errors
from hydrodask.cli.main import app

_INTRO = """Each command has `--help`, which says the same as this page. Commands that look at stored data take
`--profile` and `--set`: give them those of the run that stored it, in the same folder. `--json` is
for machines."""

_CODES = """Every command ends with one of these. A message on stderr says what was tried, on what, and what to
do. The [runbook](../runbook.md#exit-codes) has a section for each."""


def page_of_commands() -> str:
    """Return the page of commands."""
    group = typer.main.get_command(app)
    parts = [part for path, command in _commands(group, "hydrodask") for part in _part(path, command)]
    return page("Commands", _INTRO, *parts)


def page_of_exit_codes() -> str:
    """Return the page of exit codes."""
    rows = [
        (code(number), meaning, ", ".join(code(one.__name__) for one in classes))
        for number, meaning, classes in exit_codes()
    ]
    stopped = "A run that is stopped by Ctrl-C or SIGTERM commits, closes everything, and ends with 0."
    return page("Exit codes", _CODES, table(("code", "meaning", "errors"), rows), stopped)


def exit_codes() -> Iterator[tuple[int, str, list[type[errors.HydrodaskError]]]]:
    """Yield each code, its meaning as the entry point says it, and the errors that end with it."""
    import hydrodask.cli.main as entry  # noqa: PLC0415 - the module, whose docstring has the codes

    meanings = dict(re.findall(r"(\d) ([^,.]+)", inspect.getdoc(entry) or ""))
    kinds = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, errors.HydrodaskError)]
    for number in sorted(map(int, meanings)):
        yield number, meanings[str(number)], [one for one in kinds if one.exit_code == number]


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each command that can be given, with its name in full."""
    if not hasattr(group, "commands"):
        yield path, group
        return
    for name, command in group.commands.items():
        yield from _commands(command, f"{path} {name}")


def _part(path: str, command: Any) -> Iterator[str]:
    context = typer.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## {path.removeprefix('hydrodask ')}"
    yield block("text", f"{path} {usage}")
    yield _help(command.help or "")
    found = [one.get_help_record(context) for one in command.params]
    rows = [(code(_words(name)), text) for name, text in filter(None, found)]
    if rows:
        yield table(("option", "what it does"), rows)


def _help(text: str) -> str:
    """Return a help text in which paragraphs that are commands are blocks of code."""
    paragraphs = inspect.cleandoc(text).replace("\b", "").split("\n\n")
    shown = [
        block("text", inspect.cleandoc(one)) if re.match(r" *hydrodask ", one) else one.strip() for one in paragraphs
    ]
    return "\n\n".join(one for one in shown if one)


def _words(option: str) -> str:
    """Return an option and its value in words.

    >>> _words("--limit <int range>"), _words("--set <list[str]>"), _words("--open")
    ('--limit NUMBER', '--set TEXT', '--open')
    """
    kinds = {"int": "NUMBER", "float": "NUMBER", "path": "FILE"}
    return re.sub(r"<(?:list\[)?(\w+)[^>]*>", lambda found: kinds.get(found[1], "TEXT"), option)
