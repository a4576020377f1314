"""What the coordinator itself costs: real, with workers in memory that answer each step after its trigger.

`python -m benchmarks.coordinator [--fleet 1000x100000 …]`: for each number of workers and partitions the CPU of the
driver's thread in shares of one core, steps a second against those that were due, and what it takes to write and read
an order and a report as they go through Dask.
"""

import argparse
import asyncio
import pickle
import time
from collections.abc import Awaitable, Mapping
from typing import Any

from benchmarks.results import save
from hydrodask import clock
from hydrodask.channels import SENSORS
from hydrodask.driver.coordinator import Coordinator
from hydrodask.flows import FLOWS
from hydrodask.protocol.order import Order
from hydrodask.reports import LATENCY_BUCKETS_S, PartitionReport, StepReport
from hydrodask.settings import Settings

FLEETS = ((1, 17), (10, 1_000), (100, 10_000), (1_000, 100_000))
SECONDS = 20.0
REPEAT = 20


class Workers:
    """Workers that hold what they are told to, take a trigger for each step, and report all that they hold."""

    def __init__(self, count: int, trigger_s: float) -> None:
        self._names = [f"tcp://10.0.{n // 256}.{n % 256}:9000" for n in range(count)]
        self._trigger_s = trigger_s
        self.steps = 0
        self.last: tuple[Order, StepReport] | None = None

    async def workers(self) -> list[str]:
        """Return who is there."""
        return self._names

    def paused(self) -> Mapping[str, str]:
        """Return nobody: nobody is short of memory here."""
        return {}

    async def memory(self, _worker: str, *, died: bool = False) -> str:  # noqa: ARG002
        """Say nothing: nobody is short of memory here."""
        return ""

    async def restart(self, worker: str) -> None:
        """Do nothing: nobody hangs here."""

    def step(self, worker: str, order: Order) -> Awaitable[StepReport]:
        """Answer after the trigger."""
        return self._step(worker, order)

    async def _step(self, worker: str, order: Order) -> StepReport:
        await asyncio.sleep(self._trigger_s)
        self.steps += 1
        report = StepReport(worker, order.slot, order.generation, latency_counts=[0] * (len(LATENCY_BUCKETS_S) + 1))
        totals = dict.fromkeys(
            ("consumed", "kept", "late", "dead", "windows", "cycles", "files", "file_bytes"), self.steps
        )
        report.partitions = [
            PartitionReport(flow, *source, position=self.steps, committed=self.steps, end=self.steps, totals=totals)
            for source, flow in order.sources.items()
        ]
        self.last = order, report
        return report


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fleet", nargs="+", default=[f"{w}x{p}" for w, p in FLEETS], help="WORKERSxPARTITIONS")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--name", default="coordinator")
    options = parser.parse_args()
    rows = []
    for fleet in options.fleet:
        workers, partitions = map(int, fleet.split("x"))
        rows.append(asyncio.run(measure(workers, partitions, options.seconds)))
        print(rows[-1], flush=True)
    print(save(options.name, {"rows": rows}))


async def measure(workers: int, partitions: int, seconds: float) -> dict[str, Any]:
    """Run a coordinator for a while, once every partition has a worker."""
    settings = Settings()
    fake = Workers(workers, settings.step.trigger)
    sources: Mapping[tuple[str, int], str] = {
        (settings.topic(SENSORS[n % len(SENSORS)]), n // len(SENSORS)): "monitor" for n in range(partitions)
    }
    builds = {flow.name: flow.build for flow in FLOWS}
    one = Coordinator(
        fake, settings, run_id="bench", builds=builds, discover=lambda: sources, fence=lambda _slot, _generation: None
    )
    began_s, began_cpu_s = clock.monotonic_s(), time.process_time()
    running = asyncio.create_task(one.run())
    while len(one.tracker.overview.partitions) < partitions and clock.monotonic_s() < began_s + 20 * seconds:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    settled_s, settle_cpu_s = clock.monotonic_s() - began_s, time.process_time() - began_cpu_s
    steps, from_s, from_cpu_s = fake.steps, clock.monotonic_s(), time.process_time()
    await asyncio.sleep(seconds)
    took_s = clock.monotonic_s() - from_s
    cores, steps = (time.process_time() - from_cpu_s) / took_s, fake.steps - steps
    hosted = len(one.tracker.overview.partitions)
    running.cancel()
    assert fake.last is not None
    return {
        "workers": workers,
        "partitions": partitions,
        "hosted": hosted,
        "cores": round(cores, 3),
        "steps_per_s": round(steps / took_s, 1),
        "steps_of_due": round(steps / took_s / (workers / settings.step.trigger), 3),
        "until_all_are_hosted_s": round(settled_s, 2),
        "until_all_are_hosted_cpu_s": round(settle_cpu_s, 2),
        **{
            f"{name}_{key}": v
            for name, one in zip(("order", "report"), fake.last, strict=True)
            for key, v in moved(one)
        },
    }


def moved(one: object) -> list[tuple[str, float]]:
    """Return the bytes of an order or a report, and the µs to write and read it."""
    began_s = clock.monotonic_s()
    for _ in range(REPEAT):
        data = pickle.dumps(one)
        pickle.loads(data)  # noqa: S301 - our own
    return [("bytes", len(data)), ("us", round((clock.monotonic_s() - began_s) / REPEAT * 1e6))]


if __name__ == "__main__":
    main()
