"""What an audit knows of one partition before it begins: files, snapshots, commits, and who can read the log."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from hydrodask.audit.chain import Chains, end_of, usable_part
from hydrodask.audit.differences import Where, below, from_on, outside
from hydrodask.audit.finding import Result
from hydrodask.audit.links import order_column, rows_of
from hydrodask.audit.log import BrokerLog
from hydrodask.audit.mending import Mend, aside
from hydrodask.audit.replay import History, Intake, crossing, geometries_of, history_in, manners_in, raw_samples, split
from hydrodask.audit.snapshots import Snapshot
from hydrodask.decode.manner import Manners
from hydrodask.ingest.mark import Mark
from hydrodask.protocol import incarnation
from hydrodask.protocol.geometries import GeometryChange
from hydrodask.protocol.incarnation import Incarnation, Seam
from hydrodask.records import PartitionId, Samples
from hydrodask.rigs import RIGS
from hydrodask.settings import Settings
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake, unpack


@dataclass
class Part:
    """One partition of a topic that a flow reads, as it was when the audit began.

    `committed` is what the group had committed then, or without a broker the newest snapshot; None when neither is
    there. `log` is None when the topic can't be read any more.
    """

    settings: Settings
    source: PartitionId
    lake: Lake
    chains: Chains
    snapshots: list[Snapshot] = field(default_factory=list)
    committed: int | None = None
    known: list[Incarnation] = field(default_factory=list)
    """The logs that the topic's name has stood for."""
    log: BrokerLog | None = None
    bounds: tuple[int, int] = (0, 0)
    covered: int = 0
    """The offset up to which `samples` had every sample, once it has ended."""
    sound: int = 1 << 62
    """The offset up to which raw/ is what the log says: what follows from rows behind it says nothing of topics."""
    rigs: set[str] = field(default_factory=set)
    """The rigs of those samples, and of what snapshots say of refused ones."""

    @property
    def name(self) -> str:
        """Topic and partition, as files have it."""
        return f"{self.source[0]}-{self.source[1]}"

    @property
    def sensor(self) -> str:
        """The sensor, or the short name of the topic."""
        return self.source[0].removeprefix(self.settings.topics.prefix)

    @cached_property
    def geometries(self) -> list[GeometryChange]:
        """Which windows its samples have gone into, from which offset on."""
        return geometries_of(self.settings, self.source)

    @property
    def base(self) -> int:
        """Our offset of the first record of the log that there is now."""
        return self.known[-1].base if self.known else 0

    @property
    def seams(self) -> list[Seam]:
        """Where one log has followed another."""
        return incarnation.seams(self.known, -1)

    @property
    def holes(self) -> list[tuple[int, int]]:
        """The offsets of earlier logs of which not all was stored before they were gone."""
        return [seam.hole for seam in self.seams if seam.hole is not None]

    @property
    def begin(self) -> int:
        """The offset where the group began, as far as files and snapshots say; else where the log does."""
        folders = {*self.chains, *(folder for taken in self.snapshots for folder in taken.state.get("files", {}))}
        firsts = [first for folder in folders if (first := self.first_of(folder)) is not None]
        return min(firsts or [self.bounds[0], *(first for folder in folders for first, _ in self._firsts(folder))])

    def first_of(self, folder: str) -> int | None:
        """Return where the files of a folder began; None when only those are left that had others before them."""
        return min((first for first, sum_before in self._firsts(folder) if not sum_before), default=None)

    def _firsts(self, folder: str) -> Iterator[tuple[int, int]]:
        """Yield where files begin, as the oldest one and snapshots say it, and what all rows before them came to."""
        for link in self.chains.get(folder, [])[:1]:
            yield link.first, link.sums[0] if link.sums else 0
        for state in (taken.state.get("files", {}).get(folder) for taken in self.snapshots):
            if state is not None:
                # Those that end at its `first` came to the first sum, and the second counts rows that wait, too.
                yield int(state["first"]), (state.get("sums") or (0, 0))[0]

    @property
    def reach(self) -> int:
        """The offset up to which something says that records were taken: a commit, or a file."""
        return max([self.committed or 0, *(end_of(links) for links in self.chains.values())])

    def samples(self, why: Result) -> Iterator[Samples]:
        """Yield the raw samples from the beginning on: those of usable files, then those of the log.

        What stops it before `reach` is said in `why`.
        """
        for run in self._samples(why):
            self.rigs |= set(map(RIGS.name, np.unique(run.rig).tolist()))
            yield run

    def _samples(self, why: Result) -> Iterator[Samples]:
        links = self.chains.get("raw", [])
        usable = usable_part(links)
        self.covered = self.begin
        if links and (not usable or usable[0].first > self.begin):
            why.skip(f"{self.name}: the beginning of raw/ is missing or damaged, so nothing can be computed from it")
            return
        intake = self.intake()
        for samples in crossing(raw_samples(self.lake, usable, self.sensor), self.seams):
            if isinstance(samples, Seam):
                intake.cross(samples)
            else:
                intake.take(samples)
                yield samples
        end = self.covered = end_of(usable) if usable else self.begin
        if len(usable) < len(links):
            why.skip(f"{self.name} from offset {end} on: raw/ has a gap or a damaged file there")
        elif end < self.reach:
            yield from self._tail(max(end, self.base), intake, why)

    def _tail(self, start: int, intake: Intake, why: Result) -> Iterator[Samples]:
        """Yield what no raw file holds yet, from the log."""
        low, high = self.bounds
        if self.log is None or low > start:
            why.skip(f"{self.name} from offset {start} on: no raw file holds them, and the log is not there any more")
            return
        for messages in self.log.messages(self.source, start, min(high, self.reach)):
            for samples, _rejects in intake.decode(messages):
                yield samples
        self.covered = self.reach

    def stored(self, folder: str, limit: int) -> Iterator[Where]:
        """Yield the stored rows of a folder below `limit`: those of files, then those that wait in the snapshot."""
        column = order_column(folder)
        for link in self.chains.get(folder, []):
            if link.usable:
                yield link.path, outside(below(rows_of(self.lake, link), column, limit), column, self.holes)
        if self.newest is not None and (rows := self.waiting(folder)).num_rows:
            yield self.newest.path, outside(below(rows, column, limit), column, self.holes)

    def waiting(self, folder: str) -> pa.Table:
        """Return the rows that no file has, and that wait for one in the newest snapshot."""
        waiting = self.newest.state["files"].get(folder, {}).get("waiting") if self.newest is not None else None
        if not waiting:
            return pa.table({})
        return from_on(unpack(waiting), order_column(folder), end_of(self.chains.get(folder, [])))

    def stored_to(self, folder: str) -> int:
        """Return the offset up to which rows must be in files or in the newest snapshot."""
        end = end_of(self.chains.get(folder, []))
        newest = self.newest
        return end if newest is None or folder == "raw" else max(end, newest.offset)

    def mend_of(self, folder: str, at: int, mend: Mend) -> Mend:
        """Return what mends a row of that offset: `mend` if it is, or was, in a file, else its snapshot has to go."""
        if self.newest is None:
            return mend
        in_files = self.newest.state["files"].get(folder, {}).get("first", 0)
        return aside(self.newest.path) if at >= max(in_files, end_of(self.chains.get(folder, []))) else mend

    @property
    def history(self) -> History:
        """Since which offset which terms were in force for rigs, as the newest snapshot says."""
        return history_in(self.settings, self._known)

    @property
    def manners(self) -> Manners:
        """Since which offset records were read in which manner, as the newest snapshot says."""
        return manners_in(self._known)

    @property
    def _known(self) -> dict[str, Any]:
        return self.snapshots[-1].state if self.snapshots else {}

    def intake(self, start: int = 0) -> Intake:
        """Return who decodes and lets in, as it was at offset `start`: what the raw rows below it say."""
        intake = Intake(self.settings, self.sensor, self.history, self.manners)
        if start > self.begin:
            raw = raw_samples(self.lake, usable_part(self.chains.get("raw", [])), self.sensor)
            for samples in crossing(raw, [seam for seam in self.seams if seam.base <= start]):
                if isinstance(samples, Seam):
                    intake.cross(samples)
                else:
                    intake.take(split(samples, start)[0])
        return intake

    @property
    def newest(self) -> Snapshot | None:
        """The newest snapshot of which a restart would make use."""
        usable = [s for s in self.snapshots if self.committed is None or s.offset <= self.committed]
        return usable[-1] if usable else None


def known_logs(files: Files, source: PartitionId, snapshots: list[Snapshot], mark: Mark | None) -> list[Incarnation]:
    """Return the logs that a partition has read: those on record, and those that snapshots and marks name."""
    named = [incarnation.of_text(taken.state.get("log", "")) for taken in snapshots]
    if mark is not None and mark.log is not None:
        named.append(Incarnation(log=mark.log, base=mark.base))
    return incarnation.joined(incarnation.read(files, source)[0], named)
