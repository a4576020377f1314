"""Decide which worker hosts which partition: balanced by weight, and moving as little as possible. Pure."""

import heapq
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from hydrodask.channels import CHANNELS
from hydrodask.records import PartitionId

W = TypeVar("W", bound=Hashable)

_SLACK = 1.25
"""A worker may carry this much more than its fair share before partitions move away from it."""


def weight(topic: str, prefix: str) -> float:
    """Return what a partition of `topic` costs, in samples a second of one rig.

    >>> weight("hydraulic-PS1", "hydraulic-"), weight("hydraulic-labels", "hydraulic-")
    (100.0, 1.0)
    """
    channel = CHANNELS.get(topic.removeprefix(prefix))
    return float(channel.rate_hz) if channel else 1.0


def place(
    weights: Mapping[PartitionId, float], workers: Sequence[W], now: Mapping[PartitionId, W]
) -> dict[PartitionId, W]:
    """Return a worker for each source. Without workers there is nothing to return.

    A source stays where it is while its worker carries at most `_SLACK` fair shares; heavy ones are placed first.

    >>> place({("a", 0): 1, ("b", 0): 1}, ["w1", "w2"], {("a", 0): "w2"})
    {('a', 0): 'w2', ('b', 0): 'w1'}
    """
    if not workers:
        return {}
    fair = sum(weights.values()) / len(workers)
    heavy_first = sorted(weights, key=lambda source: (-weights[source], source))
    load = dict.fromkeys(workers, 0.0)
    placed: dict[PartitionId, W] = {}
    for source in heavy_first:
        home = now.get(source)
        if home in load and load[home] + weights[source] <= max(fair * _SLACK, weights[source]):
            placed[source] = home
            load[placed[source]] += weights[source]
    lightest = [(load[worker], number) for number, worker in enumerate(workers)]
    heapq.heapify(lightest)
    for source in heavy_first:
        if source not in placed:
            carried, number = lightest[0]
            placed[source] = workers[number]
            heapq.heapreplace(lightest, (carried + weights[source], number))
    return placed
