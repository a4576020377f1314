"""Workers that are lost in a row: how often is too often, and what is said then.

A worker that dies once is replaced. One that dies again and again at the same place would be replaced for ever, without
getting on and without a word. So losses are counted: by slot until a step is finished there, and by partition until
more of it is committed, for a partition goes from worker to worker, and steps that only replay are finished too.
Whoever dies of memory counts until there is nothing left to read, as each of them may get a little further.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hydrodask.driver.seats import Seat
from hydrodask.errors import FatalError
from hydrodask.records import PartitionId
from hydrodask.reports import PartitionReport, StepReport

LOSSES_MAX = 10
"""So many workers in a row may be lost in one slot, or with one partition."""

STARVED_MAX = 3
"""So many of them for want of memory, which is no accident: the next one needs as much."""

IDLE_STEPS = 20
"""A partition is read to its end when so many reports in a row say so; the first ones may not know where that is."""

NAMED_MAX = 3
"""Partitions that a message names."""

Known = Mapping[PartitionId, PartitionReport]


@dataclass(slots=True)
class Setback:
    """What befell those who had a partition since it last got on: where it stood, and how often they were lost."""

    committed: int
    losses: int = 0
    starved: int = 0
    idle: int = 0
    behind: bool = True
    """Whether no more of it is committed than at the last loss or error."""

    def take(self, part: PartitionReport) -> None:
        """Take note of where the partition stands now."""
        self.idle = 0 if part.lag or part.committed < part.position else self.idle + 1
        if part.committed > self.committed or self.idle >= IDLE_STEPS:
            self.losses, self.behind = 0, False
        if self.idle >= IDLE_STEPS:
            self.starved = 0

    @property
    def over(self) -> bool:
        """Whether nothing is left of it to remember."""
        return not self.behind and not self.starved


class Losses:
    """Counts the losses of one run. `known` is always what is known of partitions by their newest reports."""

    def __init__(self) -> None:
        self._slots: dict[int, int] = {}
        self._setbacks: dict[PartitionId, Setback] = {}

    def failed(self, sources: Iterable[PartitionId], known: Known) -> None:
        """Take note that a step with `sources` has failed, and its worker is still there."""
        for source in sources:
            self._set_back(source, known)

    def lost(self, seat: Seat, sources: Iterable[PartitionId], known: Known, *, why: str, memory: str) -> None:
        """Take note that a seat was lost with `sources`, of `memory` if that is why. Raises FatalError at a limit."""
        self._slots[seat.slot] = self._slots.get(seat.slot, 0) + 1
        for source in sources:
            setback = self._set_back(source, known)
            setback.losses += 1
            setback.starved += bool(memory)
        starved = [source for source, one in self._setbacks.items() if one.starved >= STARVED_MAX]
        if starved:
            raise FatalError(_of_memory(seat, starved, known, memory))
        stuck = [source for source, one in self._setbacks.items() if one.losses >= LOSSES_MAX]
        if stuck:
            raise FatalError(_at_partitions(seat, stuck, known, why))
        if self._slots[seat.slot] >= LOSSES_MAX:
            raise FatalError(_in_slot(seat, why))

    def finished(self, seat: Seat, report: StepReport) -> bool:
        """Take note of a step that is finished; return whether all of its partitions have got on since a setback."""
        self._slots.pop(seat.slot, None)
        fine = True
        for part in report.partitions if self._setbacks else ():
            source = part.topic, part.partition
            setback = self._setbacks.get(source)
            if setback is None:
                continue
            setback.take(part)
            fine = fine and not setback.behind
            if setback.over:
                del self._setbacks[source]
        return fine

    def _set_back(self, source: PartitionId, known: Known) -> Setback:
        """Return what is remembered of a partition that has just been set back."""
        committed = known[source].committed if source in known else -1
        setback = self._setbacks.setdefault(source, Setback(committed))
        setback.committed, setback.idle, setback.behind = max(setback.committed, committed), 0, True
        return setback


def _of_memory(seat: Seat, sources: list[PartitionId], known: Known, memory: str) -> str:
    rigs = {source: known[source].keys if source in known else 0 for source in sources}
    sources = sorted(sources, key=lambda source: -rigs[source])
    return (
        f"{STARVED_MAX} workers in a row died of memory, the last one {seat.worker} ({memory}), with "
        f"{_named(sources)}; when they were last heard of there were {rigs[sources[0]]:,} rigs in the first of these; "
        "give workers more memory (cluster.memory_limit) or start more of them, and if you have fewer rigs, set "
        "limits.rigs to what you have and mend the producer that makes names up; flows from outside share these "
        "workers: if you have some, see if it goes on without them (setting flows)"
    )


def _at_partitions(seat: Seat, sources: list[PartitionId], known: Known, why: str) -> str:
    first = sources[0]
    place = f", which stands at offset {known[first].committed}" if first in known else ""
    return (
        f"{LOSSES_MAX} workers in a row were lost with {_named(sources)}{place}; the last one is {seat.worker}: {why}; "
        "see what the workers' logs say last, and what is in the topic there"
    )


def _in_slot(seat: Seat, why: str) -> str:
    return (
        f"{LOSSES_MAX} workers in a row were lost in slot {seat.slot} before one finished a step; the last one is "
        f"{seat.worker}: {why}; see what its log says last, or take that machine away"
    )


def _named(sources: list[PartitionId]) -> str:
    """Return a few partitions by name."""
    names = [f"{topic}-{partition}" for topic, partition in sources]
    more = f" and {len(names) - NAMED_MAX} more partitions" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more
