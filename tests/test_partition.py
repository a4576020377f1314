"""One graph on one partition: opening, replaying, committing, and what a crash leaves."""

import json
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hydrodask import clock
from hydrodask.decode import DecoderName
from hydrodask.errors import FatalError, HydrodaskError, IntegrityError, StartOverError
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Edge
from hydrodask.nodes.node import Node
from hydrodask.observe.figures import part_lag_s
from hydrodask.records import CycleRecord, Messages, WindowRecord
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka, Step, Window
from hydrodask.testing import messages_of
from hydrodask.worker.failures import Failures
from tests.running import BUILDS, FOREVER_S, Life

STAMP_MS = 1_767_229_200_000
SETTINGS = Settings(kafka=Kafka(embedded=False))
"""A log that outlives its readers: an embedded broker's does not, see `test_seams.py`."""


def record(second: float, **changed: Any) -> bytes:
    """Return a record of FS1, `second` into 2026."""
    fields = {
        "sensor": "FS1",
        "cycle": int(second // 60),
        "sample_idx": int(second % 60 * 10),
        "value": 6.0 + second % 7,
        "timestamp": f"2026-01-01T00:{int(second // 60):02d}:{second % 60:09.6f}",
        "sampling_rate_hz": 10,
    }
    return json.dumps(fields | changed).encode()


LOG: list[bytes | None] = [record(i / 10) for i in range(3000)]


def cut(start: int, end: int, log: list[bytes | None] | None = None) -> Messages:
    """Return this part of the log."""
    values = (LOG if log is None else log)[start:end]
    return messages_of(values, topic="hydraulic-FS1", first=start, stamp_ms=STAMP_MS)


def rows(life: Life, topic: str = "hydraulic-analytics") -> list[dict[str, Any]]:
    """Return what was published on a topic."""
    return [json.loads(o.value or b"") for o in life.published if o.topic == topic]


def test_everything_has_its_place() -> None:
    """Samples, windows and profiles are in the lake; rows and profiles are published; nothing is left."""
    life = Life(SETTINGS)
    life.feed(cut(0, 3000))
    life.end()

    assert life.table("raw").column("offset").to_pylist() == list(range(3000))
    assert life.table("windows").num_rows == 28
    assert life.table("cycles").column("complete").to_pylist() == [True] * 5
    assert [r["cycle"] for r in rows(life, "hydraulic-cycles")] == [0, 1, 2, 3, 4]
    assert sum(r["final"] for r in rows(life)) == 28
    assert (life.partition.waiting, life.partition.durable) == (0, 3000)


def test_rows_say_what_the_design_says() -> None:
    """A published row has the fields of `WindowRecord`, ISO times and its range."""
    life = Life(SETTINGS)
    life.feed(cut(0, 710))
    life.commit()
    first = next(r for r in rows(life) if r["final"] and r["window_start"] == "2026-01-01T00:00:00Z")

    assert set(first) == set(WindowRecord.__struct_fields__) - {"partition"}  # that is named where it is not 0
    assert first["window_end"] == "2026-01-01T00:01:00Z"
    assert (first["rig"], first["sensor"], first["sample_count"]) == ("rig-1", "FS1", 600)
    assert first["range_value"] == first["max_value"] - first["min_value"]
    assert first["revision"] == 700


def test_open_windows_are_updated_until_final() -> None:
    """Each commit publishes the open windows that changed; with `emit: final` none."""
    live, final = Life(SETTINGS), Life(Settings(window=Window(emit="final")))
    for life in (live, final):
        life.feed(cut(0, 50))
        life.commit()
        life.commit()

    assert [r["sample_count"] for r in rows(live)] == [50] * 6
    assert rows(final) == []


def test_crash_before_the_commit_publishes_nothing_twice() -> None:
    """What was not committed is published by the next life; what was, is not."""
    once, life = Life(SETTINGS), Life(SETTINGS)
    once.feed(cut(0, 3000))
    once.end()
    life.feed(cut(0, 1000))
    life.end()
    life.feed(cut(1000, 1500))
    life.commit()
    life.feed(cut(1500, 2000))  # and here it is killed

    at = life.restart()
    life.feed(cut(at, 3000))
    life.end()

    assert at == 1000
    finals = [[r for r in rows(each) if r["final"]] for each in (once, life)]
    assert finals[0] == finals[1]
    assert life.state() == once.state()
    for name in ("raw", "windows", "cycles"):
        assert life.table(name).equals(once.table(name))


def test_replay_is_quiet() -> None:
    """Between snapshot and committed position nothing is published, not even open windows."""
    life = Life(SETTINGS)
    life.feed(cut(0, 1000))
    life.end()
    life.feed(cut(1000, 1800))
    life.commit()
    before = len(life.published)

    life.restart()
    life.feed(cut(1000, 1799))
    life.partition.tick(1e9, every_s=0.0)

    assert life.partition.ctx.outbox == []
    assert len(life.published) == before


def test_no_open_window_is_published_again_after_a_crash() -> None:
    """What was published before the commit is not repeated at the committed position."""
    life = Life(SETTINGS)
    life.feed(cut(0, 1000))
    life.end()
    life.feed(cut(1000, 1800))
    life.commit()

    life.restart()
    life.feed(cut(1000, 1800))
    life.partition.tick(1e9, every_s=0.0)

    assert life.partition.ctx.outbox == []


def half_told() -> tuple[Life, Life]:
    """Return a life that has published all, and one whose last commit has left out the open windows."""
    once, life = Life(SETTINGS), Life(SETTINGS)
    once.feed(cut(0, 1800))
    once.commit()
    life.feed(cut(0, 1000))
    life.end()
    life.feed(cut(1000, 1500))
    life.commit()
    life.feed(cut(1500, 1800))
    life.commit(emit=False)
    return once, life


def test_open_windows_that_were_not_published_yet_are_after_a_crash() -> None:
    """Commits may come more often than updates: those that the last one left out are not forgotten."""
    once, life = half_told()
    before = len(life.published)

    at = life.restart()
    life.feed(cut(at, 1800))
    life.commit()

    fresh = rows(life)[before - len(life.published) :]
    newest = {r["window_start"]: r for r in rows(life)}
    assert fresh
    assert not any(r["final"] for r in fresh)
    assert newest == {r["window_start"]: r for r in rows(once)}


def test_open_windows_that_were_not_published_yet_are_when_the_log_has_gone() -> None:
    """The same where retention has passed the snapshot, and raw/ gives the records back: the last ones are told."""
    once, life = half_told()
    life.roll()
    before, life.low = len(life.published), 1800

    assert life.restart() == 1800

    life.commit()
    fresh = rows(life)[before - len(life.published) :]
    assert fresh
    assert not any(r["final"] for r in fresh)
    assert {r["window_start"]: r for r in rows(life)} == {r["window_start"]: r for r in rows(once)}


def test_open_windows_wait_for_their_turn_when_records_are_lost() -> None:
    """What a commit notes as published ends before windows that wait, also when the log has lost what comes next."""
    once, life = Life(SETTINGS), Life(SETTINGS)
    once.feed(cut(0, 1500))
    once.commit()
    life.feed(cut(0, 1000))
    life.commit()
    life.feed(cut(1000, 1500))
    life.partition.lose(1600)
    life.commit(emit=False)

    life.restart()
    life.feed(cut(0, 1500))
    life.partition.advance(1600)
    life.commit()

    assert {r["window_start"]: r["sample_count"] for r in rows(life)} == {
        r["window_start"]: r["sample_count"] for r in rows(once)
    }


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.integers(1, 700)),
        st.tuples(st.sampled_from(["roll", "commit", "commit in between", "snapshot", "crash"]), st.just(0)),
    ),
    max_size=25,
)


def act(life: Life, name: str, number: int) -> None:
    """Do one thing to a life."""
    if name == "feed":
        at = life.partition.position
        life.feed(cut(at, min(len(LOG), at + number)))
    elif name == "roll":
        life.roll()
    elif name == "crash":
        life.restart()
    else:
        life.commit(emit=name != "commit in between")
        if name == "snapshot":
            life.save()


@settings(max_examples=80, deadline=None)
@given(actions=ACTIONS)
@example(actions=[("feed", 500), ("roll", 0), ("feed", 700), ("snapshot", 0), ("crash", 0), ("roll", 0), ("crash", 0)])
def test_any_life_delivers_the_same(actions: list[tuple[str, int]]) -> None:
    """Wherever it is killed, commits, snapshots and writes files: the same rows, each once, and the same last words."""
    life, once = Life(SETTINGS), Life(SETTINGS)
    for name, number in actions:
        act(life, name, number)
    for each in (life, once):
        each.feed(cut(each.partition.position, len(LOG)))
        each.end()
        each.end()

    for name in ("raw", "windows", "cycles"):
        assert life.table(name).equals(once.table(name))
    finals = [[r for r in rows(each) if r["final"]] for each in (life, once)]
    assert finals[0] == finals[1]
    newest = [{r["window_start"]: r for r in rows(each)} for each in (life, once)]
    assert newest[0].keys() == newest[1].keys()
    assert all(newest[0][key] | {"revision": 0} == row | {"revision": 0} for key, row in newest[1].items())
    assert rows(life, "hydraulic-cycles") == rows(once, "hydraulic-cycles")
    assert life.state() == once.state()


def test_snapshot_ahead_of_the_commit_is_not_used() -> None:
    """State must not be newer than what was committed; an older snapshot and the log rebuild it."""
    life = Life(SETTINGS)
    life.feed(cut(0, 500))
    life.end()
    life.feed(cut(500, 900))
    life.end()
    life.committed = 700

    assert life.restart() == 500


def test_nothing_is_snapshotted_between_commits() -> None:
    """State and commit have to be at one place."""
    life = Life(SETTINGS)
    life.feed(cut(0, 500))
    life.save()

    assert life.partition.snapshot_offset == 0


def test_totals_survive_a_crash() -> None:
    """Counts are part of the state: a replay does not count anything twice."""
    log: list[bytes | None] = [*LOG[:900], b"{", None, record(1), *LOG[900:1500]]
    life = Life(SETTINGS)
    life.feed(cut(0, 600, log))
    life.end()
    life.feed(cut(600, 1200, log))
    life.commit()
    at = life.restart()
    life.feed(cut(at, len(log), log))
    life.end()

    totals = life.partition.report(len(log)).totals
    assert totals["consumed"] == len(log) - 1
    assert (totals["kept"], totals["late"], totals["dead"]) == (1500, 1, 1)
    assert life.table("late").column("offset").to_pylist() == [902]


def test_nothing_is_counted_twice_below_the_snapshot() -> None:
    """Samples that were in no file are read again from before the snapshot, and what is bad among them too."""
    log: list[bytes | None] = [*LOG[:900], b"{", record(1), *LOG[900:1500]]
    life, once = Life(SETTINGS), Life(SETTINGS)
    once.feed(cut(0, len(log), log))
    once.end()
    life.feed(cut(0, 1000, log))
    life.commit()
    life.save()
    at = life.restart()
    life.feed(cut(at, len(log), log))
    life.end()

    totals = life.partition.report(len(log)).totals
    assert at == 0
    assert (totals["consumed"], totals["kept"], totals["late"], totals["dead"]) == (1502, 1500, 1, 1)
    assert all(life.table(name).equals(once.table(name)) for name in ("raw", "late", "windows", "cycles"))
    assert len([o for o in life.published if o.topic == "hydraulic-dead-letter"]) == 1


class Counting(Node[Messages, None]):
    """A node beside the monitor's whose state is how many records there were."""

    name = "counting"

    def __init__(self) -> None:
        self.count = 0

    def take(self, batch: Messages) -> None:
        self.count += len(batch)

    def snapshot(self) -> dict[str, Any]:
        """Return how many there were."""
        return {"count": self.count}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        self.count = state["count"]


def test_a_state_takes_no_record_again_that_it_has() -> None:
    """Where samples are read again from before its snapshot, because they were in no file: in any batches."""

    def build(messages: Edge[Messages], ctx: Context) -> None:
        BUILDS["monitor"](messages, ctx)
        messages.through(Counting())

    life = Life(SETTINGS, build=build)
    life.feed(cut(0, 1000))
    life.commit()
    life.save()
    for end in (1000, 1200, 1500):  # what was not committed is read by each of them
        at = life.restart()
        life.feed(cut(at, end))
        assert (at, life.partition.ctx.states["counting"].snapshot()) == (0, {"count": end})


def test_beginning_of_a_fresh_group_is_remembered() -> None:
    """After `kafka.start: latest` and a crash before the first snapshot, a successor begins where the first one did."""
    life = Life(SETTINGS, low=500)
    life.partition.pin(0.0)
    life.feed(cut(500, 1200))
    life.commit()
    life.low = 0

    at = life.restart()
    life.feed(cut(at, 3000))
    life.end()

    assert at == 500
    assert life.table("raw").column("offset").to_pylist() == list(range(500, 3000))


def test_dead_letters_say_why_and_from_where() -> None:
    """The original bytes and key, and headers with reason, topic, partition and offset."""
    life = Life(SETTINGS)
    life.feed(cut(0, 3, [LOG[0], b"\xff{", LOG[1]]))
    life.commit()

    dead = [o for o in life.published if o.topic == "hydraulic-dead-letter"]
    assert [(o.key, o.value) for o in dead] == [(b"key", b"\xff{")]
    headers = dict(dead[0].headers)
    assert "not JSON" in str(headers.pop("reason"))
    assert headers == {"topic": b"hydraulic-FS1", "partition": b"0", "offset": b"1"}


def test_gaps_move_the_position() -> None:
    """Transaction markers and compacted records leave gaps; a commit covers them."""
    life = Life(SETTINGS)
    life.feed(cut(0, 10))
    life.partition.advance(12)
    life.commit()
    life.partition.advance(5)

    assert (life.committed, life.partition.position) == (12, 12)


def test_batch_across_the_committed_position() -> None:
    """One batch may hold both what was published before and what was not."""
    life = Life(SETTINGS)
    life.feed(cut(0, 800))
    life.commit()
    finals = sum(r["final"] for r in rows(life))
    life.restart()
    life.feed(cut(0, 3000))
    life.commit()

    assert finals > 0
    assert sum(r["final"] for r in rows(life)) == 28


def test_records_that_were_taken_are_skipped() -> None:
    """A reader that goes back changes nothing."""
    life = Life(SETTINGS)
    life.feed(cut(0, 1000))
    life.end()
    before = life.state()
    life.feed(cut(0, 1000))

    assert (life.state(), life.partition.position) == (before, 1000)
    assert life.partition.waiting == 0


def test_files_ahead_of_the_snapshot_are_kept() -> None:
    """Files roll whenever they are due; what they hold already is not written again."""
    life = Life(SETTINGS)
    life.feed(cut(0, 1000))
    life.end()
    life.feed(cut(1000, 2000))
    life.roll()

    at = life.restart()
    life.feed(cut(at, 3000))
    life.end()

    assert life.table("raw").column("offset").to_pylist() == list(range(3000))
    assert life.table("windows").num_rows == 28


def test_zombie_and_successor_store_every_row_once() -> None:
    """A worker that was given up goes on writing files for a while beside the one that came after it."""
    zombie = Life(SETTINGS)
    zombie.feed(cut(0, 400))
    zombie.end()
    successor = Life(SETTINGS, url=zombie.url, committed=zombie.committed)
    successor.feed(cut(400, 900))
    zombie.feed(cut(400, 1300))
    zombie.roll()
    successor.feed(cut(900, 2000))
    successor.end()
    zombie.feed(cut(1300, 1700))
    zombie.roll()
    successor.feed(cut(2000, 3000))
    while any(f.waiting for f in successor.partition.ctx.files.values()):
        successor.end()

    raw = successor.table("raw").column("offset")
    assert len(raw) == len(pc.unique(raw)) == 3000
    assert successor.table("windows").num_rows == 28
    assert successor.table("cycles").num_rows == 5


def test_snapshot_of_other_settings_is_an_integrity_error() -> None:
    """Windows of another length can't go on from it; the message says what to do."""
    life = Life(SETTINGS)
    life.feed(cut(0, 500))
    life.end()
    life.settings = Settings(window=Window(length=30.0))

    with pytest.raises(IntegrityError, match=r"put the configuration back, or remove .*hydraulic-FS1-0"):
        life.restart()


def test_parser_may_change_between_lives() -> None:
    """Whichever decoder is first gives one state."""
    life, other = Life(SETTINGS), Life(SETTINGS)
    orders: tuple[tuple[DecoderName, DecoderName], ...] = (("canonical", "general"), ("flat", "canonical"))
    for each, decoders in zip((life, other), orders, strict=True):
        for k, first in enumerate((0, 900)):
            each.settings = Settings(step=Step(decoder=decoders[k]))
            each.restart()
            each.feed(cut(first, first + 900))
            each.end()

    assert life.state() == other.state()


def test_fresh_group_begins_where_the_log_does() -> None:
    """Without snapshot and commit there is nothing to have lost: reading begins at `low`."""
    life = Life(SETTINGS, low=500)

    assert life.partition.position == 500
    assert (life.partition.committed, life.partition.durable) == (500, 500)
    life.feed(cut(500, 3000))
    life.end()
    assert life.lake.files.names("raw")[0].endswith("-000000000500.parquet")


def test_durable_waits_for_files() -> None:
    """A restart needs the log from the first sample that is in no file."""
    life = Life(SETTINGS)
    life.feed(cut(0, 1000))
    life.commit()
    life.save()

    assert life.partition.durable == 0
    life.roll()
    assert life.partition.durable == 1000


def test_durable_waits_for_no_rows_that_a_snapshot_has() -> None:
    """Windows that wait for their file are in it; samples are not, and are in theirs."""
    life = Life(SETTINGS)
    life.feed(cut(0, 1000))
    life.commit()
    life.save()
    life.partition.roll(FOREVER_S, rows_max=100, age_s_max=2 * FOREVER_S)

    assert [name for name, output in life.partition.ctx.files.items() if output.waiting] == ["windows", "cycles"]
    assert life.partition.durable == 1000


def test_a_snapshot_with_outputs_that_are_out_by_now_is_followed_by_one_without() -> None:
    """Or whoever opens it would take them for outputs that wait for their commit."""
    life = Life(SETTINGS)
    life.feed(cut(0, 1000))
    life.partition.pin(0.0)
    life.commit()

    assert life.partition.stale(0.0, every_s=FOREVER_S, behind_max=10_000)
    life.partition.save(500.0)
    assert [life.partition.stale(now_s, every_s=100.0, behind_max=10_000) for now_s in (599.0, 600.0)] == [False, True]


def test_report_adds_up() -> None:
    """Consumed is kept plus late plus dead; the watermark and the fullest window show."""
    life = Life(SETTINGS)
    life.feed(cut(0, 3000))
    life.commit()
    report = life.partition.report(3100)

    assert (report.lag, report.position, report.committed) == (100, 3000, 3000)
    assert report.totals["consumed"] == report.totals["kept"] == 3000
    assert report.watermark_us == 1_767_225_600_000_000 + 299_900_000 - 10_000_000
    assert [r.count for r in report.readings] == [600]
    assert np.isfinite(report.readings[0].stddev)


LABEL = {"cycle": 3, "timestamp": "soon", "cooler": 1, "valve": 1, "pump": 0, "accumulator": 1, "stable": 0}
WINDOW = dict.fromkeys(WindowRecord.__struct_fields__, 1) | {
    "rig": "rig-1",
    "sensor": "CE",
    "window_start": "soon",
    "window_end": "later",
    "stddev_value": None,
    "final": True,
}


@pytest.mark.parametrize(
    ("flow", "name", "fields"), [("labels", "labels", LABEL | {"rig": None}), ("alert", "analytics", WINDOW)]
)
def test_row_whose_time_is_none_is_a_dead_letter(flow: str, name: str, fields: dict[str, object]) -> None:
    """With its original key and bytes, and it counts as dead and not as kept."""
    row = json.dumps(fields).encode()
    life = Life(SETTINGS, topic=f"hydraulic-{name}", flow=flow)
    life.feed(messages_of([row], topic=f"hydraulic-{name}", stamp_ms=STAMP_MS))
    life.commit()

    letter = life.published[0]
    assert (letter.topic, letter.key, letter.value) == ("hydraulic-dead-letter", b"key", row)
    assert b"'soon' is not ISO 8601" in bytes(dict(letter.headers)["reason"] or b"")  # type: ignore[arg-type]
    assert (life.partition.ctx.totals["kept"], life.partition.ctx.totals["dead"]) == (0, 1)


CYCLE = dict.fromkeys(CycleRecord.__struct_fields__, 1) | {
    "rig": "rig-1",
    "sensor": "PS1",
    "cycle_start": "2026-01-01",
    "complete": True,
    **dict.fromkeys(("n", "mean", "m2", "min", "max"), [1] * 60),
}


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**400], ids=["just above", "just below", "400 digits"])
@pytest.mark.parametrize(
    ("flow", "name", "fields", "field"),
    [
        ("labels", "labels", LABEL | {"rig": None, "timestamp": "2026-01-01"}, "cycle"),
        ("labels", "labels", LABEL | {"rig": None, "timestamp": "2026-01-01"}, "stable"),
        ("alert", "analytics", WINDOW | {"window_start": "2026-01-01"}, "sample_count"),
        ("score", "cycles", CYCLE, "cycle"),
    ],
)
def test_number_beyond_64_bits_is_a_dead_letter(
    flow: str, name: str, fields: dict[str, object], field: str, number: int
) -> None:
    """JSON has such numbers and no column has room for them: one record is lost, and the next is kept."""
    rows: list[bytes | None] = [json.dumps(fields | {field: value}).encode() for value in (number, 1)]
    life = Life(SETTINGS, topic=f"hydraulic-{name}", flow=flow)
    life.feed(messages_of(rows, topic=f"hydraulic-{name}", stamp_ms=STAMP_MS))
    life.end()

    assert [(letter.value, dict(letter.headers)["offset"]) for letter in life.published] == [(rows[0], b"0")]
    assert f"$.{field}".encode() in bytes(dict(life.published[0].headers)["reason"] or b"")  # type: ignore[arg-type]
    assert (life.partition.ctx.totals["kept"], life.partition.ctx.totals["dead"]) == (1, 1)


def test_totals_by_rig_survive_a_crash() -> None:
    """What metrics tell of each rig is part of the state, as the totals of the partition are."""
    life = Life(SETTINGS, topic="hydraulic-analytics", flow="alert")
    rows = [WINDOW | {"rig": rig, "sensor": "CE", "window_start": f"2026-01-01T00:0{n}:00Z", "final": True}
            | {"avg_value": 10.0, "min_value": 10.0, "max_value": 10.0, "sample_count": 60}
            for n, rig in enumerate(("rig-1", "rig-2", "rig-1"))]  # fmt: skip
    values: list[bytes | None] = [json.dumps(row).encode() for row in rows]
    life.feed(messages_of(values, topic="hydraulic-analytics", stamp_ms=STAMP_MS))
    life.end()
    life.restart()
    report = life.partition.report(3)

    assert {rig: counts["consumed"] for rig, counts in report.per_rig.items()} == {"rig-1": 2, "rig-2": 1}
    assert sum(counts["anomalies"] for counts in report.per_rig.values()) == report.totals["anomalies"] > 0
    assert sum(report.anomalies.values()) == report.totals["anomalies"]
    assert {key[:2] for key in report.anomalies} == {("rig-1", "CE"), ("rig-2", "CE")}


def test_the_lag_of_a_quiet_topic_is_the_age_of_what_is_not_read() -> None:
    """A record a minute, of which the newest has just come: its age counts, not that of the one before."""
    life = Life(SETTINGS)
    life.feed(cut(0, 1))
    read_at_us = clock.now_us()
    life.partition.report(1)
    waiting = life.partition.report(2)

    assert waiting.lag == 1
    assert part_lag_s(waiting, read_at_us + 2_000_000) <= 2.5
    assert part_lag_s(life.partition.report(1), read_at_us + 32_000_000) == 0.0


def test_the_lag_of_who_is_far_behind_is_the_age_of_what_was_read_last() -> None:
    """A partition that has never been at its end is as late as its newest record, in order of the log."""
    life = Life(SETTINGS)
    life.feed(cut(0, 1))

    assert part_lag_s(life.partition.report(3000), STAMP_MS * 1000 + 90_000_000) == 90.0


def test_a_graph_that_fails_at_one_place_is_given_up_though_commits_come() -> None:
    """What fails with no record, as a commit's tick does, has not got on before one more record has been taken."""
    life = Life(SETTINGS)
    life.feed(cut(0, 10))
    failures, said = Failures(FOREVER_S), []
    for committed in (3, 6, 9):
        life.partition.committed = committed
        with pytest.raises(HydrodaskError) as caught, failures.of(life.partition.ctx, life.partition):
            raise ZeroDivisionError
        said.append(caught.type)

    assert said == [StartOverError, StartOverError, FatalError]
