"""Columns of the lake's folders, and how batches become tables: with `lake`, the only importer of pyarrow.

`raw` holds every sample, `windows` the final windows, `cycles` the profiles, `late` the samples that changed no window,
`labels` what was true of a rig in a cycle.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from hydrodask.channels import CYCLE_S
from hydrodask.records import Int32, LabelRecord, Late, Profiles, Samples, Windows
from hydrodask.rigs import RIGS

FOLDERS = ("raw", "windows", "cycles", "late", "labels")
"""The folders of the lake."""

TIME = pa.timestamp("us", tz="UTC")


def samples_table(samples: Samples) -> pa.Table:
    """Return rows of `raw`: rig, cycle, sample_idx, value, timestamp, sampling_rate_hz, partition, offset."""
    return pa.table(
        {
            "rig": _rigs(samples.rig),
            "cycle": samples.cycle,
            "sample_idx": samples.sample_idx,
            "value": samples.value,
            "timestamp": pa.array(samples.time_us).cast(TIME),
            "sampling_rate_hz": samples.rate_hz,
            "partition": np.full(len(samples), samples.partition, np.int32),
            "offset": samples.offset,
        }
    )


def samples_of(table: pa.Table, sensor: str, source: tuple[str, int]) -> Samples:
    """Return rows of `raw` as the operators take them: what `samples_table` has made a table of."""
    rigs = table.column("rig").combine_chunks().dictionary_encode()
    codes = np.array([RIGS.code(name) for name in rigs.dictionary.to_pylist()], np.int32)
    columns = {name: table.column(name).to_numpy() for name in ("cycle", "sample_idx", "value", "offset")}
    return Samples(
        sensor,
        *source,
        rig=codes[rigs.indices.to_numpy()] if len(codes) else np.zeros(0, np.int32),
        time_us=table.column("timestamp").cast(pa.int64()).to_numpy(),
        rate_hz=table.column("sampling_rate_hz").to_numpy(),
        **columns,
    )


def late_table(late: Late) -> pa.Table:
    """Return rows of `late`: those of `raw`, and `late_us`, how far the sample was behind the watermark."""
    return samples_table(late.samples).append_column("late_us", pa.array(late.late_us))


def windows_table(windows: Windows, *, partition: int, length_us: int) -> pa.Table:
    """Return rows of `windows`; `revision` is the offset of the record that made the window final."""
    return pa.table(
        {
            "rig": _rigs(windows.rig),
            "window_start": pa.array(windows.start_us).cast(TIME),
            "window_end": pa.array(windows.start_us + length_us).cast(TIME),
            "avg_value": windows.mean,
            "max_value": windows.high,
            "min_value": windows.low,
            "stddev_value": pa.array(windows.stddev, mask=np.isnan(windows.stddev)),
            "range_value": windows.high - windows.low,
            "sample_count": windows.count,
            "partition": np.full(len(windows), partition, np.int32),
            "revision": windows.revision,
            "sampling_rate_hz": windows.rate_hz,
        }
    )


def profiles_table(profiles: Profiles, *, partition: int) -> pa.Table:
    """Return rows of `cycles`: one a (rig, cycle), with a list of one entry a second for each statistic."""
    return pa.table(
        {
            "rig": _rigs(profiles.rig),
            "cycle": profiles.cycle,
            "cycle_start": pa.array(profiles.start_us).cast(TIME),
            "complete": profiles.complete,
            "n": _lists(profiles.count),
            "mean": _lists(profiles.mean),
            "m2": _lists(profiles.m2),
            "min": _lists(profiles.low),
            "max": _lists(profiles.high),
            "partition": np.full(len(profiles), partition, np.int32),
            "revision": profiles.revision,
            "sampling_rate_hz": profiles.rate_hz,
        }
    )


def profiles_tables(parts: Sequence[Profiles], *, partition: int) -> pa.Table:
    """Return the rows of several runs of profiles, at least one, as `profiles_table` does."""
    return pa.concat_tables([profiles_table(part, partition=partition) for part in parts])


def labels_table(
    labels: Sequence[LabelRecord], times_us: Sequence[int], *, partition: int, offsets: Sequence[int]
) -> pa.Table:
    """Return rows of `labels`: rig, cycle, timestamp, the four component states, stable, partition, revision."""
    columns: dict[str, object] = {
        "rig": pa.array([label.rig for label in labels], pa.string()),
        "cycle": pa.array([label.cycle for label in labels], pa.int64()),
        "timestamp": pa.array(times_us, pa.int64()).cast(TIME),
    }
    for name in ("cooler", "valve", "pump", "accumulator"):
        columns[name] = pa.array([getattr(label, name) for label in labels], pa.float64())
    columns["stable"] = pa.array([label.stable for label in labels], pa.int64())
    columns["partition"] = np.full(len(labels), partition, np.int32)
    columns["revision"] = pa.array(offsets, pa.int64())
    return pa.table(columns)


def empty(folder: str) -> pa.Table:
    """Return no rows of a folder, in its columns. `folder` is one of `FOLDERS`."""
    none, numbers, codes = np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int32)
    flags, counts, curves = np.zeros(0, np.bool_), np.zeros((0, CYCLE_S), np.int32), np.zeros((0, CYCLE_S))
    samples = Samples("", "", 0, codes, none, none, numbers, none, numbers, none)
    windows = Windows("", codes, none, none, numbers, numbers, numbers, numbers, flags, none, numbers)
    profiles = Profiles("", codes, none, none, flags, none, counts, curves, curves, curves, curves, numbers)
    tables = {
        "raw": lambda: samples_table(samples),
        "windows": lambda: windows_table(windows, partition=0, length_us=0),
        "cycles": lambda: profiles_table(profiles, partition=0),
        "late": lambda: late_table(Late(samples, none)),
        "labels": lambda: labels_table([], [], partition=0, offsets=[]),
    }
    return tables[folder]()


def first_date(table: pa.Table) -> str:
    """Return the UTC event date of the first row."""
    return table.column("timestamp")[0].as_py().strftime("%Y-%m-%d")  # type: ignore[no-any-return]


def _rigs(codes: Int32) -> pa.Array:
    """Return the names of rigs."""
    if len(_names) < len(RIGS):
        _names[:] = RIGS.names
        _table[:] = [pa.array(_names, pa.string())]
    return _table[0].take(pa.array(codes)) if len(codes) else pa.array([], pa.string())


_names: list[str] = []
_table: list[pa.Array] = []
"""The rigs' names as an Arrow array, made anew when there are more of them."""


def _lists(values: np.ndarray) -> pa.Array:
    """Return shape (n, k) as lists of k, NaN as null."""
    flat = np.ascontiguousarray(values).ravel()
    mask = np.isnan(flat) if values.dtype.kind == "f" else None
    offsets = np.arange(0, flat.size + 1, max(1, values.shape[1]), dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(flat, mask=mask))
