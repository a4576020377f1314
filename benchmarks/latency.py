"""Latency and cost of a live rig: record published → window row that counts it, seen by a committed reader.

`python -m benchmarks.latency [--seconds 60]` needs a Kafka at --bootstrap, or starts one. The platform runs as
users run it, in processes of its own; this process only publishes (a rig at 728 records/s), listens and does the sums.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import psutil

from benchmarks.broker import broker
from benchmarks.results import save
from hydrodask import clock
from hydrodask.channels import SENSORS
from hydrodask.ingest.feed import open_feed
from hydrodask.ingest.publisher import Publisher, producer_for
from hydrodask.ingest.reader import Reader
from hydrodask.ingest.topics import create
from hydrodask.records import WindowRecord
from hydrodask.settings import Settings, load

PROFILES: dict[str, tuple[str, ...]] = {
    "default": (),
    "for latency": (
        "step.trigger=20ms",
        "step.commit_every=20ms",
        "window.emit_every=20ms",
        "kafka.consumer.fetch.wait.max.ms=5",
        "kafka.consumer.fetch.min.bytes=1",
    ),
}
SETTLE_S = 15.0
"""Start-up that is not measured: imports, first commits."""


@dataclass(slots=True)
class Heard:
    """Rows as they came: sensor, revision, when (ms)."""

    sensors: list[str] = field(default_factory=list)
    revisions: list[int] = field(default_factory=list)
    at_ms: list[float] = field(default_factory=list)


def main() -> None:
    """Measure each profile and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with broker(options.bootstrap) as (bootstrap, _pids):
        results = {name: measure(bootstrap, sets, options.seconds) for name, sets in PROFILES.items()}
    for name, found in results.items():
        print(f"{name:12} " + "  ".join(f"{key} {value}" for key, value in found.items()))
    print(save("latency", {"profiles": results, "seconds": options.seconds}))


def measure(bootstrap: str, sets: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """Run one live rig for a while and return latencies (s), and CPU of the platform in shares of one core."""
    prefix = f"latency-{clock.now_us()}-"
    with tempfile.TemporaryDirectory(prefix="hydrodask-bench-") as folder:
        always = (
            "kafka.embedded=false", f"kafka.bootstrap={bootstrap}", f"topics.prefix={prefix}", f"kafka.group={prefix}",
            f"data_dir={folder}", "cluster.dashboard=127.0.0.1:0", "observe.metrics=127.0.0.1:0", "source.faults=null",
        )  # fmt: skip
        settings, _ = load(sets=always)
        create(settings)
        command = [sys.executable, "-m", "hydrodask", "run", "--source", "none"]
        for item in (*always, *sets):
            command += ["--set", item]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as platform:
            try:
                return _listen(settings, platform, seconds)
            finally:
                platform.send_signal(signal.SIGINT)


def _listen(settings: Settings, platform: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    """Publish and listen."""
    stop = threading.Event()
    publisher = Publisher(producer_for(settings.kafka), settings.topic, speed=1.0, stop=stop)
    feed = open_feed(settings, clock.now_us())
    assert feed is not None
    thread = threading.Thread(target=publisher.run, args=(feed,), daemon=True)
    thread.start()
    heard = Heard()
    _hear(settings, Heard(), SETTLE_S)
    before_s, began_s = _cpu_s(platform.pid), clock.monotonic_s()
    _hear(settings, heard, seconds)
    share = (_cpu_s(platform.pid) - before_s) / (clock.monotonic_s() - began_s)
    stop.set()
    thread.join()
    latencies_s = _latencies_s(settings, heard)
    quantiles = np.quantile(latencies_s, [0.5, 0.99, 0.999])
    names = ("p50_s", "p99_s", "p999_s")
    found: dict[str, Any] = {n: round(float(q), 3) for n, q in zip(names, quantiles, strict=True)}
    return found | {"records": len(latencies_s), "rows": len(heard.sensors), "cores": round(share, 3)}


def _hear(settings: Settings, heard: Heard, seconds: float) -> None:
    """Read window rows, committed ones, as soon as they can be seen."""
    quick = {**settings.kafka.consumer, "fetch.wait.max.ms": 5, "fetch.min.bytes": 1}
    reader = Reader(settings.kafka.model_copy(update={"consumer": quick, "group": "listener"}))
    source = (settings.topic("analytics"), 0)
    reader.assign(source, reader.bounds(source)[1])
    decode = msgspec.json.Decoder(WindowRecord).decode
    end_s = clock.monotonic_s() + seconds
    while clock.monotonic_s() < end_s:
        for messages in reader.poll(1000, 0.01):
            now_ms = clock.now_us() / 1e3
            for value in messages.values:
                if value is not None:
                    row = decode(value)
                    heard.sensors.append(row.sensor)
                    heard.revisions.append(row.revision)
                    heard.at_ms.append(now_ms)
    reader.close()


def _latencies_s(settings: Settings, heard: Heard) -> np.ndarray:
    """Return for each record between the first and the last row how long until a row counted it."""
    reader = Reader(settings.kafka.model_copy(update={"group": "listener"}))
    sensors, revisions, at_ms = np.array(heard.sensors), np.array(heard.revisions), np.array(heard.at_ms)
    found = []
    for name in SENSORS:
        mine = sensors == name
        if not mine.any():
            continue
        source = (settings.topic(name), 0)
        low, high = reader.bounds(source)
        reader.assign(source, low)
        stamps_ms = np.zeros(0)
        while len(stamps_ms) < high - low:
            stamps_ms = np.concatenate([stamps_ms, *(m.timestamps_ms for m in reader.poll(10_000, 1.0))])
        reader.unassign(source)
        order = np.argsort(revisions[mine], kind="stable")
        seen, when = revisions[mine][order], np.minimum.accumulate(at_ms[mine][order][::-1])[::-1]
        offsets = np.arange(seen[0] + 1, seen[-1] + 1)
        found.append(when[np.searchsorted(seen, offsets)] - stamps_ms[offsets])
    reader.close()
    return np.concatenate(found) / 1e3


def _cpu_s(pid: int) -> float:
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return float(sum(p.cpu_times().user + p.cpu_times().system for p in tree))


if __name__ == "__main__":
    main()
