"""Compute windows, profiles and late samples anew from raw rows, by the operators of the stream itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hydrodask.audit.files import Link, rows_of
from hydrodask.decode import Decoder
from hydrodask.records import Late, Profiles, Samples, Windows
from hydrodask.settings import Settings
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake
from hydrodask.store.schemas import late_table, profiles_table, samples_of, windows_table
from hydrodask.stream import turns
from hydrodask.stream.turns import Turn
from hydrodask.window import CycleProfiles, SlidingWindows
from hydrodask.window.geometry import Geometry

Source = tuple[str, int]


@dataclass(slots=True)
class Done:
    """What became final with a run of samples."""

    windows: Windows
    late: Late
    profiles: Profiles
    length_us: int
    """Of these windows."""


class Operators:
    """The stateful operators of one sensor's partition, from nothing on, through every turn of their windows.

    At a turn windows are those that there would be had they had this length and slide all the time, and the lateness
    counts from there on. So each window is whole; those that were final before the turn are not there again.
    """

    def __init__(self, source: Source, sensor: str, turns: Sequence[Turn]) -> None:
        self._sensor, self._partition = sensor, source[1]
        first = turns[0].geometry.lateness_us
        self._turns = [
            (turn, _windows(sensor, turn.geometry, first, max(t.geometry.lateness_us for t in turns[: place + 1])))
            for place, turn in enumerate(turns)
        ]
        self._now, self._windows = self._turns.pop(0)
        self._profiles = CycleProfiles(sensor, lateness_us=first)

    def consume(self, samples: Samples) -> Iterator[Done]:
        """Take samples in offset order; yield what became final, by turns."""
        while self._turns and len(samples) and int(samples.offset[-1]) >= self._turns[0][0].offset:
            before, samples = split(samples, self._turns[0][0].offset)
            yield self._take(before)
            self.reach(self._turns[0][0].offset)
        yield self._take(samples)

    def reach(self, offset: int) -> None:
        """Take note that every sample below `offset` has been taken."""
        while self._turns and self._turns[0][0].offset <= offset:
            self._now, windows = self._turns.pop(0)
            lateness_us = self._now.geometry.lateness_us
            for each in (windows, *(later for _, later in self._turns)):
                each.go_over(lateness_us)
            windows.kept, windows.late = self._windows.kept, self._windows.late
            self._windows = windows
            state = with_lateness(self._profiles.snapshot(), lateness_us)
            self._profiles = CycleProfiles(self._sensor, lateness_us=lateness_us)
            self._profiles.restore(state)

    def _take(self, samples: Samples) -> Done:
        final, late = self._windows.consume(samples)
        for _, later in self._turns:
            later.consume(samples)
        return Done(final, late, self._profiles.consume(samples), self._now.geometry.length_us)

    def tables(self, done: Done) -> dict[str, pa.Table]:
        """Return what became final as rows of the lake, by folder."""
        return {
            "windows": windows_table(done.windows, partition=self._partition, length_us=done.length_us),
            "cycles": profiles_table(done.profiles, partition=self._partition),
            "late": late_table(done.late),
        }

    def states(self) -> dict[str, dict[str, Any]]:
        """Return the state of each operator by the name that snapshots give it."""
        return {"windows": self._windows.snapshot(), "cycles": self._profiles.snapshot()}


def _windows(sensor: str, geometry: Geometry, lateness_us: int, room_us: int) -> SlidingWindows:
    return SlidingWindows(
        sensor,
        length_us=geometry.length_us,
        slide_us=geometry.slide_us,
        lateness_us=lateness_us,
        room_us=room_us,
    )


def with_lateness(cycles: dict[str, Any], lateness_us: int) -> dict[str, Any]:
    """Return a state of cycle profiles that goes on with another lateness."""
    return cycles | {"geometry": [*cycles["geometry"][:2], lateness_us]}


def turns_of(settings: Settings, source: Source) -> list[Turn]:
    """Return the turns of a partition's windows; where nothing says so, the windows are those of the settings."""
    found = turns.found(Files(settings.snapshots_url), source)
    return found or [Turn(0, Geometry.of(settings.window))]


def in_force(there: Sequence[Turn], offset: int) -> Geometry:
    """Return the geometry of windows that a record of this offset made final."""
    return next((turn.geometry for turn in reversed(there) if turn.offset <= offset), there[0].geometry)


def split(samples: Samples, offset: int) -> tuple[Samples, Samples]:
    """Return the samples below `offset`, and the others."""
    place = int(np.searchsorted(samples.offset, offset))
    return samples.take(slice(0, place)), samples.take(slice(place, None))


KEYS = {
    "raw": ("offset",),
    "windows": ("revision", "window_start"),
    "cycles": ("revision", "cycle_start"),
    "late": ("offset",),
    "labels": ("revision",),
}
"""The columns that say which row of a folder it is, in the order of its rows."""


def decoder_of(settings: Settings, sensor: str) -> Decoder:
    """Return the decoder of a sensor's topic, as the flow has it."""
    return Decoder(
        sensor,
        default_rig=settings.rig.default_id,
        future_us_max=round(settings.window.future_max * 1e6),
        record_bytes_max=settings.limits.record_bytes,
        rig_bytes_max=settings.limits.rig_bytes,
        first=settings.step.decoder,
    )


def raw_samples(lake: Lake, links: list[Link], sensor: str) -> Iterator[Samples]:
    """Yield the samples of raw files, one file at a time."""
    for link in links:
        yield samples_of(rows_of(lake, link), sensor, link.named.source)
