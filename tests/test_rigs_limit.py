"""How many rigs a partition has room for, who leaves, and that both follow from the records alone."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrodask.audit.replay import Intake, Operators, history_in
from hydrodask.clock import US_PER_S, iso, parse_iso
from hydrodask.decode.windowrows import decode_row
from hydrodask.detect import Criteria
from hydrodask.detect.arrivals import Arrival
from hydrodask.keys import TURNS, Attendance, Terms
from hydrodask.learn.score.joining import CycleJoiner
from hydrodask.nodes.editions import Edition, Judging
from hydrodask.protocol import snapshot
from hydrodask.protocol.geometries import GeometryChange
from hydrodask.records import CycleRecord, Messages, Samples, Upsert, WindowRecord
from hydrodask.rigs import RIGS, RigTable
from hydrodask.settings import Settings
from hydrodask.store.schemas import samples_of
from hydrodask.testing import messages_of
from hydrodask.window import OpenCycles, OpenWindows
from hydrodask.window.geometry import Geometry
from tests.running import Life
from tests.strategies import cuts, pieces

T0_US = parse_iso("2026-01-01T00:00:00Z")
STAMP_MS = 1_767_229_200_000
SOURCE = ("hydraulic-TS1", 0)
HOUR_S = 3600


def limited(rigs: int = 3, silence_s: float = 24 * HOUR_S) -> Settings:
    """Return settings with these limits."""
    base = Settings()
    return base.model_copy(
        update={"limits": base.limits.model_copy(update={"rigs": rigs, "rig_silence": float(silence_s)})}
    )


def record(rig: str, second: float, value: float = 36.0) -> bytes:
    """Return a sample of TS1."""
    fields = {
        "sensor": "TS1",
        "cycle": int(second // 60),
        "sample_idx": int(second % 60),
        "value": value,
        "timestamp": iso(T0_US + round(second * US_PER_S)),
        "sampling_rate_hz": 1,
        "rig": rig,
    }
    return json.dumps(fields).encode()


def log_of(*records: tuple[str, float], first: int = 0) -> Messages:
    """Return records of rigs at seconds."""
    values: list[bytes | None] = [record(*one) for one in records]
    return messages_of(values, topic=SOURCE[0], first=first, stamp_ms=4 * 10**12)


def life_of(settings: Settings) -> Life:
    """Return the life of a partition of TS1."""
    return Life(settings, topic=SOURCE[0])


def dead(life: Life) -> list[tuple[int, str]]:
    """Return offset and reason of each dead letter."""
    letters = [dict(o.headers) for o in life.published if o.topic == "hydraulic-dead-letter"]
    return [(int(h["offset"] or 0), (h["reason"] or b"").decode()) for h in letters]  # type: ignore[union-attr]


def rows(life: Life) -> list[dict[str, Any]]:
    """Return the final window rows that were published."""
    found = [json.loads(o.value or b"") for o in life.published if o.topic == "hydraulic-analytics"]
    return [row for row in found if row["final"]]


def test_a_rig_beyond_the_limit_is_a_dead_letter() -> None:
    """With the limit as its reason; the rigs that are there go on, and the process learns no names of others."""
    life, before = life_of(limited()), len(RIGS)
    life.feed(log_of(*((f"limit-{k}", k) for k in range(6)), ("limit-1", 6), ("limit-4", 7)))
    life.commit()

    reason = "rig 'limit-{}' is one too many: limits.rigs is 3 a partition"
    assert dead(life) == [(k, reason.format(n)) for k, n in ((3, 3), (4, 4), (5, 5), (7, 4))]
    assert len(RIGS) - before == 3
    assert any("more than 3 rigs" in note for note in life.partition.ctx.notes)
    report = life.partition.report(8)
    assert (report.totals["refused"], report.totals["dead"], report.totals["kept"]) == (4, 4, 4)


def test_a_million_names_cost_no_memory() -> None:
    """A producer that makes up a name for each record fills the room that there is, and no more."""
    life, before = life_of(limited(50)), len(RIGS)
    for batch in range(10):
        life.feed(log_of(*((f"made-up-{batch}-{k}", batch) for k in range(500)), first=500 * batch))
    life.commit()

    assert len(RIGS) - before == 50
    assert life.partition.report(0).keys == 50
    assert len(dead(life)) == 4950


def test_a_silent_rig_leaves_and_its_windows_are_final() -> None:
    """While another goes on for a day: nothing of it is lost, and nothing of it stays."""
    life = life_of(limited(silence_s=24 * HOUR_S))
    hours = [("b", 1800.0 + HOUR_S * hour) for hour in range(27)]
    life.feed(log_of(("a", 0.0), ("b", 0.5), ("a", 61.0), *hours))
    life.commit()

    mine = [row for row in rows(life) if row["rig"] == "a"]
    assert [row["window_start"][11:19] for row in mine][-1] == "00:01:00"
    assert sum(row["sample_count"] for row in mine) == 12  # both samples in all of their six windows
    assert len({row["revision"] for row in mine[-6:]}) == 1
    assert life.partition.report(0).keys == 1
    assert [p["rig"] for p in published(life, "hydraulic-cycles") if p["rig"] == "a"] == ["a", "a"]


def published(life: Life, topic: str) -> list[dict[str, Any]]:
    """Return what is on a topic."""
    return [json.loads(o.value or b"") for o in life.published if o.topic == topic]


def test_a_weekend_and_a_clock_that_is_ahead_make_nobody_go() -> None:
    """All rigs are silent together, or one is years ahead: the others are as they were."""
    life = life_of(limited())
    life.feed(log_of(("a", 0.0), ("b", 1.0), ("a", 250_000.0), ("b", 250_001.0), ("c", 1e8), ("a", 250_002.0)))

    assert life.partition.report(0).keys == 3


def test_room_that_silent_rigs_took_is_given_to_others() -> None:
    """Also when only new names come: else a partition that is full of names that never come again would stay so."""
    life = life_of(limited(2, silence_s=24 * HOUR_S))
    life.feed(log_of(("x-1", 0.0), ("x-2", 1.0), ("x-3", 2.0), ("x-4", 12.0 * HOUR_S), ("x-5", 30.0 * HOUR_S)))
    life.commit()

    assert [offset for offset, _ in dead(life)] == [2, 3]
    assert life.partition.report(0).keys == 1


STEPS = st.tuples(st.sampled_from("abcdef"), st.sampled_from([0, 1, 5, 10, 20, 31, 40, 250, 2000, -20, -3000]))


@settings(max_examples=80, deadline=None)
@given(steps=st.lists(STEPS, max_size=80), data=st.data())
def test_who_is_there_follows_from_the_records_alone(steps: list[tuple[str, int]], data: st.DataObject) -> None:
    """Batches, restarts from snapshots, and what the audit computes from raw rows give the same bits."""
    chosen = limited(3, 240)
    at, records = 0.0, []
    for rig, step in steps:
        at += step
        records.append((rig, at))
    whole = log_of(*records)
    once = life_of(chosen)
    once.feed(whole)
    once.end()
    cut = life_of(chosen)
    for piece in pieces(data.draw(cuts(len(records))), len(records)):
        cut.feed(whole.take(piece))
        cut.commit()
        if data.draw(st.booleans()):
            cut.save()
        if data.draw(st.booleans()):
            position = cut.restart()
            cut.feed(whole.take(slice(position, piece.stop)))
    cut.end()

    assert cut.state() == once.state()
    assert dead(cut) == dead(once)
    assert cut.table("raw").equals(once.table("raw"))
    assert rows(cut) == rows(once)
    check_audit(once, whole, chosen)


def check_audit(life: Life, whole: Messages, chosen: Settings) -> None:
    """Fail unless the audit comes to what the stream has come to: from the log, and from raw/."""
    history = history_in(chosen, {})
    decoded = list(Intake(chosen, "TS1", history).decode(whole))
    assert [r.offset for _, rejects in decoded for r in rejects] == [offset for offset, _ in dead(life)]
    table = life.table("raw")
    if not table.num_rows:
        return
    operators = Operators(SOURCE, "TS1", [GeometryChange(0, Geometry.of(chosen.window))], history)
    for _done in operators.consume(samples_of(table, "TS1", SOURCE)):
        pass
    nodes = {name: node.snapshot() for name, node in life.partition.ctx.states.items()}
    for name, state in operators.states().items():
        stored = {key: value for key, value in nodes[name].items() if key in state}
        assert snapshot.encode(stored) == snapshot.encode(state), name


def test_other_limits_count_from_where_they_were_set() -> None:
    """A limit that is raised lets in who comes from then on, and an audit judges each record by that of its time."""
    life, whole = life_of(limited(2)), log_of(("a", 0), ("b", 1), ("c", 2), ("c", 3), ("d", 4))
    life.feed(whole.take(slice(0, 3)))
    life.end()
    life.settings = limited(3)
    life.restart()
    life.feed(whole.take(slice(3, None)))
    life.end()
    history = life.partition.ctx.states["rigs"].history  # type: ignore[attr-defined]

    assert [offset for offset, _ in dead(life)] == [2, 4]
    decoded = list(Intake(limited(3), "TS1", history).decode(whole))
    assert [r.offset for _, rejects in decoded for r in rejects] == [2, 4]


def test_state_of_many_rigs_is_small() -> None:
    """A made-up name that came once costs some two hundred bytes in a snapshot, and the rest is as it was."""
    count = 2000
    rigs = RigTable()
    every = samples_at(rigs, [(f"rig-{k:05d}", 0.0) for k in range(count)])
    windows, profiles = operators_of(rigs)
    windows.consume(every)
    profiles.consume(every)

    size = len(snapshot.encode({"windows": windows.snapshot(), "cycles": profiles.snapshot()}))

    assert size / count < 270


def operators_of(rigs: RigTable, terms: Terms = Terms()) -> tuple[OpenWindows, OpenCycles]:  # noqa: B008
    """Return windows and profiles of TS1."""
    lateness_us = 10 * US_PER_S
    windows = OpenWindows(
        "TS1", length_us=60 * US_PER_S, slide_us=lateness_us, lateness_us=lateness_us, rigs=rigs, terms=terms
    )
    return windows, OpenCycles("TS1", lateness_us=lateness_us, rigs=rigs, terms=terms)


def samples_at(rigs: RigTable, records: Sequence[tuple[str, float]]) -> Samples:
    """Return samples of rigs at seconds."""
    count = len(records)
    at = np.array([second for _, second in records])
    return Samples(
        "TS1", *SOURCE,
        rig=np.array([rigs.code(rig) for rig, _ in records], np.int32),
        cycle=(at // 60).astype(np.int64), sample_idx=(at % 60).astype(np.int64), value=np.full(count, 36.0),
        time_us=T0_US + np.round(at * US_PER_S).astype(np.int64), rate_hz=np.ones(count), offset=np.arange(count),
    )  # fmt: skip


def test_thousands_that_leave_together_all_come_out() -> None:
    """More rows than the kernels hold at a time, in order, with the offset that made them final."""
    rigs = RigTable()
    names = [(f"rig-{k}", 0.0) for k in range(3000)]
    hours = [("stays", float(HOUR_S * hour)) for hour in range(27)]
    windows, profiles = operators_of(rigs, Terms(0, 24 * HOUR_S * US_PER_S))
    every = samples_at(rigs, names + hours)

    final, cycles = windows.consume(every)[0], profiles.consume(every)

    gone = final.rig != rigs.code("stays")
    assert (gone.sum(), len(set(final.revision[gone].tolist()))) == (18_000, 1)
    assert (cycles.rig != rigs.code("stays")).sum() == 3000
    assert (len(windows), len(profiles)) == (1, 1)


def row_of(rig: str, hour: float, value: float) -> bytes:
    """Return a final window of TS1 as it is published."""
    start = T0_US + round(hour * HOUR_S * US_PER_S)
    row = WindowRecord(
        rig, "TS1", iso(start), iso(start + 60 * US_PER_S), value, value, value, 1.0, 1.0, 60, True, 0, 1.0
    )
    return msgspec.json.encode(row)


def test_a_rig_that_left_leaves_the_detector_too() -> None:
    """Its open incidents end with its newest window, whoever opened them; gauges and counts of it end, too."""
    life = Life(limited(), topic="hydraulic-analytics", flow="alert")
    hot = [row_of("a", n / 360, 57.0) for n in range(4)]
    values: list[bytes | None] = [*hot, *(row_of("b", 1.0 + hour, 36.0) for hour in range(27))]
    life.feed(messages_of(values, topic="hydraulic-analytics", stamp_ms=STAMP_MS))
    life.commit()
    report = life.partition.report(0)

    last = {c.id: c.body for c in life.changes if isinstance(c, Upsert) and c.collection == "incidents"}
    mine = [body for body in last.values() if body["rig"] == "a" and body["statistic"] == "avg"]
    assert {str(body["rule"]) for body in mine} >= {"oil_warm", "oil_hot"}
    assert {(body["status"], body["resolved_at"]) for body in mine} == {("resolved", "2026-01-01T00:01:30Z")}
    assert {rig for rig, _ in report.health} == set(report.per_rig) == {"b"}
    before = life.state()
    life.end()
    life.restart()
    assert life.state() == before


def test_a_rig_that_left_leaves_joiner_and_labels_too() -> None:
    """Its cycles that waited for sensors go out with what there is; only so many newest labels are kept."""
    joiner = CycleJoiner(24 * HOUR_S * US_PER_S)
    for number, (rig, hour) in enumerate([("a", 0.0), *(("b", 1.0 + hour) for hour in range(27))]):
        start = iso(T0_US + round(hour * HOUR_S * US_PER_S))
        some: list[float | None] = [1.0] * 60
        profile = CycleRecord(rig, "TS1", number, start, True, number, [1] * 60, some, some, some, some)
        found = [(joined.rig, joined.cycle) for joined in joiner.add(profile, number)]
        if ("a", 0) in found:
            break
    else:
        pytest.fail("the cycle of the rig that left never came")
    labels = Life(limited(2), topic="hydraulic-labels", flow="labels")
    text = b'{"rig": "%s", "cycle": 1, "timestamp": "2026-01-01T00:00:00", "cooler": 3, "valve": 100, "pump": 0, '
    values: list[bytes | None] = [text % rig + b'"accumulator": 130, "stable": 0}' for rig in (b"a", b"b", b"c")]
    labels.feed(messages_of(values, topic="hydraulic-labels", stamp_ms=STAMP_MS))

    assert len(joiner) == 1
    assert list(labels.partition.report(0).labels) == ["b", "c"]


def test_attendance_forgets_by_name_as_keys_do() -> None:
    """And its snapshot goes on where it was."""
    one = Attendance(TURNS * 10)
    gone = [one.hear(rig, at) for rig, at in [("a", 0), ("b", 5), *(("b", 10 * turn) for turn in range(1, 27))]]
    two = Attendance(TURNS * 10)
    two.restore(one.snapshot())

    assert [names for names in gone if names] == [["a"]]
    assert two.snapshot() == one.snapshot()
    with pytest.raises(KeyError):
        two.restore({})


@pytest.mark.parametrize("emit", ["updates", "final"])
def test_the_windows_of_a_rig_that_left_are_no_sign_of_it(emit: str) -> None:
    """A name that came once is silent until it is forgotten: it is not back when its windows are final, and no more."""
    base = limited(10)
    detect = base.detect.model_copy(update={"unjudged_after": None})  # a sample in ten minutes is no mean
    chosen = base.model_copy(update={"window": base.window.model_copy(update={"emit": emit}), "detect": detect})
    judging = Judging([Edition(0, Criteria.of(chosen))])
    lives = [Life(chosen, topic=topic) for topic in (SOURCE[0], "hydraulic-CE")]
    told: list[Any] = []
    places = itertools.count()
    for turn in range(27 * 6):
        names = ["typo", "a"] if turn < 3 else ["a"]
        for life in lives:
            values: list[bytes | None] = [
                record(rig, turn * 600).replace(b"TS1", life.topic.removeprefix("hydraulic-").encode()) for rig in names
            ]
            life.feed(messages_of(values, topic=life.topic, first=2 * turn, stamp_ms=4 * 10**12))
            life.published.clear()
            life.commit()
            for out in life.published:
                if out.topic == "hydraulic-analytics" and out.value is not None:
                    arrival = Arrival(next(places), STAMP_MS + turn * 600_000, decode_row(out.value))
                    told += [change for change in judging.take(arrival) if change.collection == "incidents"]

    assert [(c.body["rule"], c.body["rig"], c.body["status"]) for c in told] == [
        ("rig_silent", "typo", "open"),
        ("rig_silent", "typo", "resolved"),
    ]
    assert told[-1].body["message"].endswith("; forgotten, as nothing came for limits.rig_silence")
    assert {rig for rig, _ in judging.health()} == {"a"}


def test_the_brokers_clock_makes_no_rig_of_a_recording_go() -> None:
    """What was refused is told by the broker's clock, which may be years ahead of the event time that counts."""
    one = Attendance(TURNS * 10)
    gone = [one.hear(rig, at) for rig, at in [("a", 0), ("b", 5), ("b", None), *(("b", 10 * n) for n in range(1, 27))]]

    assert [names for names in gone if names] == [["a"]]
