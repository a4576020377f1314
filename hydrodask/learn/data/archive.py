"""Folders of cycles in the archive's layouts → the lake: the records that the stream would have written.

Text (`PS1.txt`, one row a cycle, `profile.txt`), or Parquet (`PS1.parquet` with `cycle` and `samples`,
`profile.parquet`). Samples at their native rate go through the stream's own kernel, so profiles are equal to the last
bit; of a sensor of which there are only the means of seconds (`PS1_1hz_mean.parquet`), m2, min and max are missing.
A value that is NaN, or null, is a sample that was not measured, or a state that nobody knows. Parquet names its cycles,
and labels find theirs by that number.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hydrodask.channels import CHANNELS, CYCLE_S, SENSORS, WHOLE, Channel
from hydrodask.clock import US_PER_S
from hydrodask.errors import ConfigError
from hydrodask.learn.targets import TARGETS
from hydrodask.records import Float64, Int64, Profiles, Samples
from hydrodask.rigs import RIGS
from hydrodask.store.lake import Lake
from hydrodask.store.merge import IMPORTED, Folder, Merged
from hydrodask.store.profiles import LABELS, read_labels, read_matrix
from hydrodask.store.schemas import profiles_tables, states_table
from hydrodask.window import OpenCycles

CYCLES_PER_FILE = 200
"""Cycles that one file of the lake holds, and that are in memory as samples at a time."""

TELLING = ("TS1", "CE")
"""Sensors by whose cycles those of another rig are known: at 1 Hz a second's mean is its sample, in every layout."""

CYCLE_US = CYCLE_S * US_PER_S


@dataclass(slots=True, kw_only=True)
class Imported(Merged):
    """What an import has read, and what became of the rows of all folders."""

    rig: str
    cycles: int
    labels: int
    samples: int = 0
    means_only: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    """A sentence for each sensor whose values are far outside what the table of sensors knows."""
    left: list[str] = field(default_factory=list)
    """A sentence for each sensor of which means are not taken, and what to do."""
    elsewhere: dict[str, int] = field(default_factory=dict)
    """Other rigs that have these cycles, and how many of them."""
    files_named: str = ""
    """What the names of the files of this import begin with."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where cycles go: which rig they are of, and the event time of cycle 0."""

    rig: str
    start_us: int


class Archive:
    """A folder of cycles. Raises ConfigError when a sensor is missing, or numbers of cycles differ or do not rise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            what = "it is a file; name the folder" if folder.exists() else "no such folder"
            raise ConfigError(f"could not read {folder}: {what}")
        self._far: dict[str, tuple[float, float]] = {}
        self.paths = {name: self._find(name) for name in SENSORS}
        numbers, values = read_matrix(self.paths["TS1"])
        self.cycle: Int64 = np.arange(len(values)) if numbers is None else numbers
        # A cycle's number is its time, and the stream's kernel passes over what is older than what it has seen.
        if (np.diff(self.cycle) <= 0).any():
            raise ConfigError(
                f"{self.paths['TS1']}: cycles are not in rising order, each once; sort the rows of every file by cycle"
            )
        profile = [p for p in (folder / "profile.parquet", folder / "profile.txt") if p.is_file()]
        self.labels: Float64 | None = self._labels(profile[0]) if profile else None

    def __len__(self) -> int:
        return len(self.cycle)

    def values(self, sensor: str) -> Float64:
        """Return one sensor's samples, one cycle a row: at the native rate, or 60 means."""
        numbers, values = read_matrix(self.paths[sensor])
        if len(values) != len(self) or (numbers is not None and (numbers != self.cycle).any()):
            raise ConfigError(f"{self.paths[sensor]} does not hold the same {len(self)} cycles as {self.paths['TS1']}")
        if values.shape[1] not in {CYCLE_S, CHANNELS[sensor].samples_per_cycle}:
            want = f"{CHANNELS[sensor].samples_per_cycle}, or {CYCLE_S} means"
            raise ConfigError(f"{self.paths[sensor]} has {values.shape[1]} values a cycle; want {want}")
        some = values[np.isfinite(values).any(axis=1)]  # a missing sample is NaN
        lowest, mean, highest = np.nanmin(some, axis=1), np.nanmean(some, axis=1), np.nanmax(some, axis=1)
        if CHANNELS[sensor].far(lowest, mean, highest, whole=np.isfinite(some).mean(axis=1) >= WHOLE).any():
            self._far[sensor] = (float(lowest.min()), float(highest.max()))
        return values

    def doubts(self) -> list[str]:
        """Return a sentence for each sensor of which values that were read are far outside those of the table."""
        return [CHANNELS[name].doubt(*span) for name, span in self._far.items()]

    def profiles(self, sensor: str, place: Place) -> Iterator[Profiles]:
        """Give the profiles of one sensor, at most `CYCLES_PER_FILE` at a time, in the order of cycles."""
        channel, values = CHANNELS[sensor], self.values(sensor)
        kernel = OpenCycles(sensor, lateness_us=10 * US_PER_S)
        for first in range(0, len(self), CYCLES_PER_FILE):
            rows = np.arange(first, min(first + CYCLES_PER_FILE, len(self)))
            if values.shape[1] == channel.samples_per_cycle:
                yield kernel.consume(_samples(channel, self.cycle[rows], values[rows], first, place))
            else:
                yield _of_means(channel, self.cycle[rows], values[rows], first, place)
        last = kernel.end(len(self) * channel.samples_per_cycle)  # cycles whose last samples are missing
        if len(last):
            yield last

    def fingerprint(self) -> str:
        """Return a digest of every file: the same content gives the same files in the lake."""
        digest = hashlib.sha256()
        for path in sorted(self.paths.values()):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        if self.labels is not None:
            digest.update(self.labels.tobytes())
        return digest.hexdigest()[:12]

    def _labels(self, path: Path) -> Float64:
        """Return the labels of the cycles, in their order. Raises ConfigError when they are of other cycles."""
        numbers, labels = read_labels(path)
        if len(labels) != len(self):
            raise ConfigError(f"{path} has {len(labels)} rows, {self.paths['TS1']} has {len(self)}")
        if numbers is not None:
            order = np.argsort(numbers, kind="stable")
            if (numbers[order] != self.cycle).any():
                raise ConfigError(f"{path} does not hold the same {len(self)} cycles as {self.paths['TS1']}")
            labels = labels[order]
        for name, states in zip(LABELS, labels.T, strict=True):
            known = TARGETS[name].classes
            if len(odd := np.flatnonzero(np.isfinite(states) & ~np.isin(states, known))):
                raise ConfigError(
                    f"could not use {path}: cycle {self.cycle[odd[0]]} has {name} {states[odd[0]]:g}; want one of "
                    f"{', '.join(map(str, known))}, or nothing where it is not known"
                )
        return labels

    def _find(self, sensor: str) -> Path:
        names = (f"{sensor}.parquet", f"{sensor}_1hz_mean.parquet", f"{sensor}.txt")
        for name in names:
            if (self.folder / name).is_file():
                return self.folder / name
        raise ConfigError(f"there is no {', '.join(names[:-1])} or {names[-1]} in {self.folder}")


def import_archive(
    archive: Archive, lake: Lake, place: Place, *, progress: Callable[[str], None] = lambda _sensor: None
) -> Imported:
    """Write the archive's profiles and labels into the lake; `progress` hears of each sensor read, and each written.

    All is read and checked before anything is written. May be repeated, also after a crash, and with the same cycles
    from other files: each is in the lake once. Labels come last, so that no half import is trained on. Raises
    ConfigError and RetryableError.
    """
    told = np.zeros(0) if archive.labels is None else np.isfinite(archive.labels).any(axis=1)
    done = Imported(rig=place.rig, cycles=len(archive), labels=int(told.sum()))
    profiles: dict[str, list[Profiles]] = {}
    for sensor in SENSORS:
        profiles[sensor] = list(archive.profiles(sensor, place))
        progress(sensor)
    done.doubts = archive.doubts()
    name = hashlib.sha256(f"{archive.fingerprint()} {place.rig} {place.start_us}".encode()).hexdigest()[:12]
    source = (f"{IMPORTED}{name}", 0)
    done.files_named = source[0]
    for sensor, parts in profiles.items():
        folder = Folder(lake, f"cycles/sensor={sensor}", start="cycle_start")
        each, table = CHANNELS[sensor].samples_per_cycle, profiles_tables(parts, partition=0)
        if sensor in TELLING:
            done.elsewhere |= {rig: max(n, done.elsewhere.get(rig, 0)) for rig, n in folder.elsewhere(table).items()}
        merged = folder.merge(source, table, each=each, rows_max=CYCLES_PER_FILE)
        done.left += [_left(sensor, merged.unlike)] if merged.unlike else []
        done += merged
        done.samples += sum(int(part.count.sum()) for part in parts)
        done.means_only += [sensor] if all(np.isnan(part.m2).all() for part in parts) else []
        progress(sensor)
    if done.labels:
        folder = Folder(lake, "labels", start="timestamp")
        done += folder.merge(source, _labels(archive, place), each=1, rows_max=len(archive))
    return done


def _left(sensor: str, count: int) -> str:
    """Return the sentence about means that are not taken."""
    return (
        f"{sensor}: the means of {count} cycles differ from those of the samples that are there, and are not taken; "
        f"import the samples ({sensor}.txt or {sensor}.parquet), or move cycles/sensor={sensor} out of the lake and "
        "import again"
    )


def _samples(channel: Channel, cycle: Int64, values: Float64, first: int, place: Place) -> Samples:
    """Return cycles as the stream would have decoded them, back to back, cycle n at n minutes."""
    each = channel.samples_per_cycle
    count = len(cycle) * each
    index = np.tile(np.arange(each), len(cycle))
    numbers = np.repeat(cycle, each)
    return Samples(
        channel.name,
        "import",
        0,
        rig=np.full(count, RIGS.code(place.rig), np.int32),
        cycle=numbers,
        sample_idx=index,
        value=np.ascontiguousarray(values).ravel(),
        time_us=place.start_us + numbers * CYCLE_US + index * US_PER_S // channel.rate_hz,
        rate_hz=np.full(count, float(channel.rate_hz)),
        offset=np.arange(first * each, first * each + count),
    ).take(np.isfinite(np.ravel(values)))


def _of_means(channel: Channel, cycle: Int64, means: Float64, first: int, place: Place) -> Profiles:
    """Return profiles of which only the means are known."""
    missing = np.full_like(means, np.nan)
    each = channel.samples_per_cycle
    return Profiles(
        channel.name,
        rig=np.full(len(cycle), RIGS.code(place.rig), np.int32),
        cycle=cycle,
        start_us=place.start_us + cycle * CYCLE_US,
        complete=np.asarray(np.isfinite(means).all(axis=1)),
        revision=(first + 1 + np.arange(len(cycle))) * each - 1,
        count=np.where(np.isfinite(means), channel.rate_hz, 0).astype(np.int32),
        mean=np.ascontiguousarray(means),
        m2=missing,
        low=missing,
        high=missing,
        rate_hz=np.full(len(cycle), float(channel.rate_hz)),
    )


def _labels(archive: Archive, place: Place) -> object:
    """Return rows of `labels/`; of a cycle of which no state is known there is none."""
    assert archive.labels is not None  # noqa: S101 - the caller has looked
    rows = np.flatnonzero(np.isfinite(archive.labels).any(axis=1))
    times_us = place.start_us + archive.cycle[rows] * CYCLE_US
    return states_table(place.rig, archive.cycle[rows], times_us, archive.labels[rows], revision=rows)
