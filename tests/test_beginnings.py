"""Where the files of a partition began, by the sums that files and snapshots carry, and what is missing there."""

from pathlib import Path

import pytest

from hydrodask.audit.chain import check_beginnings
from hydrodask.audit.finding import Result
from hydrodask.audit.links import Link
from hydrodask.audit.part import Part
from hydrodask.audit.repair import Report, spans_of
from hydrodask.audit.snapshots import Snapshot
from hydrodask.settings import load
from hydrodask.store.lake import Lake
from hydrodask.store.listing import LakeFile

SOURCE = ("hydraulic-analytics", 0)

Sums = tuple[int, int] | None


def link(first: int, end: int, sums: Sums) -> Link:
    """Return a file of bands/."""
    path = f"bands/hydraulic-analytics-0-{first:012d}.parquet"
    return Link(LakeFile(first, path, "bands", *SOURCE, None), end, 3, usable=True, sums=sums)


def taken(offset: int, first: int, sums: Sums) -> Snapshot:
    """Return what a snapshot says of bands/: its files end at `first`."""
    files = {"bands": {"first": first, "waiting": b"", "sums": sums}}
    return Snapshot(f"hydraulic-analytics-0/{offset:012d}.snapshot", offset, {"files": files})


def part_of(folder: Path, links: list[Link], *snapshots: Snapshot) -> Part:
    """Return a partition of which so much is left."""
    settings, _origins = load(sets=[f"data_dir={folder}"])
    return Part(settings, SOURCE, Lake.of(settings), {"bands": links} if links else {}, list(snapshots))


@pytest.mark.parametrize(
    ("sums", "missing"),
    [((0, 7), False), ((5, 7), True), (None, False)],
    ids=["nothing before", "rows before", "older release"],
)
def test_a_first_file_says_whether_rows_came_before_it(sums: Sums, missing: bool) -> None:
    """bands/ is alone in its partition: there is no other folder that began earlier."""
    result = Result("chain", "")

    check_beginnings(SOURCE, {"bands": [link(149, 512, sums)]}, result)

    assert [("the first file of bands/ is missing" in str(one)) for one in result.findings] == [True] * missing


@pytest.mark.parametrize(
    ("links", "snapshots", "begin"),
    [
        ([link(149, 512, (0, 7))], [], 149),
        ([link(149, 512, (5, 7))], [], 0),
        ([link(149, 512, (5, 7))], [taken(600, 512, (7, 7))], 0),
        ([link(149, 512, (5, 7))], [taken(40, 33, (0, 5))], 33),
        ([link(149, 512, None)], [taken(600, 512, None)], 149),
        ([], [taken(600, 512, (7, 7))], 0),
    ],
)
def test_who_had_rows_before_is_not_the_beginning(
    tmp_path: Path, links: list[Link], snapshots: list[Snapshot], begin: int
) -> None:
    """What is left of a chain whose first file is gone says that it had one, not where that began."""
    assert part_of(tmp_path, links, *snapshots).begin == begin


def test_a_hole_is_filled_in_files_as_snapshots_knew_them(tmp_path: Path) -> None:
    """One file for all of them would contradict a snapshot that says where one of them ended."""
    part = part_of(tmp_path, [], taken(48, 48, (3, 3)), taken(570, 570, (7, 7)), taken(585, 570, (7, 7)))

    spans = list(spans_of(part, "bands", Report(SOURCE)))

    assert [(one.first, one.end, one.link) for one in spans] == [(0, 48, None), (48, 570, None)]
