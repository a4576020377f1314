"""Columns of the lake's folders, and how batches become tables: with `lake`, the only importer of pyarrow.

`raw` holds every sample, `windows` the final windows, `cycles` the profiles, `late` the samples that changed no window,
`labels` what was true of a rig in a cycle, `bands` what baselines said was usual, `scores` what was said of components.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from hydrodask.channels import CHANNELS, CYCLE_S
from hydrodask.records import Float64, Int32, Int64, LabelRecord, Late, PartitionId, Profiles, Samples, Windows
from hydrodask.reports import Band, Scored
from hydrodask.rigs import RIGS

FOLDERS = ("raw", "windows", "cycles", "late", "labels", "bands", "scores")
"""The folders of the lake that writers fill."""

FLAT = ("labels", "bands", "scores")
"""Folders that are not cut by sensor: their topics are not those of sensors."""

TIME = pa.timestamp("us", tz="UTC")

_TEXT_MAX = 2**31
"""Bytes of all texts in one Arrow array of strings are fewer."""

UNITS = b"hydrodask.units"
"""The key in a Parquet file's metadata under which the units of its columns are, as JSON."""

_MEASURED = ("value", "avg_value", "max_value", "min_value", "stddev_value", "range_value", "mean", "min", "max")
_FIXED = {"sampling_rate_hz": "Hz", "late_us": "us", "cooler": "%", "valve": "%", "accumulator": "bar"}
"""Columns that have the unit of their sensor, and those that have their own; all others are numbers, names or times."""

_SCORED = (
    *(("verdict", pa.string()), ("severity", pa.string()), ("state", pa.int32()), ("settled", pa.int32())),
    *(("unit", pa.string()), ("probability", pa.float64()), ("score", pa.float64()), ("threshold", pa.float64())),
    *(("attention", pa.int32()), ("why", pa.string()), ("model", pa.string())),
)
"""Columns of `scores` that are called what they are in `Scored`."""


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


def samples_of(table: pa.Table, sensor: str, source: PartitionId) -> Samples:
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


def states_table(rig: str, cycle: Int64, times_us: Int64, states: Float64, *, revision: Int64) -> pa.Table:
    """Return rows of `labels` that no record brought, of one rig: `states` (n, 5) as in `labels`, null where NaN."""
    table = labels_table([], [], partition=0, offsets=[])
    values = [pa.array(column, pa.float64(), from_pandas=True) for column in states.T]
    keys = [pa.array([rig] * len(cycle)), pa.array(cycle), pa.array(times_us).cast(TIME)]
    place = [pa.array(np.zeros(len(cycle), np.int32)), pa.array(revision)]
    columns = [*keys, *values, *place]
    return pa.table(
        [one.cast(field.type) for one, field in zip(columns, table.schema, strict=True)], schema=table.schema
    )


def bands_table(bands: Sequence[Band], *, partition: int) -> pa.Table:
    """Return rows of `bands`: rig, sensor, statistic, window_start, centre, scale, enter, partition, revision."""
    columns: dict[str, object] = {
        name: pa.array([getattr(one, name) for one in bands], pa.string()) for name in ("rig", "sensor", "statistic")
    }
    columns["window_start"] = pa.array([one.start_us for one in bands], pa.int64()).cast(TIME)
    for name in ("centre", "scale", "enter"):
        columns[name] = pa.array([getattr(one, name) for one in bands], pa.float64())
    columns["partition"] = np.full(len(bands), partition, np.int32)
    columns["revision"] = pa.array([one.revision for one in bands], pa.int64())
    return pa.table(columns)


def scores_table(scores: Sequence[Scored], *, partition: int) -> pa.Table:
    """Return rows of `scores`, one a component and cycle; see `Scored`."""
    columns: dict[str, object] = {
        "rig": pa.array([one.rig for one in scores], pa.string()),
        "component": pa.array([one.component for one in scores], pa.string()),
        "cycle": pa.array([one.cycle for one in scores], pa.int64()),
        "cycle_start": pa.array([one.start_us for one in scores], pa.int64()).cast(TIME),
    }
    for name, kind in _SCORED:
        columns[name] = pa.array([getattr(one, name) for one in scores], kind)
    columns["model_version"] = pa.array([one.version for one in scores], pa.int32())
    columns["partition"] = np.full(len(scores), partition, np.int32)
    columns["revision"] = pa.array([one.revision for one in scores], pa.int64())
    return pa.table(columns)


def units(path: str, columns: Sequence[str]) -> dict[str, str]:
    """Return the units of a file's columns, as far as they have any: those of the sensor that its path names.

    >>> units("raw/sensor=PS1/date=2026-01-01/x.parquet", ["rig", "value", "sampling_rate_hz"])
    {'value': 'bar', 'sampling_rate_hz': 'Hz'}
    """
    name = next((part.removeprefix("sensor=") for part in path.split("/") if part.startswith("sensor=")), "")
    unit = CHANNELS[name].unit if name in CHANNELS else ""
    of_sensor = {**dict.fromkeys(_MEASURED, unit), "m2": f"({unit})^2"} if unit else {}
    return {column: found for column in columns if (found := (of_sensor | _FIXED).get(column))}


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
        "bands": lambda: bands_table([], partition=0),
        "scores": lambda: scores_table([], partition=0),
    }
    return tables[folder]()


def first_date(table: pa.Table) -> str:
    """Return the UTC event date of the first row."""
    return table.column("timestamp")[0].as_py().strftime("%Y-%m-%d")  # type: ignore[no-any-return]


def _rigs(codes: Int32) -> pa.Array:
    """Return the names of rigs."""
    if len(codes) and (codes == codes[0]).all():  # one rig: the usual, and a tenth of the time
        name = RIGS.name(int(codes[0])).encode()
        if 0 < len(name) * len(codes) < _TEXT_MAX:
            return _repeated(name, len(codes))
    if len(_names) < len(RIGS):
        _names[:] = RIGS.names
        _table[:] = [pa.array(_names, pa.string())]
    return _table[0].take(pa.array(codes)) if len(codes) else pa.array([], pa.string())


def _repeated(text: bytes, count: int) -> pa.Array:
    """Return a text so many times.

    >>> _repeated(b"rig-1", 2).to_pylist()
    ['rig-1', 'rig-1']
    """
    ends = np.arange(0, len(text) * count + 1, len(text), dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(text * count))


_names: list[str] = []
_table: list[pa.Array] = []
"""The rigs' names as an Arrow array, made anew when there are more of them."""


def _lists(values: np.ndarray) -> pa.Array:
    """Return shape (n, k) as lists of k, NaN as null."""
    flat = np.ascontiguousarray(values).ravel()
    mask = np.isnan(flat) if values.dtype.kind == "f" else None
    offsets = np.arange(0, flat.size + 1, max(1, values.shape[1]), dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(flat, mask=mask))
