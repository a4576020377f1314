"""The jobs: what an engine is put through, what is measured, and whether its results are right.

`windows`, `raw` and `both` drain filled topics. `recovery` does the most that the engine can of these and kills it in
mid-stream. `start` is the time to the first row, with cold and with warm caches.
"""

import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks import reference
from benchmarks.broker import TIMEOUT_S, delete
from benchmarks.inputs import Input
from benchmarks.peers.contract import Peer, Work
from benchmarks.rows import Rows
from benchmarks.running import Running, running
from hydrodask import clock
from hydrodask.kafka import NewTopic, admin
from hydrodask.settings.model import Kafka

POLL_S = 0.1
KILL_AT = 0.3
"""The share of final windows (or of rows) that is there when an engine is killed."""

UNDERWAY_S = 0.2
"""Rows that come this soon after a kill were committed before it."""

ENDED_S = 3.0
"""What an engine has delivered before it ended is seen within this time."""


class Bench:
    """The broker and the folder that the engines work with; each run gets a topic and a folder of its own."""

    def __init__(self, bootstrap: str, folder: Path, *, limit_s: float) -> None:
        self.bootstrap = bootstrap
        self.folder = folder
        self.limit_s = limit_s
        self._admin = admin(Kafka(embedded=False, bootstrap=bootstrap))
        self._runs = 0

    def work(self, peer: Peer, job: str, prefix: str, topics: dict[str, str], *, live: bool = False) -> Work:
        """Return work that nobody has done before, its output topic made."""
        self._runs += 1
        name = f"{peer.name}-{job}-{clock.now_us()}-{self._runs}"
        folder = self.folder / "runs" / name
        lake, state = folder / "lake", folder / "state"
        lake.mkdir(parents=True)
        state.mkdir()
        work = Work(job, self.bootstrap, topics, f"bench-out-{name}", lake, state, live=live, name=name, prefix=prefix)
        delete(self._admin, lambda topic: topic in peer.leftovers(work))
        output = peer.output(work)
        self._admin.create_topics([NewTopic(output, 1, 1)])[output].result(TIMEOUT_S)
        return work

    def forget(self, peer: Peer, work: Work) -> None:
        """Delete what a run has left."""
        shutil.rmtree(work.lake.parent, ignore_errors=True)
        delete(self._admin, lambda topic: topic in peer.leftovers(work) or work.name in topic)

    def log(self, work: Work) -> Path:
        """Return the file that gets what the engine says."""
        (self.folder / "logs").mkdir(exist_ok=True)
        return self.folder / "logs" / f"{work.name}.log"


class Lake:
    """How many rows the files that a reader may trust have; each footer is read once."""

    def __init__(self, peer: Peer, work: Work) -> None:
        self._peer = peer
        self._work = work
        self._rows: dict[Path, int] = {}

    def rows(self) -> int:
        """Return the rows of the files that are there now."""
        files = self._peer.files(self._work)
        for file in files:
            if file not in self._rows:
                self._rows[file] = pq.read_metadata(file).num_rows
        return sum(self._rows[file] for file in files)


def drain(bench: Bench, peer: Peer, job: str, given: Input, *, kill: bool = False) -> dict[str, Any]:
    """Let an engine do a job over filled topics, from nothing; measure it and check what it has delivered."""
    work = bench.work(peer, job, given.prefix, given.topics)
    rows = Rows(bench.bootstrap, peer.output(work), given.windows)
    watched = _Watched(given, rows, Lake(peer, work), job)
    try:
        with running(peer, work, bench.log(work)) as engine:
            killed_s = _wait(engine, watched, bench.limit_s, kill=kill)
            cpu_s = engine.sampler.look()
            found = {
                "records": given.records,
                "seconds": _since(engine.began_s, watched.done_s()),
                "first_row_s": _since(engine.began_s, rows.first_s),
                "cpu_s": round(cpu_s, 2),
                "memory_mib_max": round(engine.sampler.memory_mib_max),
            }
            if killed_s is not None:
                found |= {
                    "kill_to_row_s": _since(killed_s, rows.next_after(killed_s + UNDERWAY_S)),
                    "kill_to_done_s": _since(killed_s, watched.done_s()),
                }
    finally:
        rows.close()
    found |= {"repeated_rows": rows.repeated, **_checks(peer, work, job, given, rows)}
    bench.forget(peer, work)
    return found


def start(bench: Bench, peer: Peer, given: Input, *, cold: bool) -> dict[str, Any]:
    """Measure the time from the command to the first window row; cold: as after a reboot of a fresh machine."""
    work = bench.work(peer, "windows", given.prefix, given.topics)
    more = {}
    if cold:
        subprocess.run(["sync"], check=True)  # noqa: S607
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
        more = {
            "NUMBA_CACHE_DIR": str(work.state / "numba"),
            "PYTHONPYCACHEPREFIX": str(work.state / "pycache"),
            "PYTHONDONTWRITEBYTECODE": "",  # a machine that forbids it would compile all in each process
        }
    rows = Rows(bench.bootstrap, peer.output(work), given.windows)
    try:
        with running(peer, work, bench.log(work), more) as engine:
            first_s = rows.wait_for_first(bench.limit_s)
            found = {"cold": cold, "first_row_s": _since(engine.began_s, first_s)}
    finally:
        rows.close()
    bench.forget(peer, work)
    return found


class _Watched:
    """Knows how much of a job is done, and when all of it was."""

    def __init__(self, given: Input, rows: Rows, lake: Lake, job: str) -> None:
        self.windows = len(given.windows) if job != "raw" else 0
        self.records = given.records if job != "windows" else 0
        self._rows = rows
        self._lake = lake
        self._lake_s: float | None = None

    def look(self) -> bool:
        """Look at the lake, and say whether all is done."""
        if self.records and self._lake_s is None and self._lake.rows() >= self.records:
            self._lake_s = clock.monotonic_s()
        return self.done_s() is not None

    def share(self) -> float:
        """Return how much is done, 0..1, by the windows if these are part of the job."""
        return self._rows.done / self.windows if self.windows else self._lake.rows() / self.records

    def done_s(self) -> float | None:
        """Return when all was done."""
        times = [self._rows.complete_s if self.windows else 0.0, self._lake_s if self.records else 0.0]
        return None if None in times else max(t for t in times if t is not None)


def _wait(engine: Running, watched: _Watched, limit_s: float, *, kill: bool) -> float | None:
    """Wait until the job is done, the engine has ended or the limit is over; return when it was killed."""
    killed_s: float | None = None
    end_s = clock.monotonic_s() + limit_s
    while clock.monotonic_s() < end_s:
        if engine.ended():
            end_s = min(end_s, clock.monotonic_s() + ENDED_S)
        if watched.look():
            break
        if kill and killed_s is None and watched.share() >= KILL_AT:
            killed_s = clock.monotonic_s()
            engine.kill()
        clock.sleep_s(POLL_S)
    return killed_s


def _checks(peer: Peer, work: Work, job: str, given: Input, rows: Rows) -> dict[str, Any]:
    checks = {}
    if job != "raw":
        checks["windows"] = asdict(reference.check_windows(rows.last, given.windows))
    if job != "windows":
        checks["raw"] = asdict(reference.check_raw(peer.files(work), given.folder))
    right = all(check["wrong"] == 0 for check in checks.values())
    return {"right": right, "checks": checks}


def _since(began_s: float, then_s: float | None) -> float | None:
    return None if then_s is None else round(then_s - began_s, 3)
