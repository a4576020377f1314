"""Check snapshots: readable, not ahead of the commits, and not of files that are gone."""

from hydrodask.audit.chain import end_of
from hydrodask.audit.finding import Results
from hydrodask.audit.mending import REBUILT, aside, refilled
from hydrodask.audit.part import Part


def check_snapshots(part: Part, committed: int | None, results: Results) -> None:
    """Say which snapshot is ahead of what is `committed` by now, and which file a snapshot knows that is gone."""
    result = results["snapshots"]
    for taken in part.snapshots:
        # One of a log that has ended holds what was to be committed next, and nobody could.
        if committed is not None and taken.offset > committed and not taken.state.get("outbox"):
            what = f"it is of offset {taken.offset}, and the group has committed only {committed}"
            result.found(taken.path, what, mend=aside(taken.path))
    newest = part.snapshots[-1] if part.snapshots else None
    if newest is None and (committed is not None or part.chains):
        have = f"the group has committed {committed}" if committed is not None else "it has files"
        what = f"{have}, and there is no snapshot, not even that of its beginning"
        result.found(part.name, what, mend=REBUILT)
    if newest is None:
        return
    for folder, state in newest.state.get("files", {}).items():
        links = part.chains.get(folder, [])
        # Without any file the chain begins where the group began, which is what `first` says then, too.
        end = end_of(links) if links else part.begin
        if end < state["first"]:
            results["chain"].found(
                part.name,
                f"{folder}/ ends at offset {end}, and snapshot {newest.path} knows files up to {state['first']}: "
                "the newest file is missing",
                mend=refilled(folder),
            )
