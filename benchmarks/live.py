"""Latency and cost at rest: one rig at 728 records/s, and how long until a reader sees a window row with each.

A record is published, its window's row is updated or becomes final, the row is committed, a read-committed consumer
gets it: what counts is the first row of the window that began last before the record whose count includes the record.
"""

import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.jobs import Bench
from benchmarks.peers.contract import Peer
from benchmarks.rows import Rows, Seen
from benchmarks.running import running
from hydrodask import clock
from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.clock import US_PER_S
from hydrodask.ingest.feed import open_feed
from hydrodask.ingest.publisher import Publisher, producer_for
from hydrodask.ingest.reader import Reader
from hydrodask.ingest.topics import create
from hydrodask.records import Float64, Int64
from hydrodask.settings import Settings, load

SETTLE_S = 30.0
"""Start-up that is not measured: imports, just-in-time compilers, first commits."""

SLIDE_US = 10 * US_PER_S
READ_S = 1.0


@dataclass(slots=True)
class _Rig:
    """A rig that is publishing; `start_us` is the event time of its first record."""

    settings: Settings
    start_us: int
    stop: threading.Event
    thread: threading.Thread


def live(bench: Bench, peer: Peer, seconds: float) -> dict[str, Any]:
    """Run an engine beside a live rig and return latencies (s), CPU (shares of one core) and memory (MiB)."""
    prefix = f"bench-live-{clock.now_us()}-"
    work = bench.work(peer, "windows", prefix, {s: prefix + s for s in SENSORS}, live=True)
    rig = _publish(work.bootstrap, prefix)
    rows = Rows(bench.bootstrap, peer.output(work))
    try:
        with running(peer, work, bench.log(work)) as engine:
            if rows.wait_for_first(bench.limit_s) is None:
                raise SystemExit(f"no window row of {peer.name} came within {bench.limit_s:.0f} s")
            clock.sleep_s(SETTLE_S)
            from_us, from_s, before_s = clock.now_us(), clock.monotonic_s(), engine.sampler.look()
            clock.sleep_s(seconds)
            cores = (engine.sampler.look() - before_s) / (clock.monotonic_s() - from_s)
            to_us = clock.now_us()
            clock.sleep_s(SETTLE_S)  # who only has final rows has those of the last records by then
    finally:
        rig.stop.set()
        rig.thread.join()
        rows.close()
    found = _latencies(rig, rows.seen, from_us, to_us)
    bench.forget(peer, work)
    return found | {"cores": round(cores, 3), "memory_mib_max": round(engine.sampler.memory_mib_max)}


def _publish(bootstrap: str, prefix: str) -> _Rig:
    sets = ["kafka.embedded=false", f"kafka.bootstrap={bootstrap}", f"topics.prefix={prefix}", "source.faults=null"]
    settings, _ = load(sets=sets)
    create(settings)
    stop = threading.Event()
    publisher = Publisher(producer_for(settings.kafka), settings.topic, speed=1.0, stop=stop)
    feed = open_feed(settings, clock.now_us())
    assert feed is not None
    thread = threading.Thread(target=publisher.run, args=(feed,), daemon=True)
    thread.start()
    return _Rig(settings, feed.start_us, stop, thread)


def _latencies(rig: _Rig, seen: list[Seen], from_us: int, to_us: int) -> dict[str, Any]:
    """Return quantiles over the records that were published in `[from_us, to_us)`."""
    by_window: dict[tuple[str, int], list[Seen]] = defaultdict(list)
    for one in seen:
        by_window[one.key].append(one)
    late_s, unseen = [], 0
    for sensor in SENSORS:
        published_us = _published_us(rig, sensor)
        rows = {start_ms * 1000: them for (name, start_ms), them in by_window.items() if name == sensor}
        counted_us = _counted_us(rig.start_us, CHANNELS[sensor].rate_hz, len(published_us), rows)
        chosen = (published_us >= from_us) & (published_us < to_us)
        late = (counted_us - published_us)[chosen] / US_PER_S
        late_s.append(late[np.isfinite(late)])
        unseen += int((~np.isfinite(late)).sum())
    every = np.concatenate(late_s)
    found: dict[str, Any] = {"records": len(every), "unseen": unseen, "rows": len(seen)}
    if len(every):
        quantiles = np.quantile(every, [0.5, 0.99, 0.999])
        found |= {n: round(float(q), 3) for n, q in zip(("p50_s", "p99_s", "p999_s"), quantiles, strict=True)}
    return found


def _published_us(rig: _Rig, sensor: str) -> Int64:
    """Return when each record of a sensor was published: its producer's timestamp."""
    reader = Reader(rig.settings.kafka)
    source = (rig.settings.topic(sensor), 0)
    low, high = reader.bounds(source)
    reader.assign(source, low)
    stamps_ms = np.zeros(0, np.int64)
    while len(stamps_ms) < high - low:
        stamps_ms = np.concatenate([stamps_ms, *(m.timestamps_ms for m in reader.poll(10_000, READ_S))])
    reader.close()
    return stamps_ms * 1000


def _counted_us(start_us: int, rate_hz: int, n: int, rows: dict[int, list[Seen]]) -> Float64:
    """Return for each of a sensor's first `n` records when a row first counted it, infinity if none did.

    The rig sends on a grid, in order, so that a record's place in its window is known: a row need only say its count.
    """
    time_us = start_us + np.arange(n) * US_PER_S // rate_hz
    window_us = time_us - time_us % SLIDE_US
    counted_us = np.full(n, np.inf)
    for begin_us in np.unique(window_us).tolist():
        mine = np.flatnonzero(window_us == begin_us)
        them = rows.get(begin_us, [])
        counts = np.maximum.accumulate([one.count for one in them]) if them else np.zeros(0, np.int64)
        at_us = np.array([*(one.at_us for one in them), np.inf])
        counted_us[mine] = at_us[np.searchsorted(counts, np.arange(1, len(mine) + 1))]
    return counted_us
