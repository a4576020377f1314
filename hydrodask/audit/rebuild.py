"""Put back files of flows from outside, as the flow computes them: from raw/, or from the log for other records.

A flow may have been changed since it wrote. So a file is put back only if its rows come to the sum that its neighbours,
or a snapshot, say of it; where nothing says so, if the flow still computes what its other files hold.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from hydrodask.audit.chain import arrange, usable_part
from hydrodask.audit.finding import Result
from hydrodask.audit.links import inspect
from hydrodask.audit.log import BrokerLog
from hydrodask.audit.owned import Owned, owned
from hydrodask.audit.part import Part
from hydrodask.audit.repair import ChainPiece, Report, spans_of
from hydrodask.audit.replay import crossing, raw_samples
from hydrodask.audit.rerun import Rerun, Rolled
from hydrodask.errors import RetryableError, kind_and_sentence
from hydrodask.flow import named
from hydrodask.protocol.incarnation import Seam
from hydrodask.records import Messages, PartitionId, Samples
from hydrodask.settings import Settings
from hydrodask.store import rowsum
from hydrodask.store.lake import Lake
from hydrodask.store.listing import file_name
from hydrodask.store.listing import named as file_named

_CHANGED = "it, or a setting, was changed since, or raw/ lacks records that it took"


@dataclass(frozen=True, slots=True)
class Supply:
    """What a flow takes, up to offset `end`; or why it is not to be had."""

    end: int = 0
    records: Iterable[Samples | Messages | Seam] = ()
    why: str = ""


def rebuild(settings: Settings, name: str, source: PartitionId, write: bool) -> Report | None:
    """Look at what a flow has on one partition of a sensor's topic, and compute what lacks from raw/.

    With `write` missing and damaged files are put back. None when its graph takes what only the log has. What the
    flow's code raises is said in the report.
    """
    flow = next(one for one in named(settings.flows) if one.name == name)
    found = [one for one in owned(settings, flow, Result("", "")) if one.source == source]
    return (
        _rebuilt(settings, found[0], lambda one: _from_raw(settings, one), write=write, refed=True) if found else None
    )


def rebuild_from_log(settings: Settings, log: BrokerLog, *, write: bool, say: Callable[[str], None]) -> list[Report]:
    """Do so with the log, for what flows have whose graph takes records that raw/ does not have."""
    reports = []
    for flow in named(settings.flows):
        for found in owned(settings, flow, Result("", "")):
            say(f"flow {flow.name}: {found.source[0]}-{found.source[1]}")
            report = _rebuilt(settings, found, lambda one: _from_log(log, one), write=write, refed=False)
            reports += [report] if report is not None else []
    return reports


def _rebuilt(
    settings: Settings, one: Owned, supply_of: Callable[[Owned], Supply], *, write: bool, refed: bool
) -> Report | None:
    """Compute what lacks in an own graph, and put it back; None if the graph wants another supply."""
    report = Report(one.source, flow=one.flow.name)
    chains = [_Chain(part, folder, report, write=write) for folder, part in one.chains.items()]
    if not any(chain.lacks for chain in chains):
        return report
    try:
        rerun = Rerun(one.flow, settings, one.source, one.known)
        if rerun.refed is not refed:
            return None
        supply = supply_of(one)
        if supply.why:
            report.left.append(supply.why)
            return report
        _feed(rerun, chains, supply, report)
    except RetryableError:
        raise
    except Exception as error:  # a stranger's, whatever it is: the others go on
        report.left.append(f"its code can't take these records: {kind_and_sentence(error)}")
        return report
    for chain in chains:
        chain.finish(supply.end)
    return report


def _feed(rerun: Rerun, chains: list["_Chain"], supply: Supply, report: Report) -> None:
    """Run records through the graph, and close files where they ended."""
    for records in supply.records:
        if isinstance(records, Seam):
            for chain in chains:
                chain.close(records.base - 1, rerun)
            rerun.cross(records)
            continue
        report.samples += len(records)
        rest, offsets = records, records.offsets if isinstance(records, Messages) else records.offset
        for end in sorted({end for chain in chains for end in chain.ends if len(offsets) and end <= offsets[-1]}):
            place = int(np.searchsorted(offsets, end))
            rerun.take(rest.take(slice(0, place)))
            rest, offsets = rest.take(slice(place, None)), offsets[place:]
            for chain in chains:
                chain.close(end, rerun)
        rerun.take(rest)
    for chain in chains:
        chain.close(supply.end, rerun)


def _from_raw(settings: Settings, one: Owned) -> Supply:
    """Return the samples that raw/ has since the flow began."""
    lake, sensor = Lake.of(settings), one.source[0].removeprefix(settings.topics.prefix)
    found = (file_named(path) for path in lake.files.names(f"raw/sensor={sensor}"))
    of_source = [file for file in found if file is not None and file.source == one.source]
    files = arrange(of_source, Result("", "")).get(one.source, {}).get("raw", [])
    links = [inspect(lake, file, sensor, Result("", "")) for file in files]
    usable = usable_part(links)
    if not usable or len(usable) < len(links) or usable[0].first > one.begin:
        return Supply(
            why="raw/ lacks files, or one is damaged, so nothing can be computed from it; see `hydrodask verify`"
        )
    samples = (run.after(one.begin) for run in raw_samples(lake, usable, sensor))
    seams = next(iter(one.chains.values())).seams
    return Supply(usable[-1].end or 0, crossing(samples, seams))


def _from_log(log: BrokerLog, one: Owned) -> Supply:
    """Return the records that the log has since the flow began."""
    if one.known:
        log.know(one.source, one.known[-1])
    low, high = log.bounds(one.source)
    if low > one.begin:
        return Supply(
            why=f"the log has lost what it follows from: it begins at {low} (retention), the flow at {one.begin}"
        )
    return Supply(high, log.messages(one.source, one.begin, high))


class _Chain:
    """The files of one folder, and what the flow computes for those that lack."""

    def __init__(self, part: Part, folder: str, report: Report, *, write: bool) -> None:
        self._part, self._folder, self._report, self._write = part, folder, report, write
        self._spans = list(spans_of(part, folder, report))
        self._lacking: list[tuple[ChainPiece, Rolled]] = []
        self._changed = False  # whether the flow computes other rows than a file holds
        first = self._spans[0].link if self._spans else None
        self._before = 0 if first is None or not first.usable else first.sums[0] if first.sums else None

    @property
    def lacks(self) -> bool:
        """Whether a file is missing or damaged."""
        return any(_lacks(span) for span in self._spans)

    @property
    def ends(self) -> list[int]:
        """Where the files end that are to come."""
        return [span.end for span in self._spans]

    def close(self, upto: int, rerun: Rerun) -> None:
        """Let the graph's output roll where files ended, up to an offset."""
        while self._spans and self._spans[0].end <= upto:
            span = self._spans.pop(0)
            self._take(span, rerun.roll(self._folder, span.end))

    def finish(self, end: int) -> None:
        """Put back what is left, now that all records up to `end` were taken."""
        self._settle(self._sum_at(self._lacking[-1][0].end) if self._lacking else None)
        for span in filter(_lacks, self._spans):
            self._leave(span, f"what it follows from ends at {end}")

    def _take(self, span: ChainPiece, rolled: Rolled | None) -> None:
        """Take the rows of a file: to compare, or to put back."""
        rows = rolled.rows.num_rows if rolled is not None else 0
        self._report.rows[self._folder] = self._report.rows.get(self._folder, 0) + rows
        if span.link is not None and span.link.usable:
            sums = span.link.sums
            self._settle(sums[0] if sums else None)
            came = rowsum.rowsum(rolled.rows) if rolled is not None else 0
            self._changed |= sums is not None and (sums[0] + came) & rowsum.MASK != sums[1]
            self._before = sums[1] if sums else None
        elif any(start < span.end and span.first < end for start, end in self._part.holes):
            self._leave(span, "records of an earlier log are gone")
        elif rolled is None:
            self._leave(span, f"the flow computes no rows for it now: {_CHANGED}")
        else:
            self._lacking.append((span, rolled))

    def _settle(self, wanted: int | None) -> None:
        """Put back the files that lack one after the other, if they come to the sum that is `wanted` behind them."""
        come = sum(rowsum.rowsum(rolled.rows) for _, rolled in self._lacking)
        before = self._before
        if before is None and wanted is not None:
            before = (wanted - come) & rowsum.MASK
        elif before is not None and wanted is not None:
            self._changed = (before + come) & rowsum.MASK != wanted
        for span, rolled in self._lacking:
            self._put(span, rolled, before)
            before = None if before is None else (before + rowsum.rowsum(rolled.rows)) & rowsum.MASK
        self._lacking.clear()

    def _put(self, span: ChainPiece, rolled: Rolled, before: int | None) -> None:
        """Write a file as the flow would have."""
        path = span.link.path if span.link else f"{rolled.below}/{file_name(self._part.source, span.first)}"
        self._report.wrong.append(f"{path}: {'damaged' if span.link else 'missing'}, {rolled.rows.num_rows:,} rows")
        if self._changed:
            self._leave(span, f"what the flow computes now is not what was there: {_CHANGED}")
            return
        if not self._write:
            return
        says = {**rolled.says, **rowsum.said(before, rolled.rows)}
        files, data = self._part.lake.files, self._part.lake.encoded(path, rolled.rows, span.first, span.end, says)
        if span.link is not None:
            files.replace(path, data)
        elif not files.put_if_absent(path, data):
            self._leave(span, "somebody else has written it meanwhile; run this again")
            return
        self._report.mended.append(path)

    def _sum_at(self, end: int) -> int | None:
        """Return what a snapshot says that all rows come to that were in files when these ended there."""
        states = (taken.state["files"].get(self._folder, {}) for taken in self._part.snapshots)
        return next((state["sums"][0] for state in states if state.get("sums") and state["first"] == end), None)

    def _leave(self, span: ChainPiece, why: str) -> None:
        self._report.left.append(f"{self._folder}/ from {span.first} to {span.end}: {why}")


def _lacks(span: ChainPiece) -> bool:
    return span.link is None or not span.link.usable
