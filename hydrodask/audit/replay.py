"""Compute windows, profiles and late samples anew from raw rows, by the operators of the stream itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from hydrodask.audit.links import Link, rows_of
from hydrodask.decode import Census, Decoder
from hydrodask.decode.census import history_of
from hydrodask.decode.manner import UNKNOWN, Manner, Manners, manner_at, manners_of
from hydrodask.keys import Terms
from hydrodask.protocol import geometries
from hydrodask.protocol.geometries import GeometryChange
from hydrodask.protocol.incarnation import Seam
from hydrodask.records import Int64, Late, Messages, PartitionId, Profiles, Reject, Samples, Windows
from hydrodask.settings import Settings
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake
from hydrodask.store.schemas import late_table, profiles_table, samples_of, windows_table
from hydrodask.window import OpenCycles, OpenWindows
from hydrodask.window.geometry import Geometry

History = list[tuple[int, Terms]]
"""Since which offset which terms were in force."""


@dataclass(slots=True)
class Done:
    """What became final with a run of samples."""

    windows: Windows
    late: Late
    profiles: Profiles
    length_us: int
    """Of these windows."""


def by_terms(offsets: Int64, history: Sequence[tuple[int, object]]) -> Iterator[slice]:
    """Yield runs of offsets that other terms do not interrupt."""
    places = np.searchsorted(offsets, [since for since, _ in history]).tolist()
    for start, end in pairwise(sorted({0, *places, len(offsets)})):
        yield slice(start, end)


def terms_at(history: list[tuple[int, Terms]], offset: int) -> Terms:
    """Return the terms that were in force at an offset."""
    return next((terms for since, terms in reversed(history) if since <= offset), history[0][1])


class Operators:
    """The stateful operators of one sensor's partition, from nothing on, through every change of their windows.

    At a change windows are those that there would be had they had this length and slide all the time, and the lateness
    counts from there on. So each window is whole; those that were final before it are not there again. `history` says
    which terms for rigs were in force.
    """

    def __init__(
        self, source: PartitionId, sensor: str, geometries: Sequence[GeometryChange], history: History
    ) -> None:
        self._sensor, self._partition, self._history = sensor, source[1], history
        self._census = Census(history[0][1])
        first = geometries[0].geometry.lateness_us
        self._changes = [
            (one, _windows(sensor, one.geometry, first, max(o.geometry.lateness_us for o in geometries[: place + 1])))
            for place, one in enumerate(geometries)
        ]
        self._now, self._windows = self._changes.pop(0)
        self._profiles = OpenCycles(sensor, lateness_us=first)

    def consume(self, samples: Samples) -> Iterator[Done]:
        """Take samples in offset order; yield what became final, by geometries and terms."""
        while self._changes and len(samples) and int(samples.offset[-1]) >= self._changes[0][0].offset:
            before, samples = split(samples, self._changes[0][0].offset)
            yield from self._by_terms(before)
            self.reach(self._changes[0][0].offset)
        yield from self._by_terms(samples)

    def reach(self, offset: int) -> None:
        """Take note that every sample below `offset` has been taken."""
        while self._changes and self._changes[0][0].offset <= offset:
            self._now, windows = self._changes.pop(0)
            lateness_us = self._now.geometry.lateness_us
            for each in (windows, *(later for _, later in self._changes)):
                each.go_over(lateness_us)
            windows.kept, windows.late = self._windows.kept, self._windows.late
            self._windows = windows
            state = with_lateness(self._profiles.snapshot(), lateness_us)
            self._profiles = OpenCycles(self._sensor, lateness_us=lateness_us)
            self._profiles.restore(state)

    def _by_terms(self, samples: Samples) -> Iterator[Done]:
        for which in by_terms(samples.offset, self._history):
            part = samples.take(which)
            terms = terms_at(self._history, int(part.offset[0]))
            self._census.comply(terms)
            self._profiles.comply(terms)
            for windows in (self._windows, *(later for _, later in self._changes)):
                windows.comply(terms)
            yield self._take(part)

    def _take(self, samples: Samples) -> Done:
        self._census.take(samples)
        final, late = self._windows.consume(samples)
        for _, later in self._changes:
            later.consume(samples)
        return Done(final, late, self._profiles.consume(samples), self._now.geometry.length_us)

    def cross(self, seam: Seam) -> Iterator[Done]:
        """Begin anew with another log, as the stream does; yield what is final because the one before has ended."""
        self.reach(seam.base - 1)
        if seam.keeps:
            return
        self._census.end(seam.base - 1)
        for _, later in self._changes:
            later.end(seam.base - 1)
        late = Late(_nothing(self._sensor), np.zeros(0, np.int64))
        windows, profiles = self._windows.end(seam.base - 1), self._profiles.end(seam.base - 1)
        if seam.whole:
            yield Done(windows, late, profiles, self._now.geometry.length_us)

    def tables(self, done: Done) -> dict[str, pa.Table]:
        """Return what became final as rows of the lake, by folder."""
        return {
            "windows": windows_table(done.windows, partition=self._partition, length_us=done.length_us),
            "cycles": profiles_table(done.profiles, partition=self._partition),
            "late": late_table(done.late),
        }

    def states(self) -> dict[str, dict[str, Any]]:
        """Return the state of each operator by the name that snapshots give it."""
        windows, cycles = self._windows.snapshot(), self._profiles.snapshot()
        return {"windows": windows, "cycles": cycles, "rigs": self._census.there()}


def _windows(sensor: str, geometry: Geometry, lateness_us: int, room_us: int) -> OpenWindows:
    return OpenWindows(
        sensor,
        length_us=geometry.length_us,
        slide_us=geometry.slide_us,
        lateness_us=lateness_us,
        room_us=room_us,
    )


def with_lateness(cycles: dict[str, Any], lateness_us: int) -> dict[str, Any]:
    """Return a state of cycle profiles that goes on with another lateness."""
    return cycles | {"geometry": [*cycles["geometry"][:2], lateness_us]}


def geometries_of(settings: Settings, source: PartitionId) -> list[GeometryChange]:
    """Return how a partition's windows have changed; where nothing says so, the windows are those of the settings."""
    try:
        found = geometries.found(Files(settings.snapshots_url), source)
    except ValueError:
        found = []  # a file that can't be read, which `strangers` says
    return found or [GeometryChange(0, Geometry.of(settings.window))]


def history_in(settings: Settings, state: dict[str, Any]) -> History:
    """Return since which offset which terms were in force, as a snapshot says; else those of the settings, always."""
    rigs = state.get("nodes", {}).get("rigs")
    return [(0, Terms.of(settings.limits))] if rigs is None else history_of(rigs)


def manners_in(state: dict[str, Any]) -> Manners:
    """Return since which offset records were read in which manner, as a snapshot says."""
    nodes = state.get("nodes", {})
    return manners_of(nodes.get("rigs") or nodes.get("reading") or {})


def in_force(there: Sequence[GeometryChange], offset: int) -> Geometry:
    """Return the geometry of windows that a record of this offset made final."""
    return next((one.geometry for one in reversed(there) if one.offset <= offset), there[0].geometry)


def split(samples: Samples, offset: int) -> tuple[Samples, Samples]:
    """Return the samples below `offset`, and the others."""
    place = int(np.searchsorted(samples.offset, offset))
    return samples.take(slice(0, place)), samples.take(slice(place, None))


def _nothing(sensor: str) -> Samples:
    ints, floats = np.zeros(0, np.int64), np.zeros(0)
    return Samples(sensor, "", 0, ints.astype(np.int32), ints, ints, floats, ints, floats, ints)


KEYS = {
    "raw": ("offset",),
    "windows": ("revision", "window_start"),
    "cycles": ("revision", "cycle_start"),
    "late": ("offset",),
    "labels": ("revision",),
    "bands": ("revision", "statistic"),
    "scores": ("revision", "cycle_start", "component"),
}
"""The columns that say which row of a folder it is, in the order of its rows."""


class Intake:
    """Decoder and census of a sensor's partition, as the flow had them at each offset."""

    def __init__(self, settings: Settings, sensor: str, history: History, manners: Manners = UNKNOWN) -> None:
        self._settings, self._sensor = settings, sensor
        self._history, self._manners = history, manners
        self._decoders: dict[Manner | None, Decoder] = {}
        self._census = Census(history[0][1])

    def take(self, samples: Samples) -> None:
        """Take samples that are known to have been taken, those of raw files."""
        for part in by_terms(samples.offset, self._history):
            self._census.comply(terms_at(self._history, int(samples.offset[part.start])))
            self._census.take(samples.take(part))

    def cross(self, seam: Seam) -> None:
        """Begin anew with another log."""
        if not seam.keeps:
            self._census.end(seam.base - 1)

    def decode(self, messages: Messages) -> Iterator[tuple[Samples, list[Reject]]]:
        """Yield samples and rejects."""
        for part in by_terms(messages.offsets, [*self._history, *self._manners]):
            first = int(messages.offsets[part.start])
            self._census.comply(terms_at(self._history, first))
            yield self._decoder_at(first).decode(messages.take(part), self._census)

    def _decoder_at(self, offset: int) -> Decoder:
        manner = manner_at(self._manners, offset)
        if manner not in self._decoders:
            self._decoders[manner] = Decoder.of(self._settings, self._sensor, manner)
        return self._decoders[manner]


def raw_samples(lake: Lake, links: list[Link], sensor: str) -> Iterator[Samples]:
    """Yield the samples of raw files, one file at a time."""
    for link in links:
        yield samples_of(rows_of(lake, link), sensor, link.named.source)


def crossing(samples: Iterator[Samples], seams: list[Seam]) -> Iterator[Samples | Seam]:
    """Yield samples, and each seam between those below it and the others."""
    left = list(seams)
    for run in samples:
        rest = run
        while left and len(rest) and int(rest.offset[-1]) >= left[0].base:
            place = int(np.searchsorted(rest.offset, left[0].base))
            yield rest.take(slice(0, place))
            yield left.pop(0)
            rest = rest.take(slice(place, None))
        yield rest
    yield from left
