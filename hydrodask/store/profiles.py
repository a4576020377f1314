"""Read what learning needs: profiles and labels of the lake, and folders of cycles in the archive's two layouts."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hydrodask.channels import CYCLE_S, is_header
from hydrodask.errors import ConfigError, IntegrityError, sentence
from hydrodask.records import Float64, Int64
from hydrodask.store.files import Files
from hydrodask.store.listing import readable

LABELS = ("cooler", "valve", "pump", "accumulator", "stable")
"""Columns of a cycle's label, in the order of the archive's `profile.txt`."""

_KEYS = ["rig", "cycle", "cycle_start", "revision"]


@dataclass(slots=True)
class ProfileKeys:
    """Which cycles are in a file, row by row."""

    rig: NDArray[np.object_]
    cycle: Int64
    start_us: Int64
    revision: Int64


def profile_paths(files: Files, sensor: str) -> list[str]:
    """Return the lake's files of one sensor's cycle profiles."""
    return [file.path for file in readable(files.names(f"cycles/sensor={sensor}"))]


def profile_keys(files: Files, path: str) -> ProfileKeys:
    """Return which cycles a file of profiles holds. Raises IntegrityError when it is no such file."""
    return _keys(_read(files, path, _KEYS), "cycle_start")


STATISTICS = ("mean", "min", "max")
"""Columns of a profile that hold a value a second."""


def profile_curves(files: Files, path: str, names: Sequence[str] = STATISTICS) -> Float64:
    """Return shape (n, names, 60): mean, smallest and largest value of each second, NaN where there is none."""
    table = _read(files, path, list(names))
    parts = [_matrix(table.column(name), path) for name in names]
    return np.stack(parts, axis=1)


def label_keys(files: Files) -> tuple[ProfileKeys, Float64]:
    """Return all labels of the lake: which cycles, and shape (n, 5) in the order of `LABELS`."""
    names = [file.path for file in readable(files.names("labels"))]
    tables = [_read(files, name, ["rig", "cycle", "timestamp", "revision", *LABELS]) for name in names]
    if not tables:
        empty = np.zeros(0, np.int64)
        return ProfileKeys(np.zeros(0, object), empty, empty, empty), np.zeros((0, len(LABELS)))
    table = pa.concat_tables(tables)
    return _keys(table, "timestamp"), np.stack([_floats(table.column(name)) for name in LABELS], axis=1)


def read_matrix(path: Path) -> tuple[Int64 | None, Float64]:
    """Return the numbers of cycles, if the file has them, and the samples, one cycle a row.

    Takes Parquet with `cycle` and `samples`, or text with tabs between values, each exactly `float(text)`. A list that
    is null is a cycle of which nothing was measured. Raises ConfigError when the file is neither.
    """
    try:
        if path.suffix == ".parquet":
            table = _table(path)
            cycle = _numbers(table)
            return cycle, _measured(_lists(table.column("samples").combine_chunks(), cycle), path)
        return None, _measured(_text(path), path)
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise ConfigError(f"could not read {path} as cycles, one a row: {sentence(error)}") from error


def read_labels(path: Path) -> tuple[Int64 | None, Float64]:
    """Return the numbers of cycles, if the file has them, and shape (n, 5) of `profile.parquet` or `profile.txt`.

    What is null, or NaN, nobody knows. Raises ConfigError.
    """
    try:
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            columns = [_floats(table.column(name)) for name in LABELS]
            cycle = _numbers(table) if "cycle" in table.column_names else None
            return cycle, _measured(np.stack(columns, axis=1), path)
        values = _measured(_text(path), path)
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise ConfigError(f"could not read {path} as labels, one cycle a row: {sentence(error)}") from error
    if values.shape[1] != len(LABELS):
        raise ConfigError(f"{path} has {values.shape[1]} columns; want {len(LABELS)}: {', '.join(LABELS)}")
    return None, values


def write_table(path: Path, columns: dict[str, object]) -> int:
    """Write columns as one Parquet file and return its size."""
    pq.write_table(pa.table(columns), path, compression="zstd")
    return path.stat().st_size


def _text(path: Path) -> Float64:
    """Return rows of text as numbers. Six thousand columns are more than a CSV reader is made for."""
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            texts = line.split()
            rows += [list(map(float, texts))] if texts and not is_header(texts) else []
        except ValueError as error:
            raise ValueError(f"row {number}: {error}") from error
    if len({len(row) for row in rows}) != 1:
        raise ValueError("its rows have different numbers of values, or there are none")
    return np.array(rows, np.float64)


def _table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except pa.ArrowInvalid:
        # Arrow writes a null among lists of one fixed length, and can't read it back as such: as lists of any length.
        data = path.read_bytes()
        at = max(len(data) - 8 - int.from_bytes(data[-8:-4], "little"), 0)
        footer = data[at:].replace(b"ARROW:schema", b"other:schema")
        return pq.ParquetFile(pa.BufferReader(data[:at] + footer)).read()


def _numbers(table: pa.Table) -> Int64:
    """Return the numbers of cycles of a table. Raises ValueError when a row has none."""
    column = table.column("cycle")
    if column.null_count:
        raise ValueError(f"row {pc.index(pc.is_null(column), True).as_py() + 1} has no number of a cycle")
    return np.asarray(pc.cast(column, pa.int64()).to_numpy())


def _lists(samples: pa.Array, cycle: Int64) -> Float64:
    """Return lists as rows, NaN for a list that is null. Raises ValueError when they differ in length.

    End to end a list of 59 would take its last value from the next one, and nobody would see it.
    """
    length = pc.list_value_length(samples)
    lengths = length.drop_null().to_numpy(zero_copy_only=False)
    if not len(samples):
        raise ValueError("there are no cycles in it")
    wide = int(lengths[0]) if len(lengths) else CYCLE_S
    there = np.asarray(samples.is_valid().to_numpy(zero_copy_only=False))
    if (other := lengths != wide).any():
        one, another = cycle[there][0], cycle[there][other][0]
        raise ValueError(f"cycle {one} has {wide} values, cycle {another} has {lengths[other][0]}")
    values = np.full((len(samples), wide), np.nan)
    values[there] = _floats(samples.drop_null().flatten()).reshape(-1, wide)
    return values


def _measured(values: Float64, path: Path) -> Float64:
    """Return samples or labels, of which NaN is one that is missing. Raises ConfigError for an infinite one."""
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values).any(axis=1))[0])
        raise ConfigError(f"could not use {path}: row {row + 1} has a value that is infinite")
    return np.ascontiguousarray(values)


def _floats(column: pa.Array | pa.ChunkedArray) -> Float64:
    """Return numbers as doubles, null as NaN."""
    column = pc.cast(column, pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy())


def _read(files: Files, path: str, columns: list[str]) -> pa.Table:
    try:
        # Through one file object, because a folder `sensor=PS1` in a path would become a column.
        return pq.ParquetFile(io.BytesIO(files.read(path))).read(columns)
    except (pa.ArrowException, KeyError) as error:
        raise IntegrityError(
            f"{path} in {files.url} is no file of ours or is damaged ({sentence(error)}); move it away"
        ) from error


def _keys(table: pa.Table, start: str) -> ProfileKeys:
    return ProfileKeys(
        _names(table.column("rig")),
        table.column("cycle").to_numpy().astype(np.int64),
        table.column(start).cast(pa.int64()).to_numpy(),
        table.column("revision").to_numpy().astype(np.int64),
    )


def _names(column: pa.ChunkedArray) -> NDArray[np.object_]:
    """Return names of which equal ones are one object: there are millions of them, and few are different."""
    coded = pc.dictionary_encode(column.combine_chunks())
    names = np.array([*coded.dictionary.to_pylist(), None], object)[:-1]  # of one dimension, whatever is in it
    return np.asarray(names[coded.indices.to_numpy()])


def _matrix(column: pa.ChunkedArray, path: str) -> Float64:
    values = _floats(column.combine_chunks().flatten())
    if len(values) != 60 * len(column):
        raise IntegrityError(f"{path}: a profile does not have 60 seconds; move the file away")
    return values.reshape(len(column), 60)
