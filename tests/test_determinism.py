"""The same log gives the same bits: however it is cut, wherever it is restored, on one worker or three."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrodask import kafka
from hydrodask.channels import CHANNELS
from hydrodask.clock import iso, parse_iso
from hydrodask.records import Messages
from hydrodask.settings import Settings
from hydrodask.settings.model import Cluster, Documents, Kafka, Lake, Source, Step
from hydrodask.testing import messages_of
from tests.running import Life, folder, run_to_idle

START_US = parse_iso("2026-01-01T00:00:00Z")
US = 1_000_000
STAMP_MS = START_US // 1000 + 3_600_000
RIGS = ("rig-1", "rig-2")
SENSORS = ("FS1", "TS1", "CE")
BAD = b'{"sensor": "FS1", "cycle": "one"}'
SETTINGS = Settings()


@cache
def disordered(sensor: str, seconds: int = 250) -> tuple[bytes | None, ...]:
    """Return a log of two rigs, each record up to 8 s after its time, one in a hundred up to 90 s, some bad."""
    rate, rng = CHANNELS[sensor].rate_hz, np.random.default_rng(11)
    sent: list[tuple[float, bytes | None]] = [(20.0, BAD), (50.0, None), (90.0, BAD)]
    for rig in RIGS:
        values = rng.normal(150.0, 40.0, seconds * rate)
        delays = rng.uniform(0.0, 8.0, len(values)) + 82.0 * (rng.random(len(values)) < 0.01)
        for i, value in enumerate(values.tolist()):
            record = {
                "sensor": sensor,
                "cycle": i // (60 * rate),
                "sample_idx": i % (60 * rate),
                "value": value,
                "timestamp": iso(START_US + i * US // rate),
                "sampling_rate_hz": rate,
                "rig": rig,
            }
            sent.append((i / rate + delays[i], json.dumps(record).encode()))
    sent.sort(key=lambda pair: pair[0])
    return tuple(value for _, value in sent)


def batch(sensor: str, which: slice) -> Messages:
    """Return a part of the log as messages."""
    values = disordered(sensor)[which]
    return messages_of(values, topic=f"hydraulic-{sensor}", first=which.start or 0, stamp_ms=STAMP_MS)


def bits(table: pa.Table) -> dict[str, list[Any]]:
    """Return a table's columns as lists, floats as the integers that have their bits."""
    found = {}
    for name in sorted(set(table.column_names) - {"sensor", "date"}):
        column = table[name].combine_chunks()
        while pa.types.is_list(column.type):
            column = column.flatten()
        if pa.types.is_floating(column.type):
            found[name] = np.nan_to_num(column.to_numpy(zero_copy_only=False), nan=-1e300)
            found[name] = found[name].view(np.int64).tolist()
        else:
            found[name] = column.to_pylist()
    return found


def finals(life: Life) -> tuple[list[bytes | None], list[bytes | None]]:
    """Return the final window rows and the profiles that were published, each in its topic's order."""
    rows = [o.value for o in life.published if b'"final":true' in (o.value or b"")]
    return rows, [o.value for o in life.published if o.topic == "hydraulic-cycles"]


@cache
def reference(sensor: str) -> Life:
    """Return the life that took its whole log in one batch."""
    life = Life(SETTINGS, topic=f"hydraulic-{sensor}")
    life.feed(batch(sensor, slice(0, len(disordered(sensor)))))
    life.end()
    return life


def test_the_log_is_a_hard_one() -> None:
    """It has late samples, partly final ones, incomplete cycles, bad records and a tombstone."""
    life = reference("FS1")
    totals = life.partition.report(0).totals

    assert totals["late"] > 20
    assert totals["dead"] == 2
    assert totals["consumed"] == len(disordered("FS1")) - 1
    assert life.table("windows").num_rows > 40
    assert not all(life.table("cycles")["complete"].to_pylist())


PLANS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 40), st.integers(0, 2500)),
        st.lists(st.sampled_from(["commit", "commit", "save", "roll", "restart"]), max_size=4),
    ),
    max_size=12,
)
"""(Records to take at once, what happens then), again and again; a restart loses what was not committed."""


@settings(max_examples=40, deadline=None)
@given(plan=PLANS)
def test_any_cuts_and_any_restores_give_the_same_bits(plan: list[tuple[int, list[str]]]) -> None:
    """Commit, snapshot, write files or crash after any batch: lake, published finals, late and state are equal."""
    wanted, length = reference("FS1"), len(disordered("FS1"))
    life, at = Life(SETTINGS), 0
    for count, actions in plan:
        end = min(length, at + count)
        life.feed(batch("FS1", slice(at, end)))
        at = end
        for action in actions:
            place = getattr(life, action)()
            at = at if place is None else place
    life.feed(batch("FS1", slice(at, length)))
    life.end()

    assert life.state() == wanted.state()
    assert finals(life) == finals(wanted)
    for name in ("raw", "windows", "cycles", "late"):
        assert bits(life.table(name)) == bits(wanted.table(name)), name
    totals, expected = (each.partition.report(0).totals for each in (life, wanted))
    for name in ("consumed", "kept", "late", "dead", "windows", "cycles"):
        assert totals[name] == expected[name], name


def publish(kafka_settings: Kafka) -> None:
    """Fill the topics with the logs."""
    producer = kafka.producer(kafka_settings)
    for sensor in SENSORS:
        for value in disordered(sensor):
            producer.produce(f"hydraulic-{sensor}", value, b"rig", 0)
    assert producer.flush(60) == 0


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("workers", "step", "roll_rows"),
    [(1, Step(), 100_000), (3, Step(rows_max=333, trigger=0.05, commit_every=0.1), 700)],
    ids=["one", "three"],
)
def test_one_worker_or_three(tmp_path: Path, workers: int, step: Step, roll_rows: int) -> None:
    """The lake of a whole platform equals, to the last bit, that of one graph that took all in one batch."""
    overview = run_to_idle(
        Settings(
            data_dir=tmp_path / "data",
            cluster=Cluster(workers=workers, dashboard="127.0.0.1:0"),
            source=Source(kind="none"),
            step=step,
            lake=Lake(roll_rows=roll_rows),
            documents=Documents(),
        ),
        publish,
    )

    assert len(overview.workers) == workers
    for sensor in SENSORS:
        for name in ("raw", "windows", "cycles", "late"):
            table = folder(tmp_path / "data", f"{name}/sensor={sensor}")
            order = [("offset" if name in {"raw", "late"} else "revision", "ascending")]
            if name == "windows":
                order += [("window_start", "ascending")]
            got, wanted = (bits(t.sort_by(order)) for t in (table, reference(sensor).table(name)))
            assert got == wanted, (sensor, name)
