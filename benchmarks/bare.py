"""The yardstick: a bare loop of confluent-kafka's `consume()` with the platform's client settings, in its own process.

Run as `python -m benchmarks.bare BOOTSTRAP PREFIX`; prints one JSON line.
"""

import gc
import json
import os
import subprocess
import sys
from typing import Any

from hydrodask import clock
from hydrodask.channels import SENSORS
from hydrodask.kafka import TopicPartition, consumer
from hydrodask.settings import load

BATCH = 10_000


def measure(bootstrap: str, prefix: str) -> dict[str, Any]:
    """Consume every sensor topic to its end, doing nothing with it."""
    sets = ["kafka.embedded=false", f"kafka.bootstrap={bootstrap}", "kafka.group=bare", f"topics.prefix={prefix}"]
    settings, _ = load(sets=sets)
    client = consumer(settings.kafka)
    assigned, wanted = [], 0
    for name in SENSORS:
        low, high = client.get_watermark_offsets(TopicPartition(settings.topic(name), 0), 10)
        assigned.append(TopicPartition(settings.topic(name), 0, low))
        wanted += high - low
    client.assign(assigned)
    gc.disable()  # the best that a bare loop can do: it makes an object a record
    began_s, began_cpu = clock.monotonic_s(), os.times()
    count = 0
    while count < wanted:
        count += sum(m.error() is None for m in client.consume(BATCH, 1.0))
    used = os.times()
    seconds = clock.monotonic_s() - began_s
    cpu_s = used.user + used.system - began_cpu.user - began_cpu.system
    client.close()
    return {"records": count, "seconds": seconds, "cpu_s": cpu_s}


def in_process(bootstrap: str, prefix: str = "hydraulic-") -> dict[str, Any]:
    """Measure in a fresh process."""
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks.bare", bootstrap, prefix), check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found["records_per_s"] = found["records"] / found["seconds"]
    found["cpu_s_per_million"] = found["cpu_s"] / found["records"] * 1e6
    return found


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:])))
