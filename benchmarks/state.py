"""Size of the state of a rig and sensor, and the speed of its snapshot: one partition of a 10 Hz sensor, by itself."""

from typing import Any

import numpy as np

from benchmarks.inputs import START_US
from hydrodask import clock
from hydrodask.blobs import Blobs
from hydrodask.decode import Decoder
from hydrodask.ingest.chunk import Chunk
from hydrodask.ingest.encode import encode
from hydrodask.ingest.simulator import Fleet
from hydrodask.protocol import snapshot
from hydrodask.records import Messages, Samples
from hydrodask.window import OpenCycles, OpenWindows

SENSOR = "FS1"
SECONDS = 30
LENGTH_US = 60_000_000
LATENESS_US = 10_000_000


def measure(rigs: int, slide_s: int) -> dict[str, Any]:
    """Return bytes a rig in memory and in a snapshot, and the milliseconds that writing and restoring it take."""
    decode = _Decoding()
    fleet = Fleet(rigs=rigs, seed=1, start_us=START_US, faults=None, default_rig="rig-1")
    windows = OpenWindows(SENSOR, length_us=LENGTH_US, slide_us=slide_s * 1_000_000, lateness_us=LATENESS_US)
    profiles = OpenCycles(SENSOR, lateness_us=LATENESS_US)
    for second in range(SECONDS):
        for chunk in fleet.chunk(second):
            if chunk.sensor == SENSOR:
                batch = decode(chunk)
                windows.consume(batch)
                profiles.consume(batch)
    began_s = clock.monotonic_s()
    data = snapshot.encode({"windows": windows.snapshot(), "cycles": profiles.snapshot()})
    written_s = clock.monotonic_s()
    found = snapshot.decode(data)
    windows.restore(found["windows"])
    profiles.restore(found["cycles"])
    restored_s = clock.monotonic_s()
    return {
        "state_bytes_per_key": round((windows.state_bytes + profiles.state_bytes) / rigs),
        "snapshot_bytes_per_key": round(len(data) / rigs),
        "snapshot_ms": round((written_s - began_s) * 1e3, 2),
        "restore_ms": round((restored_s - written_s) * 1e3, 2),
    }


class _Decoding:
    """Makes of chunks what the decoder makes of their messages."""

    def __init__(self) -> None:
        self._decoder = Decoder(
            SENSOR, default_rig="rig-1", future_us_max=10**15, record_bytes_max=65_536, rig_bytes_max=128
        )
        self._next = 0

    def __call__(self, chunk: Chunk) -> Samples:
        values: list[bytes | None] = [v if isinstance(v, bytes) else v.encode() for v in encode(chunk)]
        n = len(values)
        offsets, stamps_ms = np.arange(n) + self._next, np.full(n, 4 * 10**12)
        self._next += n
        messages = Messages("state", 0, Blobs.of(values), Blobs.of([None] * n), offsets, stamps_ms)
        return self._decoder.decode(messages)[0]
