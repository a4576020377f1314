"""The contract of a node: a plain class that takes a batch and gives a batch, and knows no graph.

`Edge.through` puts a node into a flow. From there on the graph does the rest: it measures time, passes on what is
given, leaves out what was published before a crash, and keeps records away from a state that has them already.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from hydrodask.errors import ConfigError
from hydrodask.records import Samples
from hydrodask.reports import PartitionReport
from hydrodask.store.files import Files
from hydrodask.store.output import FileOutput

In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)


class Stateful(Protocol):
    """State that is a function of the partition's records in offset order, whatever their batches were."""

    def snapshot(self) -> dict[str, Any]:
        """Return the state: numbers, strings, bytes, lists, dicts, arrays. Equal records give equal bytes."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot. Raises ValueError or KeyError when it does not fit."""


class SideOutput(Protocol):
    """A second output of a node: what is put there in `take` goes out once the node's time is taken."""

    def bind(self, ctx: Any) -> None:
        """Belong to a graph."""

    def flush(self) -> None:
        """Send what was put."""


class Node(Generic[In_contra, Out_co]):
    """One stage of a flow on one partition.

    `take` computes: no input or output, no clock, no retry, no sleep; an error ends the host, which begins again from
    the commit. What it gives depends on the records and their order alone, never on how they were batched. Only
    `take` has to be written; a node that keeps anything between batches also writes `snapshot` and `restore`, and has
    a `name`.
    """

    name: str = ""
    """Under which its state is stored; unique in a flow."""
    stage: str = "nodes"
    """Under which its time is counted."""
    replays: bool = True
    """Whether it takes records whose outputs are committed already; what publishes does not."""
    rereads: bool = False
    """Whether it takes records that its restored state has: others behind it need them, and it knows them itself."""
    files: Mapping[str, FileOutput] = MappingProxyType({})
    """Its folders of the lake; names are unique in a flow."""
    side_outputs: Sequence[SideOutput] = ()
    """Its outputs besides what `take` gives."""

    def take(self, batch: In_contra) -> Out_co | None:
        """Take a batch, and give what follows from it; None for nothing."""
        raise NotImplementedError

    def sent(self, batch: In_contra) -> None:
        """Do what has to be done once everybody behind has taken what `take` gave."""

    def again(self, samples: Samples) -> Out_co | None:
        """Take samples that raw/ has, as if they had been decoded just now."""

    def tick(self, position: int) -> Out_co | None:
        """Give what is given at intervals; all records below `position` are taken. In a replay it is dropped."""

    def settle(self) -> None:
        """Decide what waits for more: everything that there was has been read, of all partitions."""

    def cross(self, base: int, whole: bool) -> Out_co | None:
        """Begin anew, for another log of the topic begins at `base`; `whole`: all there was of the one before came."""

    def open(self, files: Files, unseen: int) -> list[str]:
        """Look at what lies beside snapshots, before `restore`; nobody took a record from `unseen` on. Gives notes."""
        return []

    def inspect(self, report: PartitionReport) -> None:
        """Add to a report what people may want to know."""

    def snapshot(self) -> dict[str, Any]:
        """Return the state, see `Stateful`."""
        raise NotImplementedError

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        raise NotImplementedError

    @property
    def stateful(self) -> Mapping[str, Stateful]:
        """Return what has to be in snapshots, by name: the node itself if it has state."""
        return {self.name: self} if overrides(self, "snapshot") else {}


def check_contract(node: Node[Any, Any]) -> None:
    """Raise ConfigError when an attribute of the node hides a method of the contract, which the graph will call."""
    for name, method in vars(Node).items():
        if callable(method) and not name.startswith("_") and not callable(getattr(node, name, None)):
            raise ConfigError(
                f"node {type(node).__name__} has an attribute {name!r}, which hides Node.{name}; give it another name"
            )


def overrides(node: Node[Any, Any], method: str) -> bool:
    """Say whether a node does more in a method than every node does."""
    return getattr(type(node), method) is not getattr(Node, method)
