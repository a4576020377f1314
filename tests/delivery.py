"""Helpers of the delivery tests: a platform in its own processes, and all that it has delivered.

Two platforms that were given the same records have delivered the same if their `Delivered` are equal. Times of commits,
offsets of the outputs' topics and updates of open windows depend on timing, and are left out or reduced to what must
hold anyway.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import psutil
import pyarrow as pa
import pyarrow.dataset as ds

from hydrodask import clock
from hydrodask.channels import CHANNELS
from hydrodask.ingest.feed import open_recording
from hydrodask.ingest.publisher import Publisher, producer_for
from hydrodask.ingest.topics import create
from hydrodask.kafka import KafkaError, KafkaException, TopicPartition, consumer
from hydrodask.services import MongoService, logins
from hydrodask.services.ports import answers
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Kafka
from hydrodask.store.documents import open_documents
from hydrodask.store.files import Files

CYCLES = 2
"""Cycles of the recording that are published: enough for final windows of each sensor, and quick."""

ROOT = Path(__file__).resolve().parents[1]
RUN_S = 300.0
"""Limit of one run; some 15 s on a machine that does nothing else."""
POLL_S = 0.02
ANSWER_S = 30.0
"""How long a broker is waited for that may be away."""

BATCH = 250
"""Records that are published in one batch."""

SOURCES = (*CHANNELS, "labels")
"""What is published; the rest of the topics is ours."""

NEVER_QUICK = (
    "step.rows_max=1000",
    "step.commit_every=0",
    "step.snapshot_every=1ms",
    "step.trigger=200ms",
    "lake.roll_rows=2000",
)
"""A commit, snapshots and a few files after each 1000 records: a kill at any time hits one of them."""


@dataclass(frozen=True)
class Delivered:
    """What a platform has delivered, without what may depend on timing."""

    raw: pa.Table
    windows: pa.Table
    cycles: pa.Table
    late: pa.Table
    labels: pa.Table
    final_rows: list[dict[str, Any]]
    """Final rows of the analytics topic, read committed."""
    profiles: list[dict[str, Any]]
    """Rows of the cycles topic, read committed."""
    anomalies: list[dict[str, Any]]
    incidents: list[dict[str, Any]]


def settings_of(kafka: Kafka, data_dir: Path, name: str, *sets: str) -> Settings:
    """Return the settings of a platform with topics, group and folder of its own."""
    return load(sets=sets_of(kafka, data_dir, name, *sets), environ={})[0]


def sets_of(kafka: Kafka, data_dir: Path, name: str, *sets: str) -> list[str]:
    """Return what `--set` takes: its own topics, group and folder, and ports that nobody else has."""
    return [
        *logins.sets(kafka),
        f"kafka.group={name}",
        f"topics.prefix={name}-",
        f"data_dir={data_dir}",
        "cluster.dashboard=127.0.0.1:0",
        "observe.metrics=127.0.0.1:0",
        *sets,
    ]


def documents_of(mongodb: MongoService) -> list[str]:
    """Return what `--set` takes: documents that workers of others have, too, in a database that nobody else has."""
    return [
        f"documents.url=mongodb://{mongodb.address}/?replicaSet=rs0",
        f"documents.database=test-{uuid.uuid4().hex}",
        "documents.username=admin",
        f"documents.password_file={mongodb.folder / 'admin-password'}",
    ]


def shorten(recording: Path, folder: Path, cycles: int = CYCLES) -> Path:
    """Write the first cycles of `recording` into `folder`."""
    for name in (*CHANNELS, "profile"):
        lines = (recording / f"{name}.txt").read_bytes().splitlines(keepends=True)
        (folder / f"{name}.txt").write_bytes(b"".join(lines[:cycles]))
    return folder


def publish(settings: Settings, recording: Path) -> int:
    """Make the topics and publish `recording` with its labels; return how many records that were.

    In small batches: a fetch brings whole ones, and with large ones a run would read one partition after the other.
    """
    create(settings)
    small = settings.kafka.model_copy(update={"producer": {"batch.num.messages": BATCH}})
    publisher = Publisher(producer_for(small), settings.topic, speed=None)
    summary = publisher.run(open_recording(settings, recording, clock.now_us()))
    assert not summary.failed, summary
    return summary.published


_REFERENCES: dict[str, Delivered] = {}
"""What runs without a fault have delivered in this session, by broker: both test files compare with the same."""


def reference(kafka: Kafka, recording: Path, folder: Path) -> Delivered:
    """Return what a run without a fault, with default settings, delivers of `recording`."""
    if kafka.bootstrap not in _REFERENCES:
        settings = settings_of(kafka, folder, "reference")
        publish(settings, recording)
        with Driver(sets_of(kafka, folder, "reference"), folder / "log", "--until-idle") as driver:
            assert driver.wait() == 0, driver.output
        found = collect(settings)
        assert len(found.raw) == CYCLES * sum(c.samples_per_cycle for c in CHANNELS.values())
        assert found.incidents
        assert found.anomalies
        assert len(found.final_rows) == len(found.windows) > 0
        _REFERENCES[kafka.bootstrap] = found
    return _REFERENCES[kafka.bootstrap]


class Driver:
    """`hydrodask run` in a process of its own, which is gone, with all that it has started, when the block ends."""

    def __init__(
        self,
        sets: Sequence[str],
        log: Path,
        *options: str,
        source: str | None = "none",
        environment: Mapping[str, str] = MappingProxyType({}),
        cwd: Path = ROOT,
    ) -> None:
        command = [sys.executable, "-m", "hydrodask", "run", *options]
        if source is not None:
            command += ["--source", source]
        for one in sets:
            command += ["--set", one]
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | environment,
            )
        self._seen: dict[int, psutil.Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.workers()
        self.process.kill()
        self.process.wait(120)
        for worker in self._seen.values():
            if worker.is_running():
                worker.kill()
        if error is not None:
            error.add_note(f"the end of {self.log}:\n{self.output[-6000:]}")

    @property
    def output(self) -> str:
        """All that it has printed."""
        return self.log.read_text(errors="replace")

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes that its nannies have started and that are alive."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        found = [child for child in children if _is_worker(child)]
        self._seen |= {child.pid: child for child in found}
        return found

    def wait(self, seconds: float = RUN_S) -> int:
        """Return the exit code."""
        return self.process.wait(seconds)

    def kill(self) -> list[psutil.Process]:
        """Kill -9 the driver alone; return the workers that it leaves behind."""
        left = self.workers()
        self.process.kill()
        self.process.wait(120)
        return left

    def stop(self, seconds: float = RUN_S) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "--multiprocessing-fork" in process.cmdline()
    except psutil.Error:
        return False


def until(there: Callable[[], object], what: str, *, seconds: float = RUN_S) -> None:
    """Wait until `there` is true, and fail, naming `what` was waited for, when it takes too long."""
    end_s = clock.monotonic_s() + seconds
    while not there():
        assert clock.monotonic_s() < end_s, f"waited {seconds:.0f} s in vain until {what}"
        clock.sleep_s(POLL_S)


class Progress:
    """How many records of the sensors' topics a group has committed."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = consumer(settings.kafka, **{"isolation.level": "read_uncommitted"})
        self._partitions = [TopicPartition(settings.topic(name), 0) for name in SOURCES]
        self._newest = dict.fromkeys(SOURCES, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def offsets(self) -> dict[str, int]:
        """Return the committed offset of each of `SOURCES`; as before while the broker does not answer."""
        with contextlib.suppress(KafkaException):
            committed = [max(0, p.offset) for p in self._consumer.committed(self._partitions, ANSWER_S)]
            self._newest = dict(zip(SOURCES, committed, strict=True))
        return self._newest

    def ends(self) -> dict[str, int]:
        """Return where the log of each of `SOURCES` ends."""
        ends = [self._consumer.get_watermark_offsets(partition, ANSWER_S)[1] for partition in self._partitions]
        return dict(zip(SOURCES, ends, strict=True))

    def records(self) -> int:
        """Return the sum of the committed offsets."""
        return sum(self.offsets().values())


def reach(driver: Driver, settings: Settings, records: int) -> None:
    """Wait until `records` are committed. Fails when the driver ends before."""
    with Progress(settings) as progress:
        until(
            lambda: progress.records() >= records or driver.process.poll() is not None,
            f"{records} records are committed",
        )
    assert driver.process.poll() is None, "the run was over before the fault came"


def collect(settings: Settings) -> Delivered:
    """Return what a platform has delivered. Fails when something of it is there twice."""
    with lake_on_disk(settings) as lake:
        return _delivered(settings, lake)


@contextmanager
def lake_on_disk(settings: Settings) -> Iterator[Path]:
    """Give the folder of the lake, or of a copy when it is not on this disk."""
    if "://" not in settings.lake_url.plain():
        yield Path(settings.lake_url.plain())
        return
    files = Files(settings.lake_url)
    with tempfile.TemporaryDirectory() as copy:
        for name in files.names(""):
            (Path(copy) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(copy) / name).write_bytes(files.read(name))
        yield Path(copy)


def _delivered(settings: Settings, lake: Path) -> Delivered:
    by_key = ["window_start", "sensor", "rig"]
    return Delivered(
        _rows(lake / "raw", ["sensor", "partition", "offset"]),
        _rows(lake / "windows", by_key),
        _rows(lake / "cycles", ["cycle", "sensor", "rig"]),
        _rows(lake / "late", ["sensor", "partition", "offset"]),
        _rows(lake / "labels", ["cycle", "rig"]),
        _once([r for r in read(settings, "analytics") if r.get("final")], ("window_start", "sensor", "rig")),
        _once(read(settings, "cycles"), ("cycle", "sensor", "rig")),
        documents(settings, "anomalies"),
        documents(settings, "incidents"),
    )


def assert_same(found: Delivered, wanted: Delivered) -> None:
    """Fail, naming what differs, unless both are equal to the last bit."""
    for field in fields(Delivered):
        ours, theirs = getattr(found, field.name), getattr(wanted, field.name)
        same = ours.equals(theirs) if isinstance(ours, pa.Table) else ours == theirs
        assert same, (
            f"{field.name}: {len(ours)} rows differ from the {len(theirs)} without a fault: {_difference(ours, theirs)}"
        )


def _difference(ours: Any, theirs: Any) -> str:
    """Return the first rows that only one of both has."""
    found, wanted = (
        {repr(row): row for row in (rows.to_pylist() if isinstance(rows, pa.Table) else rows)}
        for rows in (ours, theirs)
    )
    missing, extra = (
        [one[key] for key in one if key not in other] for one, other in ((wanted, found), (found, wanted))
    )
    return f"{len(missing)} are missing, such as {missing[:2]}; {len(extra)} are extra, such as {extra[:2]}"


def _rows(folder: Path, key: list[str]) -> pa.Table:
    """Return a folder of the lake in the order of `key`; a key that is there twice fails."""
    if not folder.exists():
        return pa.table({})
    table = ds.dataset(folder, partitioning="hive").to_table()
    if "sensor" in table.column_names:
        table = table.set_column(table.column_names.index("sensor"), "sensor", table["sensor"].cast(pa.string()))
    key = [name for name in key if name in table.column_names]
    counts = table.group_by(key).aggregate([([], "count_all")])["count_all"].to_pylist()
    assert set(counts) <= {1}, f"{sum(n > 1 for n in counts)} rows of {folder.name} are there more than once"
    return table.select(sorted(table.column_names)).sort_by([(name, "ascending") for name in key]).combine_chunks()


def _once(rows: list[dict[str, Any]], key: Sequence[str]) -> list[dict[str, Any]]:
    """Return `rows` in the order of `key`; one that is there twice fails."""
    counts = Counter(tuple(row[name] for name in key) for row in rows)
    twice = [k for k, n in counts.items() if n > 1]
    assert not twice, f"{len(twice)} of {len(counts)} rows were published more than once, such as {twice[0]}"
    return sorted(rows, key=lambda row: tuple(row[name] for name in key))


def read(settings: Settings, name: str, *, isolation: str = "read_committed", parse: bool = True) -> list[Any]:
    """Return all rows of one of our topics, or the bytes of its records, in its order."""
    client = consumer(settings.kafka, **{"isolation.level": isolation})
    rows: list[Any] = []
    try:
        client.assign([TopicPartition(settings.topic(name), 0, 0)])
        end_s = clock.monotonic_s() + RUN_S
        while clock.monotonic_s() < end_s:
            for message in client.consume(1000, 0.2):
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    return rows
                assert error is None, error
                if parse and message.value() is None:
                    continue  # no row: it tells what time it is
                rows.append(json.loads(message.value() or b"null") if parse else message.value())
        raise AssertionError(f"the end of {settings.topic(name)} was not found in {RUN_S:.0f} s")
    finally:
        client.close()


def documents(settings: Settings, collection: str) -> list[dict[str, Any]]:
    """Return the documents of a collection by id; their revisions are offsets of a topic of ours, and left out."""
    store = open_documents(settings)
    try:
        found = store.find(collection, {}, limit=10_000)
    finally:
        store.close()
    return [{k: v for k, v in one.items() if k != "revision"} for one in found]


class DaskProcesses:
    """A scheduler and workers as processes of their own, as on a cluster, that a test may kill and start.

    With a `login` (settings of ours for one) they speak TLS.
    """

    def __init__(self, folder: Path, port: int, *, login: Mapping[str, Path] | None = None) -> None:
        self.address = f"{'tls' if login else 'tcp'}://127.0.0.1:{port}"
        options = {"ca_file": "--tls-ca-file", "cert_file": "--tls-cert", "key_file": "--tls-key"}
        self._login = [part for key, file in (login or {}).items() for part in (options[key], str(file))]
        self.scheduler: subprocess.Popen[bytes]
        self.workers: list[subprocess.Popen[bytes]] = []
        self._folder = folder
        self._port = port
        self._all: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.start_scheduler()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait(120)

    @property
    def said(self) -> str:
        """All that they have printed."""
        return (self._folder / "dask.log").read_text(errors="replace")

    def until_it_answers(self) -> Self:
        """Wait until the scheduler listens: for who gives up sooner than a busy machine imports Dask."""
        until(
            lambda: answers(self._port) or self.scheduler.poll() is not None,
            "the scheduler listens",
        )
        assert self.scheduler.poll() is None, self.said
        return self

    def start_scheduler(self) -> None:
        """Start the scheduler, on the same port each time."""
        where = ("--host", self.address.rpartition(":")[0], "--port", str(self._port))
        self.scheduler = self._start("scheduler", *where, "--no-dashboard", *self._login)

    def start_worker(self, *more: str, nanny: bool = False, cwd: Path = ROOT) -> subprocess.Popen[bytes]:
        """Start one more worker, or a nanny that starts it, where it finds hydrodask."""
        options = ["--nthreads", "1", "--no-dashboard", "--local-directory", str(self._folder), *more]
        worker = self._start(
            "worker", self.address, *options, *self._login, "--nanny" if nanny else "--no-nanny", cwd=cwd
        )
        self.workers.append(worker)
        return worker

    def _start(self, *arguments: str, cwd: Path = ROOT) -> subprocess.Popen[bytes]:
        dask = shutil.which("dask", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        assert dask is not None
        with (self._folder / "dask.log").open("ab") as log:
            process = subprocess.Popen([dask, *arguments], cwd=cwd, stdout=log, stderr=subprocess.STDOUT)
        self._all.append(process)
        return process
