"""`hydrodask verify`: audit what the platform has stored, and say what is wrong."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from hydrodask.cli.common import Json, Profile, Sets, console, errors, need_lake, print_json, settings, with_key_file

if TYPE_CHECKING:
    from hydrodask.audit.finding import Result, Results

_HELP = """Check that nothing is lost, doubled or changed: topics, lake, snapshots and documents against each other.

Reads only. Works while `run` runs, and after it; then it is about what was committed when it began. Use the settings of
the run: other windows or rules imply other results.

Below a finding (→) is the command that mends it; give it the same --profile and --set.

Exit code 0 when all is well, 5 when something is wrong, 4 when broker, lake or store do not answer.

Example: `hydrodask verify --profile local-services`
"""


_KEYS = "Keys by which files and snapshots have to be sealed, instead of lake.key_file: against people, not accidents."


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify", help=_HELP)(verify)


def verify(
    key_file: Annotated[Path | None, typer.Option(help=_KEYS, show_default=False)] = None,
    as_json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Audit, report, and exit with 5 when something is wrong."""
    from hydrodask.audit.verify import verify as audit

    effective = with_key_file(settings(profile, sets), key_file)
    if effective.kafka.embedded:  # else topics may have what the lake lacks
        need_lake(effective)
    with errors.status("reading …") as status:
        results = audit(effective, say=lambda said: status.update(escape(said)))
    if as_json:
        print_json(document(results))
    else:
        for result in results:
            _print(result)
        _print_verdict(results)
    if results.wrong:
        raise typer.Exit(5)


def document(results: "Results") -> dict[str, Any]:
    """Return the report as plain values."""
    first = next((result for result in results if result.wrong), None)
    return {
        "ok": not results.wrong,
        "wrong": results.wrong,
        "mend": list(dict.fromkeys(f.mend.command for r in results for f in r.findings if f.mend.command)),
        "first": None if first is None else f"{first.check}: {first.findings[0]}",
        "checks": [asdict(result) for result in results],
    }


def _print(result: "Result") -> None:
    """Print a line for a check, and one for each of its findings."""
    counts = ", ".join(f"{number:,} {name}" for name, number in result.looked_at.items() if number)
    state, style = ("ok", "green") if result.looked_at else ("--", "yellow")
    if result.wrong:
        state, style = f"{result.wrong:,} wrong", "bold red"
    line = f"[{style}]{state:>8}[/]  {result.check:10} {result.title}" + (f" [dim]({counts})[/]" if counts else "")
    console.print(line, highlight=False, soft_wrap=True)
    for place, finding in enumerate(result.findings):
        console.print(f"          [red]×[/] {escape(str(finding))}", highlight=False, soft_wrap=True)
        if [one.mend for one in result.findings[place + 1 : place + 2]] != [finding.mend]:  # once for like ones
            console.print(f"            [dim]→ {escape(str(finding.mend))}[/]", highlight=False, soft_wrap=True)
    if result.wrong > len(result.findings):
        console.print(f"          … and {result.wrong - len(result.findings):,} more", highlight=False)
    for what in result.unchecked:
        console.print(f"          [yellow]not checked:[/] {escape(what)}", highlight=False, soft_wrap=True)


def _print_verdict(results: "Results") -> None:
    """Print what it comes to, and the first difference."""
    wrong = [result for result in results if result.wrong]
    if not wrong:
        console.print("[green]Nothing is lost, doubled or changed, as far as it could be checked.[/]")
        return
    first = escape(f"{wrong[0].check}: {wrong[0].findings[0]}")
    console.print(f"[bold red]{results.wrong:,} wrong; first {first}[/]", highlight=False, soft_wrap=True)
