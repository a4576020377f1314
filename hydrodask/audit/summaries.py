"""Five-minute rows beside the large files of `windows/`, and these files' order by rig: made by `compact`, for people.

Both follow from what is stored: rows by rig come back in the order of their offsets when they are read, and five-minute
rows are made anew wherever they are missing, damaged, or of other rows.
"""

import pyarrow as pa

from hydrodask.audit.finding import Result
from hydrodask.audit.links import parse
from hydrodask.audit.mending import COMPACT
from hydrodask.errors import sentence
from hydrodask.store import fiveminutes, rowsum, seal
from hydrodask.store.lake import Lake
from hydrodask.store.listing import LakeFile, named, readable


def by_rig(rows: pa.Table) -> pa.Table | None:
    """Return rows by rig, else in their order; None where that could not be told from them any more."""
    ordered = rows.sort_by("rig")
    return ordered if fiveminutes.by_offset(ordered).equals(rows.combine_chunks()) else None


def refresh(lake: Lake, prefix: str) -> list[str]:
    """Make the five-minute rows of large files that lack them; return the paths of those that went, being nobody's.

    May be killed at any time, and repeated. Raises RetryableError when the file system refuses.
    """
    large = {fiveminutes.path_of(file.path): file for file in _large(lake, prefix)}
    there = {file.path: file for file in _made(lake, prefix)}
    gone = [path for path in there if path not in large]
    for path in gone:
        lake.files.remove(path)
    for path, file in large.items():
        if path in there and not _wrong(lake, path, file):
            continue
        rows, _ = parse(lake.files.read(file.path))
        assert file.end is not None  # noqa: S101 - large files name their ends
        table, says = fiveminutes.coarse(rows), {fiveminutes.OF: b"%016x" % rowsum.rowsum(rows)}
        lake.files.replace(path, lake.encoded(path, table, file.first, file.end, says))
    return gone


def check_summaries(lake: Lake, prefix: str, result: Result) -> None:
    """Say which five-minute rows do not follow from their file; a large file without any has none yet, and is fine."""
    large = {fiveminutes.path_of(file.path): file for file in _large(lake, prefix)}
    for file in _made(lake, prefix):
        result.count(five_minute_files=1)
        of = large.get(file.path)
        why = "there is no large file in windows/ that it follows from" if of is None else _wrong(lake, file.path, of)
        if why:
            result.found(file.path, why, mend=COMPACT)


def _large(lake: Lake, prefix: str) -> list[LakeFile]:
    files = readable(lake.files.names("windows"))
    return [file for file in files if file.end is not None and file.topic.startswith(prefix)]


def _made(lake: Lake, prefix: str) -> list[LakeFile]:
    names = map(named, lake.files.names(fiveminutes.FOLDER))
    return [file for file in names if file is not None and file.topic.startswith(prefix)]


def _wrong(lake: Lake, path: str, of: LakeFile) -> str:
    """Return what is wrong with five-minute rows, nothing if they are what their file gives."""
    data = lake.files.read(path)
    if not seal.intact(data):
        return "its bytes are not those that were written"
    try:
        made, metadata = parse(data)
        rows, _ = parse(lake.files.read(of.path))
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"it, or the file that it follows from, can't be read ({sentence(error)})"
    if metadata.get(fiveminutes.OF) != b"%016x" % rowsum.rowsum(rows):
        return "the rows that it was made of are others now"
    return "" if made.equals(fiveminutes.coarse(rows)) else "its rows are not what windows/ gives"
