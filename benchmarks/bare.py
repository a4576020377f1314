"""The yardstick: a bare `consume()` loop with the platform's client settings, in a process of its own.

Run as `python -m benchmarks.bare BOOTSTRAP`; prints one JSON line.
"""

import gc
import json
import os
import subprocess
import sys
from typing import Any

from hydrodask import clock
from hydrodask.channels import SENSORS
from hydrodask.ingest.reader import Reader
from hydrodask.settings import load

BATCH = 10_000


def measure(bootstrap: str) -> dict[str, Any]:
    """Consume every sensor topic to its end, doing nothing with it."""
    settings, _ = load(sets=["kafka.embedded=false", f"kafka.bootstrap={bootstrap}", "kafka.group=bare"])
    reader = Reader(settings.kafka)
    ends = {}
    for name in SENSORS:
        source = (settings.topic(name), 0)
        low, ends[source] = reader.bounds(source)
        reader.assign(source, low)
    wanted = sum(ends.values())
    gc.disable()  # the best that a bare loop can do; the platform polls without collecting too
    began_s, began_cpu = clock.monotonic_s(), os.times()
    count = 0
    while count < wanted:
        count += sum(m.error() is None for m in reader.consumer.consume(BATCH, 1.0))
    used = os.times()
    seconds = clock.monotonic_s() - began_s
    cpu_s = used.user + used.system - began_cpu.user - began_cpu.system
    reader.close()
    return {"records": count, "seconds": seconds, "cpu_s": cpu_s}


def in_process(bootstrap: str) -> dict[str, Any]:
    """Measure in a fresh process."""
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks.bare", bootstrap), check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found["records_per_s"] = found["records"] / found["seconds"]
    found["cpu_s_per_million"] = found["cpu_s"] / found["records"] * 1e6
    return found


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
