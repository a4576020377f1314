"""Edges of a flow's graph: streamz carries batches from node to node, and only this module imports it.

An edge knows what moves along it, so a node that does not fit, or is misspelt, is an error of mypy and of an editor.
"""

from typing import Any, Generic, TypeVar

from streamz import Stream

from hydrodask import clock
from hydrodask.errors import ConfigError
from hydrodask.nodes.context import Context
from hydrodask.nodes.node import Node, overrides
from hydrodask.records import Samples

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")


class Edge(Generic[T_co]):
    """Where batches of one kind come along. It holds a node of streamz, which has no types."""

    def __init__(self, stream: Stream, ctx: Context | None) -> None:
        self._stream, self._ctx = stream, ctx

    def through(self, node: Node[T_co, U]) -> "Edge[U]":
        """Let `node` take what comes along; return the edge of what it gives. Raises ConfigError for a taken name."""
        if self._ctx is None:
            raise ConfigError(f"{type(node).__name__} follows a second output; put the node that has it in first")
        step = _Step(self._stream, node, self._ctx)
        self._ctx.register(node, step)
        return Edge(step, self._ctx)

    def together_with(self, *others: "Edge[T_co]") -> "Edge[T_co]":
        """Return an edge on which comes what comes along on any of these, in the order of the flow's steps."""
        return Edge(self._stream.union(*(other._stream for other in others)), self._ctx)  # noqa: SLF001 - our own kind


class Inlet(Edge[T]):
    """Where records come into a graph."""

    def __init__(self, ctx: Context) -> None:
        super().__init__(Stream(), ctx)

    def emit(self, batch: T) -> None:
        """Run a batch through the graph: streamz calls `_Step.update` of each node behind it, in turn."""
        self._stream.emit(batch)

    @property
    def refed(self) -> bool:
        """Whether raw/ has what the graph takes: each node here takes samples again that raw/ has."""
        steps = list(self._stream.downstreams)
        return bool(steps) and all(isinstance(one, _Step) and one.refed for one in steps)


class SideOutput(Edge[T]):
    """A second output of a node: what `take` puts goes out once its time is taken."""

    def __init__(self) -> None:
        super().__init__(Stream(), None)
        self._waiting: list[T] = []

    def put(self, batch: T) -> None:
        """Send a batch, after `take` has returned."""
        self._waiting.append(batch)

    def bind(self, ctx: Context) -> None:
        """Belong to a graph."""
        self._ctx = ctx

    def flush(self) -> None:
        """Send what was put."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for batch in waiting:
                self._stream.emit(batch)


class _Step(Stream):  # type: ignore[misc]  # streamz has no types
    """A node in its place. The context keeps it alive: streamz only holds weak references downstream."""

    def __init__(self, upstream: Stream, node: Node[Any, Any], ctx: Context) -> None:
        self._node, self._context = node, ctx
        self._keeps_away = bool(node.stateful) and not node.rereads
        self._says_when_sent = overrides(node, "sent")
        super().__init__(upstream)

    def update(self, x: Any, who: object = None, metadata: object = None) -> Any:
        node, ctx = self._node, self._context
        if (ctx.quiet and not node.replays) or (ctx.known and self._keeps_away):
            return []
        started_s = clock.monotonic_s()
        try:
            given = node.take(x)
        finally:
            ctx.stage_s[node.stage] += clock.monotonic_s() - started_s
        for output in node.side_outputs:
            output.flush()
        done = [] if given is None else self._emit(given, metadata=metadata)
        if self._says_when_sent:
            with ctx.timed(node.stage):
                node.sent(x)
        return done

    @property
    def refed(self) -> bool:
        """Whether the node takes samples that raw/ has."""
        return overrides(self._node, "again")

    def again(self, samples: Samples) -> None:
        """Let the node take samples that raw/ has."""
        self._send(self._node.again(samples))

    def tick(self, position: int) -> None:
        """Send what the node gives at intervals; what it gives in a replay has been published before."""
        with self._context.timed(self._node.stage):
            given = self._node.tick(position)
        self._send(None if self._context.quiet else given)

    def cross(self, base: int, whole: bool) -> None:
        """Take the node over into another log."""
        self._send(self._node.cross(base, whole))

    def _send(self, given: Any) -> None:
        for output in self._node.side_outputs:
            output.flush()
        if given is not None:
            self._emit(given)
