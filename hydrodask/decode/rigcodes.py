"""Which code a rig's name has, compiled: the names are still bytes in the records' buffer."""

import numpy as np

from hydrodask.decode.scan import same
from hydrodask.kernels import njit


@njit(cache=True)
def find_rigs(buffer, spans, good, table, default, codes):  # type: ignore[no-untyped-def]
    """Fill `codes` (n,) of the `good` records; each one's name is `buffer[spans[i, 0]:spans[i, 1]]`.

    No name means `default`. One that is not in the `table`, the rig table's arrays, gets -1; returns how many did.
    """
    pool, known, slots = table
    new = 0
    start, end, code = 0, 0, default
    for i in range(len(spans)):
        if not good[i]:
            continue
        if not same(buffer, start, end, buffer, spans[i, 0], spans[i, 1]):
            start, end = spans[i, 0], spans[i, 1]
            code = find_rig(buffer, start, end, pool, known, slots) if end > start else default
        codes[i] = code
        new += code < 0
    return new


@njit(cache=True)
def find_rig(buffer, start, end, pool, spans, slots):  # type: ignore[no-untyped-def]
    """Return the code of the name in `buffer[start:end]`, or -1 when it has none."""
    value = np.uint32(0x811C9DC5)
    for i in range(start, end):
        value = np.uint32((value ^ np.uint32(buffer[i])) * np.uint32(0x01000193))
    mask = len(slots) - 1
    at = np.int64(value) & mask
    while slots[at] >= 0:
        first, last = spans[slots[at], 0], spans[slots[at], 1]
        if same(pool, first, last, buffer, start, end):
            return slots[at]
        at = (at + 1) & mask
    return -1
