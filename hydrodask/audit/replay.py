"""Compute windows, profiles and late samples anew from raw rows, by the operators of the stream itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hydrodask.audit.files import Link, rows_of
from hydrodask.decode import Decoder
from hydrodask.records import Late, Profiles, Samples, Windows
from hydrodask.settings import Settings
from hydrodask.store.lake import Lake
from hydrodask.store.schemas import late_table, profiles_table, samples_of, windows_table
from hydrodask.window import CycleProfiles, SlidingWindows

Source = tuple[str, int]


@dataclass(slots=True)
class Done:
    """What became final with a run of samples."""

    windows: Windows
    late: Late
    profiles: Profiles


class Operators:
    """The stateful operators of one sensor's partition, from nothing on."""

    def __init__(self, settings: Settings, source: Source, sensor: str) -> None:
        window = settings.window
        lateness_us = round(window.lateness * 1e6)
        self.length_us = round(window.length * 1e6)
        self._partition = source[1]
        self._windows = SlidingWindows(
            sensor, length_us=self.length_us, slide_us=round(window.slide * 1e6), lateness_us=lateness_us
        )
        self._profiles = CycleProfiles(sensor, lateness_us=lateness_us)

    def consume(self, samples: Samples) -> Done:
        """Take samples in offset order; return what became final."""
        final, late = self._windows.consume(samples)
        return Done(final, late, self._profiles.consume(samples))

    def tables(self, done: Done) -> dict[str, pa.Table]:
        """Return what became final as rows of the lake, by folder."""
        return {
            "windows": windows_table(done.windows, partition=self._partition, length_us=self.length_us),
            "cycles": profiles_table(done.profiles, partition=self._partition),
            "late": late_table(done.late),
        }

    def states(self) -> dict[str, dict[str, Any]]:
        """Return the state of each operator by the name that snapshots give it."""
        return {"windows": self._windows.snapshot(), "cycles": self._profiles.snapshot()}


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
