"""Profiles of the lake → features, as Dask collections: chunks of cycles in order of time, read when needed."""

from collections.abc import Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np

from hydrodask.learn.data.catalogue import Catalogue
from hydrodask.learn.features import compute, sensors_of
from hydrodask.records import Float64

CHUNK = 1_000
"""Cycles of one chunk: 25 MB of curves while its features are computed."""


def features(cycles: Catalogue, names: Sequence[str], *, chunk: int = CHUNK, dtype: str = "float64") -> Any:
    """Return a Dask array of shape (cycles, names): one task a chunk, which reads and computes only what it needs."""
    read = dask.delayed(_chunk, pure=False)
    parts = []
    for start in range(0, len(cycles), chunk):
        part = cycles.take(slice(start, start + chunk))
        shape = (len(part), len(names))
        parts.append(da.from_delayed(read(lean(part), tuple(names), dtype), shape=shape, dtype=dtype))
    return da.concatenate(parts) if parts else da.zeros((0, len(names)), dtype=dtype)


def gathered(array: Any) -> Float64:
    """Return a Dask array as one array here. Chunk by chunk: put together on a worker it may not fit there."""
    return np.concatenate(dask.compute(*array.to_delayed().ravel()))


def _chunk(part: Catalogue, names: tuple[str, ...], dtype: str) -> Float64:
    return compute(part.read(sensors_of(names)), names).astype(dtype)


def lean(part: Catalogue) -> Catalogue:
    """Return a chunk's catalogue with the paths of its own files only: a task must not carry the whole lake's."""
    paths, file = [], part.file.copy()
    for number, names in enumerate(part.paths):
        used = np.unique(part.file[:, number])
        used = used[used >= 0]
        paths.append([names[i] for i in used])
        here = file[:, number] >= 0
        file[here, number] = np.searchsorted(used, file[here, number])
    return Catalogue(part.url, paths, part.rig, part.cycle, part.start_us, file, part.row, part.labels)


def chunked(*arrays: Any, chunk: int = CHUNK) -> list[Any]:
    """Return arrays that are in memory as Dask arrays of chunks of rows."""
    return [da.from_array(a, chunks=(chunk, *a.shape[1:])) for a in arrays]
