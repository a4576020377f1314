"""Which cycles the lake holds: where the profiles of their 17 sensors are, and what their labels say.

Only keys are read, some 40 bytes a profile, so that the profiles themselves never have to be in memory together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrodask.channels import SENSORS
from hydrodask.learn.features import HIGH, LOW, MEAN, SEGMENTS, Cycles
from hydrodask.records import Bool, Float64, Int32, Int64
from hydrodask.settings import Url
from hydrodask.store.files import Files
from hydrodask.store.profiles import (
    LABELS,
    STATISTICS,
    ProfileKeys,
    label_keys,
    profile_curves,
    profile_keys,
    profile_paths,
)

SAME_CYCLE_US = 30_000_000
"""Records of one rig's cycle number whose starts differ by more belong to different cycles: numbers start again."""

_LABEL = len(SENSORS)


@dataclass(slots=True)
class Catalogue:
    """Every cycle of the lake in order of time, one a row; `file` and `row` have shape (n, 17), -1 without a profile.

    `labels` has shape (n, 5) in the order of `store.profiles.LABELS`, NaN where a cycle has none.
    """

    url: Url
    paths: list[list[str]]
    rig: NDArray[np.object_]
    cycle: Int64
    start_us: Int64
    file: Int32
    row: Int32
    labels: Float64

    def __len__(self) -> int:
        return len(self.cycle)

    def take(self, which: Bool | Int64 | slice) -> "Catalogue":
        """Return the chosen cycles."""
        parts = {"rig": self.rig, "cycle": self.cycle, "start_us": self.start_us, "labels": self.labels}
        chosen: dict[str, Any] = {name: part[which] for name, part in parts.items()}
        return Catalogue(self.url, self.paths, file=self.file[which], row=self.row[which], **chosen)

    @property
    def labelled(self) -> Bool:
        """Shape (n,): which cycles have a label."""
        return np.asarray(np.isfinite(self.labels).all(axis=1))

    def target(self, name: str) -> Int64:
        """Return the labels of one target. Only of labelled cycles."""
        return self.labels[:, LABELS.index(name)].astype(np.int64)

    def read(self, sensors: Sequence[str] = SENSORS, statistics: Sequence[int] = (MEAN, LOW, HIGH)) -> Cycles:
        """Return the cycles with these curves of `sensors`; others, and those of other sensors, are NaN."""
        files, names = Files(self.url), [STATISTICS[number] for number in statistics]
        curves = np.full((len(self), len(SENSORS), 3, SEGMENTS), np.nan)
        for number in (SENSORS.index(sensor) for sensor in sensors):
            for file in np.unique(self.file[:, number]):
                if file < 0:
                    continue
                here = np.flatnonzero(self.file[:, number] == file)
                stored = profile_curves(files, self.paths[number][file], names)
                curves[here[:, None], number, list(statistics)] = stored[self.row[here, number]]
        return Cycles(self.rig, self.cycle, self.start_us, curves)


def catalogue(url: Url | str) -> Catalogue:
    """Return what the lake at `url` holds. Raises RetryableError and IntegrityError."""
    files = Files(url)
    paths = [profile_paths(files, sensor) for sensor in SENSORS]
    parts: list[tuple[ProfileKeys, Int32]] = []
    for number, names in enumerate(paths):
        for place, path in enumerate(names):
            keys = profile_keys(files, path)
            parts.append((keys, _where(number, place, len(keys.cycle))))
    keys, labels = label_keys(files)
    parts.append((keys, _where(_LABEL, 0, len(keys.cycle))))
    return _grouped(files.url, paths, parts, labels)


def _numbered(parts: Sequence[NDArray[np.object_]]) -> tuple[NDArray[np.object_], Int64]:
    """Return the names that there are, in order, and the number of each one's."""
    names = sorted({name for part in parts for name in part.tolist()})
    number = {name: place for place, name in enumerate(names)}
    numbers = (number[name] for part in parts for name in part.tolist())
    return np.array(names, object), np.fromiter(numbers, np.int64, sum(map(len, parts)))


def _where(source: int, file: int, count: int) -> Int32:
    """Return shape (count, 3): source, file and row."""
    return np.stack([np.full(count, source), np.full(count, file), np.arange(count)], axis=1).astype(np.int32)


def _grouped(url: Url, paths: list[list[str]], parts: list[tuple[ProfileKeys, Int32]], labels: Float64) -> Catalogue:
    """Bring the records of each cycle together; of several of one sensor the newest counts."""
    names, rig = _numbered([keys.rig for keys, _ in parts])
    cycle = np.concatenate([keys.cycle for keys, _ in parts])
    start_us = np.concatenate([keys.start_us for keys, _ in parts])
    revision = np.concatenate([keys.revision for keys, _ in parts])
    where = np.concatenate([where for _, where in parts])
    order = np.lexsort((revision, start_us, cycle, rig))
    rig, cycle, start_us, where = rig[order], cycle[order], start_us[order], where[order]
    group = _groups(rig, cycle, start_us)
    count = int(group[-1]) + 1 if len(group) else 0
    file, row = np.full((count, _LABEL + 1), -1, np.int32), np.full((count, _LABEL + 1), -1, np.int32)
    file[group, where[:, 0]], row[group, where[:, 0]] = where[:, 1], where[:, 2]
    first = np.searchsorted(group, np.arange(count))
    known = np.full((count, len(LABELS)), np.nan)
    has = row[:, _LABEL] >= 0
    known[has] = labels[row[has, _LABEL]]
    made = Catalogue(
        url, paths, names[rig[first]].astype(object), cycle[first], start_us[first], file[:, :_LABEL], row[:, :_LABEL],
        known,
    )  # fmt: skip
    seen = (made.file >= 0).any(axis=1)
    return made.take(np.flatnonzero(seen)[np.lexsort((made.rig[seen].astype(str), made.start_us[seen]))])


def _groups(rig: Int64, cycle: Int64, start_us: Int64) -> Int64:
    """Return a number for each record that is the same for the records of one cycle; they are sorted."""
    if not len(rig):
        return np.zeros(0, np.int64)
    other = (np.diff(rig) != 0) | (np.diff(cycle) != 0) | (np.diff(start_us) > SAME_CYCLE_US)
    return np.concatenate([[0], np.cumsum(other)])
