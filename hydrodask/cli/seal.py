"""`hydrodask seal`: seal by the newest key what was stored before it."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from hydrodask.cli.common import Json, Profile, Sets, console, errors, need_lake, print_json, settings, with_key_file

_HELP = """Seal files and snapshots that no key, or an older one, has sealed, by the first key of lake.key_file.

For a platform that had no key until now: run `hydrodask verify` before, for what is there is sealed as it is. And for
exchanging keys: put the new one first, run this, then remove the old one. Works beside `run`, which takes the first key
for each new file.

Example: `hydrodask seal --key-file /etc/hydrodask/seal.keys`
"""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("seal", help=_HELP)(seal)


def seal(
    key_file: Annotated[Path | None, typer.Option(help="Instead of lake.key_file.", show_default=False)] = None,
    as_json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Seal, report, and exit with 5 when something could not be sealed."""
    from hydrodask.audit.sealing import seal_all
    from hydrodask.run.datadir import DataDir

    effective = with_key_file(settings(profile, sets), key_file)
    need_lake(effective)
    with DataDir(effective.data_dir, "maintenance-lock"), errors.status("reading …") as status:
        done = seal_all(effective, say=lambda said: status.update(escape(said)))
    if as_json:
        print_json(asdict(done))
    else:
        console.print(
            f"sealed {done.files:,} files and {done.snapshots:,} snapshots; {done.known:,} were", highlight=False
        )
        for what in done.left:
            console.print(f"[yellow]left alone:[/] {escape(what)}", highlight=False, soft_wrap=True)
    if done.left:
        raise typer.Exit(5)
