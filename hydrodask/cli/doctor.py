"""`hydrodask doctor`: can the platform run here, and if not, what to do."""

from dataclasses import asdict

import typer
from rich.text import Text

from hydrodask.cli.common import Json, Profile, Sets, console, print_json

STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(profile: Profile = None, sets: Sets = None, as_json: Json = False) -> None:
    """Check Python, libraries, configuration, disk, clock, ports, stores, broker and the servers beside them.

    One line each: pass, warn, or fail with what to do. Exit code 0 when nothing failed; else that
    of the first failure: 3 configuration, 4 something does not answer, 1 the rest.

    Example: `hydrodask doctor --profile local-services`
    """
    from hydrodask.doctor import check_up

    findings = []
    for finding in check_up(profile=profile, sets=sets or ()):
        findings.append(finding)
        if not as_json:
            line = Text.assemble((f"{finding.state}  ", STYLES[finding.state]), f"{finding.check}: {finding.text}")
            console.print(line + Text(f"; {finding.advice}" if finding.advice else ""), soft_wrap=True)
    failures = [finding.exit_code for finding in findings if finding.state == "fail"]
    if as_json:
        print_json({"ok": not failures, "checks": [asdict(finding) for finding in findings]})
    if failures:
        raise typer.Exit(failures[0])
