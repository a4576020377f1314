"""What tests of learning share: a recording through the monitor's real graphs, profiles as messages, small archives."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hydrodask.answers import Answer
from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.clock import iso, parse_iso
from hydrodask.ingest.encode import encode
from hydrodask.ingest.feed import Feed
from hydrodask.records import Float64, Messages, Outgoing
from hydrodask.settings import Settings
from hydrodask.settings.model import Detect, Usual
from hydrodask.store.documents import open_documents
from hydrodask.store.lake import Lake
from hydrodask.store.profiles import LABELS
from hydrodask.testing import messages_of
from tests.running import Life

if TYPE_CHECKING:
    from hydrodask.learn.train.training import TrainingOutcome

START_US = parse_iso("2026-01-01T00:00:00Z")
STAMP_MS = 1_900_000_000_000


@dataclass
class Streamed:
    """What the monitor's graphs made of a feed: profiles as stored and as published, by sensor."""

    tables: dict[str, pa.Table]
    published: dict[str, list[Outgoing]]

    def in_turns(self) -> list[Outgoing]:
        """Return the profiles as they come: cycle by cycle, of all sensors."""
        count = max(map(len, self.published.values()))
        return [self.published[s][n] for n in range(count) for s in SENSORS if n < len(self.published[s])]


def streamed(feed: Feed, settings: Settings) -> Streamed:
    """Run a whole feed through one graph a sensor."""
    values: dict[str, list[bytes | None]] = {sensor: [] for sensor in SENSORS}
    for second in range(feed.seconds or 0):
        for chunk in feed.chunk(second):
            values[chunk.sensor] += [p if isinstance(p, bytes) else p.encode() for p in encode(chunk)]
    tables, published = {}, {}
    for sensor, payloads in values.items():
        life = Life(settings, topic=f"hydraulic-{sensor}")
        life.feed(messages_of(payloads, topic=f"hydraulic-{sensor}", stamp_ms=STAMP_MS))
        life.end()
        tables[sensor] = life.table(f"cycles/sensor={sensor}")
        published[sensor] = [record for record in life.published if record.topic == "hydraulic-cycles"]
    return Streamed(tables, published)


def cycles_of(records: Iterable[Outgoing], *, first: int = 0) -> Messages:
    """Return published profiles as messages of `hydraulic-cycles`."""
    values = [record.value for record in records]
    return messages_of(values, topic="hydraulic-cycles", first=first, stamp_ms=STAMP_MS)


@dataclass
class Trained:
    """A data directory with the real cycles in its lake and champions in its registry, and what the training gave."""

    settings: Settings
    outcomes: "list[TrainingOutcome]"


def train_on(archive: Path, data_dir: Path) -> Trained:
    """Import a folder, and train the Gaussian committee and the older platform's tree on it."""
    from hydrodask.learn.data.archive import Archive, Place, import_archive  # noqa: PLC0415 - heavy, and few tests need it
    from hydrodask.learn.train.training import Request, train  # noqa: PLC0415 - the same

    # What is usual of cycles says something of each, too; tests/test_usual.py is about that.
    settings = Settings(data_dir=data_dir, detect=Detect(usual=Usual(learn=None)))
    import_archive(Archive(archive), Lake(settings.lake_url), Place("uci", START_US))
    documents = open_documents(settings)
    said = Answer(
        kind="right", at=iso(START_US), by="anna", incident="one", rig="uci", start=iso(START_US),
        end=iso(START_US + 60_000_000), states={"valve": 100},
    )  # fmt: skip  # which is what the archive says, too
    documents.write([said.change()])
    documents.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries about each other
        return Trained(settings, train(settings, Request(kinds=("classic-tree", "gaussian"))))


def write_archive(folder: Path, *, cycles: int = 3, seed: int = 0, labels: bool = True) -> Path:
    """Write a small archive in the text layout; values have the archive's kind of decimals."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for channel in CHANNELS.values():
        span = channel.high - channel.low
        rows = np.round(channel.low + span * rng.random((cycles, channel.samples_per_cycle)), 3)
        write_text(folder / f"{channel.name}.txt", rows)
    if labels:
        write_text(folder / "profile.txt", np.tile([100, 90, 1, 115, 0], (cycles, 1)))
    return folder


def write_lake(data_dir: Path, seconds: Float64, labels: Float64) -> None:
    """Write cycles of second means, shape (n, 1020), and their labels, shape (n, 5), into the lake of a directory."""
    lake, count, numbers = Lake(str(data_dir / "lake")), len(seconds), np.arange(len(seconds))
    start = pa.array(START_US + numbers * 60_000_000).cast(pa.timestamp("us", tz="UTC"))
    keys = {"rig": pa.array(["rig-1"] * count), "cycle": numbers}
    span = (("made", 0), 0, count)
    for place, sensor in enumerate(SENSORS):
        means = pa.array(list(seconds[:, 60 * place : 60 * place + 60]), pa.list_(pa.float64()))
        rows = {**keys, "cycle_start": start, "mean": means, "min": means, "max": means, "revision": numbers}
        lake.put(f"cycles/sensor={sensor}", *span, pa.table(rows))
    named = {name: labels[:, place] for place, name in enumerate(LABELS)}
    lake.put("labels", *span, pa.table({**keys, "timestamp": start, **named, "revision": numbers}))


def write_text(path: Path, rows: Float64) -> None:
    """Write rows as the archive does, tabs between values."""
    path.write_text("".join("\t".join(map(repr, row)) + "\n" for row in rows.tolist()), encoding="utf-8")
