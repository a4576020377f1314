"""Who should host what, and who holds what: a partition is in at most one seat's order at a time.

What is wanted is computed anew when partitions or seats have changed; what is held follows it as partitions come free.
A step costs what its own seat holds, however many others there are.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from hydrodask.driver.placement import place, weight
from hydrodask.driver.seats import Seat
from hydrodask.records import PartitionId


class Assignment:
    """The partitions that there are, by flow, the seat that each should have, and the one that it has."""

    def __init__(self, prefix: str) -> None:
        self.sources: Mapping[PartitionId, str] = {}
        self.stale: set[PartitionId] = set()
        """Partitions that came free: what is known of them is out of date until the next seat reports."""
        self.first: Mapping[PartitionId, str] | None = None
        """The partitions that were there when the run began."""
        self._prefix = prefix
        self._wanted: dict[PartitionId, Seat] = {}
        self._wanted_of: dict[Seat, list[PartitionId]] = {}
        self._holders: dict[PartitionId, Seat] = {}
        self._held: dict[Seat, set[PartitionId]] = defaultdict(set)
        self._placed: tuple[Mapping[PartitionId, str], Sequence[Seat]] = ({}, ())

    def found(self, sources: Mapping[PartitionId, str]) -> None:
        """Take note of the partitions that there are. The same ones change nothing: placing many takes long."""
        if sources != self.sources:
            self.sources = dict(sources)
        self.first = self.sources if self.first is None else self.first

    def place(self, seats: Sequence[Seat]) -> None:
        """Compute who of `seats` should host what, if partitions or seats are others than before."""
        if self._placed[0] is self.sources and self._placed[1] == seats:
            return
        weights = {source: weight(source[0], self._prefix) for source in self.sources}
        self._wanted = place(weights, seats, self._wanted)
        self._wanted_of = defaultdict(list)
        for source, seat in self._wanted.items():
            self._wanted_of[seat].append(source)
        self._placed = (self.sources, list(seats))

    def grant(self, seat: Seat) -> dict[PartitionId, str]:
        """Return what a seat should host and nobody else holds, by flow; from now on it holds that."""
        granted = {}
        for source in self._wanted_of.get(seat, ()):
            known = source in self.sources  # the broker may leave a topic out for a moment
            if known and self._holders.setdefault(source, seat) is seat:
                self._held[seat].add(source)
                granted[source] = self.sources[source]
        return granted

    def newcomers(self, sources: Mapping[PartitionId, str], *, start: str, begun: bool) -> frozenset[PartitionId]:
        """Return which of `sources` were not there when the group began: before, or at the first look of this run."""
        if start != "latest":
            return frozenset()
        first = {} if begun or not self.first else self.first
        return frozenset(source for source in sources if source not in first)

    def free(self, seat: Seat, *, kept: set[PartitionId]) -> None:
        """Let others have what a seat held."""
        gone = self._held[seat] - kept
        self._held[seat] -= gone
        for source in gone:
            del self._holders[source]
        self.stale |= gone
        if not self._held[seat]:
            del self._held[seat]
