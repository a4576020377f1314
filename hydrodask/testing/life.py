"""The life of one partition: its graph on records that a test gives, with files and snapshots in memory."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from hydrodask.flows import FLOWS
from hydrodask.nodes.context import Context
from hydrodask.protocol import snapshot
from hydrodask.protocol.order import Build
from hydrodask.records import Change, Messages, Outgoing
from hydrodask.settings import Settings
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake
from hydrodask.worker.commit import commit
from hydrodask.worker.failures import Failures
from hydrodask.worker.partition import Partition, Pending

BUILDS = {flow.name: flow.build for flow in FLOWS}
FOREVER_S = 1e12


class Everywhere:
    """Outlets that are all there."""

    def open_to(self, _partition: Partition) -> bool:
        """Say that nobody waits."""
        return True

    def ready(self, pending: Mapping[Partition, Pending]) -> Mapping[Partition, Pending]:
        """Return all."""
        return pending


@dataclass
class Life:
    """One partition on a real graph with a lake and snapshots in memory, through crashes and restarts.

    The graph is that of a flow of ours, or the one that `build` wires.

    `committed`, `emitted` and `published` are what a broker's transactions would hold: a crash loses none of these, and
    keeps nothing else but files.
    """

    settings: Settings
    topic: str = "hydraulic-FS1"
    flow: str = "monitor"
    low: int = 0
    url: str = field(default_factory=lambda: f"memory://{uuid.uuid4().hex}")
    committed: int | None = None
    emitted: int | None = None
    published: list[Outgoing] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    build: Build | None = None

    def __post_init__(self) -> None:
        self.lake = Lake(f"{self.url}/lake")
        self.snapshots = Files(f"{self.url}/snapshots")
        self.restart()

    def restart(self, *, high: int | None = None) -> int:
        """Open the partition anew, as another worker would; return the offset to read from. The log ends at `high`."""
        ctx = Context(self.settings, self.flow, self.topic, 0, self.lake)
        self.partition = Partition(ctx, self.build or BUILDS[self.flow], self.snapshots)
        return self.partition.open(self.committed, self.low, self.emitted, high=high)

    def feed(self, messages: Messages) -> None:
        """Run messages through the graph."""
        self.partition.process(messages)

    def commit(self, *, emit: bool = True, deaf: bool = False) -> None:
        """Do what a step's commit does; `emit` whether it is time for the open windows, too; `deaf` as in an order."""
        commit(
            [self.partition],
            Failures(FOREVER_S),
            outlets=Everywhere(),
            now_s=FOREVER_S if emit else float("-inf"),
            emit_every_s=0.0,
            write=self.changes.extend,
            publish=self._publish,
            deaf=deaf,
        )

    def _publish(self, outgoing: Sequence[Outgoing], moved: Mapping[Partition, Pending]) -> None:
        self.published += outgoing
        for pending in moved.values():
            self.committed, self.emitted = pending.mark

    def save(self) -> None:
        """Store a snapshot."""
        self.partition.save(0.0)

    def roll(self) -> None:
        """Write every file that has rows."""
        self.partition.roll(FOREVER_S, rows_max=1, age_s_max=0.0)

    def end(self) -> None:
        """Commit, write files and snapshot, as a flush does."""
        self.commit()
        self.roll()
        self.save()

    def through(self, messages: Messages, *cuts: int, crash_at: int | None = None) -> Self:
        """Run all messages through the graph in batches that end at `cuts`, each with a commit, and end; return this.

        At the cut `crash_at` a snapshot is stored, and another worker opens the partition from there.
        """
        begun = 0
        for end in (*cuts, len(messages)):
            self.feed(messages.take(slice(begun, end)))
            self.commit()
            begun = end
            if end == crash_at:
                self.save()
                begun = self.restart() - int(messages.offsets[0])
        self.end()
        return self

    def state(self) -> bytes:
        """Return the bytes of all nodes' state."""
        states = self.partition.ctx.states
        return snapshot.encode({name: node.snapshot() for name, node in states.items()})

    def table(self, folder: str) -> pa.Table:
        """Return the rows of a folder of the lake in the order of the files."""
        paths = sorted(self.lake.files.names(folder), key=lambda path: path.rsplit("-", 1)[-1])
        tables = [pq.read_table(pa.BufferReader(self.lake.files.read(p))) for p in paths]
        return pa.concat_tables(tables) if tables else pa.table({})
