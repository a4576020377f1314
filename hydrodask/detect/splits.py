"""Rigs of whose sensors' samples come on several partitions of a topic: each then has only a part of every window.

A rig that moves to another partition, as when some were added, brings windows with parts for as long as a window is
long, and that is no incident. One that stays on two is, until it comes on one of them alone.
"""

from collections.abc import Mapping
from typing import Any

from hydrodask.channels import CHANNELS
from hydrodask.clock import US_PER_S, parse_iso
from hydrodask.detect import standing
from hydrodask.detect.ofrigs import OfRigs, Open
from hydrodask.detect.standing import Key
from hydrodask.records import Change, WindowRecord
from hydrodask.reports import WHOLE_RIG

SPLIT = "two_partitions"
STALE_US = 600 * US_PER_S
"""A partition is not a sensor's any more when another one has brought it so much further."""

PARTITIONS_MAX = 16
"""Partitions of a sensor that are told apart; of more the two that are known suffice."""


class Splits(OfRigs):
    """What one partition of window rows says about who comes on several partitions. Not safe for threads."""

    RULE = SPLIT

    def __init__(self, digest: str, *, length_s: float) -> None:
        super().__init__(digest)
        self._length_us = round(length_s * US_PER_S)
        self._seen: dict[Key, dict[int, list[int]]] = {}
        """Of each sensor by partition: the starts of the first and of the newest window."""

    def take(self, row: WindowRecord, revision: int) -> tuple[bool, list[Change]]:
        """Take a window row in; return whether its window is whole, as far as is known, and what changes."""
        if row.sampling_rate_hz is None:  # of a release that did not say which partition it is of either
            return True, []
        key, start_us = (row.rig, row.sensor), parse_iso(row.window_start)
        seen = self._seen.setdefault(key, {})
        if row.partition in seen:
            seen[row.partition][1] = max(start_us, seen[row.partition][1])
        elif len(seen) < PARTITIONS_MAX:
            seen[row.partition] = [start_us, start_us]
        if len(seen) == 1:
            return True, []
        whole = not any(first <= start_us <= last for p, (first, last) in seen.items() if p != row.partition)
        return whole, self._look(key, seen, start_us, revision)

    def leave(self, name: str, revision: int) -> list[Change]:
        """Forget a rig of which nothing came for long; return what ends its incident."""
        for sensor in CHANNELS:
            self._seen.pop((name, sensor), None)
        return super().leave(name, revision)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values; equal records give equal bytes."""
        seen = [[*key, [[p, *span] for p, span in sorted(there.items())]] for key, there in sorted(self._seen.items())]
        return super().snapshot() | {"seen": seen}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        super().restore(state)
        self._seen = {
            (rig, sensor): {p: [first, last] for p, first, last in there} for rig, sensor, there in state["seen"]
        }

    def _look(self, key: Key, seen: dict[int, list[int]], start_us: int, revision: int) -> list[Change]:
        """Open the incident of a rig that stays on several partitions; end it once one alone goes on."""
        newest_us = max(last for _, last in seen.values())
        for partition in [p for p, (_, last) in seen.items() if newest_us - last > STALE_US]:
            del seen[partition]
        rig = self._rigs.get(key[0])
        if len(seen) == 1:
            return self._well(*key, start_us, revision)
        (first, ours), (second, theirs) = sorted(seen.items(), key=lambda one: (one[1][1], one[0]))[-2:]
        if min(ours[1], theirs[1]) - max(ours[0], theirs[0]) < self._length_us:
            return []
        if rig is not None:
            rig.sensors[key[1]] = None
            return []
        body = standing.body_of(
            (key[0], WHOLE_RIG), SPLIT, statistic="partitions", since_us=max(ours[0], theirs[0]), opened_us=start_us,
            limit=2.0, text=_text(key[1], first, second), digest=self.digest,
        )  # fmt: skip
        self._rigs[key[0]] = Open(body, {key[1]: None})
        self.incidents += 1
        return [standing.opened(body, revision)]


def _text(sensor: str, one: int, other: int) -> str:
    low, high = sorted((one, other))
    return (
        f"samples of {sensor} come on partitions {low} and {high} of its topic, so that no window is whole: publish "
        "them with the rig as the key"
    )
