"""What is in the lake, by names alone: whose file it is and from which offset on it holds rows.

A file that a writer made is `TOPIC-PARTITION-FIRST.parquet`. One that `compact` made of several in a row also names its
end, `TOPIC-PARTITION-FIRST-END.parquet`, and takes the place of every other file within it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from hydrodask.records import PartitionId

# A partition is never padded, and an offset always: so the two can't be taken for each other.
_NAME = re.compile(
    r"(?P<topic>.+)-(?P<partition>0|[1-9]\d{0,9})-(?P<first>\d{12,})(?:-(?P<end>\d{12,}))?\.parquet",
    re.ASCII,
)
NAMES_MAX = 20_000
"""Names that are remembered: whoever lists a lake lists nearly the same names again."""

_PART = re.compile(r"(sensor|date)=([^/]+)")


@dataclass(frozen=True, slots=True, order=True)
class LakeFile:
    """What a file's path says; `end` is None unless `compact` made it."""

    first: int
    path: str
    folder: str
    topic: str
    partition: int
    end: int | None

    @property
    def source(self) -> PartitionId:
        """Topic and partition."""
        return self.topic, self.partition

    @property
    def parts(self) -> dict[str, str]:
        """The `sensor` and `date` of the path, as far as it names them."""
        return dict(_PART.findall(self.path))


@lru_cache(NAMES_MAX)
def named(path: str) -> LakeFile | None:
    """Return what a path in the lake says, or None when it is no name of ours.

    >>> found = named("raw/sensor=PS1/date=2026-01-01/hydraulic-PS1-0-000000004096.parquet")
    >>> found.folder, found.source, found.first, found.parts["date"]
    ('raw', ('hydraulic-PS1', 0), 4096, '2026-01-01')
    >>> named("windows/sensor=PS1/hydraulic-PS1-0-000000000000-000000004096.parquet").end
    4096
    """
    match = _NAME.fullmatch(path.rsplit("/", 1)[-1])
    if match is None:
        return None
    end = None if match["end"] is None else int(match["end"])
    return LakeFile(int(match["first"]), path, path.partition("/")[0], match["topic"], int(match["partition"]), end)


def file_name(source: PartitionId, first: int, end: int | None = None) -> str:
    """Return the name of a file; with `end` that of a compacted one."""
    stem = f"{source[0]}-{source[1]}-{first:012d}"
    return f"{stem}.parquet" if end is None else f"{stem}-{end:012d}.parquet"


def current(files: Iterable[LakeFile]) -> tuple[list[LakeFile], list[LakeFile]]:
    """Return the files of one chain that readers should read, in order, and those that a compacted one has replaced.

    >>> a, b = named("late/t-0-000000000000.parquet"), named("late/t-0-000000000005.parquet")
    >>> big, last = named("late/t-0-000000000000-000000000009.parquet"), named("late/t-0-000000000009.parquet")
    >>> chosen, replaced = current([a, b, big, last])
    >>> chosen == [big, last], replaced == [a, b]
    (True, True)
    """
    chosen: list[LakeFile] = []
    replaced = []
    covered = -1
    for file in sorted(files, key=lambda f: (f.first, -(f.end or -1), f.path)):
        # A compacted file's own twin is not replaced by it: that is a row twice, and shows as one.
        inside = file.first < covered and (file.end is None or file.end <= covered)
        if inside and not (file.end == covered and chosen and chosen[-1].first == file.first):
            replaced.append(file)
            continue
        chosen.append(file)
        covered = max(covered, file.end or -1)
    return chosen, replaced


def readable(paths: Iterable[str]) -> list[LakeFile]:
    """Return the files that readers should read, in order of their paths: each row is in one of them, and in one only.

    >>> paths = "late/t-0-000000000000.parquet", "late/t-0-000000000000-000000000009.parquet", "late/notes.txt"
    >>> [file.path for file in readable(paths)]
    ['late/t-0-000000000000-000000000009.parquet']
    """
    chains: dict[tuple[str, PartitionId], list[LakeFile]] = defaultdict(list)
    for file in filter(None, map(named, paths)):
        chains[file.folder, file.source].append(file)
    return sorted((file for chain in chains.values() for file in current(chain)[0]), key=lambda file: file.path)
