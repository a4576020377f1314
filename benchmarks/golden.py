"""Results of this tree against those of another one, bit for bit, over the same records on one real Kafka.

`python -m benchmarks.golden OTHER [--simulated] [--minutes 30]`: OTHER is a worktree of another commit, made by
`git worktree add OTHER COMMIT`; its code runs in this environment. Both read the recording, if it is there, or a
simulated rig with faults, out of one topic a sensor each; only final rows are published. Compared are the rows of
every topic that is written, every row of the lake, and every document but the run's own status. A field or a place
that only one tree has is named and left out. Exit code 1 when anything differs.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.broker import broker
from benchmarks.inputs import Limited
from hydrodask.ingest.feed import open_feed
from hydrodask.ingest.publisher import Publisher, producer_for
from hydrodask.ingest.topics import create
from hydrodask.kafka import Consumer, TopicPartition, consumer
from hydrodask.settings import Settings, load

HERE = Path(__file__).resolve().parents[1]
RECORDING = HERE.parent / "shared" / "data" / "recording"
START_US = 1_767_225_600_000_000
RUN_S = 1_800
ANSWER_S = 30.0

LEFT_OUT = frozenset({"offset", "processed_at", "created_at", "updated_at", "changed_at", "at", "rules"})
"""Fields that hang on when a run was, and the digest of the rules, which changes with what a rule can say."""

Row = dict[str, Any]
Results = dict[str, list[Row]]
"""Rows of each place: `topic NAME`, `lake FOLDER`, `documents KIND`."""


def main() -> None:
    """Run both trees and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", type=Path, help="a worktree of the commit to compare with")
    parser.add_argument("--minutes", type=int, default=30, help="how much the rig is simulated where no recording is")
    parser.add_argument("--simulated", action="store_true", help="the simulated rig, although there is a recording")
    options = parser.parse_args()
    with broker(None) as (bootstrap, _), tempfile.TemporaryDirectory(prefix="hydrodask-golden-") as folder:
        found = [
            results(tree, bootstrap, Path(folder) / name, options)
            for name, tree in (("other", options.other.resolve()), ("this", HERE))
        ]
    sys.exit(1 if differences(*found) else 0)


def results(tree: Path, bootstrap: str, folder: Path, options: argparse.Namespace) -> Results:
    """Publish what is to be read, run the code of a tree over it, and collect what it has written."""
    simulated = options.simulated or not RECORDING.is_dir()
    sets = [
        "kafka.embedded=false",
        f"kafka.bootstrap={bootstrap}",
        f"kafka.group=golden-{folder.name}",
        f"topics.prefix=golden-{folder.name}-",
        f"data_dir={folder}",
        "window.emit=final",
        "detect.silent_after=null",
        "cluster.dashboard=127.0.0.1:0",
        "observe.metrics=null",
    ]
    source = ["source.start=2026-01-01T00:00:00Z"]
    source.append("source.kind=simulator" if simulated else f"source.kind='recording:{RECORDING}'")
    settings, _ = load(sets=[*sets, *source], environ={})
    create(settings)
    feed = open_feed(settings, START_US)
    assert feed is not None
    whole = Limited(feed, options.minutes * 60) if simulated else feed
    published = Publisher(producer_for(settings.kafka), settings.topic, speed=None).run(whole).published
    print(f"{tree}: {published:,} records", flush=True)
    command = [sys.executable, "-m", "hydrodask", "run", "--source", "none", "--until-idle"]
    given = [part for one in sets for part in ("--set", one)]
    environ = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(
        [*command, *given], cwd=tree, env=environ, timeout=RUN_S, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{tree} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    found = {**of_topics(settings), **of_lake(folder / "lake"), **of_documents(folder / "documents.sqlite")}
    return {place: rows for place, rows in found.items() if rows}


def of_topics(settings: Settings) -> Results:
    """Return the rows of all topics that a run writes."""
    client = consumer(settings.kafka)
    names = ("analytics", "cycles", "dead-letter", "anomalies", "incidents")
    found: Results = {}
    there = client.list_topics(timeout=ANSWER_S).topics
    for name in names:
        if (topic := settings.topic(name)) in there:
            found[f"topic {name}"] = list(_rows(client, topic, sorted(there[topic].partitions)))
    client.close()
    return found


def _rows(client: Consumer, topic: str, partitions: list[int]) -> Iterator[Row]:
    for partition in partitions:
        _, end = client.get_watermark_offsets(TopicPartition(topic, partition), ANSWER_S)
        client.assign([TopicPartition(topic, partition, 0)])
        while client.position([TopicPartition(topic, partition)])[0].offset < end:
            message = client.poll(ANSWER_S)
            if message is None:
                break
            value = message.value() if message.error() is None else None
            if value is not None:
                yield json.loads(value)


def of_lake(folder: Path) -> Results:
    """Return the rows of each folder of a lake."""
    found: Results = {}
    for path in sorted(folder.rglob("*.parquet")):
        place = f"lake {path.relative_to(folder).parts[0]}"
        found.setdefault(place, []).extend(pq.read_table(path, partitioning=None).to_pylist())
    return found


def of_documents(path: Path) -> Results:
    """Return the documents of each collection of an SQLite store."""
    found: Results = {}
    with sqlite3.connect(path) as store:
        tables = [name for (name,) in store.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            columns = [row[1] for row in store.execute(f"pragma table_info({table})")]
            if "body" in columns and table != "status":
                bodies = store.execute(f"select body from {table}")
                found[f"documents {table}"] = [json.loads(body) for (body,) in bodies]
    return found


def differences(other: Results, this: Results) -> int:
    """Print what is in one alone, place by place; return how many rows that were."""
    total = 0
    for place in sorted({*other, *this}):
        before, after = other.get(place, []), this.get(place, [])
        if not before or not after:
            print(f"{place:32} {len(before):8,} {len(after):8,} rows  only in {'this' if after else 'other'}")
            continue
        fields = [set().union(*map(set, rows)) - LEFT_OUT for rows in (before, after)]
        both = fields[0] & fields[1]
        gone, new = (Counter(_bits(row, both) for row in rows) for rows in (before, after))
        wrong = (gone - new) + (new - gone)
        total += sum(wrong.values())
        alone = [
            f"only {name}: {', '.join(sorted(mine - both))}"
            for name, mine in zip(("other", "this"), fields, strict=True)
            if mine - both
        ]
        print(f"{place:32} {len(before):8,} {len(after):8,} rows  {sum(wrong.values()):6,} differ  {'; '.join(alone)}")
        for name, rows in (("other", gone - new), ("this", new - gone)):
            for row in list(rows)[:2]:
                print(f"    only {name}: {row[:600]}")
    return total


def _bits(row: Mapping[str, Any], fields: set[str]) -> str:
    """Return a row as text that is equal for equal bits only."""
    return json.dumps({name: _exact(row.get(name)) for name in sorted(fields)}, default=str)


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, Mapping):
        return {key: _exact(one) for key, one in sorted(value.items()) if key not in LEFT_OUT}
    return [_exact(one) for one in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    main()
