"""A flow from outside as workers get it: what it writes is what it has declared."""

from collections.abc import Mapping
from typing import Any, Protocol

from hydrodask.errors import ConfigError
from hydrodask.flow import Flow
from hydrodask.store.documents import declare


class Wiring(Protocol):
    """What a graph was wired in: its nodes, and its files by folder."""

    nodes: list[Any]
    settings: Any

    @property
    def files(self) -> Mapping[str, Any]:
        """By folder."""


class Declared:
    """The `build` of a flow; it is sent to workers by reference."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def __call__(self, messages: Any, ctx: Wiring) -> None:
        """Wire the graph. Raises ConfigError for a folder or topic that the flow has not declared."""
        flow = self._flow
        declare(flow.collections)
        flow.build(messages, ctx)
        topics = {ctx.settings.topic(name): name for name in flow.publishes}
        written = [("folder", name, flow.folders) for name in ctx.files]
        published = [topic for node in ctx.nodes if isinstance(topic := getattr(node, "topic", None), str)]
        written += [("topic", topic, tuple(topics)) for topic in published]
        for what, name, declared in written:
            if name not in declared:
                raise ConfigError(
                    f"flow {flow.name} writes {what} {name}, which it has not declared; declared are "
                    f"{', '.join(declared) or 'none'}"
                )
