"""`hydrodask backfill`: compute derived rows of the lake anew, on Dask, and say or mend what differs."""

import asyncio
import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from hydrodask.cli.common import Json, Profile, Sets, console, errors, need_lake, print_json, settings
from hydrodask.settings import Settings

if TYPE_CHECKING:
    from hydrodask.audit.repair import Report

_HELP = """Compute windows, cycle profiles and late samples anew from the raw rows of the lake, and compare.

The same operators as in the stream, on Dask, one task a partition of a topic. With --write recomputed files take the
place of those that are missing, damaged or different. Works beside `run`, whose newest rows are not looked at.

With --records, instead, raw rows, labels and bands are compared with the log, and files of its rows put in place.

With --topics the final rows, profiles and dead letters that topics of ours lack, as after one was deleted and made
anew, each exactly once. With --documents anomalies and incidents become what the window rows imply: stored, put right,
or removed.

Folders of flows from outside (`flows`) are looked at, too: the flow computes what is missing or damaged from raw/, or
with --records from the log if it takes other records. For their topics and documents a line says what to do.

Exit code 5 when something differs, or still does after --write.

Examples:

    hydrodask backfill --write

    hydrodask backfill --topics --write
"""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backfill", help=_HELP)(backfill)


def backfill(
    write: Annotated[bool, typer.Option("--write", help="Put recomputed files in place of what differs.")] = False,
    records: Annotated[
        bool, typer.Option("--records", help="Look at raw rows and labels: compare with the log.")
    ] = False,
    topics: Annotated[bool, typer.Option("--topics", help="Look at topics of ours instead of the lake.")] = False,
    documents: Annotated[bool, typer.Option("--documents", help="Look at the documents instead of the lake.")] = False,
    as_json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Recompute, compare, and mend if told to."""
    from hydrodask.audit.guests import left_alone
    from hydrodask.run.datadir import DataDir

    effective = settings(profile, sets)
    kinds = [name for name, asked in (("publishes", topics), ("collections", documents)) if asked]
    for said in (said for kind in kinds for said in left_alone(effective, kind)):
        errors.print(f"[yellow]left alone:[/] {escape(said)}", highlight=False, soft_wrap=True)
    if documents:
        need_lake(effective)  # before a folder of that name is made
    alone = DataDir(effective.data_dir, "maintenance-lock") if write else contextlib.nullcontext()
    if topics or documents:
        with alone:
            _restore(effective, topics=topics, documents=documents, write=write, as_json=as_json)
        return
    need_lake(effective)
    with alone:
        reports = _refill(effective, write=write) if records else asyncio.run(_run(effective, write=write))
    if as_json:
        print_json([asdict(report) for report in reports])
    else:
        _print(reports, write=write)
    if any(report.left or len(report.mended) < len(report.wrong) for report in reports):
        raise typer.Exit(5)


def _restore(effective: Settings, *, topics: bool, documents: bool, write: bool, as_json: bool) -> None:
    """Put back what topics and documents lack, topics first."""
    from hydrodask.audit.restore import restore_documents, restore_topics

    with errors.status("reading …") as status:
        calls = [restore_topics] * topics + [restore_documents] * documents
        found = [
            one for call in calls for one in call(effective, write=write, say=lambda said: status.update(escape(said)))
        ]
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        for one in found:
            done = f", {one.restored:,} put right" if write else ""
            wrong = f", {one.wrong:,} are wrong" if one.wrong else ""
            console.print(
                f"{escape(one.name)}: {one.missing:,} are missing{wrong}{done}", highlight=False, soft_wrap=True
            )
            for why in one.left:
                console.print(f"[yellow]left alone:[/] {escape(why)}", highlight=False, soft_wrap=True)
    if any(one.restored < one.missing + one.wrong or one.left for one in found):
        raise typer.Exit(5)


def _refill(effective: Settings, *, write: bool) -> "list[Report]":
    from hydrodask.audit.refill import refill

    with errors.status("reading …") as status:
        return refill(effective, write=write, say=lambda said: status.update(escape(said)))


async def _run(effective: Settings, *, write: bool) -> "list[Report]":
    from hydrodask.audit.backfill import backfill as compute
    from hydrodask.audit.backfill import sources_of
    from hydrodask.audit.rebuild import rebuild
    from hydrodask.driver.cluster import DaskCluster
    from hydrodask.flow import named

    sources = sources_of(effective)
    theirs = [
        (effective, flow.name, source, write)
        for flow in named(effective.flows)
        for source in sources
        if source[0] in map(effective.topic, flow.topics)
    ]
    unseen = effective.cluster.model_copy(update={"dashboard": None})  # nobody looks
    cluster = await DaskCluster.start(unseen, patience_s=effective.step.patience)
    reports: list[Report] = []
    try:
        with Progress(console=errors, transient=True) as progress:
            bar = progress.add_task("partitions", total=len(sources) + len(theirs))
            for function, arguments in (
                (compute, [(effective, source, write) for source in sources]),
                (rebuild, theirs),
            ):
                async for report in cluster.each(function, arguments):
                    reports += [report] if report is not None else []
                    progress.advance(bar)
    finally:
        await cluster.close()
    return reports


def _print(reports: "list[Report]", *, write: bool) -> None:
    """Print what differs and what was done about it."""
    for report in reports:
        for what in report.wrong:
            console.print(f"[red]×[/] {escape(what)}", highlight=False, soft_wrap=True)
        for what in report.left:
            console.print(f"[yellow]left alone:[/] {report.name}: {escape(what)}", highlight=False, soft_wrap=True)
    samples, wrong, mended = (
        sum(report.samples for report in reports),
        sum(len(report.wrong) for report in reports),
        sum(len(report.mended) for report in reports),
    )
    rows = sum(count for report in reports for count in report.rows.values())
    console.print(
        f"{len(reports)} partitions, {samples:,} raw rows, {rows:,} derived rows: {wrong:,} files differ"
        + (f", {mended:,} put right" if write else ""),
        highlight=False,
    )
