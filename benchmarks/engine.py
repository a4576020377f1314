"""Run the platform inside a benchmark: nothing published by it, sampled while it works."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Usage, usage
from hydrodask import clock
from hydrodask.run.datadir import DataDir
from hydrodask.run.platform import Platform
from hydrodask.settings import Settings, load

SAMPLE_S = 0.2


@dataclass(slots=True)
class Measured:
    """What a run over everything that is in the topics took."""

    records: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    start_s: float = 0.0
    memory_mib: list[float] = field(default_factory=list)
    stage_s: dict[str, float] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    state_bytes_per_key: float = 0.0

    @property
    def records_per_s(self) -> float:
        """Records a second, from the order to begin until all is committed."""
        return self.records / self.seconds

    @property
    def cpu_s_per_million(self) -> float:
        """CPU seconds of all processes but the broker, per million records."""
        return self.cpu_s / self.records * 1e6


def consume_all(bootstrap: str, *sets: str, broker_pids: set[int] = frozenset()) -> Measured:  # type: ignore[assignment]
    """Consume, compute, store and publish everything that is in the topics, with one worker, and measure it."""
    with tempfile.TemporaryDirectory(prefix="hydrodask-bench-") as folder:
        group = f"bench-{clock.now_us()}"
        always = ("kafka.embedded=false", f"kafka.bootstrap={bootstrap}", f"kafka.group={group}", "source.kind=none")
        more = (f"data_dir={folder}", "cluster.dashboard=127.0.0.1:0")
        settings, _ = load(sets=[*always, *more, *sets])
        return asyncio.run(_run(settings, Path(folder), broker_pids))


async def _run(settings: Settings, folder: Path, broker_pids: set[int]) -> Measured:
    with DataDir(folder):
        platform = Platform(settings)
        began_s = clock.monotonic_s()
        async with platform.started(lambda _text: None):
            measured = Measured(start_s=clock.monotonic_s() - began_s)
            watching = asyncio.create_task(_watch(platform, measured, usage(without=broker_pids), broker_pids))
            await platform.run(seconds=600.0, until_idle=True)
            await watching
            overview = platform.coordinator.tracker.overview
            measured.stage_s = {k: round(v, 3) for k, v in overview.stage_s.items()}
            names = ("consumed", "kept", "late", "dead", "windows", "cycles", "files", "file_bytes")
            measured.totals = {name: overview.total(name) for name in names}
            keys = sum(p.keys for p in overview.partitions.values())
            state = sum(p.state_bytes for p in overview.partitions.values())
            measured.state_bytes_per_key = state / max(1, keys)
            return measured


async def _watch(platform: Platform, measured: Measured, before: Usage, broker_pids: set[int]) -> None:
    """Sample until every sensor's log is committed to its end."""
    began_s = clock.monotonic_s()
    coordinator = platform.coordinator
    ends: dict[tuple[str, int], int] = {}
    while True:
        await asyncio.sleep(SAMPLE_S)
        if not ends and coordinator.sources:
            flows = coordinator.sources
            every = await asyncio.to_thread(platform.discovery.ends, list(flows))
            ends = {s: e for s, e in every.items() if flows[s] == "monitor"}
        now = usage(without=broker_pids)
        measured.memory_mib.append(round(now.memory_mib, 1))
        seen = coordinator.tracker.overview.partitions
        if ends and all(s in seen and seen[s].committed >= end for s, end in ends.items()):
            measured.seconds = clock.monotonic_s() - began_s
            measured.cpu_s = now.cpu_s - before.cpu_s
            # Not all that was consumed: the flow `alert` also reads the window rows, of earlier runs too.
            measured.records = sum(seen[source].totals.get("consumed", 0) for source in ends)
            return
