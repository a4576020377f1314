"""Flows that a stranger might write: one that is wrong, and some that are right, or become so."""

import os
from functools import partial
from typing import Any

import pyarrow as pa

from hydrodask.errors import ConfigError
from hydrodask.flow import Flow
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Edge
from hydrodask.nodes.judging import WriteDocuments
from hydrodask.nodes.node import Node
from hydrodask.nodes.sensors import Decode, SlidingWindows, Store
from hydrodask.records import Change, Messages, Outgoing, Samples, Upsert
from hydrodask.rigs import RIGS
from hydrodask.store.output import FileOutput

OVER_BAR = 2.0
FAILS = "THEIR_FLOW_FAILS"
"""While it is in the environment, the flow `latest` can't be built."""
FAILURES = 3
"""So often the flow `flaky` fails: then its coordinator has ended once."""
EVERY = 1000


class Fails(Node[Messages, None]):
    """Takes nothing."""

    def take(self, batch: Messages) -> None:
        raise KeyError(f"a stranger's mistake with {len(batch)} records")


class Jumps(Node[Samples, list[tuple[bytes, int]]]):
    """Samples → rig and offset of each that differs from the rig's sample before it."""

    name = "jumps"

    def __init__(self) -> None:
        self.last: dict[str, float] = {}

    def take(self, batch: Samples) -> list[tuple[bytes, int]] | None:
        found = []
        for code, value, offset in zip(batch.rig.tolist(), batch.value.tolist(), batch.offset.tolist(), strict=True):
            rig = RIGS.name(code)
            if abs(value - self.last.get(rig, value)) > OVER_BAR:
                found.append((rig.encode(), offset))
            self.last[rig] = value
        return found or None

    def snapshot(self) -> dict[str, Any]:
        return {"last": dict(sorted(self.last.items()))}

    def restore(self, state: dict[str, Any]) -> None:
        self.last = dict(state["last"])


class Tell(Node[list[tuple[bytes, int]], None]):
    """Pairs → records that wait for the transaction: the offset as JSON."""

    stage = "publish"
    replays = False

    def __init__(self, ctx: Context, topic: str) -> None:
        self.ctx, self.topic = ctx, ctx.settings.topic(topic)

    def take(self, batch: list[tuple[bytes, int]]) -> None:
        self.ctx.outbox.extend(Outgoing(self.topic, rig, b"%d" % offset) for rig, offset in batch)


class Leaps(Node[list[tuple[bytes, int]], None]):
    """Pairs → rows of rig and offset, in a folder of its own."""

    stage = "archive"

    def __init__(self, ctx: Context, folder: str) -> None:
        self.ctx = ctx
        self.output = FileOutput(ctx.lake, folder, ctx.source, folder_of=lambda _table: folder, keep=True)
        self.files = {folder: self.output}

    def take(self, batch: list[tuple[bytes, int]]) -> None:
        rigs, offsets = [rig.decode() for rig, _ in batch], [offset for _, offset in batch]
        self.output.add(pa.table({"rig": rigs, "revision": offsets}), self.ctx.now_s())


class Lengths(Node[Messages, list[tuple[bytes, int]]]):
    """Messages → key and offset of each that is longer than the one before."""

    name = "lengths"

    def __init__(self) -> None:
        self.last = 0

    def take(self, batch: Messages) -> list[tuple[bytes, int]] | None:
        found = []
        for key, value, offset in zip(batch.keys, batch.values, batch.offsets.tolist(), strict=True):
            if len(value or b"") > self.last:
                found.append((key or b"", offset))
            self.last = len(value or b"")
        return found or None

    def snapshot(self) -> dict[str, Any]:
        return {"last": self.last}

    def restore(self, state: dict[str, Any]) -> None:
        self.last = state["last"]


class Counts(Node[Samples, list[Change]]):
    """Samples → a document each `EVERY` of them; fails in the middle of its work until it has failed often enough."""

    name = "counts"

    def __init__(self, ctx: Context) -> None:
        self.ctx, self.count = ctx, 0

    def take(self, batch: Samples) -> list[Change] | None:
        found: list[Change] = []
        for offset in batch.offset.tolist():
            self.count += 1
            if (offset + 1) % EVERY == 0:
                found.append(Upsert("flaky", f"{batch.topic}-{offset}", offset, {"count": self.count}))
        if batch.sensor == "PS1" and self.count > EVERY:
            self._fail()
        return found or None

    def _fail(self) -> None:
        for number in range(FAILURES):
            try:
                (self.ctx.settings.data_dir / f"failure-{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            raise KeyError(f"failure {number}")

    def snapshot(self) -> dict[str, Any]:
        return {"count": self.count}

    def restore(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


def build(messages: Edge[Messages], _ctx: Context) -> None:
    """Wire a graph that fails at its first batch."""
    messages.through(Fails())


def tell(topic: str, messages: Edge[Messages], ctx: Context) -> None:
    """Wire a graph that publishes each jump."""
    if topic == "latest" and FAILS in os.environ:
        raise ConfigError("this one is not ready yet")
    messages.through(Decode(ctx)).through(Jumps()).through(Tell(ctx, topic))


def flake(messages: Edge[Messages], ctx: Context) -> None:
    """Wire a graph that fails some times, and then no more."""
    messages.through(Decode(ctx)).through(Counts(ctx)).through(WriteDocuments(ctx))


def keep(messages: Edge[Messages], ctx: Context) -> None:
    """Wire a graph that stores windows and jumps in folders of its own."""
    samples = messages.through(Decode(ctx))
    samples.through(SlidingWindows(ctx)).through(Store(ctx, "minutes"))
    samples.through(Jumps()).through(Leaps(ctx, "leaps"))


def measure(messages: Edge[Messages], ctx: Context) -> None:
    """Wire a graph that stores what it finds in records as they come, decoded or not."""
    messages.through(Lengths()).through(Leaps(ctx, "longer"))


BROKEN = Flow("broken", topics=("PS1",), build=build)
JUMPS = Flow("jumps", topics=("PS1",), build=partial(tell, "jumps"), publishes=("jumps",))
LATEST = Flow("latest", topics=("PS1",), build=partial(tell, "latest"), publishes=("latest",), start="latest")
KEEPS = Flow("keeps", topics=("PS1",), build=keep, folders=("minutes", "leaps"))
LONGER = Flow("longer", topics=("PS1", "labels"), build=measure, folders=("longer",))
FLAKY = Flow("flaky", topics=("PS1", "PS2"), build=flake, collections=("flaky",))
