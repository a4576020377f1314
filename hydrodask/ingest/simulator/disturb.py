"""Faults of sensors and transport, applied to the chunks of one second."""

import zlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hydrodask.clock import US_PER_S
from hydrodask.ingest.chunk import Chunk
from hydrodask.ingest.simulator.faults import SensorFault, TransportFault
from hydrodask.records import Float64

MALFORMED: tuple[bytes, ...] = (
    b'{"sensor":"PS1","cycle":12,"sample',
    b'{"sensor":"PS1","cycle":0,"sample_idx":1,"value":NaN,"timestamp":"2026-01-01T00:00:00Z","sampling_rate_hz":100}',
    b'{"sensor":"PS1","cycle":0,"sample_idx":1,"value":"high","timestamp":"2026-01-01T00:00:00Z","sampling_rate_hz":1}',
    b'{"sensor":"PS1","cycle":0,"sample_idx":1,"timestamp":"2026-01-01T00:00:00Z","sampling_rate_hz":100}',
    b'{"sensor":"PS9","cycle":0,"sample_idx":1,"value":1.0,"timestamp":"2026-01-01T00:00:00Z","sampling_rate_hz":100}',
    b"\xff\xfe\x00 not even text",
    b"",
)
"""What a malformed record looks like, in turn; each breaks another rule."""


def sensor_fault(chunk: Chunk, fault: SensorFault, *, second: int, seed: tuple[int, ...], last_value: float) -> Chunk:
    """Return `chunk` as the faulty sensor gives it; a dropped-out one has no chunk at all.

    `second` counts from the start of the run; `last_value` is the one just before the fault began.
    """
    rng = _rng(chunk, seed, second)
    count, size = len(chunk), fault.magnitude
    if fault.kind == "stuck":
        value = np.full(count, last_value)
    elif fault.kind == "drift":
        value = chunk.value + size * (second - fault.at + np.arange(count) / count) / 60
    elif fault.kind == "noise":
        value = chunk.value + size * rng.standard_normal(count)
    else:
        value = chunk.value.copy()
        value[rng.integers(count)] += size
    return replace(chunk, value=np.round(value, 3))


def transport_fault(chunk: Chunk, fault: TransportFault, *, second: int, seed: tuple[int, ...]) -> Chunk:
    """Return `chunk` as it arrives when its transport is faulty; rows keep their order."""
    rng = _rng(chunk, seed, second)
    count, by_us = len(chunk), round(fault.by * US_PER_S)
    struck = rng.random(count) < fault.share
    if fault.transport == "late":
        return replace(chunk, send_us=chunk.send_us + struck * by_us)
    if fault.transport == "out-of-order":
        return replace(chunk, send_us=chunk.send_us + struck * rng.integers(0, by_us + 1, count))
    if fault.transport == "clock-jump":
        return replace(chunk, time_us=chunk.time_us + struck * by_us)
    if fault.transport == "duplicate":
        return chunk.take(np.repeat(np.arange(count), 1 + struck))
    broken = {int(i): MALFORMED[int(i) % len(MALFORMED)] for i in np.flatnonzero(struck)}
    return replace(chunk, raw=chunk.raw | broken)


def _rng(chunk: Chunk, seed: tuple[int, ...], second: int) -> np.random.Generator:
    # Python's own hash differs from process to process.
    who = zlib.crc32(f"{chunk.rig}/{chunk.sensor}".encode())
    return np.random.default_rng((*seed, who, second))


def rounded(counts: NDArray[np.int32], decimals: int) -> Float64:
    """Return `counts` units of the last decimal place as the nearest doubles.

    >>> rounded(np.array([14544], dtype=np.int32), 2).tolist()
    [145.44]
    """
    return counts / 10.0**decimals
