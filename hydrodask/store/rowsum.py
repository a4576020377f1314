"""Sums over rows: what a chain of files holds, whatever files it is cut into.

Each row gives 64 bits that depend on every bit of it, and a chain's sum is that of its rows, without carry beyond 64
bits. So a file can say what the chain came to before it and with it, files that become one keep their sums, and a row
that somebody has changed shows in the file that follows, in the next snapshot, or in the file itself.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hydrodask.store import mixing

KEY = b"hydrodask.sum"
"""Metadata of a file: the chain's sum before it and with it, in hexadecimal."""

UInt64 = NDArray[np.uint64]

MASK = (1 << 64) - 1

_ODD = np.uint64(0x9E3779B97F4A7C15)

_WORDS = (pa.int64(), pa.float64(), pa.timestamp("us", tz="UTC"))
"""Types of a column whose values are 64 bits each as they are, as nearly all are."""

_OF_FILE = ("partition",)
"""Columns that say which file it is, and the same in all of its rows."""


def rowsum(table: pa.Table) -> int:
    """Return the sum of rows, 0 of none. The order of rows and a column of nulls at the end change nothing.

    >>> rows = pa.table({"offset": [1, 2, 3], "value": [1.0, 2.0, 3.0]})
    >>> rowsum(rows) == (rowsum(rows.slice(0, 1)) + rowsum(rows.slice(1))) & MASK, rowsum(rows.slice(0, 0))
    (True, 0)
    """
    if not table.num_rows:
        return 0
    mixed, base = np.zeros(table.num_rows, np.uint64), 0
    for name in table.column_names:
        column = table.column(name)
        if name not in _OF_FILE and column.null_count < len(column):
            weight = _of_text(name) | 1
            if (only := _only_text(column)) is not None:  # one rig: the usual, and cheaper
                base = (base + _of_text(only) * weight) & MASK
            else:
                _weigh(mixed, column, np.uint64(weight))
    return int(mixing.stirred_sum(mixed, np.uint64(base)))


def said(before: int | None, table: pa.Table) -> dict[bytes, bytes]:
    """Return what a file says of its rows, with the chain's sum before it; nothing where that is not known."""
    return {} if before is None else {KEY: text(before, table)}


def text(before: int, table: pa.Table) -> bytes:
    """Return that as it stands in the file."""
    return b"%016x %016x" % (before, (before + rowsum(table)) & MASK)


def read(metadata: Mapping[bytes, bytes]) -> tuple[int, int] | None:
    """Return what a file says of the chain's sum before it and with it; None when it says nothing.

    >>> read({KEY: b"0000000000000001 00000000000000ff"}), read({}), read({KEY: b"1"})
    ((1, 255), None, None)
    """
    before, _, after = metadata.get(KEY, b"").partition(b" ")
    try:
        return int(before, 16), int(after, 16)
    except ValueError:
        return None


def _only_text(column: pa.ChunkedArray) -> str | None:
    """Return the text that all of a column are, None if there are others or nulls."""
    if not pa.types.is_string(column.type) or column.null_count:
        return None
    first = column[0].as_py()
    return first if all(_all_are(chunk, first.encode()) for chunk in column.chunks) else None


def _all_are(texts: pa.StringArray, first: bytes) -> bool:
    """Say whether all of these are the same: as long, and each byte that of the text before."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    if not len(texts) or not (np.diff(ends) == len(first)).all():
        return not len(texts)
    found = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    again = found[len(first) :] == found[: len(found) - len(first)]
    return found[: len(first)].tobytes() == first and bool(again.all())


def _weigh(mixed: UInt64, column: pa.ChunkedArray, weight: np.uint64) -> None:
    """Add a column that has values to what the rows come to."""
    start = 0
    for chunk in column.chunks:
        kept = mixed[start : start + len(chunk)]
        start += len(chunk)
        if not chunk.null_count and chunk.type in _WORDS:
            bits, odd = np.frombuffer(chunk.buffers()[1], np.uint64)[chunk.offset : chunk.offset + len(chunk)], _ODD
        else:
            bits, odd = _bits(chunk), np.uint64(0)
        bits.flags.writeable = False  # as Arrow's are: numba compiles a kernel once more for others
        mixing.weigh(kept, bits, odd, weight)


def _bits(column: pa.Array) -> UInt64:
    """Return 64 bits of each value."""
    if pa.types.is_list(column.type):
        return _of_lists(column)
    if pa.types.is_string(column.type):
        found = column.dictionary_encode()
        each: UInt64 = np.array([*map(_of_text, found.dictionary.to_pylist()), 0], np.uint64)
        places: NDArray[np.int64] = found.indices.fill_null(-1).to_numpy()
        return each[places]
    return _plain(column)


def _plain(column: pa.Array) -> UInt64:
    """Return the bits of numbers and times, 0 for nulls: as for a column that is not there."""
    there = None if not column.null_count else column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if there is not None:
        column = column.fill_null(0)
    values = column.to_numpy(zero_copy_only=False)
    bits: UInt64 = values.view(np.uint64) if values.dtype == np.float64 else values.astype(np.int64).view(np.uint64)
    bits = bits ^ _ODD  # so that 0 is not a null
    return bits if there is None else np.where(there, bits, np.uint64(0))


def _of_lists(column: pa.Array) -> UInt64:
    """Return the bits of lists: each entry counts with its place."""
    offsets: NDArray[np.int64] = column.offsets.to_numpy().astype(np.int64)
    flat = column.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    lengths = np.diff(offsets)
    places = np.arange(len(flat)) - np.repeat(offsets[:-1] - offsets[0], lengths)
    entries = _stirred(_plain(flat) * _ODD + places.astype(np.uint64))
    sums: UInt64 = np.concatenate([np.zeros(1, np.uint64), np.cumsum(entries, dtype=np.uint64)])
    ends: UInt64 = sums[offsets - offsets[0]]
    return np.diff(ends) + lengths.astype(np.uint64)


def _stirred(bits: UInt64) -> UInt64:
    """Return bits each of which depends on all of the given ones (the end of splitmix64)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@lru_cache(maxsize=4096)
def _of_text(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
