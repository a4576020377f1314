"""Put recomputed files in the place of those of a folder that are missing, damaged, or hold other rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pyarrow as pa

from hydrodask.audit.differences import Comparison, Difference, below, from_on
from hydrodask.audit.links import Link, order_column, rows_of
from hydrodask.audit.part import Part
from hydrodask.audit.replay import KEYS, in_force
from hydrodask.protocol.incarnation import Incarnation
from hydrodask.records import PartitionId
from hydrodask.store import rowsum
from hydrodask.store.lake import LOG, Lake
from hydrodask.store.listing import file_name
from hydrodask.store.schemas import FLAT, empty, first_date
from hydrodask.window.geometry import METADATA


@dataclass(slots=True)
class Report:
    """What one partition's backfill has found and done."""

    source: PartitionId
    samples: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """What can't be put right, and why."""
    flow: str = ""
    """Whose files these are, if they are of a flow from outside."""

    @property
    def name(self) -> str:
        """Topic and partition, and the flow from outside."""
        return f"{self.source[0]}-{self.source[1]}" + (f", flow {self.flow}" if self.flow else "")


@dataclass(slots=True)
class ChainPiece:
    """A piece of a chain: the file that holds `[first, end)`, or a hole where one should be."""

    first: int
    end: int
    link: Link | None


class Mender:
    """Takes the rows that a folder should hold, cuts them where its files end, compares, and replaces.

    Rows of before offset `since` can't be had.
    """

    def __init__(self, part: Part, folder: str, report: Report, *, write: bool, since: int = 0) -> None:
        self._since = since
        self.folder = folder
        self._part = part
        self._report = report
        self._write = write
        self._column = order_column(folder)
        self._spans = list(spans_of(part, folder, report))
        link = self._spans[0].link if self._spans else None
        first = link.sums if link is not None and link.usable else None
        self._total = None if first is None else first[0]  # what the rows before the next span come to, if known
        self._rows: list[pa.Table] = []

    def expect(self, table: pa.Table) -> None:
        """Take the next rows; spans that they have passed are complete."""
        if not table.num_rows:
            return
        newest = table.column(self._column)[-1].as_py()
        self._rows.append(table)
        while self._spans and newest >= self._spans[0].end:
            self._close(self._spans.pop(0))

    def finish(self, end: int) -> None:
        """Close the spans up to where raw/ ends; those behind can't be judged yet."""
        while self._spans and self._spans[0].end <= end:
            self._close(self._spans.pop(0))
        for span in self._spans:
            if span.link is None or not span.link.usable:
                self._report.left.append(
                    f"{self.folder}/ from {span.first} to {span.end}: what it follows from ends at {end}"
                )

    def _close(self, span: ChainPiece) -> None:
        """Put one span right, and take note of what the chain's rows come to with it."""
        due = self._due(span)
        if not self._mended(span, due):
            sums = span.link.sums if span.link and span.link.usable else None
            self._total = sums[1] if sums else self._total if not (due.num_rows or span.link) else None

    def _due(self, span: ChainPiece) -> pa.Table:
        """Return the rows that a span should hold."""
        rows = pa.concat_tables([empty(self.folder), *self._rows])
        due, self._rows = below(rows, self._column, span.end), [from_on(rows, self._column, span.end)]
        due = from_on(due, self._column, span.first)
        counts = self._report.rows
        counts[self.folder] = counts.get(self.folder, 0) + due.num_rows
        return due

    def _mended(self, span: ChainPiece, due: pa.Table) -> bool:
        """Compare a span with its rows; say whether they have been written anew."""
        if any(start < span.end and span.first < end for start, end in self._part.holes):
            self._report.left.append(
                f"{self.folder}/ from {span.first} to {span.end}: raw/ lacks records of an earlier log"
            )
            return False
        if span.first < self._since:
            if span.link is None or not span.link.usable:
                gone = f"{self.folder}/ from {span.first} to {span.end}: the log has lost it (retention)"
                self._report.left.append(gone)
            return False
        if span.link is None and not due.num_rows and self.folder == "raw":
            return False  # a file's date is that of its first row
        path, what = self._judge(span, due)
        if not what:
            return False
        self._report.wrong.append(f"{path}: {what}")
        before = self._before(due, span.end)
        if self._write:
            self._put(path, span, due, before)
        self._total = None if before is None else (before + rowsum.rowsum(due)) & rowsum.MASK
        return True

    def _sums_ahead(self) -> tuple[int, int] | None:
        """Return the first sums that a file behind says: with rows before them this span has sums, too."""
        links = (span.link for span in self._spans if span.link is not None and span.link.usable)
        return next((link.sums for link in links if link.sums is not None), None)

    def _before(self, due: pa.Table, end: int) -> int | None:
        """Return what the rows before these come to, as files around or a snapshot say it; older ones say nothing."""
        ahead = self._sums_ahead()
        if self._total is None and ahead is None and (with_these := self._sum_at(end)):
            return (with_these - rowsum.rowsum(due)) & rowsum.MASK
        if self._total is not None or ahead is None or not ahead[0]:
            return self._total
        following = self._spans[0].link
        if following is not None and following.usable and following.sums == ahead:
            return (ahead[0] - rowsum.rowsum(due)) & rowsum.MASK
        return 0  # what was there has lost its sums, from the beginning on

    def _sum_at(self, end: int) -> int | None:
        """Return what a snapshot says that all rows come to that were in files when these ended there."""
        states = (taken.state.get("files", {}).get(self.folder, {}) for taken in self._part.snapshots)
        return next((state["sums"][0] for state in states if state.get("sums") and state["first"] == end), None)

    def _says_other_sums(self, link: Link) -> bool:
        """Say whether a file says other sums of its rows than the ones beside it."""
        if link.sums is not None:
            return self._total is not None and link.sums[0] != self._total
        ahead = self._sums_ahead()
        return ahead is not None and ahead[0] != 0

    def _judge(self, span: ChainPiece, due: pa.Table) -> tuple[str, str]:
        """Return the path of the span's file, and what is wrong with it."""
        if span.link is None:
            return f"{self._below(due)}/{file_name(self._part.source, span.first)}", f"missing, {due.num_rows:,} rows"
        if not span.link.usable:
            return span.link.path, f"damaged, {due.num_rows:,} rows"
        if self.folder == "windows" and span.link.windows not in (None, self._windows(span)):
            return span.link.path, "it says that its windows are other ones"
        if self._says_other_sums(span.link):
            return span.link.path, "what it says of the sum of its rows is not what the files beside it say"
        found = _compare(self._part.lake, span.link, due, KEYS[self.folder])
        return span.link.path, f"{found.what}; {found.first}" if found.wrong else ""

    def _windows(self, span: ChainPiece) -> bytes:
        """Return what a file of windows/ says of them."""
        return in_force(self._part.geometries, span.end - 1).encoded

    def _below(self, due: pa.Table) -> str:
        """Return the folder of a file with these rows."""
        if self.folder in FLAT:
            return self.folder
        below_sensor = f"{self.folder}/sensor={self._part.sensor}"
        return f"{below_sensor}/date={first_date(due)}" if self.folder == "raw" else below_sensor

    def _put(self, path: str, span: ChainPiece, due: pa.Table, before: int | None) -> None:
        """Put the recomputed file in its place; a hole may have been filled by another meanwhile."""
        says = {METADATA: self._windows(span)} if self.folder == "windows" else {}
        says |= log_of(self._part.known, span.end)
        rows, files = due.combine_chunks(), self._part.lake.files
        data = self._part.lake.encoded(path, rows, span.first, span.end, says | rowsum.said(before, rows))
        if span.link is not None:
            files.replace(path, data)
        elif not files.put_if_absent(path, data):
            self._report.left.append(f"{path}: somebody else has written it meanwhile; run this again")
            return
        self._report.mended.append(path)


def _compare(lake: Lake, link: Link, due: pa.Table, key: tuple[str, ...]) -> Difference:
    stored = rows_of(lake, link)
    comparison = Comparison(iter([(link.path, stored)] if stored.num_rows else []), key, 1 << 62)
    comparison.expect(due)
    return comparison.finish()


def spans_of(part: Part, folder: str, report: Report) -> Iterator[ChainPiece]:
    """Yield the pieces of a chain, holes too; what overlaps is left alone and said."""
    position = part.begin
    links = part.chains.get(folder, [])
    ends = sorted({int(taken.state["files"].get(folder, {}).get("first", 0)) for taken in part.snapshots})
    newest = part.snapshots[-1].state["files"].get(folder, {}).get("first", 0) if part.snapshots else 0
    for place, link in enumerate(links):
        if link.first < position:
            report.left.append(f"{link.path} overlaps the file before it; one of the two has to go")
            continue
        if link.first > position:
            yield from _hole(position, link.first, ends)
        following = links[place + 1].first if place + 1 < len(links) else newest
        end = link.end if link.usable else following
        if end is None or end <= link.first:
            report.left.append(f"{link.path} is damaged, and nothing says where it ended")
            return
        yield ChainPiece(link.first, end, link)
        position = end
    if newest > position:
        yield from _hole(position, newest, ends)


def _hole(first: int, end: int, ends: list[int]) -> Iterator[ChainPiece]:
    """Yield files that are missing, as far as snapshots say where they ended: one for all would contradict them."""
    cuts = [first, *(one for one in ends if first < one < end), end]
    yield from (ChainPiece(*pair, None) for pair in pairwise(cuts))


def log_of(known: list[Incarnation], end: int) -> dict[bytes, bytes]:
    """Return what a file says of the log of its newest rows, those below `end`."""
    return next(({LOG: one.text.encode()} for one in reversed(known) if one.base < end), {})
