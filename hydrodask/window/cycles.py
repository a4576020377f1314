"""Cycle profiles per rig: sixty one-second segments a cycle, each with count, mean, M2, least and largest value."""

from typing import Any

import numpy as np

from hydrodask.channels import CHANNELS
from hydrodask.records import Float64, Int64, Profiles, Samples
from hydrodask.rigs import RIGS, RigTable
from hydrodask.window import segments as kernel
from hydrodask.window.keys import Keys

_ROWS = 256
"""Profiles that one call of the kernel can write before Python takes them away."""

_NEVER = -(2**62)

LEFT = ("index", "done", "time")
"""Why a sample is in no profile: its `sample_idx` is outside the cycle at its rate; its cycle is done; its time
contradicts its `sample_idx`."""


class CycleProfiles:
    """Profiles of the cycles of one sensor's partition, by `sample_idx` and the record's own sampling rate.

    A profile is done when every segment has all of its samples (`complete`), when the next cycle has begun and the
    watermark has passed the cycle's end, or when a third one begins. A sample that is in no profile is counted in
    `left`, by reason (`LEFT`), and a profile that lacks it, or that follows a cycle which went on beyond its length,
    does not say `complete`.
    """

    def __init__(
        self, sensor: str, *, lateness_us: int, length_us: int = 60_000_000, segments: int = 60, rigs: RigTable = RIGS
    ) -> None:
        self.sensor = sensor
        self.next_offset = 0
        self.left: Int64 = np.zeros(len(LEFT), np.int64)
        self._geometry = (np.int64(length_us), np.int64(segments), np.int64(lateness_us))
        self._keys = Keys(rigs)
        self._rows = (np.zeros((_ROWS, 5), np.int64), np.zeros(_ROWS), np.zeros((_ROWS, segments, 5)))
        self._grow(1)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def missed(self) -> int:
        """How many samples are in no profile."""
        return int(self.left.sum())

    @property
    def state_bytes(self) -> int:
        """Bytes of state per rig times rigs."""
        return len(self) * (24 + 2 * (48 + int(self._geometry[1]) * 40))

    def consume(self, samples: Samples) -> Profiles:
        """Take samples in offset order, skipping what was taken already; return the profiles that are done."""
        samples = samples.after(self.next_offset)
        slots = self._keys.slots(samples.rig)
        if len(self._keys) > len(self._newest):
            self._grow(len(self._keys))
        where = np.zeros(2, np.int64)
        parts = []
        while where[0] < len(samples):
            where[1] = 0
            kernel.consume(
                slots, samples.cycle, samples.sample_idx, samples.value, samples.time_us, samples.rate_hz,
                samples.offset, self._geometry, self._state(), self.left, self._rows, where,
            )  # fmt: skip
            if where[1]:
                parts.append(tuple(column[: where[1]].copy() for column in self._rows))
        if len(samples):
            self.next_offset = int(samples.offset[-1]) + 1
        return self._columns(parts)

    def snapshot(self) -> dict[str, Any]:
        """Return the state after `next_offset`: equal records give equal bytes. Only open cycles are kept."""
        count = len(self)
        used = np.argwhere(self._ints[:count, :, kernel.USED] == 1)
        return {
            "next_offset": self.next_offset,
            "left": self.left.copy(),
            "geometry": [int(g) for g in self._geometry],
            "rigs": self._keys.names,
            "newest": self._newest[:count].copy(),
            "closed": self._closed[:count].copy(),
            "over": self._over[:count].copy(),
            "places": used,
            "ints": self._ints[used[:, 0], used[:, 1]],
            "rates": self._rates[used[:, 0], used[:, 1]],
            "parts": self._parts[used[:, 0], used[:, 1]],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot. Raises ValueError when it was made with other settings."""
        if state["geometry"] != [int(g) for g in self._geometry]:
            raise ValueError(f"profiles (length, segments, lateness) were {state['geometry']}, are {self._geometry}")
        state = _of_now(state, self.sensor)
        self.next_offset, self.left = state["next_offset"], state["left"].copy()
        self._keys.restore(state["rigs"])
        self._grow(max(1, len(self)), fresh=True)
        count, used = len(self), state["places"]
        self._newest[:count], self._closed[:count], self._over[:count] = state["newest"], state["closed"], state["over"]
        self._ints[used[:, 0], used[:, 1]] = state["ints"]
        self._rates[used[:, 0], used[:, 1]] = state["rates"]
        self._parts[used[:, 0], used[:, 1]] = state["parts"]

    def _state(self) -> tuple[Int64, Int64, Int64, Int64, Float64, Float64]:
        return self._newest, self._closed, self._over, self._ints, self._rates, self._parts

    def _grow(self, count: int, *, fresh: bool = False) -> None:
        """Make room for `count` keys, keeping what is there unless `fresh`."""
        old = 0 if fresh else len(getattr(self, "_newest", ()))
        size = max(count, 2 * old)
        newest, closed = np.full(size, _NEVER, np.int64), np.full(size, _NEVER, np.int64)
        over, ints = np.zeros(size, np.int64), np.zeros((size, 2, 5), np.int64)
        rates, parts = np.zeros((size, 2)), np.zeros((size, 2, int(self._geometry[1]), 5))
        if old:
            newest[:old], closed[:old], over[:old], ints[:old], rates[:old], parts[:old] = self._state()
        self._newest, self._closed, self._over = newest, closed, over
        self._ints, self._rates, self._parts = ints, rates, parts

    def _columns(self, runs: list[tuple[Any, ...]]) -> Profiles:
        segments = int(self._geometry[1])
        ints = np.concatenate([r[0] for r in runs]) if runs else np.zeros((0, 5), np.int64)
        rates = np.concatenate([r[1] for r in runs]) if runs else np.zeros(0)
        parts = np.concatenate([r[2] for r in runs]) if runs else np.zeros((0, segments, 5))
        count = parts[:, :, kernel.COUNT].astype(np.int32)
        parts[count == 0] = np.nan
        return Profiles(
            self.sensor,
            rig=self._keys.codes(ints[:, 0]) if len(ints) else np.zeros(0, np.int32),
            cycle=ints[:, 1],
            start_us=ints[:, 2],
            complete=ints[:, 3] == 1,
            revision=ints[:, 4],
            count=count,
            mean=parts[:, :, kernel.MEAN],
            m2=parts[:, :, kernel.M2],
            low=parts[:, :, kernel.LOW],
            high=parts[:, :, kernel.HIGH],
            rate_hz=rates,
        )


def _of_now(state: dict[str, Any], sensor: str) -> dict[str, Any]:
    """Return a snapshot's state as it is laid out now; one of before rates were kept gets the table's."""
    if "left" in state:
        return state
    ints = state["ints"]
    return state | {
        "left": np.array([0, state["missed"], 0], np.int64),
        "over": np.zeros(len(state["newest"]), np.int64),
        "ints": np.concatenate([ints, np.zeros((len(ints), 1), np.int64)], axis=1),
        "rates": np.full(len(ints), float(CHANNELS[sensor].rate_hz)),
    }
