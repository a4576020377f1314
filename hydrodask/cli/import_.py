"""`hydrodask import`: put a folder of recorded cycles into the lake, for training."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from hydrodask.cli.common import (
    Json,
    Profile,
    Sets,
    check_rig_option,
    console,
    errors,
    given_time,
    print_json,
    settings,
)

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder with PS1.txt … profile.txt, or the same as Parquet.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="import")(import_)


def import_(
    folder: Folder,
    *,
    rig: Annotated[
        str | None, typer.Option(help="Rig that the cycles belong to.", show_default="the folder's name")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="Event time of cycle 0, ISO 8601; without an offset in `observe.timezone`.",
            show_default="2026-01-01T00:00:00Z",
        ),
    ] = None,
    json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Import cycles into the lake's `cycles/` and `labels/`: the records that the stream would have written.

    Takes the archive's text layout, or Parquet; one-second means where that is all there is. All of it is read before
    anything is written. May be repeated: a cycle of a rig is there once, whatever kind of file it came in, and what an
    import had brought is replaced where the folder says something else now. Not while `compact` or `backfill --write`
    is at work.

    Example: `hydrodask import uci/`
    """
    from hydrodask.channels import SENSORS
    from hydrodask.clock import Zone
    from hydrodask.ingest.feed import RECORDING_START
    from hydrodask.learn.data.archive import Archive, Place, import_archive
    from hydrodask.run.datadir import DataDir
    from hydrodask.store.lake import Lake

    effective = settings(profile, sets)
    name = folder.resolve().name if rig is None else rig
    check_rig_option(name, effective)
    start_us = given_time("--start", start or RECORDING_START, Zone(effective.observe.timezone))
    archive = Archive(folder)
    with DataDir(effective.data_dir, "maintenance-lock"), Progress(console=errors, transient=True) as bar:
        task = bar.add_task(f"{len(archive):,} cycles", total=2 * len(SENSORS))  # read, then written
        done = import_archive(
            archive,
            Lake.of(effective),
            Place(name, start_us),
            progress=lambda sensor: bar.update(task, advance=1, description=sensor),
        )
    moved = f"{done.moved} of these cycles were imported with another start before, and are there with both"
    twice = (
        f"{count} of these cycles are in the lake as those of rig {other}, too: without --rig a folder's name is the "
        f"rig. If they are {other}'s, move the files {done.files_named}-… out of cycles/ and labels/, and import again "
        f"with --rig {other}"
        for other, count in done.elsewhere.items()
    )
    for doubt in (*done.doubts, *done.left, *twice, *([moved] if done.moved else [])):
        errors.print(f"[yellow]{escape(doubt)}[/]", highlight=False, soft_wrap=True)
    if json:
        print_json(asdict(done))
        return
    means = f"; one-second means only: {', '.join(done.means_only)}" if done.means_only else ""
    known = f", {done.replaced} of them in place of others" if done.replaced else ""
    known += f", {done.known} were there already" if done.known else ""
    known += f"; {done.streamed} cycles left as the stream has stored them" if done.streamed else ""
    console.print(
        f"{done.cycles:,} cycles of rig {done.rig}, {done.labels:,} with labels → {done.files} files, "
        f"{done.file_bytes / 1e6:.1f} MB in {effective.lake_url}{known}{means}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
