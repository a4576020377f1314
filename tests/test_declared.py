"""A flow from outside in a worker: what it declares is there before its graph is, and it writes nothing else."""

from collections.abc import Callable

import pytest

from hydrodask.errors import ConfigError
from hydrodask.flow import Flow
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Edge, Inlet
from hydrodask.nodes.sensors import Decode, Publish, SlidingWindows, Store
from hydrodask.protocol.declared import Declared
from hydrodask.records import Messages
from hydrodask.store.documents import base
from hydrodask.testing import context

Build = Callable[[Edge[Messages], Context], None]


def wired() -> tuple[Inlet[Messages], Context]:
    """Return where a graph begins, and its surroundings."""
    ctx = context()
    return Inlet[Messages](ctx), ctx


def test_its_collections_are_known_when_its_graph_is_wired(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has imported nothing that has declared them."""
    monkeypatch.setattr(base, "_declared", {})
    seen: list[str] = []

    def build(_messages: Edge[Messages], _ctx: Context) -> None:
        base.check_collection("jumps")
        seen.append("built")

    Declared(Flow("mine", ("PS1",), build, collections=("jumps",)))(*wired())

    assert seen == ["built"]


def stores(messages: Edge[Messages], ctx: Context) -> None:
    """Write raw rows into a folder."""
    messages.through(Decode(ctx)).through(Store(ctx, "mine/raw", by_date=True))


def publishes(messages: Edge[Messages], ctx: Context) -> None:
    """Publish windows."""
    messages.through(Decode(ctx)).through(SlidingWindows(ctx)).through(Publish(ctx, "jumps"))


@pytest.mark.parametrize(
    ("build", "folders", "topics", "said"),
    [
        (stores, (), (), "writes folder mine/raw, which it has not declared; declared are none"),
        (
            stores,
            ("others", "more"),
            (),
            "writes folder mine/raw, which it has not declared; declared are others, more",
        ),
        (publishes, (), ("steps",), "topic hydraulic-jumps, which it has not declared; declared are hydraulic-steps"),
    ],
)
def test_what_it_has_not_declared_is_refused(
    build: Build, folders: tuple[str, ...], topics: tuple[str, ...], said: str
) -> None:
    """Before it takes a record."""
    with pytest.raises(ConfigError, match=said):
        Declared(Flow("mine", ("PS1",), build, folders, topics))(*wired())
    Declared(Flow("mine", ("PS1",), build, (*folders, "mine/raw"), (*topics, "jumps")))(*wired())
