"""The cluster's side of a fake Kafka: logs with ids, transactions, group offsets and retention.

A transaction's records are in the log at once, and readers that want committed ones stop before the first that is
undecided. Initialising a transactional id bumps its epoch and aborts what was open: who has an older epoch is fenced.
`fenced` and `transactional` take these two promises away, so that a test can show that something notices.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hydrodask.kafka import KafkaError, KafkaException
from hydrodask.records import PartitionId
from hydrodask.testing.simulation.world import World

T = TypeVar("T")

BROKEN = 0.005
"""How often a partition can't be read, once, while the others can. The client goes on behind what it can't read."""


@dataclass(eq=False, slots=True)
class Transaction:
    """What one transaction has touched, and what became of it: open, committed or aborted."""

    state: str = "open"
    logs: list["FakePartition"] = field(default_factory=list)
    offsets: dict[tuple[str, PartitionId], tuple[int, str]] = field(default_factory=dict)
    """By group and source."""


@dataclass(slots=True)
class Entry:
    """One offset of a log: a record, or the marker at which a transaction ended."""

    value: bytes | None
    key: bytes | None = None
    headers: list[tuple[str, Any]] = field(default_factory=list)
    stamp_ms: int = 0
    transaction: Transaction | None = None
    marker: bool = False

    @property
    def visible(self) -> bool:
        """Whether read-committed readers see it; what is undecided they do not come to."""
        return not self.marker and (self.transaction is None or self.transaction.state == "committed")


class FakePartition:
    """A partition. Offsets below `low` are gone."""

    def __init__(self, number: int = 0) -> None:
        self.entries: list[Entry] = []
        self.low = 0
        self.number = number
        """Which of the logs of its name this is; with that the topic's id."""
        self._stable = 0

    @property
    def stable(self) -> int:
        """Return the offset of the first record that is undecided, or the end."""
        while self._stable < len(self.entries):
            transaction = self.entries[self._stable].transaction
            if transaction is not None and transaction.state == "open":
                break
            self._stable += 1
        return self._stable

    def committed(self) -> list[tuple[int, Entry]]:
        """Return all records that read-committed readers see, with their offsets."""
        return [(i, e) for i, e in enumerate(self.entries[: self.stable]) if e.visible]


@dataclass(slots=True)
class _Id:
    epoch: int = 0
    open: Transaction | None = None
    unmarked: list[Transaction] = field(default_factory=list)
    """What a broker that went away has left undecided: one for each log, and for the offsets of each group."""


class FakeLogs:
    """The cluster's side: everything here happens at once, and is what is true."""

    def __init__(self, world: World, *, fenced: bool = True, transactional: bool = True) -> None:
        self.world = world
        self.fenced, self.transactional = fenced, transactional
        self.cluster = "cluster"
        self.epochs = False
        """Whether leaders have changed before topics are made anew."""
        self.logs: dict[PartitionId, FakePartition] = {}
        self.offsets: dict[tuple[str, PartitionId], tuple[int, str]] = {}
        """By group and source."""
        self.ended: dict[PartitionId, list[FakePartition]] = {}
        """The earlier logs of a name."""
        self.broken = BROKEN
        self.clients: list[Any] = []
        """All that were ever made."""
        self.gone = 0
        """How often every broker was gone, which clients hear of."""
        self.leaving = False
        """Whether the broker goes away with the next commit, and tells none of its partitions (KAFKA-20734)."""
        self._ids: dict[str, _Id] = {}

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic have so many partitions."""
        for partition in range(partitions):
            if (topic, partition) not in self.logs:
                self.logs[topic, partition] = FakePartition(len(self.ended.get((topic, 0), [])))

    def delete(self, topic: str) -> None:
        """Delete a topic, and what groups have committed for it; undecided records of it end with it."""
        for source in [source for source in self.logs if source[0] == topic]:
            self.ended.setdefault(source, []).append(self.logs.pop(source))
        for key in [key for key in self.offsets if key[1][0] == topic]:
            del self.offsets[key]

    def ids(self) -> dict[str, str]:
        """Return the identity of each topic."""
        return {topic: f"{self.cluster}/{topic}@{self.cluster}.{log.number}" for (topic, _), log in self.logs.items()}

    def commit_foreign(self, group: str) -> None:
        """Commit offsets as a tool would, anywhere in the logs."""
        for source, log in self.logs.items():
            self.offsets[group, source] = (self.world.random.randint(0, len(log.entries)), "")

    def append(self, source: PartitionId, entry: Entry) -> None:
        """Append a record from outside."""
        self.logs[source].entries.append(entry)

    def retain(self, source: PartitionId, low: int) -> None:
        """Forget what is below `low`."""
        log = self.logs[source]
        log.low = max(log.low, min(low, log.stable))

    def expire(self) -> None:
        """Abort what is open, as `transaction.timeout.ms` would."""
        for one in self._ids.values():
            if one.open is not None:
                one.epoch += 1
                self._end(one, "aborted")

    def init(self, name: str) -> int:
        one = self._ids.setdefault(name, _Id())
        one.epoch += 1 if self.fenced else 0
        self._end(one, "aborted")
        return one.epoch

    def take_over(self, name: str, epoch: int, one: Transaction | None) -> None:
        """Know a transactional id, with its epoch and what it has begun."""
        self._ids[name] = _Id(epoch, one)

    def write(self, name: str, epoch: int, records: list[tuple[PartitionId, Entry]]) -> None:
        """Append records of an open transaction."""
        one = self._mine(name, epoch)
        for source, entry in records:
            log = self.logs[source]
            if self.transactional:
                entry.transaction = one.open = one.open or Transaction()
                if log not in one.open.logs:
                    one.open.logs.append(log)
            log.entries.append(entry)

    def add_offsets(self, name: str, epoch: int, group: str, held: Mapping[PartitionId, tuple[int, str]]) -> None:
        """Let an open transaction hold group offsets."""
        one = self._mine(name, epoch)
        if any(source not in self.logs for source in held):
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "no such topic", txn_requires_abort=True))
        offsets = {(group, source): said for source, said in held.items()}
        if not self.transactional:
            self.offsets |= offsets
            return
        one.open = one.open or Transaction()
        one.open.offsets |= offsets

    def end(self, name: str, epoch: int, state: str) -> None:
        """Commit or abort what is open; once more, it changes nothing."""
        one = self._mine(name, epoch)
        if self.leaving and state == "committed" and one.open is not None:
            self._leave(one)
        self._end(one, state)

    def pending(self, group: str, source: PartitionId) -> bool:
        """Say whether a transaction that is not decided holds an offset of `source`."""
        held = [open_ for one in self._ids.values() for open_ in (one.open, *one.unmarked)]
        return any(one is not None and (group, source) in one.offsets for one in held)

    def is_open(self, name: str) -> bool:
        """Say whether a transaction of this id is open."""
        return self._ids[name].open is not None

    def _mine(self, name: str, epoch: int) -> _Id:
        one = self._ids[name]
        if epoch != one.epoch and self.fenced:
            raise KafkaException(KafkaError(KafkaError._FENCED, f"{name} has a newer epoch", fatal=True))
        return one

    def _end(self, one: _Id, state: str) -> None:
        done, one.open = one.open, None
        if done is None:
            return
        places = _places(done)
        touched = [left for left in one.unmarked if _places(left) & places]
        one.unmarked = [left for left in one.unmarked if left not in touched]
        for part in (*touched, done):  # a marker decides whatever of its id is undecided where it comes to
            part.state = state
            if state == "committed":
                self.offsets |= {key: said for key, said in part.offsets.items() if key[1] in self.logs}
        for log in done.logs:
            log.entries.append(Entry(None, transaction=done, marker=True))

    def _leave(self, one: _Id) -> None:
        """Call a transaction committed, and tell nobody."""
        done, one.open = one.open, None
        self.leaving, self.gone = False, self.gone + 1
        if done is None:
            return
        for log in done.logs:
            part = Transaction(logs=[log])
            one.unmarked.append(part)
            for entry in log.entries:
                entry.transaction = part if entry.transaction is done else entry.transaction
        for group in {group for group, _ in done.offsets}:
            offsets = {key: said for key, said in done.offsets.items() if key[0] == group}
            one.unmarked.append(Transaction(offsets=offsets))


def _places(one: Transaction) -> set[FakePartition | str]:
    """Return where markers of a transaction come to."""
    return {*one.logs, *(group for group, _ in one.offsets)}


class FakeClient:
    """What consumers and producers share: each call takes its time, and may be refused."""

    def __init__(self, broker: FakeLogs) -> None:
        self._broker = broker
        self.closed = False
        broker.clients.append(self)

    def _call(self, name: str, effect: Callable[[], T]) -> T:
        return self._broker.world.call(name, effect)
