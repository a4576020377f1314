"""What the coordinator tells a worker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hydrodask.flow import OWN_FLOWS
from hydrodask.records import PartitionId
from hydrodask.settings import Settings

Build = Callable[..., None]
"""Wires the graph of one partition: takes where its records come from, and the context of its nodes."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is told: host these sources, as this slot, in this way.

    `sources` maps (topic, partition) to the name of its flow, `builds` a flow's name to its `build`. `mode` is `run`,
    `flush` (commit, write every file, snapshot), `stop` (the same, then let go of everything) or `greet` (get ready,
    and show that there is somebody). `run` is the number of the run's claim on the group, 0 where there is nobody to
    dispute it (our own group on an embedded broker). `newcomers` are sources that are younger than the group: they are
    read from where they begin, also with `kafka.start: latest`. `deaf`: some of the sensors' partitions have not been
    read lately, so who seems to send nothing may only not be heard.
    """

    run_id: str
    generation: int
    slot: int
    worker: str
    settings: Settings
    sources: Mapping[PartitionId, str] = field(default_factory=dict)
    builds: Mapping[str, Build] = field(default_factory=dict)
    mode: str = "run"
    run: int = 0
    newcomers: frozenset[PartitionId] = frozenset()
    deaf: bool = False

    @property
    def flow(self) -> str:
        """The flow from outside that this is for, "" for the platform's own: a worker has a host for each."""
        return next((name for name in self.builds if name not in OWN_FLOWS), "")
