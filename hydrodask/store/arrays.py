"""Columns of Arrow as arrays of numpy, and back, by their buffers alone.

Arrow's own ways import pandas at the first number, wherever that is installed: half a second, and forty megabytes,
that whoever only looks has no use for.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from hydrodask.records import Int64

_KINDS = {"double": np.float64, "float": np.float32}


def numbers(column: Any, nothing: float = np.nan) -> Any:
    """Return a column of numbers, shape (n,); where there is none it is `nothing`, in whole numbers 0 unless given.

    >>> numbers(pa.chunked_array([[1.5, None], [3.0]])).tolist(), numbers(pa.array([7, None]), -1).tolist()
    ([1.5, nan, 3.0], [7, -1])
    """
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [_numbers(chunk, nothing) for chunk in chunks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0, _kind(column.type))


def places(rows: Int64) -> pa.Array:
    """Return numbers of rows as Arrow takes them.

    >>> places(np.array([2, 0])).to_pylist()
    [2, 0]
    """
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows, np.int64))])


def _numbers(chunk: pa.Array, nothing: float) -> Any:
    if not len(chunk):
        return np.zeros(0, _kind(chunk.type))
    known, data = chunk.buffers()
    values = np.frombuffer(data, _kind(chunk.type), len(chunk), chunk.offset * np.dtype(_kind(chunk.type)).itemsize)
    if not chunk.null_count:
        return values
    bits = np.unpackbits(np.frombuffer(known, np.uint8), bitorder="little")[chunk.offset :][: len(chunk)]
    whole = np.issubdtype(values.dtype, np.integer)
    return np.where(bits.astype(np.bool_), values, values.dtype.type(0 if whole and nothing != nothing else nothing))  # noqa: PLR0124


def _kind(type_: pa.DataType) -> Any:
    return _KINDS.get(str(type_), str(type_))
