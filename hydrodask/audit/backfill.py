"""Compute windows, cycle profiles and late samples anew from raw/, compare with the stored ones, and put them right.

One call a partition, with nothing shared between two, so that Dask can run them anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from hydrodask.audit.chain import arrange, usable_part
from hydrodask.audit.files import Link, inspect, order_column, rows_of
from hydrodask.audit.finding import Result
from hydrodask.audit.part import Part, known_logs
from hydrodask.audit.replay import KEYS, Operators, crossing, in_force, raw_samples
from hydrodask.audit.rows import Comparison, Difference, below, from_on
from hydrodask.audit.snapshots import load_snapshots
from hydrodask.settings import Settings
from hydrodask.store import rowsum
from hydrodask.store.files import Files
from hydrodask.store.lake import LOG, Lake
from hydrodask.store.listing import file_name, named
from hydrodask.store.schemas import FOLDERS, empty, first_date
from hydrodask.stream.incarnation import Incarnation, Seam
from hydrodask.window.geometry import METADATA

Source = tuple[str, int]
COMPUTED = ("windows", "cycles", "late")


@dataclass(slots=True)
class Report:
    """What one partition's backfill has found and done."""

    source: Source
    samples: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """What can't be put right, and why."""

    @property
    def name(self) -> str:
        """Topic and partition."""
        return f"{self.source[0]}-{self.source[1]}"


@dataclass(slots=True)
class Span:
    """A piece of a chain: the file that holds `[first, end)`, or a hole where one should be."""

    first: int
    end: int
    link: Link | None


def backfill(settings: Settings, source: Source, write: bool) -> Report:
    """Compare one partition's derived files with what raw/ gives; with `write` put recomputed ones in place.

    A file is replaced in one step. Rows past the end of raw/ are not looked at. Nothing is written unless raw/ is
    whole, for then the recomputed rows would be wrong. Raises RetryableError when the file system refuses.
    """
    report, doubts = Report(source), Result("raw", "")
    part = _part(settings, source, doubts)
    links = part.chains.get("raw", [])
    usable = usable_part(links)
    if len(usable) < len(links) or (usable and usable[0].first > part.begin):
        report.left.append(
            "raw/ has a gap or a damaged file, so nothing can be computed from it; see `hydrodask verify`"
        )
        return report
    menders = [Mender(part, folder, report, write=write) for folder in COMPUTED]
    operators = Operators(source, part.sensor, part.turns, part.history)
    end = part.begin
    for samples in crossing(raw_samples(part.lake, usable, part.sensor), part.seams if usable else []):
        if isinstance(samples, Seam):
            parts = operators.cross(samples)
        else:
            report.samples += len(samples)
            parts = operators.consume(samples)
        end = usable[-1].end or end
        for done in parts:
            tables = operators.tables(done)
            for mender in menders:
                mender.expect(tables[mender.folder])
    for mender in menders:
        mender.finish(end if usable else part.begin)
    return report


def sources_of(settings: Settings) -> list[Source]:
    """Return the partitions of sensors' topics that have raw files."""
    files = (named(path) for path in Lake.of(settings).files.names("raw"))
    prefix = settings.topics.prefix
    return sorted({file.source for file in files if file is not None and file.topic.startswith(prefix)})


def _part(settings: Settings, source: Source, doubts: Result) -> Part:
    lake = Lake.of(settings)
    snapshots = Files(settings.snapshots_url)
    part = Part(settings, source, lake, {}, load_snapshots(snapshots, source, doubts, lake.keyring))
    part.known = known_logs(snapshots, source, part.snapshots, None)
    below_sensor = [f"{folder}/sensor={part.sensor}" for folder in FOLDERS if folder != "labels"]
    found = (named(path) for folder in below_sensor for path in lake.files.names(folder))
    arranged = arrange([file for file in found if file is not None and file.source == source], doubts)
    for folder, files in arranged.get(source, {}).items():
        part.chains[folder] = [inspect(lake, file, part.sensor, doubts) for file in files]
    return part


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
        self._spans = list(_spans(part, folder, report))
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

    def _close(self, span: Span) -> None:
        """Put one span right, and take note of what the chain's rows come to with it."""
        due = self._due(span)
        if not self._mended(span, due):
            sums = span.link.sums if span.link and span.link.usable else None
            self._total = sums[1] if sums else self._total if not (due.num_rows or span.link) else None

    def _due(self, span: Span) -> pa.Table:
        """Return the rows that a span should hold."""
        rows = pa.concat_tables([empty(self.folder), *self._rows])
        due, self._rows = below(rows, self._column, span.end), [from_on(rows, self._column, span.end)]
        due = from_on(due, self._column, span.first)
        counts = self._report.rows
        counts[self.folder] = counts.get(self.folder, 0) + due.num_rows
        return due

    def _mended(self, span: Span, due: pa.Table) -> bool:
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

    def _judge(self, span: Span, due: pa.Table) -> tuple[str, str]:
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

    def _windows(self, span: Span) -> bytes:
        """Return what a file of windows/ says of them."""
        return in_force(self._part.turns, span.end - 1).encoded

    def _below(self, due: pa.Table) -> str:
        """Return the folder of a file with these rows."""
        if self.folder == "labels":
            return "labels"
        below_sensor = f"{self.folder}/sensor={self._part.sensor}"
        return f"{below_sensor}/date={first_date(due)}" if self.folder == "raw" else below_sensor

    def _put(self, path: str, span: Span, due: pa.Table, before: int | None) -> None:
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


def _spans(part: Part, folder: str, report: Report) -> Iterator[Span]:
    """Yield the pieces of a chain, holes too; what overlaps is left alone and said."""
    position = part.begin
    links = part.chains.get(folder, [])
    newest = part.snapshots[-1].state["files"].get(folder, {}).get("first", 0) if part.snapshots else 0
    for place, link in enumerate(links):
        if link.first < position:
            report.left.append(f"{link.path} overlaps the file before it; one of the two has to go")
            continue
        if link.first > position:
            yield Span(position, link.first, None)
        following = links[place + 1].first if place + 1 < len(links) else newest
        end = link.end if link.usable else following
        if end is None or end <= link.first:
            report.left.append(f"{link.path} is damaged, and nothing says where it ended")
            return
        yield Span(link.first, end, link)
        position = end
    if newest > position:
        yield Span(position, newest, None)


def log_of(known: list[Incarnation], end: int) -> dict[bytes, bytes]:
    """Return what a file says of the log of its newest rows, those below `end`."""
    return next(({LOG: one.text.encode()} for one in reversed(known) if one.base < end), {})
