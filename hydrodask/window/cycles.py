"""Cycle profiles per rig: sixty one-second segments a cycle, each with count, mean, M2, least and largest value."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from hydrodask.channels import CHANNELS
from hydrodask.keys import Gone, Keys, Terms
from hydrodask.records import Float64, Int32, Int64, Profiles, Samples
from hydrodask.rigs import RIGS, RigTable
from hydrodask.window import segments as kernel

_ROWS = 256
"""Profiles that one call of the kernel can write before Python takes them away."""

_NEVER = -(2**62)

LEFT = ("index", "done", "time")
"""Why a sample is in no profile: its `sample_idx` is outside the cycle at its rate; its cycle is done; its time
contradicts its `sample_idx`."""

LACKS = (*LEFT, "short")
"""What profiles lack: these samples, and seconds that never came because the next cycle had begun."""

LATER = ("since", "short", "lacking", "lacks", "amid")
"""Parts of the state that older snapshots do not have: counts begin at offset `since` in who goes on from one."""


_Rows = tuple[Int32, Int64, Float64, Float64]
"""Codes of rigs, and the columns of the kernel: ints, rates, segments."""


class OpenCycles:
    """Profiles of the cycles of one sensor's partition, by `sample_idx` and the record's own sampling rate.

    A profile is done when every segment has all of its samples (`complete`), when the next cycle has begun and the
    watermark has passed the cycle's end, or when a third one begins. A sample that is in no profile is counted in
    `left`, by reason (`LEFT`), and a profile that lacks it, or that follows a cycle which went on beyond its length,
    does not say `complete`. `short` counts seconds that profiles lack because the next cycle had begun: they are empty,
    so those profiles do not say it either. `lacks` counts both by rig.
    """

    def __init__(
        self,
        sensor: str,
        *,
        lateness_us: int,
        length_us: int = 60_000_000,
        segments: int = 60,
        rigs: RigTable = RIGS,
        terms: Terms = Terms(),  # noqa: B008 - it is immutable
    ) -> None:
        self.sensor = sensor
        self.next_offset = 0
        self._left: Int64 = np.zeros(len(LACKS), np.int64)
        self._since = 0
        self._geometry = (np.int64(length_us), np.int64(segments), np.int64(lateness_us))
        self._rigs, self._keys = rigs, Keys(rigs, terms)
        self._rows = (np.zeros((_ROWS, 5), np.int64), np.zeros(_ROWS), np.zeros((_ROWS, segments, 5)))
        self._newest: Int64 = np.zeros(0, np.int64)
        self._resize(1)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def left(self) -> Int64:
        """How many samples are in no profile, by reason: shape (3,), in the order of `LEFT`."""
        return self._left[: len(LEFT)]

    @property
    def short(self) -> int:
        """How many seconds profiles lack because the next cycle had begun."""
        return int(self._left[kernel.SHORT])

    @property
    def missed(self) -> int:
        """How many samples are in no profile."""
        return int(self.left.sum())

    def lacks(self, *, least: int = 1, most: int | None = None) -> dict[str, dict[str, int]]:
        """Return what profiles lack, by rig and reason (`LACKS`), of rigs that lack `least` for one reason or more.

        Those that lack most come first, at most so many. Rigs that have left are in the counts of all only.
        """
        counts = self._lacks[: len(self)]
        if not self._left.any():
            return {}
        places = np.flatnonzero((counts >= least).any(axis=1))
        order = places[np.argsort(-counts[places].sum(axis=1), kind="stable")][:most]
        names = [self._rigs.name(code) for code in self._keys.codes(order).tolist()] if len(order) else []
        return {name: dict(zip(LACKS, counts[k].tolist(), strict=True)) for name, k in zip(names, order, strict=True)}

    @property
    def state_bytes(self) -> int:
        """Bytes of state per rig times rigs."""
        return len(self) * (24 + 8 * len(LACKS) + 2 * (56 + int(self._geometry[1]) * 40))

    def consume(self, samples: Samples) -> Profiles:
        """Take samples in offset order, skipping what was taken already; return the profiles that are done."""
        samples = samples.after(self.next_offset)
        parts: list[_Rows] = []
        for step in self._keys.follow(samples.rig, samples.time_us):
            if isinstance(step, Gone):
                parts += self._leave(step.slots, int(samples.offset[step.place]))
            else:
                parts += self._run(step.of(samples), step.slots)
        if len(samples):
            self.next_offset = int(samples.offset[-1]) + 1
        return self._columns(parts)

    def comply(self, terms: Terms) -> None:
        """Go by other terms from the next sample on."""
        self._keys.terms = terms

    def _run(self, samples: Samples, slots: Int64) -> Iterator[_Rows]:
        """Take samples of rigs that stay."""
        if len(self._keys) > len(self._newest):
            self._resize(max(len(self._keys), 2 * len(self._newest)), np.zeros(0, np.int64))
        where = np.zeros(2, np.int64)
        while where[0] < len(samples):
            where[1] = 0
            kernel.consume(
                slots, samples.cycle, samples.sample_idx, samples.value, samples.time_us, samples.rate_hz,
                samples.offset, self._geometry, self._state(), self._left, self._rows, where,
            )  # fmt: skip
            if where[1]:
                yield self._taken(int(where[1]))

    def _leave(self, gone: Int64, offset: int) -> Iterator[_Rows]:
        """Make the profiles of rigs that are gone done, the older one first, and forget the rigs."""
        row, length = 0, self._geometry[0]
        for k in gone.tolist():
            for at in sorted(range(2), key=lambda at: self._ints[k, at, kernel.START]):
                if self._ints[k, at, kernel.USED]:
                    row = kernel.finish(k, at, length, self._state(), self._left, self._rows, row, 0, offset)
            if row + 2 >= _ROWS:
                yield self._taken(row)
                row = 0
        if row:
            yield self._taken(row)
        self._resize(max(1, len(self._keys) - len(gone)), gone)

    def _taken(self, count: int) -> _Rows:
        """Take the first rows away from the kernel, with codes for slots, which change."""
        ints, rates, parts = self._rows
        rig = self._keys.codes(ints[:count, 0])
        return rig, ints[:count].copy(), rates[:count].copy(), parts[:count].copy()

    def end(self, revision: int) -> Profiles:
        """Return the profile of every open cycle, for the log has ended, and know no rig any more; counts stay."""
        done = self._columns(list(self._leave(np.arange(len(self._keys)), revision)))
        self._keys.forget()
        self.next_offset = revision + 1
        return done

    def snapshot(self) -> dict[str, Any]:
        """Return the state after `next_offset`: equal records give equal bytes.

        Only segments of open cycles are kept, and only the value of a segment that has one.
        """
        count = len(self)
        used = np.argwhere(self._ints[:count, :, kernel.USED] == 1)
        parts = self._parts[used[:, 0], used[:, 1]].reshape(-1, 5)
        one, more = np.flatnonzero(parts[:, kernel.COUNT] == 1), np.flatnonzero(parts[:, kernel.COUNT] > 1)
        lacking = np.flatnonzero(self._lacks[:count].any(axis=1))
        return {
            "next_offset": self.next_offset,
            "left": self.left.copy(),
            "geometry": [int(g) for g in self._geometry],
            **self._keys.snapshot(),
            "newest": self._newest[:count].copy(),
            "closed": self._closed[:count].copy(),
            "over": self._over[:count].astype(np.int8),
            "places": used.astype(np.int32),
            "ints": self._ints[used[:, 0], used[:, 1]],
            "rates": self._rates[used[:, 0], used[:, 1]],
            "one": one.astype(np.int32),
            "ones": parts[one, kernel.LOW],
            "more": more.astype(np.int32),
            "parts": parts[more],
            "since": self._since,
            "short": self.short,
            "lacking": lacking.astype(np.int32),
            "lacks": self._lacks[lacking],
            "amid": np.flatnonzero(self._amid[used[:, 0], used[:, 1]]).astype(np.int32),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot. Raises ValueError when it was made with other settings."""
        if state["geometry"] != [int(g) for g in self._geometry]:
            raise ValueError(f"profiles (length, segments, lateness) were {state['geometry']}, are {self._geometry}")
        state = _of_now(state, self.sensor)
        self.next_offset, self._since = state["next_offset"], state["since"]
        self._left[:] = *state["left"], state["short"]
        self._keys.restore(state)
        self._resize(max(1, len(self)), np.arange(len(self._newest)))
        count, used = len(self), state["places"]
        self._newest[:count], self._closed[:count], self._over[:count] = state["newest"], state["closed"], state["over"]
        self._ints[used[:, 0], used[:, 1]] = state["ints"]
        self._rates[used[:, 0], used[:, 1]] = state["rates"]
        self._parts[used[:, 0], used[:, 1]] = _dense(state, len(used), int(self._geometry[1]))
        self._lacks[state["lacking"]] = state["lacks"]
        amid = used[state["amid"]]
        self._amid[amid[:, 0], amid[:, 1]] = 1

    def _state(self) -> tuple[Int64, Int64, Int64, Int64, Float64, Float64, Int64, Int64]:
        return (
            self._newest, self._closed, self._over, self._ints, self._rates, self._parts, self._lacks, self._amid,
        )  # fmt: skip

    def _resize(self, size: int, gone: Int64 | None = None) -> None:
        """Make room for `size` keys, keeping what is there but those that are `gone`."""
        newest, closed = np.full(size, _NEVER, np.int64), np.full(size, _NEVER, np.int64)
        over, ints = np.zeros(size, np.int64), np.zeros((size, 2, 5), np.int64)
        rates, parts = np.zeros((size, 2)), np.zeros((size, 2, int(self._geometry[1]), 5))
        lacks, amid = np.zeros((size, len(LACKS)), np.int64), np.zeros((size, 2), np.int64)
        if gone is not None:
            stay = np.delete(np.arange(len(self._newest)), gone)[:size]
            all_of_them = (newest, closed, over, ints, rates, parts, lacks, amid)
            for fresh, old in zip(all_of_them, self._state(), strict=True):
                fresh[: len(stay)] = old[stay]
        self._newest, self._closed, self._over, self._lacks, self._amid = newest, closed, over, lacks, amid
        self._ints, self._rates, self._parts = ints, rates, parts

    def _columns(self, runs: list[_Rows]) -> Profiles:
        segments = int(self._geometry[1])
        none = (np.zeros(0, np.int32), np.zeros((0, 5), np.int64), np.zeros(0), np.zeros((0, segments, 5)))
        rig, ints, rates, parts = (np.concatenate(columns) for columns in zip(*(runs or [none]), strict=True))
        count = parts[:, :, kernel.COUNT].astype(np.int32)
        parts[count == 0] = np.nan
        return Profiles(
            self.sensor,
            rig=rig,
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


def _dense(state: dict[str, Any], cycles: int, segments: int) -> Float64:
    """Return the segments of a snapshot's open cycles; an older one has all of them."""
    if "ones" not in state:
        return np.asarray(state["parts"])
    parts = np.zeros((cycles * segments, 5))
    parts[state["more"]] = state["parts"]
    parts[state["one"], kernel.COUNT] = 1.0
    parts[state["one"], kernel.MEAN] = 0.0 + state["ones"]  # as the kernel adds it: -0 becomes 0
    for column in (kernel.LOW, kernel.HIGH):
        parts[state["one"], column] = state["ones"]
    return parts.reshape(cycles, segments, 5)


def _of_now(state: dict[str, Any], sensor: str) -> dict[str, Any]:
    """Return a snapshot's state as it is laid out now; one of before rates were kept gets the table's."""
    if "since" not in state:
        none = np.zeros(0, np.int32)
        state = state | {"since": state["next_offset"], "short": 0, "amid": none}
        state |= {"lacking": none, "lacks": np.zeros((0, len(LACKS)), np.int64)}
    if "left" in state:
        return state
    ints = state["ints"]
    return state | {
        "left": np.array([0, state["missed"], 0], np.int64),
        "over": np.zeros(len(state["newest"]), np.int64),
        "ints": np.concatenate([ints, np.zeros((len(ints), 1), np.int64)], axis=1),
        "rates": np.full(len(ints), float(CHANNELS[sensor].rate_hz)),
    }
