"""What every node promises: the same records give the same bits, in any batches, at any time, through any restarts."""

import random
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hydrodask.nodes.context import Context
from hydrodask.nodes.node import Node, check_contract
from hydrodask.protocol import snapshot
from hydrodask.settings import Settings
from hydrodask.store.lake import Lake
from hydrodask.testing.time import VirtualClock

CUTS_MAX = 8


def context(topic: str = "hydraulic-PS1", *, flow: str = "mine", settings: Settings | None = None) -> Context:
    """Return the surroundings of a graph, with a lake in memory."""
    return Context(settings or Settings(), flow, topic, 0, Lake(f"memory://{uuid.uuid4().hex}/lake"))


def check_node(make: Callable[[], Node[Any, Any]], records: Any, *, ways: int = 30, seed: int = 0) -> None:
    """Raise AssertionError when what a node gives, or its state, depends on batches, restarts or the time.

    `make` returns a new node, `records` are what it takes: a list, or columns such as Messages and Samples. They come
    in one piece, then in `ways` other ways, cut at random, with restarts from its snapshot at random. Time is virtual:
    in these ways some passes between batches, and the node ticks now and then, which may change no state. What it
    gives in a tick depends on the time, and is not compared. Raises ConfigError for an attribute that hides a method.
    """
    check_contract(make())
    length = len(records)
    with VirtualClock().running():
        wanted = _lived(make, records, [0, length], None)
    for way in range(ways):
        chance = random.Random(f"{seed} {way}")  # noqa: S311 - a schedule, not a secret
        cuts = [0, *sorted(chance.randint(0, length) for _ in range(chance.randint(1, CUTS_MAX))), length]
        with VirtualClock().running() as time:
            found = _lived(make, records, cuts, chance, time)
        where = f"with batches that end at {cuts[1:]}, ticks and restarts (way {way} of seed {seed})"
        if found[0] != wanted[0]:
            raise AssertionError(f"what the node gives is another {where}")
        if found[1] != wanted[1]:
            raise AssertionError(f"the node's state is another {where}")


def _lived(
    make: Callable[[], Node[Any, Any]],
    records: Any,
    cuts: Sequence[int],
    chance: random.Random | None,
    time: VirtualClock | None = None,
) -> tuple[object, bytes]:
    """Return what a node gives, and its state in the end. Without `chance` there are no ticks and no restarts."""
    node, given = make(), []
    for start, end in pairwise(cuts):
        if start < end:
            batch = records[start:end] if isinstance(records, Sequence) else records.take(slice(start, end))
            given.append(node.take(batch))
            node.sent(batch)
        if chance is not None and time is not None:
            time.now_s += chance.choice([0.0, 0.3, 2.0, 90.0])
            if chance.random() < 0.5:
                node.tick(_position(records, end))
        if chance is not None and chance.random() < 0.5:
            kept = snapshot.decode(state_of(node))
            node = make()
            for name, state in node.stateful.items():
                state.restore(kept[name])
    return bits(given), state_of(node)


def _position(records: Any, end: int) -> int:
    """Return the offset that follows the first `end` records."""
    offsets = getattr(records, "offsets", getattr(records, "offset", None))
    return end if offsets is None else int(offsets[end - 1]) + 1 if end else 0


def state_of(node: Node[Any, Any]) -> bytes:
    """Return a node's state as the bytes that a snapshot has of it."""
    return snapshot.encode({name: state.snapshot() for name, state in node.stateful.items()})


def bits(given: Iterable[object]) -> object:
    """Return what came out, joined: columns by name as dtype and bytes, lists one after the other."""
    kept = [one for one in given if one is not None]
    if kept and is_dataclass(kept[0]):
        return {field.name: bits([getattr(one, field.name) for one in kept]) for field in fields(kept[0])}
    if kept and isinstance(kept[0], np.ndarray):
        whole = np.concatenate([one for one in kept if isinstance(one, np.ndarray)])
        return whole.dtype.str, whole.shape[1:], whole.tobytes()
    if kept and isinstance(kept[0], list | tuple):
        return [repr(one) for batch in kept if isinstance(batch, list | tuple) for one in batch]
    return repr(kept[0]) if kept and all(one == kept[0] for one in kept) else [repr(one) for one in kept]
