"""What the nodes of one graph share: settings, where outputs wait for the commit, and who has state."""

from collections import defaultdict
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from hydrodask import clock
from hydrodask.errors import ConfigError
from hydrodask.flow import OWN_FLOWS
from hydrodask.nodes.node import Node, Stateful, check_contract, overrides
from hydrodask.nodes.reasons import Reasons
from hydrodask.records import Change, Outgoing, PartitionId, Samples
from hydrodask.reports import StepReport
from hydrodask.settings import Settings
from hydrodask.store.lake import Lake
from hydrodask.store.output import FileOutput
from hydrodask.window import Tally


class GraphNode(Protocol):
    """A node in its place in the graph."""

    def again(self, samples: Samples) -> None:
        """Let the node take samples that raw/ has."""

    def tick(self, position: int) -> None:
        """Let the node send what it sends at intervals."""

    def cross(self, base: int, whole: bool) -> None:
        """Take the node over into another log, see `Node.cross`."""


@dataclass(slots=True)
class Context:
    """One graph's surroundings. `quiet` is set while records are replayed whose outputs are committed already."""

    settings: Settings
    flow: str
    topic: str
    partition: int
    lake: Lake
    log: str = ""
    """The identity of the log that is read, see `ingest.identity`."""
    base: int = 0
    """Our offset of that log's first record."""
    logs: int = 1
    """How many logs the topic's name has stood for."""
    quiet: bool = False
    deaf: bool = False
    """Whether some of the sensors' partitions have not been read lately, as the driver knows."""
    known: bool = False
    """Set while records are replayed that the restored state has."""
    counted: int = 0
    """Records below this offset are in `totals` already: the offset of the snapshot that was restored."""
    tally: Tally = field(default_factory=lambda: Tally(""))
    """Who of the rigs sends what; a sensor's graph has its own."""
    outbox: list[Outgoing] = field(default_factory=list)
    """Records for the next transaction."""
    changes: list[Change] = field(default_factory=list)
    """Documents to write before the next transaction."""
    nodes: list[Node[Any, Any]] = field(default_factory=list)
    states: dict[str, Stateful] = field(default_factory=dict)
    files: dict[str, FileOutput] = field(default_factory=dict)
    crossing: list[GraphNode] = field(default_factory=list)
    """All steps, in the order of the flow."""
    ticking: list[GraphNode] = field(default_factory=list)
    """Those of nodes that give something at intervals: before a commit, at most every `window.emit_every`."""
    refeeding: list[GraphNode] = field(default_factory=list)
    """Those of nodes that take samples which raw/ has, as if they had been decoded just now."""
    totals: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Counts that are part of the state."""
    reasons: Reasons = field(default_factory=Reasons)
    """Why records are dead letters; part of the state."""
    unsettled: bool = False
    """Whether raw rows that wait can't be had from the log again: rigs were refused or have gone since."""
    notes: list[str] = field(default_factory=list)
    """What people should know of this partition, for the next report."""
    stage_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def source(self) -> PartitionId:
        """Topic and partition."""
        return self.topic, self.partition

    @property
    def owns(self) -> bool:
        """Whether this is a flow of the platform's own: of what others read too, it alone says what is amiss."""
        return self.flow in OWN_FLOWS

    @property
    def sensor(self) -> str:
        """The sensor whose topic this is."""
        return self.topic.removeprefix(self.settings.topics.prefix)

    def register(self, node: Node[Any, Any], step: GraphNode) -> None:
        """Take in a node of the flow, with its state and files. Raises ConfigError when a name is taken, or lacks."""
        try:
            check_contract(node)
        except ConfigError as error:
            raise ConfigError(f"flow {self.flow!r}: {error}") from error
        for name in node.stateful:
            self._check(name, node, self.states, "are named", "give one of them another name")
        for name in node.files:
            self._check(name, node, self.files, "store in the folder", "give one of them another folder")
        self.nodes.append(node)
        self.states.update(node.stateful)
        self.files.update(node.files)
        for output in node.side_outputs:
            output.bind(self)
        self.crossing.append(step)
        if overrides(node, "tick"):
            self.ticking.append(step)
        if overrides(node, "again"):
            self.refeeding.append(step)

    def _check(self, name: str, node: Node[Any, Any], taken: Container[str], do: str, cure: str) -> None:
        if not name:
            raise ConfigError(f"{type(node).__name__} of flow {self.flow!r} has state and no name to store it under")
        if name in taken:
            raise ConfigError(f"two nodes of flow {self.flow!r} {do} {name!r}; {cure}")

    def hand_over(self, report: StepReport) -> None:
        """Add how long stages took, and notes, to a step's report; each is said once."""
        for stage, seconds in self.stage_s.items():
            report.stage_s[stage] = report.stage_s.get(stage, 0.0) + seconds
        report.notes += [f"{self.topic}-{self.partition}: {note}" for note in self.notes]
        self.stage_s.clear()
        self.notes.clear()

    def now_s(self) -> float:
        """Return seconds on the clock that files are aged by."""
        return clock.monotonic_s()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time of a stage; what it sends downstream must be outside."""
        started = clock.monotonic_s()
        try:
            yield
        finally:
            self.stage_s[stage] += clock.monotonic_s() - started
