"""Cost of a record against the number of rigs in the same topics, and size and speed of their state.

`python -m benchmarks.fleet [--rigs 1 100 1000] [--records 4_368_000]`: for each number of rigs fresh topics are filled
by the simulator (a thousand rigs get enough seconds that windows close), then consumed by one worker.
"""

import argparse
from typing import Any

import numpy as np

from benchmarks import engine
from benchmarks.broker import broker
from benchmarks.inputs import START_US, Limited
from benchmarks.results import save
from hydrodask import clock
from hydrodask.blobs import Blobs
from hydrodask.decode import Decoder
from hydrodask.ingest.chunk import Chunk
from hydrodask.ingest.encode import encode
from hydrodask.ingest.feed import Simulated
from hydrodask.ingest.publisher import Publisher, producer_for
from hydrodask.ingest.simulator import Fleet
from hydrodask.ingest.topics import create
from hydrodask.records import Messages, Samples
from hydrodask.settings import load
from hydrodask.stream import snapshot
from hydrodask.window import CycleProfiles, SlidingWindows

PER_RIG_S = 728
SECONDS_MIN = 20


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap")
    parser.add_argument("--rigs", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--records", type=int, default=4_368_000)
    options = parser.parse_args()
    with broker(options.bootstrap) as (bootstrap, pids):
        rows = [one(bootstrap, pids, rigs, options.records) for rigs in options.rigs]
    for row in rows:
        row["of_first"] = round(row["cpu_s_per_million"] / rows[0]["cpu_s_per_million"], 2)
        print(row)
    print(save("fleet", {"rows": rows}))


def one(bootstrap: str, pids: set[int], rigs: int, records: int) -> dict[str, Any]:
    """Fill topics with a fleet, consume them, and measure the state of as many rigs."""
    prefix = f"fleet{rigs}-{clock.now_us()}-"
    sets = (f"topics.prefix={prefix}", "kafka.embedded=false", f"kafka.bootstrap={bootstrap}")
    settings, _ = load(sets=sets)
    create(settings)
    seconds = max(SECONDS_MIN, records // (PER_RIG_S * rigs))
    fleet = Fleet(rigs=rigs, seed=1, start_us=START_US, faults=None, default_rig="rig-1")
    feed = Limited(Simulated(fleet, START_US), seconds)
    Publisher(producer_for(settings.kafka), settings.topic, speed=None).run(feed)
    measured = engine.consume_all(bootstrap, f"topics.prefix={prefix}", broker_pids=pids)
    return {
        "rigs": rigs,
        "event_seconds": seconds,
        "records": measured.records,
        "records_per_s": round(measured.records_per_s),
        "cpu_s_per_million": round(measured.cpu_s_per_million, 3),
        "memory_mib_max": max(measured.memory_mib),
        "window_rows": measured.totals["windows"],
        **state(rigs),
    }


def state(rigs: int) -> dict[str, Any]:
    """Return size of the state of a (rig, sensor), and time to snapshot and restore one partition of `rigs` rigs."""
    fleet = Fleet(rigs=rigs, seed=1, start_us=START_US, faults=None, default_rig="rig-1")
    samples = [decoded(chunk) for second in range(30) for chunk in fleet.chunk(second) if chunk.sensor == "FS1"]
    windows = SlidingWindows("FS1", length_us=60_000_000, slide_us=10_000_000, lateness_us=10_000_000)
    profiles = CycleProfiles("FS1", lateness_us=10_000_000)
    for batch in samples:
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


def decoded(chunk: Chunk) -> Samples:
    """Return what the decoder makes of a chunk."""
    decoder = Decoder(
        chunk.sensor, default_rig="rig-1", future_us_max=10**15, record_bytes_max=65_536, rig_bytes_max=128
    )
    values: list[bytes | None] = [v if isinstance(v, bytes) else v.encode() for v in encode(chunk)]
    n = len(values)
    offsets, stamps = np.arange(n) + decoded.next, np.full(n, 4 * 10**12)  # type: ignore[attr-defined]
    decoded.next += n  # type: ignore[attr-defined]
    return decoder.decode(Messages("fleet", 0, Blobs.of(values), Blobs.of([None] * n), offsets, stamps))[0]


decoded.next = 0  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
