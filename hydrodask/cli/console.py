"""`hydrodask console`: the operator's page beside a run, or after it."""

from typing import Annotated

import typer
from rich.markup import escape

from hydrodask.cli.common import Profile, Sets, errors, settings
from hydrodask.errors import ConfigError

_HELP = """Serve the operator's page: rigs, curves, episodes, answers; from lake and documents alone.

`run` serves it itself. This is for another machine, or for what a run has left; live values come from the topic of
window rows, if the broker is not an embedded one.

Example: `hydrodask console --address 127.0.0.1:8781`
"""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("console", help=_HELP)(console)


def console(
    address: Annotated[
        str | None, typer.Option(help="host:port; console.address otherwise.", show_default=False)
    ] = None,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Serve the page until Ctrl-C."""
    from hydrodask.console import Console

    effective = settings(profile, [*(sets or ()), *([f"console.address={address}"] if address else [])])
    if effective.console.address is None:
        raise ConfigError("console.address is null: want HOST:PORT, or --address")
    page = Console(effective)
    errors.print(escape(f"operator's page: {page.url}  (Ctrl-C ends it)"), highlight=False, soft_wrap=True)
    try:
        while page.thread.is_alive():
            page.thread.join(1.0)
    except KeyboardInterrupt:
        errors.print("stopped")
    finally:
        page.close()
    if page.thread.trouble:
        raise ConfigError(f"the page {page.thread.trouble}")
