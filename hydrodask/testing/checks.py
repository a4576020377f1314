"""What every node promises: the same records give the same bits, in any batches, at any time, through any restarts."""

import random
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hydrodask.errors import UsageError
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Edge, Inlet
from hydrodask.nodes.node import Node
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
    gives in a tick depends on the time, and is not compared. What it puts into its second outputs is. Raises
    ConfigError for what a flow would refuse (state without a name, an attribute that hides a method), UsageError where
    nothing would be checked.
    """
    node = make()
    Inlet(context()).through(node)
    _check_asked(make() is node, len(records), ways)
    length = len(records)
    with VirtualClock().running():
        wanted = _lived(make, records, [0, length], None)
    for way in range(ways):
        chance = random.Random(f"{seed} {way}")  # noqa: S311 - a schedule, not a secret
        cuts = [0, *sorted(chance.randint(0, length) for _ in range(chance.randint(1, CUTS_MAX))), length]
        with VirtualClock().running() as time:
            found = _lived(make, records, cuts, chance, time)
        where = f"with batches that end at {cuts[1:]}, ticks and restarts (way {way} of seed {seed})"
        for what, one in wanted.items():
            if found[what] != one:
                raise AssertionError(f"{what} is another {where}")


def _check_asked(same: bool, length: int, ways: int) -> None:
    """Raise UsageError for a check that would pass whatever the node does."""
    if same:
        raise UsageError("make returns one node again and again; want a new one each time, or no restart would be one")
    if length == 0:
        raise UsageError("there are no records, so nothing would be checked")
    if ways < 1:
        raise UsageError(f"ways has value {ways}; want 1 or more, or nothing would be checked")


class _Collector(Node[Any, Any]):
    """Keeps what comes along."""

    def __init__(self, kept: list[object]) -> None:
        self._kept = kept

    def take(self, batch: Any) -> None:
        self._kept.append(batch)


class _Living:
    """A node as it lives in a graph, what it has given, and what it has put into its second outputs."""

    def __init__(self, make: Callable[[], Node[Any, Any]]) -> None:
        self._make = make
        self._given: list[object] = []
        self._aside: list[list[object]] = []
        self._begin()

    def _begin(self) -> None:
        self._context, self.node = context(), self._make()  # the context keeps what follows second outputs alive
        self._aside += [[] for _ in range(len(self.node.side_outputs) - len(self._aside))]
        for output, kept in zip(self.node.side_outputs, self._aside, strict=False):
            output.bind(self._context)
            if isinstance(output, Edge):
                output.through(_Collector(kept))

    def take(self, batch: Any) -> None:
        self._given.append(self.node.take(batch))
        self._flush()
        self.node.sent(batch)

    def tick(self, position: int) -> None:
        """Tick; what comes of it is not kept."""
        lengths = [len(kept) for kept in self._aside]
        self.node.tick(position)
        self._flush()
        for kept, length in zip(self._aside, lengths, strict=True):
            del kept[length:]

    def restart(self) -> None:
        """Go on as another node, from a snapshot of this one."""
        kept = snapshot.decode(state_of(self.node))
        self._begin()
        for name, state in self.node.stateful.items():
            state.restore(kept[name])

    def _flush(self) -> None:
        for output in self.node.side_outputs:
            output.flush()

    def end(self) -> dict[str, object]:
        """Return all that is compared, by what it is called."""
        aside = {f"what the node puts into second output {n}": bits(kept) for n, kept in enumerate(self._aside)}
        return {"what the node gives": bits(self._given), **aside, "the node's state": state_of(self.node)}


def _lived(
    make: Callable[[], Node[Any, Any]],
    records: Any,
    cuts: Sequence[int],
    chance: random.Random | None,
    time: VirtualClock | None = None,
) -> dict[str, object]:
    """Return what a node gives, and its state in the end. Without `chance` there are no ticks and no restarts."""
    living = _Living(make)
    for start, end in pairwise(cuts):
        if start < end:
            living.take(records[start:end] if isinstance(records, Sequence) else records.take(slice(start, end)))
        if chance is not None and time is not None:
            time.now_s += chance.choice([0.0, 0.3, 2.0, 90.0])
            if chance.random() < 0.5:
                living.tick(_position(records, end))
        if chance is not None and chance.random() < 0.5:
            living.restart()
    return living.end()


def _position(records: Any, end: int) -> int:
    """Return the offset that follows the first `end` records."""
    offsets = getattr(records, "offsets", getattr(records, "offset", None))
    return end if offsets is None else int(offsets[end - 1]) + 1 if end else 0


def state_of(node: Node[Any, Any]) -> bytes:
    """Return a node's state as the bytes that a snapshot has of it."""
    return snapshot.encode({name: state.snapshot() for name, state in node.stateful.items()})


def bits(given: Iterable[object]) -> object:
    """Return what came out, joined: columns by name as dtype and bytes, lists one after the other, others one by one.

    >>> bits([[1, 2], [3]]) == bits([[1], [2, 3]]), bits([7]) == bits([7, 7])
    (True, False)
    """
    kept = [one for one in given if one is not None]
    first = kept[0] if kept else None
    if is_dataclass(first) and not isinstance(first, type) and all(type(one) is type(first) for one in kept):
        columns = {field.name: [getattr(one, field.name) for one in kept] for field in fields(first)}
        if any(isinstance(one, np.ndarray | list | tuple) for values in columns.values() for one in values):
            return {name: _column(values) for name, values in columns.items()}
    if kept and all(isinstance(one, np.ndarray) for one in kept):
        whole = np.concatenate([one for one in kept if isinstance(one, np.ndarray)])
        kinds = sorted({one.dtype.str for one in kept if isinstance(one, np.ndarray)})
        return kinds, whole.shape[1:], whole.tobytes()
    if kept and all(isinstance(one, list | tuple) for one in kept):
        return [repr(one) for batch in kept if isinstance(batch, list | tuple) for one in batch]
    return [repr(one) for one in kept]


def _column(values: Iterable[object]) -> object:
    """Return one field of several batches, joined: what is said of a batch as a whole, its topic say, is there once."""
    found = bits(values)
    plain = isinstance(found, list) and not any(isinstance(one, list | tuple) for one in values)
    return found[0] if plain and isinstance(found, list) and len(set(found)) == 1 else found
