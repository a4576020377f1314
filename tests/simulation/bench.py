"""One worker on fakes, a step at a time: what a test of a host orders, in virtual time."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from hydrodask.clock import iso
from hydrodask.errors import RetryableError
from hydrodask.protocol.order import Build, Order
from hydrodask.protocol.ownership import Ownership
from hydrodask.records import PartitionId
from hydrodask.reports import StepReport
from hydrodask.settings import Settings
from hydrodask.testing.simulation.fakebroker import FakeConsumer, FakeProducer
from hydrodask.testing.simulation.fakefetcher import FakeFetcher
from hydrodask.testing.simulation.fakelogs import Entry
from hydrodask.testing.simulation.world import START_S, SimulatedProcess, World
from hydrodask.worker.host import Host
from hydrodask.worker.step import Lease, step
from tests.simulation.input import PREFIX
from tests.simulation.platform import BUILDS, FLOW_OF, Fakes, inside, refuse, settings_of

T = TypeVar("T")


TS1, OTHER, CE = (f"{PREFIX}TS1", 0), (f"{PREFIX}TS1", 1), (f"{PREFIX}CE", 0)


class Bench(Fakes):
    """A worker process with its lease. `away` names calls, by their beginnings, that are refused."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(World(0))
        self.settings = settings
        self.builds: Mapping[str, Build] = BUILDS
        self.away: set[str] = set()
        self.calls: list[str] = []
        for topic, count in (("TS1", 2), ("CE", 1), ("analytics", 1), ("cycles", 1), ("dead-letter", 1)):
            self.broker.create(PREFIX + topic, count)
        self.broker.broken = 0.0  # nothing goes wrong by chance here
        self.process = SimulatedProcess(self.world, "worker", serial=True)
        self.lease = Lease()
        self.generation = 1
        files = self.disk.at(self.settings.snapshots_url)
        self.run = Ownership(files, self.settings.kafka.group).claim("bench")
        self.world.on_call = self._on_call

    def send(self, source: PartitionId, first: int, last: int, **changed: Any) -> None:
        """Append a record of each second from `first` to below `last`, of a rig of the partition's own."""
        for second in range(first, last):
            record = {
                "sensor": source[0].removeprefix(PREFIX),
                "cycle": second // 12,
                "sample_idx": second % 12,
                "value": 40.0 + second % 7,
                "timestamp": iso(round((START_S + second) * 1e6)),
                "sampling_rate_hz": 1,
                "rig": f"rig-{source[1]}",
            }
            value = json.dumps(record | changed).encode()
            self.broker.append(source, Entry(value, b"key", stamp_ms=round((START_S + second) * 1000)))

    def step(self, *sources: PartitionId, mode: str = "run") -> StepReport:
        """Do one step. Raises what it raises."""
        order = Order(
            "run", self.generation, 0, "worker", self.settings,
            sources={source: FLOW_OF[source[0]] for source in sources}, builds=self.builds, mode=mode, run=self.run,
        )  # fmt: skip
        self.calls.clear()
        return self.do(lambda: step(order, surroundings=self.surroundings, lease=self.lease))

    def do(self, call: Callable[[], T]) -> T:
        """Do something in the worker's process."""
        done: T = self.world.loop.run_until_complete(self.process.run(call))
        return done

    def step_over(self, *sources: PartitionId) -> bool:
        """Do a step as a coordinator does: an error that may pass is waited out. Say whether there was none."""
        try:
            return not self.step(*sources).waiting
        except RetryableError as error:
            self.wait(error.backoff_s)
            return False

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.loop.run_until_complete(asyncio.sleep(seconds))

    def go_on(self, *sources: PartitionId, before: Callable[[int], None] = lambda _number: None) -> None:
        """Do so many steps that one of them has to end it; `before` each, something may happen."""
        for number in range(400):
            before(number)
            self.step_over(*sources)

    def crash(self) -> None:
        """Lose all that the process had, and start another in its place."""
        self.process.kill()
        self.process, self.lease = SimulatedProcess(self.world, "worker", serial=True), Lease()
        self.generation += 1

    @property
    def host(self) -> Host:
        """What the worker holds now."""
        assert self.lease.host is not None
        return self.lease.host

    @property
    def now_s(self) -> float:
        """Virtual time since the world began."""
        return self.world.loop.now_s

    def open_clients(self) -> list[object]:
        """Return the clients that have not been closed, of those that can be."""
        kinds = (FakeConsumer, FakeFetcher, FakeProducer)
        return [client for client in self.broker.clients if isinstance(client, kinds) and not client.closed]

    def committed(self, source: PartitionId) -> int | None:
        """Return the group's offset."""
        found = self.broker.offsets.get((self.settings.kafka.group, source))
        return found[0] if found else None

    def stored(self, folder: str) -> list[str]:
        """Return the names of the files whose path has `folder` in it."""
        paths = sorted(path for path in self.disk.data if folder in path)
        return [name for name in (path.rsplit("/", 1)[-1] for path in paths) if not name.startswith(".")]

    def finals(self) -> list[tuple[str, str]]:
        """Return rig and start of all final windows that were published, in their order."""
        log = self.broker.logs[f"{PREFIX}analytics", 0]
        rows = [json.loads(entry.value or b"") for _, entry in log.committed()]
        return [(row["rig"], row["window_start"]) for row in rows if row["final"]]

    def _on_call(self, _process: SimulatedProcess, name: str, when: str) -> None:
        if when == "before":
            self.calls.append(name)
            if any(name.startswith(prefix) for prefix in self.away):
                refuse(name)


@contextlib.contextmanager
def bench(sets: Mapping[str, float] | None = None, **changes: Mapping[str, Any]) -> Iterator[Bench]:
    """Give a bench; `sets` as a schedule has them, `changes` by section: `kafka={"start": "latest"}`."""
    settings = settings_of(dict(sets or {}))
    sections = {name: getattr(settings, name).model_copy(update=values) for name, values in changes.items()}
    settings = settings.model_copy(update=sections)
    one = Bench(settings)
    with inside(one.world):
        try:
            yield one
        finally:
            one.process.kill()
            one.world.loop.close()
