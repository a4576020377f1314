"""`hydrodask compact`: small files of the lake into large ones."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from hydrodask.cli.common import Json, Profile, Sets, console, need_lake, print_json, seconds, settings, telling

if TYPE_CHECKING:
    from hydrodask.audit.compaction import Compaction

_HELP = """Make small files of the lake into large ones, by event date. May be killed at any time, and run again.

Whoever lists a folder sees the files from before or those from after, never both; a file that was listed before and is
opened after is gone: list again. Readers that list and then look at each name again, as `pandas.read_parquet(FOLDER)`
does, may miss rows at that instant: use `Lake(URL).table(FOLDER)`, see docs/audit.md. All that takes a local disk on
Linux. Elsewhere use --in-place: readers that do not leave out files which a larger one covers see rows twice for a
moment.

Works beside `run`: the newest file of each partition stays as it is.

Example: `hydrodask compact --rows 5000000`
"""

_IN_PLACE = (
    "Write each large file beside the small ones, then delete those; for HDFS and others that can't exchange folders."
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compact", help=_HELP)(compact)


def compact(
    *,
    rows: Annotated[int, typer.Option(min=2, help="Rows of a large file at most.")] = 1_000_000,
    settled: Annotated[str, typer.Option(help="Leave folders alone that changed so lately.")] = "1m",
    in_place: Annotated[bool, typer.Option("--in-place", help=_IN_PLACE)] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    as_json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Compact the lake."""
    from hydrodask.audit.compaction import Compaction
    from hydrodask.run.datadir import DataDir

    effective = settings(profile, sets)
    need_lake(effective)
    if dry_run:
        _tell(Compaction(effective, rows_max=rows, in_place=in_place), as_json=as_json)
        return
    with DataDir(effective.data_dir, "maintenance-lock"), telling("compact") as say:
        work = Compaction(effective, rows_max=rows, in_place=in_place)
        done = work.run(say=say, settled_s=seconds(settled, "--settled") or 0.0)
    if as_json:
        print_json(asdict(done))
        return
    console.print(
        f"{done.small:,} small files became {done.large:,} large ones in {done.folders:,} folders: "
        f"{done.bytes_before:,} → {done.bytes_after:,} bytes",
        highlight=False,
    )
    for path in done.tidied:
        console.print(f"tidied up: {escape(path)}", highlight=False, soft_wrap=True)
    for what in done.left:
        console.print(f"[yellow]left alone:[/] {escape(what)}", highlight=False, soft_wrap=True)


def _tell(work: "Compaction", *, as_json: bool) -> None:
    """Print what would be done."""
    plan = {run.path: [link.path for link in run.links] for runs in work.plan().values() for run in runs}
    if as_json:
        print_json(plan)
        return
    for path, small in plan.items():
        console.print(f"{len(small):,} files would become {escape(path)}", highlight=False, soft_wrap=True)
    console.print(f"{sum(map(len, plan.values())):,} files would become {len(plan):,}", highlight=False)
