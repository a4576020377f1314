"""Compile, or load from the cache, every kernel before the first step, and import what only files need.

The first call of a kernel may take seconds, and so may the first table: Arrow imports pandas for it, if it is there.
"""

import threading
from functools import cache
from typing import Any

import numpy as np

from hydrodask import heap
from hydrodask.blobs import Blobs
from hydrodask.decode import DECODERS, Decoder
from hydrodask.ingest import gather
from hydrodask.records import Messages
from hydrodask.rigs import RigTable
from hydrodask.store import mixing
from hydrodask.store.schemas import labels_table
from hydrodask.window import OpenCycles, OpenWindows, Tally

_RECORD = (
    b'{"sensor": "TS1", "cycle": 0, "sample_idx": %d, "value": 1.5, "timestamp": "2026-01-01T00:%02d:00.000000", '
    b'"sampling_rate_hz": 1, "rig": "warm"}'
)


_LOCK = threading.Lock()


def warm_up() -> None:
    """Run a few records through each kernel, once a process; who comes while another thread does it waits for it."""
    with _LOCK:
        _warm_up()


@cache
def _warm_up() -> None:
    """Do it, with tables of our own."""
    heap.keep()
    rigs = RigTable()
    values: list[bytes | None] = [*(_RECORD % (i, i) for i in range(4)), b"{}"]
    numbers = np.arange(len(values), dtype=np.int64)
    stamps = np.full(len(values), 4 * 10**12, np.int64)
    messages = Messages("warm", 0, Blobs.of(values), Blobs.of([None] * len(values)), numbers, stamps)
    limits: Any = {"future_us_max": 60_000_000, "record_bytes_max": 65_536, "rig_bytes_max": 128}
    for first in DECODERS:
        samples, _ = Decoder("TS1", default_rig="warm", first=first, rigs=rigs, **limits).decode(messages)
    windows = OpenWindows("TS1", length_us=60_000_000, slide_us=10_000_000, lateness_us=10_000_000, rigs=rigs)
    windows.consume(samples)
    windows.updates(4)
    windows.shown(1)
    Tally("TS1", rigs=rigs).take(messages, samples, [])
    OpenCycles("TS1", lateness_us=10_000_000, rigs=rigs).consume(samples)
    _gather_nothing()
    labels_table([], [], partition=0, offsets=[])
    _mix_nothing()


def _gather_nothing() -> None:
    """Take an empty batch apart: its kernels need addresses of real messages for anything else."""
    none, keys = np.zeros(0, np.int64), Blobs.empty(0, 0)
    blobs = (keys.data, keys.bounds, keys.present)
    sums = np.zeros((0, 3), np.int64)
    gather.sort_out(none, none, none, np.zeros((0, 2), np.int64), sums)
    gather.copy(none, none, none, sums, (np.int64(0), np.int64(0), np.int64(0)), (none, none), blobs, blobs)


def _mix_nothing() -> None:
    """Add up no rows, of a column as Arrow has them: not to be written."""
    words, none = np.zeros(0, np.uint64), np.uint64(0)
    mixing.weigh(words, np.frombuffer(b"", np.uint64), none, none)
    mixing.stirred_sum(words, none)
