"""Test doubles and drivers: the life of one partition in memory, and a whole platform until it is idle."""

import asyncio
import http.client
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from flows import FLOWS
from hydrodask.cli.datadir import DataDir
from hydrodask.cli.platform import Platform
from hydrodask.records import Change, Messages, Outgoing
from hydrodask.reports import Overview
from hydrodask.services.ports import basic
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake
from hydrodask.stream import snapshot
from hydrodask.stream.commit import commit
from hydrodask.stream.context import Context
from hydrodask.stream.failures import Failures
from hydrodask.stream.partition import Partition

BUILDS = {flow.name: flow.build for flow in FLOWS}
FOREVER_S = 1e12


class Everywhere:
    """Outlets that are all there."""

    def open_to(self, _partition: Partition) -> bool:
        return True

    def ready(self, partitions: Sequence[Partition]) -> Sequence[Partition]:
        return partitions


@dataclass
class Life:
    """One partition on a real graph with a lake and snapshots in memory, through crashes and restarts.

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

    def __post_init__(self) -> None:
        self.lake = Lake(f"{self.url}/lake")
        self.snapshots = Files(f"{self.url}/snapshots")
        self.restart()

    def restart(self, *, high: int | None = None) -> int:
        """Open the partition anew, as another worker would; return the offset to read from. The log ends at `high`."""
        ctx = Context(self.settings, self.flow, self.topic, 0, self.lake)
        self.partition = Partition(ctx, BUILDS[self.flow], self.snapshots)
        return self.partition.open(self.committed, self.low, self.emitted, high=high)

    def feed(self, messages: Messages) -> None:
        """Run messages through the graph."""
        self.partition.process(messages)

    def commit(self, *, emit: bool = True) -> None:
        """Do what a step's commit does; `emit` whether it is time for the open windows, too."""
        commit(
            [self.partition],
            Failures(FOREVER_S),
            outlets=Everywhere(),
            now_s=FOREVER_S if emit else float("-inf"),
            emit_every_s=0.0,
            write=self.changes.extend,
            publish=self._publish,
        )

    def _publish(self, outgoing: Sequence[Outgoing], moved: Sequence[Partition]) -> None:
        self.published += outgoing
        for partition in moved:
            self.committed, self.emitted = partition.mark

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

    def state(self) -> bytes:
        """Return the bytes of all nodes' state."""
        states = self.partition.ctx.states
        return snapshot.encode({name: node.snapshot() for name, node in states.items()})

    def table(self, folder: str) -> pa.Table:
        """Return the rows of a folder of the lake in the order of the files."""
        paths = sorted(self.lake.files.names(folder), key=lambda path: path.rsplit("-", 1)[-1])
        tables = [pq.read_table(pa.BufferReader(self.lake.files.read(p))) for p in paths]
        return pa.concat_tables(tables) if tables else pa.table({})


def run_to_idle(
    settings: Settings,
    publish: Callable[[Kafka], None],
    collect: Callable[[Kafka], None] = lambda _kafka: None,
) -> Overview:
    """Start a platform, let `publish` fill its topics, run it until all is stored, and return the last overview.

    `collect` sees what is on the topics in the end.
    """

    async def run() -> Overview:
        with DataDir(settings.data_dir):
            platform = Platform(settings)
            async with platform.started(lambda _said: None):
                await asyncio.to_thread(publish, platform.settings.kafka)
                await asyncio.wait_for(platform.run(seconds=None, until_idle=True), 90)
                await asyncio.to_thread(collect, platform.settings.kafka)
                return platform.coordinator.board.overview

    return asyncio.run(run())


def folder(data_dir: Path, name: str) -> pa.Table:
    """Return a folder of the lake as one table, empty when there is none."""
    path = data_dir / "lake" / name
    return ds.dataset(path, partitioning="hive").to_table() if path.exists() else pa.table({})


def status_of(address: str, path: str, login: tuple[str, str] | None = None, method: str = "GET") -> int:
    """Return the status with which the web server at host:port answers."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, path, headers=basic(*login) if login else {})
        return connection.getresponse().status
    finally:
        connection.close()
