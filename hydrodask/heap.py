"""The heap of a process: what was freed is kept, for the next batch needs as much again, and modules are no garbage.

By itself glibc asks the system for each large array anew, and Dask has it give back what is free above 64 KiB: each
batch then takes a page fault every 4 KiB, a fifth of all that a record costs.
"""

import ctypes
import gc

KEPT = 64 * 1024 * 1024
"""Bytes that may be free at the top of each of the heaps: a worker that catches up needs them again and again."""

LARGE = 32 * 1024 * 1024
"""Bytes of an array from which on the system is asked for it: the most that glibc takes."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep() -> bool:
    """Let this process keep its heap; say whether the C library knows how to."""
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    return change is not None and bool(change(_MMAP_THRESHOLD, LARGE) and change(_TRIM_THRESHOLD, KEPT))


def settle() -> None:
    """Take what is there by now for what stays: a look for garbage at all that was imported takes a tenth of a second.

    Python takes such looks while more is imported.
    """
    gc.freeze()
