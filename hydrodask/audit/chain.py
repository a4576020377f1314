"""Check that the files of a partition follow each other: no gap, no overlap, one beginning."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa

from hydrodask.audit.finding import Result
from hydrodask.audit.links import Link, rows_of
from hydrodask.audit.mending import COMPACT, aside, rebuilt, refilled
from hydrodask.records import PartitionId
from hydrodask.store.lake import Lake
from hydrodask.store.listing import LakeFile, current, file_name

Chains = dict[str, list[Link]]
"""The chains of one partition by folder."""


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Small files in a row, in one folder and of one date, that become one large file."""

    folder: str
    links: tuple[Link, ...]

    @property
    def path(self) -> str:
        """The large file's path."""
        source = self.links[0].named.source
        return f"{self.folder}/{file_name(source, self.links[0].first, self.links[-1].end)}"

    def rows(self, lake: Lake) -> pa.Table:
        """Return the rows of all, in order."""
        return pa.concat_tables(
            [rows_of(lake, link) for link in self.links], promote_options="default"
        ).combine_chunks()


def arrange(files: Iterable[LakeFile], result: Result) -> dict[PartitionId, dict[str, list[LakeFile]]]:
    """Return the files of each partition by folder in the order of their offsets; those that are replaced are said."""
    grouped: dict[PartitionId, dict[str, list[LakeFile]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        grouped[file.source][file.folder].append(file)
    for folders in grouped.values():
        for folder, group in folders.items():
            folders[folder], replaced = current(group)
            for file in replaced:
                result.found(
                    file.path,
                    "its rows are twice in the lake, for `compact` has made a larger file of them",
                    mend=COMPACT,
                )
    return grouped


def check_chain(links: list[Link], result: Result) -> None:
    """Say where a file does not begin where the one before it ends."""
    result.count(files=len(links))
    for before, after in pairwise(links):
        if before.end == after.first and before.usable and after.usable and not adds_up(before, after):
            result.found(
                before.path,
                f"its rows, or what it says of their sum, are not those that there were when {after.path} was written",
                f"they come to {_sum(before)}, want {after.sums[0] if after.sums else 0:016x}",
                mend=rebuilt(before.path, before.named.folder),
            )
        if before.end is None or before.end == after.first:
            continue
        if after.first < before.end:
            result.found(
                after.path,
                f"it begins at offset {after.first}, inside {before.path}, which goes on to {before.end}: "
                "rows are there twice",
                mend=aside(after.path),
            )
        else:
            result.found(
                before.path,
                f"it ends at offset {before.end}, and the next file, {after.path}, begins at {after.first}: "
                "a file between the two is missing",
                mend=refilled(before.named.folder),
            )


def adds_up(before: Link, after: Link) -> bool:
    """Say whether a file was written behind these very rows. One of an older release does not say; it counts as 0."""
    return after.sums is None or after.sums[0] == (before.sums[1] if before.sums else 0)


def _sum(link: Link) -> str:
    return f"{link.sums[1]:016x}" if link.sums else "no sum"


def check_beginnings(source: PartitionId, chains: Mapping[str, list[Link]], result: Result) -> None:
    """Say which chain has lost its first files: one that begins after the partition's others, or had rows before."""
    oldest = {folder: links[0] for folder, links in chains.items() if links}
    begin = min((link.first for link in oldest.values()), default=0)
    for folder, link in oldest.items():
        says = ""
        if link.first > begin:
            other = next(name for name, one in oldest.items() if one.first == begin)
            says = f"{other}/ at {begin}"
        elif link.sums is not None and link.sums[0]:
            says = f"and {link.path} was written behind rows that no file has"
        if says:
            result.found(
                f"{source[0]}-{source[1]}",
                f"{folder}/ begins at offset {link.first}, {says}: the first file of {folder}/ is missing",
                mend=refilled(folder),
            )


def usable_part(links: list[Link]) -> list[Link]:
    """Return the files from the first one on up to the first gap, overlap or damaged file."""
    part: list[Link] = []
    for link in links:
        if not link.usable or (part and part[-1].end != link.first):
            break
        part.append(link)
    return part


def end_of(links: list[Link]) -> int:
    """Return where the newest file ends, as far as it is known; 0 without files."""
    if not links:
        return 0
    return max(link.first if link.end is None else link.end for link in links)
