"""Helpers of the audit's tests: platforms that have run and stopped, and faults that are planted in what they left."""

import shlex
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from hydrodask.audit.aside import set_aside
from hydrodask.audit.backfill import backfill, sources_of
from hydrodask.audit.compaction import Compaction
from hydrodask.audit.differences import below, from_on
from hydrodask.audit.finding import Results
from hydrodask.audit.links import parse
from hydrodask.audit.refill import refill
from hydrodask.audit.restore import restore_documents, restore_topics
from hydrodask.audit.verify import verify
from hydrodask.ingest.topics import renew
from hydrodask.kafka import producer
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Kafka
from hydrodask.store import rowsum
from hydrodask.store.lake import LOG, Lake, encode_range
from hydrodask.store.listing import LakeFile, named
from tests.delivery import Driver, publish, sets_of, settings_of, shorten

MANY_FILES = (
    "lake.roll_rows=2000",
    "lake.roll_age=50ms",
    "step.rows_max=1000",
    "step.commit_every=0",
    "step.snapshot_every=1ms",
    "step.trigger=200ms",
    "detect.baseline={warm_up: 3, enter: 1000000}",
)
"""A file of each folder every few rows, and many snapshots; baselines that judge soon, and find all usual."""

CYCLES = 3
"""Cycles of the recording: with a file every few rows, enough files of each folder to take some from the middle."""

SHARED = "stored"
"""The prefix of the topics that all tests of a session read, and the group: nobody writes into them."""

BAD = 10
"""Bad records that are published to PS1."""


@dataclass(frozen=True)
class Stored:
    """What a platform has left: its settings, which name its folder and its topics."""

    settings: Settings

    def copy(self, folder: Path) -> "Stored":
        """Return the same with a copy of the folder, on the same topics: for faults."""
        shutil.copytree(self.settings.data_dir, folder / "data")
        return Stored(self.settings.model_copy(update={"data_dir": folder / "data"}))

    @property
    def lake(self) -> Path:
        """The folder of the lake."""
        return Path(self.settings.lake_url.plain())

    def files(self, folder: str) -> list[LakeFile]:
        """Return the files below a folder of the lake, in the order of their offsets."""
        paths = [path.relative_to(self.lake).as_posix() for path in (self.lake / folder).rglob("*.parquet")]
        return sorted(file for file in map(named, paths) if file is not None)

    def path(self, file: LakeFile) -> Path:
        """Return where a file is."""
        return self.lake / file.path

    def two_files(self, folder: str) -> list[LakeFile]:
        """Return the files of a folder of one partition; how many there are hangs on time, so one becomes two."""
        files = self.files(folder)
        if len(files) > 1:
            return files
        table, metadata = parse(self.path(files[0]).read_bytes())
        first, end = (int(metadata[name]) for name in (b"hydrodask.first", b"hydrodask.end"))
        sums = rowsum.read(metadata)
        own = {key: value for key, value in metadata.items() if key == LOG}
        lake, source = Lake.of(self.settings), files[0].source
        middle = table.column("revision")[-1].as_py()
        self.path(files[0]).unlink()
        half = below(table, "revision", middle)
        done = lake.put(folder, source, first, middle, half, before=sums[0] if sums else None, metadata=own)
        lake.put(folder, source, middle, end, from_on(table, "revision", middle), before=done.total, metadata=own)
        return self.files(folder)

    def audit(self) -> Results:
        """Return what `verify` finds."""
        return verify(self.settings)

    def rewrite(self, file: LakeFile, change: Callable[[pa.Table], pa.Table]) -> None:
        """Put other rows into a file, with a valid checksum and valid metadata: what only other evidence can show."""
        table, metadata = parse(self.path(file).read_bytes())
        first, end = (int(metadata[name]) for name in (b"hydrodask.first", b"hydrodask.end"))
        self.path(file).write_bytes(encode_range(change(table), first, end))

    def sql(self, *statements: str) -> int:
        """Change the documents behind the platform's back; return how many rows the last statement has changed."""
        with sqlite3.connect(self.settings.data_dir / "documents.sqlite") as connection:
            changed = [connection.execute(statement).rowcount for statement in statements][-1]
        connection.close()
        return changed


def with_value(table: pa.Table, column: str, place: int, value: float) -> pa.Table:
    """Return `table` with one value changed."""
    values = table.column(column).to_pylist()
    values[place] = value
    at = table.column_names.index(column)
    return table.set_column(at, column, pa.array(values, table.schema.field(column).type))


def run_real(kafka: Kafka, recording: Path, folder: Path, name: str) -> Stored:
    """Run a platform over a few cycles, bad records, tombstones and a late one on a real broker, until it is idle."""
    settings = settings_of(kafka, folder / "data", name, *MANY_FILES)
    publish(settings, shorten(recording, folder, CYCLES))
    client = producer(settings.kafka)
    for number in range(BAD):
        client.produce(settings.topic("PS1"), b'{"bad": %d}' % number, b"rig-1")
        client.produce(settings.topic("TS1"), None, b"rig-1")
    client.produce(settings.topic("labels"), b"nonsense", b"rig-1")
    late = b'{"sensor": "CE", "cycle": 0, "sample_idx": 0, "value": 1.5, "timestamp": "2026-01-01T00:00:00", '
    client.produce(settings.topic("CE"), late + b'"sampling_rate_hz": 1, "rig": "rig-1"}', b"rig-1")
    client.flush(30)
    with Driver(sets_of(kafka, folder / "data", name, *MANY_FILES), folder / "log", "--until-idle") as driver:
        assert driver.wait() == 0, driver.output
    return Stored(settings)


def run_embedded(recording: Path, folder: Path, *more: str) -> Stored:
    """Run a platform over a few cycles with an embedded broker, which is gone afterwards; `more` are settings."""
    sets = [
        f"data_dir={folder / 'data'}",
        f"source.kind='recording:{shorten(recording, folder, CYCLES)}'",
        "source.speed=max",
        "cluster.dashboard=127.0.0.1:0",
        "observe.metrics=127.0.0.1:0",
        *MANY_FILES,
        *more,
    ]
    with Driver(sets, folder / "log", "--until-idle", source=None) as driver:
        assert driver.wait() == 0, driver.output
    return Stored(load(sets=sets, environ={})[0])


def wrong(results: Results) -> dict[str, list[str]]:
    """Return what is wrong, by check."""
    return {result.check: [str(finding) for finding in result.findings] for result in results if result.wrong}


def fine(results: Results) -> bool:
    """Fail, naming what is wrong, unless nothing is."""
    assert not wrong(results), wrong(results)
    return True


def mended(stored: Stored, rounds: int = 4) -> list[str]:
    """Do what `verify` says, until it finds nothing; return the commands in their order."""
    done: list[str] = []
    for _round in range(rounds):
        results = stored.audit()
        commands = list(dict.fromkeys(finding.mend.command for result in results for finding in result.findings))
        if not commands:
            return done
        for command in commands:
            _mend(stored.settings, command)
        done += commands
    assert fine(stored.audit())
    return done


def _mend(settings: Settings, command: str) -> None:
    """Do what a command does, without a process of its own."""
    assert "topics" not in command or settings.kafka.group != SHARED, f"{command}: others read these topics"
    match shlex.split(command)[1:]:
        case ["aside", path]:
            set_aside(settings, [path])
        case ["compact"]:
            Compaction(settings, rows_max=1_000_000, in_place=False).run(say=lambda _said: None, settled_s=0.0)
        case ["backfill", "--write"]:
            for source in sources_of(settings):
                backfill(settings, source, True)
        case ["backfill", "--records", "--write"]:
            refill(settings, write=True)
        case ["backfill", "--documents", "--write"]:
            restore_documents(settings, write=True)
        case ["backfill", "--topics", "--write"]:
            restore_topics(settings, write=True)
        case ["topics", "renew", name]:
            renew(settings, name)
        case other:
            raise AssertionError(other)
