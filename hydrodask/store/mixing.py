"""The arithmetic of `rowsum`, compiled: one pass a column, without arrays between."""

import numpy as np

from hydrodask.kernels import njit


@njit(cache=True, nogil=True)
def weigh(mixed, bits, odd, weight):  # type: ignore[no-untyped-def]
    """Add `(bits ^ odd) * weight` to `mixed`, all uint64 and without carry."""
    for i in range(len(mixed)):
        mixed[i] += (bits[i] ^ odd) * weight


@njit(cache=True, nogil=True)
def stirred_sum(mixed, base):  # type: ignore[no-untyped-def]
    """Return the sum of `mixed + base`, each stirred so that it depends on all of its bits (the end of splitmix64)."""
    total = np.uint64(0)
    for i in range(len(mixed)):
        bits = mixed[i] + base
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        total += bits ^ (bits >> np.uint64(31))
    return total
