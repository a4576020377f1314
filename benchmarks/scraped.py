"""How long until Prometheus has what a sample has changed: `python -m benchmarks.scraped [--samples 60]`.

A run with a broker in it, a real Prometheus that scrapes it each second, and a rig whose one sensor sends a larger
value every second. Measured from the sample's own time until a query, as a page asks it, sees a window row that came
after the sample, and until the curve has risen to its value.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np

from benchmarks.results import save
from benchmarks.running import ROOT
from hydrodask import clock
from hydrodask.clock import US_PER_S
from hydrodask.kafka import producer
from hydrodask.services import PrometheusService
from hydrodask.services.ports import free_port
from hydrodask.settings import load
from hydrodask.settings.model import Kafka

QUERIES = {
    "row": 'hydraulic_analytics_last_update_timestamp{rig="probe"}',
    "curve": 'hydraulic_sensor_max_1m{rig="probe", sensor="TS1"}',
}
POLL_S = 0.02
WARM_S = 30
"""Samples of half a minute are not measured: the first steps, and the first window."""

FIRST = 20.0
STEP = 0.01
WAIT_S = 900


def main() -> None:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = _measured(Path(folder), options.samples)
    for name, value in found.items():
        print(f"{name}: {value}")
    print(save("scraped", found))


def _measured(folder: Path, count: int) -> dict[str, object]:
    platform = f"127.0.0.1:{free_port()}"
    prometheus = PrometheusService(
        folder / "prometheus", port=free_port(), platform=platform, scrape_s=1.0, with_parent=True
    )
    prometheus.install(print)
    with _run(folder, platform) as bootstrap:
        prometheus.start(print)
        try:
            seen = _watch(prometheus, bootstrap, count)
        finally:
            prometheus.stop()
    return {"samples": count, **{name: _figures(delays) for name, delays in seen.items()}}


@contextmanager
def _run(folder: Path, platform: str) -> Iterator[str]:
    """Run the platform without a source; yield where its broker listens."""
    sets = [f"data_dir={folder / 'data'}", f"observe.metrics={platform}", "cluster.dashboard=127.0.0.1:0"]
    sets += ["console.address=null", "cluster.workers=1"]
    options = [word for one in sets for word in ("--set", one)]
    process = subprocess.Popen(
        [sys.executable, "-m", "hydrodask", "run", "--source", "none", *options],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        yield next(found[1] for line in process.stderr if (found := re.search(r"embedded broker on (\S+?):? ", line)))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def _watch(prometheus: PrometheusService, bootstrap: str, count: int) -> dict[str, list[float]]:
    """Publish a sample a second, and return how long after each one a query has seen it."""
    client, topic = producer(Kafka(embedded=False, bootstrap=bootstrap)), load(environ={})[0].topic("TS1")
    times: list[float] = []
    left = dict.fromkeys(QUERIES, 0)
    delays: dict[str, list[float]] = {name: [] for name in QUERIES}
    end_s = clock.monotonic_s() + WARM_S + count + WAIT_S
    began_s = clock.now_us() / US_PER_S
    while min(left.values()) < WARM_S + count and clock.monotonic_s() < end_s:
        now_s = clock.now_us() / US_PER_S
        if now_s >= began_s + len(times):  # further than is measured: a window is closed by what comes after it
            client.produce(topic, _record(len(times), round(now_s * US_PER_S)), b"probe")
            client.flush(5)
            times.append(now_s)
        for name, query in QUERIES.items():
            value = _value(prometheus, query)
            seen_s = clock.now_us() / US_PER_S
            while value is not None and left[name] < len(times) and value >= _wanted(name, left[name], times):
                delays[name].append(seen_s - times[left[name]])
                left[name] += 1
        clock.sleep_s(POLL_S)
    return {name: found[WARM_S : WARM_S + count] for name, found in delays.items()}


def _wanted(name: str, number: int, times: list[float]) -> float:
    """Return what a query answers from when on a sample has been seen."""
    return times[number] if name == "row" else FIRST + STEP * number - STEP / 2


def _record(number: int, time_us: int) -> bytes:
    sample = {"sensor": "TS1", "cycle": number // 60, "sample_idx": number % 60, "value": FIRST + STEP * number}
    return json.dumps(sample | {"timestamp": clock.iso(time_us), "sampling_rate_hz": 1, "rig": "probe"}).encode()


def _value(prometheus: PrometheusService, query: str) -> float | None:
    body = prometheus.get(f"/api/v1/query?query={quote(query)}")
    found = json.loads(body)["data"]["result"] if body else []
    return float(found[0]["value"][1]) if found else None


def _figures(delays: list[float]) -> dict[str, float]:
    """Return the median, the 99th hundredth and the longest, in seconds."""
    shares = np.quantile(delays, (0.5, 0.99, 1.0))
    return {name: round(float(one), 2) for name, one in zip(("median_s", "p99_s", "max_s"), shares, strict=True)}


if __name__ == "__main__":
    main()
