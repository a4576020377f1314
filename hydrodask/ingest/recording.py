"""Read a recording in the archive's text layout: one file a sensor, one row a 60-second cycle.

Takes a folder, gives chunks and labels (a `Feed`). Loses nothing: a folder that does not fit is a
ConfigError. The rows stay on disk; only the cycle that is being read is in memory, so an archive of
any length can be replayed.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hydrodask.channels import CHANNELS, CYCLE_S, Channel, is_header
from hydrodask.clock import US_PER_S, iso
from hydrodask.errors import ConfigError
from hydrodask.ingest.chunk import Chunk
from hydrodask.records import Float64, LabelRecord

PROFILE = "profile.txt"
PROFILE_COLUMNS = ("cooler", "valve", "pump", "accumulator", "stable")
ROWS_MAX = 1_000_000
"""Rows of one file: nearly two years of cycles."""


class Recording:
    """The cycles in `path` back to back from `start_us`, `repeat` times, without a gap between.

    Raises ConfigError, naming file and row, when a file is missing, has another number of rows than
    the others, or a row has another number of columns than the sensor's rate says; a value that is
    no finite number is found when its cycle is read, or before by `check`.
    """

    def __init__(self, path: Path, *, start_us: int, repeat: int = 1, rig: str | None = None) -> None:
        if repeat < 1:
            raise ConfigError(f"repeat has value {repeat}; want 1 or more")
        if not path.is_dir():
            what = "it is a file; name the folder" if path.exists() else "no such folder"
            raise ConfigError(f"could not read the recording {path}: {what}")
        self.start_us = start_us
        self.rig = rig
        self._files = {c.name: _Table(path / f"{c.name}.txt", c.samples_per_cycle) for c in CHANNELS.values()}
        self._profile = _Table(path / PROFILE, len(PROFILE_COLUMNS))
        self.rows = len(self._profile)
        """Cycles in the folder."""
        self.cycles = self.rows * repeat
        for table in self._files.values():
            if len(table) != self.rows:
                raise ConfigError(
                    f"recording: {table.path} has {len(table)} rows, {self._profile.path} has"
                    f" {self.rows}; want one row a cycle in each"
                )
        self._loaded = -1
        self._values: dict[str, Float64] = {}

    @property
    def seconds(self) -> int:
        """Length of all repeats."""
        return self.cycles * CYCLE_S

    def check(self) -> None:
        """Read every value. Raises ConfigError for one that is no finite number: later, half would be published."""
        for table in (*self._files.values(), self._profile):
            table.check()

    def chunk(self, second: int) -> list[Chunk]:
        """Return the samples of `[start + second, start + second + 1)`, sensor by sensor."""
        cycle, within = divmod(second, CYCLE_S)
        if not 0 <= cycle < self.cycles:
            return []
        self._load(cycle % self.rows)
        return [self._slice(channel, cycle, within) for channel in CHANNELS.values()]

    def labels(self, second: int) -> list[LabelRecord]:
        """Return the label of the cycle that begins at this second, if one does."""
        cycle, within = divmod(second, CYCLE_S)
        if within or not 0 <= cycle < self.cycles:
            return []
        cooler, valve, pump, accumulator, stable = self._profile.row(cycle % self.rows).tolist()
        start = iso(self.start_us + second * US_PER_S)
        return [LabelRecord(self.rig, cycle, start, cooler, valve, pump, accumulator, int(stable))]

    def _load(self, row: int) -> None:
        if row != self._loaded:
            self._values = {name: table.row(row) for name, table in self._files.items()}
            self._loaded = row

    def _slice(self, channel: Channel, cycle: int, second: int) -> Chunk:
        rate = channel.rate_hz
        index = np.arange(second * rate, (second + 1) * rate)
        time_us = self.start_us + cycle * CYCLE_S * US_PER_S + index * US_PER_S // rate
        return Chunk(
            rig=self.rig,
            sensor=channel.name,
            cycle=np.full(rate, cycle),
            sample_idx=index,
            value=self._values[channel.name][index[0] : index[-1] + 1],
            time_us=time_us,
            send_us=time_us,
            rate_hz=rate,
        )


class _Table:
    """A text file of numbers; knows where each row begins and that each has `columns` columns."""

    def __init__(self, path: Path, columns: int) -> None:
        self.path = path
        self.columns = columns
        self._starts: list[int] = []
        self._scan()

    def __len__(self) -> int:
        return len(self._starts)

    def row(self, number: int) -> Float64:
        """Return one row, each value exactly `float(text)`."""
        with self.path.open("rb") as file:
            file.seek(self._starts[number])
            return self._parsed(number, file.readline())

    def check(self) -> None:
        """Read every row; raises ConfigError as `row` does."""
        with self.path.open("rb") as file:
            for number, start in enumerate(self._starts):
                file.seek(start)
                self._parsed(number, file.readline())

    def _parsed(self, number: int, line: bytes) -> Float64:
        texts = line.split()
        try:
            return np.array(list(map(_finite, texts)), np.float64)
        except ValueError as error:
            column = next(i for i, text in enumerate(texts) if not _holds(_finite, text))
            raise self._problem(number, f"column {column + 1} is {texts[column]!r}; want a finite number") from error

    def _scan(self) -> None:
        try:
            with self.path.open("rb") as file:
                at = 0
                for line in file:
                    self._add(at, line)
                    at += len(line)
        except OSError as error:
            raise ConfigError(f"recording: could not read {self.path}: {error.strerror or error}") from error
        if not self._starts:
            raise ConfigError(f"recording: {self.path} is empty; want one row a cycle")

    def _add(self, at: int, line: bytes) -> None:
        texts = line.split()
        columns = len(texts)
        if columns == self.columns and is_header(texts):
            return
        if columns != self.columns:
            raise self._problem(len(self), f"has {columns} columns; want {self.columns}")
        if len(self) >= ROWS_MAX:
            raise self._problem(len(self), f"is one more than the {ROWS_MAX:,} that fit; split the recording")
        self._starts.append(at)

    def _problem(self, number: int, what: str) -> ConfigError:
        return ConfigError(f"recording: {self.path} row {number + 1} {what}")


def _finite(text: bytes) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _holds(parse: Callable[[bytes], float], text: bytes) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
