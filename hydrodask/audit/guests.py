"""Flows from outside: their positions, snapshots, files and documents agree, as their declaration says what there is.

What such a flow computes is not held against what it would compute now, for it may have been changed since.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise

from hydrodask.audit.chain import adds_up
from hydrodask.audit.finding import Result
from hydrodask.audit.links import Link
from hydrodask.audit.log import BrokerLog
from hydrodask.audit.mending import REBUILT, aside
from hydrodask.audit.owned import mend_of, owned
from hydrodask.audit.part import known_logs
from hydrodask.audit.repair import Report, spans_of
from hydrodask.audit.snapshots import Snapshot, load_snapshots
from hydrodask.audit.strangers import partitions_of
from hydrodask.flow import Flow, named
from hydrodask.ingest.commits import Commit
from hydrodask.records import PartitionId
from hydrodask.settings import Settings
from hydrodask.store import small
from hydrodask.store.documents import Mendable, declare, open_documents
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake
from hydrodask.store.listing import named as file_named

DOCUMENTS_MAX = 1_000_000


def left_alone(settings: Settings, kind: str) -> Iterator[str]:
    """Say what flows from outside have written that is not computed anew, and what to do. `kind`: `publishes`, say."""
    for flow in named(settings.flows):
        if names := getattr(flow, kind):
            yield (
                f"flow {flow.name}: {', '.join(names)} can't be mended here, for only the flow knows what it wrote. "
                "Declare it once more under another name, with other names for all that it writes and "
                "start='earliest': it goes through the whole log beside this one, which you then take out of `flows`"
            )


def check_guests(settings: Settings, result: Result, say: Callable[[str], None]) -> None:
    """Check every flow that the settings name. Raises RetryableError when broker, lake or store do not answer."""
    for flow in named(settings.flows):
        say(f"flow {flow.name}")
        declare(flow.collections)
        ends = _check_positions(flow, settings.of_flow(flow.name, start=flow.start), result)
        _check_files(flow, settings, result)
        if flow.collections:
            store = open_documents(settings)
            try:
                _check_documents(flow, store, max(ends.values(), default=0), result)
            finally:
                store.close()
        result.count(flows=1)
        result.skip(f"what flow {flow.name} computes: only it knows how")


def _check_positions(flow: Flow, settings: Settings, result: Result) -> Mapping[PartitionId, int]:
    """Compare snapshots with what the flow's group has committed; return where each partition is."""
    files = Files(settings.snapshots_url)
    for path in small.damaged(files):
        result.found(_at(files, path), "it says which log or rules are in use, and is damaged", mend=REBUILT)
    topics = [settings.topic(name) for name in flow.topics]
    found = {source for _, source in partitions_of(files) if source is not None and source[0] in topics}
    log = None if settings.kafka.embedded else BrokerLog(settings.kafka)
    try:
        commits = log.commits(log.sources(topics)) if log is not None else {}
        states = {
            s: load_snapshots(files, s, result, Lake.of(settings).keyring) for s in sorted(found | commits.keys())
        }
        _know(log, files, states, commits)
        committed = log.counted(commits) if log is not None else {}
    finally:
        if log is not None:
            log.close()
    ends = {}
    for source, taken in states.items():
        result.count(partitions=1)
        for where, what in _odd(flow, source, taken, committed.get(source)):
            result.found(f"flow {flow.name}, {where}", what, mend=REBUILT)
        ends[source] = committed.get(source, taken[-1].offset if taken else 0)
    return ends


def _know(
    log: BrokerLog | None,
    files: Files,
    states: Mapping[PartitionId, list[Snapshot]],
    commits: Mapping[PartitionId, Commit],
) -> None:
    """Let a log count as the flow has: from the base of the log that it reads."""
    for source, taken in states.items() if log is not None else ():
        mark = commits[source].mark if source in commits else None
        if log is not None and (known := known_logs(files, source, taken, mark)):
            log.know(source, known[-1])


def _odd(flow: Flow, source: PartitionId, taken: list[Snapshot], committed: int | None) -> Iterator[tuple[str, str]]:
    """Give what contradicts itself among the snapshots of a partition."""
    if committed is not None and not taken:
        yield f"{source[0]}-{source[1]}", f"its group has committed {committed}, and there is no snapshot"
    for one in taken:
        if one.state.get("flow") != flow.name:
            yield one.path, f"it is of flow {one.state.get('flow')!r}"
        if committed is not None and one.offset > committed and not one.state.get("outbox"):
            yield one.path, f"it is of offset {one.offset}, and its group has committed only {committed}"


def _check_files(flow: Flow, settings: Settings, result: Result) -> None:
    """Look at each file in the flow's folders: it has a name of ours, is what was written, and follows another."""
    lake, topics = Lake.of(settings), [settings.topic(name) for name in flow.topics]
    for path in [path for folder in flow.folders for path in lake.files.names(folder)]:
        name = file_named(path)
        if name is None or name.topic not in topics:
            what = "its name is not that of a file of ours" if name is None else "the flow does not read its topic"
            result.found(path, f"{what}, and readers take it for one", mend=aside(path))
    anew = partial(mend_of, settings, flow)
    for one in owned(settings, flow, result, anew):
        for folder, part in one.chains.items():
            for span in spans_of(part, folder, Report(one.source)):
                if span.link is None:
                    what = f"its files from offset {span.first} to {span.end} are missing"
                    result.found(f"{folder}/ of {part.name}", what, mend=anew(one.source))
            _check_chain(part.chains[folder], result)


def _check_chain(links: list[Link], result: Result) -> None:
    """Hold each file against the one before it."""
    for before, after in pairwise(links):
        if before.end is not None and after.first < before.end:
            what = f"it begins at offset {after.first}, inside {before.path}, which goes on to {before.end}"
            result.found(after.path, f"{what}: rows are there twice", mend=aside(after.path))
        elif before.end == after.first and before.usable and after.usable and not adds_up(before, after):
            what = (
                f"its rows, or what it says of their sum, are not those that there were when {after.path} was written"
            )
            result.found(before.path, what, mend=aside(before.path))


def _check_documents(flow: Flow, store: Mendable, end: int, result: Result) -> None:
    """Look at each document of the flow: some record that was committed, or is about to be, has written it."""
    for collection in flow.collections:
        found = store.find(collection, {}, limit=DOCUMENTS_MAX)
        result.count(documents=len(found))
        ahead = [one["_id"] for one in found if one["revision"] > end]
        if ahead and end:
            what = f"{len(ahead)} are of records that its group has not committed (up to {end})"
            result.found(f"collection {collection}", what, f"the first is {ahead[0]}", mend=REBUILT)


def _at(files: Files, path: str) -> str:
    return f"{files.url}/{path}"
