"""A fleet's history as `run` and `compact` leave it, made at once: windows, five-minute rows, bands, scores, documents.

Nothing ran, so nothing of it says how good detection is; it is there to be looked at, and as large as a real one. What
is older than `SMALL_US` is in large files by rig, as `compact` makes them; the rest in files of five minutes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hydrodask.channels import CHANNELS
from hydrodask.clock import US_PER_S, iso
from hydrodask.records import Upsert, Windows
from hydrodask.rigs import RIGS
from hydrodask.settings import Settings
from hydrodask.store import fiveminutes, rowsum
from hydrodask.store.documents import open_documents
from hydrodask.store.fiveminutes import BUCKET_US, ORDER
from hydrodask.store.lake import Lake
from hydrodask.store.listing import file_name
from hydrodask.store.schemas import empty, windows_table

DAY_US = 86_400 * US_PER_S
SMALL_US = 6 * 3600 * US_PER_S
LARGE_ROWS = 1_000_000
"""Rows of a large file at most, as `compact` has it."""

MINUTE_US = 60 * US_PER_S
LENGTH_US, SLIDE_US = MINUTE_US, 10 * US_PER_S
COMPONENTS = ("cooler", "valve", "pump", "accumulator", "stable", "cycle")
STATISTICS = ("avg_value", "stddev_value")
EPISODE_US = 12 * 3600 * US_PER_S
"""A rig has an incident so often."""

MEANS = {"PS1": 160.0, "PS2": 109.6, "PS3": 2.0, "PS4": 10.1, "PS5": 9.9, "PS6": 9.8, "EPS1": 2541.0, "FS1": 6.7}
MEANS |= {"FS2": 10.2, "TS1": 35.6, "TS2": 41.1, "TS3": 38.4, "TS4": 30.4, "VS1": 0.56, "CE": 47.3, "CP": 2.18}
MEANS |= {"SE": 59.1}


@dataclass(frozen=True)
class Week:
    """So many rigs' history of `length_us` up to `end_us`, a multiple of five minutes; `open_rigs` have something."""

    settings: Settings
    rigs: Sequence[str]
    end_us: int
    length_us: int
    open_rigs: int

    def make(self) -> Iterator[str]:
        """Write it, and say after each part what was written."""
        lake, begin_us = Lake(self.settings.lake_url), self.end_us - self.length_us
        old_us = max(begin_us, self.end_us - SMALL_US)
        for sensor in CHANNELS:
            first = 0
            for large, start_us, end_us in _parts(begin_us, old_us, self.end_us, self._per_file(SLIDE_US)):
                first = self._windows(lake, sensor, first, (start_us, end_us), large=large)
            yield f"windows of {sensor}"
        for folder, topic, each_us, rows in (
            ("bands", "analytics", MINUTE_US, len(CHANNELS) * len(STATISTICS)),
            ("scores", "cycles", MINUTE_US, len(COMPONENTS)),
        ):
            first = 0
            for large, start_us, end_us in _parts(begin_us, old_us, self.end_us, self._per_file(each_us, rows)):
                at_us = np.arange(start_us, end_us, each_us, dtype=np.int64)
                table = self._flat(folder, at_us, first, large=large)
                first = self._put(lake, folder, f"hydraulic-{topic}", first, table, large=large)
            yield folder
        documents = open_documents(self.settings)
        changes = list(self._incidents())
        documents.write(changes)
        documents.close()
        yield f"{len(changes)} incidents"

    def _per_file(self, each_us: int, rows: int = 1) -> int:
        """Return how long a large file is: a day, or as many whole five minutes as fit into its rows."""
        fits = LARGE_ROWS * each_us // (len(self.rigs) * rows) // BUCKET_US * BUCKET_US
        return min(DAY_US, max(BUCKET_US, fits))

    def _windows(self, lake: Lake, sensor: str, first: int, span: tuple[int, int], *, large: bool) -> int:
        starts = np.arange(span[0], span[1], SLIDE_US, dtype=np.int64)
        order = _order(len(starts), len(self.rigs), by_rig=large)
        at_us, rig = starts[order // len(self.rigs)], order % len(self.rigs)
        mean = self._mean(sensor, at_us, rig)
        reach = MEANS[sensor] * 0.02
        count, channel = len(order), CHANNELS[sensor]
        codes = np.array([RIGS.code(name) for name in self.rigs], np.int32)
        windows = Windows(
            sensor, codes[rig], at_us, np.full(count, channel.rate_hz * 60, np.int64), mean, np.full(count, reach / 2),
            mean - reach, mean + reach, np.ones(count, np.bool_), first + order, np.full(count, float(channel.rate_hz)),
        )  # fmt: skip
        table = windows_table(windows, partition=0, length_us=LENGTH_US)
        return self._put(lake, f"windows/sensor={sensor}", f"hydraulic-{sensor}", first, table, large=large)

    def _mean(self, sensor: str, at_us: Any, rig: Any) -> Any:
        """Return means that wander by day, differ by rig, and are noisy; with few digits, as sensors have."""
        seed = int(at_us.min() // US_PER_S) + len(sensor)
        noise = np.random.default_rng(seed).standard_normal(len(at_us)) * 0.003
        day = 0.01 * np.sin(at_us / DAY_US * 2 * np.pi + rig)
        return np.round(MEANS[sensor] * (1 + 0.0001 * (rig % 50) + day + noise), 4)

    def _flat(self, folder: str, at_us: Any, first: int, *, large: bool) -> pa.Table:
        """Return rows of bands/ or scores/: one a rig, time and key, all of them usual."""
        keys = [(s, t) for s in CHANNELS for t in STATISTICS] if folder == "bands" else [(c, "") for c in COMPONENTS]
        rigs, each = len(self.rigs), len(keys)
        order = np.repeat(_order(len(at_us), rigs, by_rig=large), each)
        rows, key = len(order), np.tile(np.arange(each), len(order) // each)
        time, rig = at_us[order // rigs], order % rigs

        def texts(values: Sequence[str], codes: Any) -> Any:
            return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(values)).cast(pa.string())

        names = [one for one, _ in keys]
        found: dict[str, Any] = {"rig": texts(self.rigs, rig), "revision": first + order}
        if folder == "bands":
            centre = np.array([MEANS[one] for one in names])[key]
            found |= {"sensor": texts(names, key), "statistic": texts([one for _, one in keys], key)}
            found |= {"window_start": time, "centre": centre, "scale": centre * 0.005, "enter": np.full(rows, 10.0)}
        else:
            same = {"verdict": "nominal", "severity": "", "unit": "%", "why": "", "model": "hydrodask"}
            found |= {"component": texts(names, key), "cycle_start": time, "cycle": time // MINUTE_US}
            found |= {name: texts([value], np.zeros(rows, np.int32)) for name, value in same.items()}
            found |= {name: np.full(rows, 100) for name in ("state", "settled")} | {"model_version": np.ones(rows)}
        schema = empty(folder).schema
        columns = [_as(found.get(field.name), field, rows) for field in schema]
        return pa.Table.from_arrays(columns, schema=schema)

    def _put(self, lake: Lake, folder: str, topic: str, first: int, table: pa.Table, *, large: bool) -> int:
        """Store rows as a writer does, or as `compact` does; return where the file ends."""
        end = int(table["revision"].to_numpy().max()) + 1
        if not large:
            lake.put(folder, (topic, 0), first, end, table)
            return end
        path = f"{folder}/{file_name((topic, 0), first, end)}"
        lake.files.put_if_absent(path, lake.encoded(path, table, first, end, {ORDER: b"rig"}))
        if folder.startswith("windows/"):
            beside, says = fiveminutes.path_of(path), {fiveminutes.OF: b"%016x" % rowsum.rowsum(table)}
            lake.files.replace(beside, lake.encoded(beside, fiveminutes.coarse(table), first, end, says))
        return end

    def _incidents(self) -> Iterator[Upsert]:
        """Give each rig two incidents a day; the first `open_rigs` one that is open, too, each third critical."""
        for number, rig in enumerate(self.rigs):
            for at_us in range(self.end_us - self.length_us, self.end_us - SMALL_US // 6, EPISODE_US):
                began_us = at_us + number * 7 * US_PER_S
                yield _incident(rig, began_us, began_us + 600 * US_PER_S, "warning", number)
            if number < self.open_rigs:
                severity = "critical" if number % 3 == 0 else "warning"
                yield _incident(rig, self.end_us - (300 + number) * US_PER_S, None, severity, number)


def _parts(begin_us: int, old_us: int, end_us: int, large_us: int) -> Iterator[tuple[bool, int, int]]:
    """Give large parts up to `old_us`, then those of five minutes: whether it is a large one, its begin and end."""
    for start_us in range(begin_us, old_us, large_us):
        yield True, start_us, min(old_us, start_us + large_us)
    for start_us in range(old_us, end_us, BUCKET_US):
        yield False, start_us, start_us + BUCKET_US


def _order(times: int, rigs: int, *, by_rig: bool) -> Any:
    """Return the numbers of rows in the order in which they are stored: by time, or by rig."""
    numbers = np.arange(times * rigs, dtype=np.int64)
    return numbers.reshape(times, rigs).T.ravel() if by_rig else numbers


def _as(values: Any, field: pa.Field, rows: int) -> Any:
    if values is None:
        return pa.nulls(rows, field.type) if field.name != "partition" else pa.array(np.zeros(rows, np.int32))
    if pa.types.is_timestamp(field.type):
        return pa.array(values).cast(field.type)
    return values if isinstance(values, pa.Array) else pa.array(values).cast(field.type)


def _incident(rig: str, began_us: int, over_us: int | None, severity: str, number: int) -> Upsert:
    sensor, rule = ("CE", "cooler_failing") if number % 2 else ("PS1", "baseline:avg_value")
    body: dict[str, object] = {"rig": rig, "sensor": sensor, "rule": rule, "severity": severity, "provisional": False}
    body |= {"status": "open" if over_us is None else "resolved", "opened_at": iso(began_us)}
    body |= {"resolved_at": None if over_us is None else iso(over_us), "statistic": "avg_value", "windows": 60}
    body |= {"first_window": iso(began_us), "last_window": iso(over_us or began_us), "worst": 20.0, "threshold": 30.0}
    body |= {"message": f"avg_value of {sensor} is 20, want 30"}
    return Upsert("incidents", f"{rig}/{sensor}/{rule}/{iso(began_us)}", 1, body)
