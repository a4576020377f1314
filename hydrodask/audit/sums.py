"""Hold what snapshots say of files against them: where they ended, what their rows came to, and those that wait."""

from typing import Any

from hydrodask.audit.finding import Results
from hydrodask.audit.links import Link
from hydrodask.audit.mending import aside, misplaced, rebuilt
from hydrodask.audit.part import Part
from hydrodask.audit.snapshots import Snapshot
from hydrodask.store.lake import unpack
from hydrodask.store.rowsum import MASK, rowsum


def check_sums(part: Part, results: Results) -> None:
    """Say which snapshot contradicts the files of its time: one of the two was changed afterwards."""
    for taken in part.snapshots:
        for folder, state in taken.state.get("files", {}).items():
            _check_waiting(taken, folder, state, results)
            _check_files(taken, state, part.chains.get(folder, []), results)


def _check_waiting(taken: Snapshot, folder: str, state: dict[str, Any], results: Results) -> None:
    sums = state.get("sums")
    if sums is None:
        return  # of an older release
    waiting = rowsum(unpack(state["waiting"])) if state["waiting"] else 0
    if (sums[0] + waiting) & MASK != sums[1]:
        what = f"the rows of {folder}/ that wait in it are not those that were counted"
        results["snapshots"].found(taken.path, what, mend=aside(taken.path))


def _check_files(taken: Snapshot, state: dict[str, Any], links: list[Link], results: Results) -> None:
    """Compare with the file that ended where the snapshot says that files did."""
    first, sums = int(state["first"]), state.get("sums")
    for link in links:
        # A large file took the place of those that ended inside it.
        if link.usable and link.named.end is None and link.end is not None and link.first < first < link.end:
            said = f"it says that it ends at {link.end}, and snapshot {taken.path} knows a file's end at {first}"
            results["chain"].found(link.path, said, mend=misplaced(link.path))
        if sums is not None and link.usable and link.end == first and (link.sums[1] if link.sums else 0) != sums[0]:
            results["chain"].found(
                link.path,
                f"its rows, or what it says of their sum, are not those that there were at snapshot {taken.path}",
                mend=rebuilt(link.path, link.named.folder),
            )
