"""A rig of whose sensor samples come on two partitions is said, and its windows with parts do not pass as whole."""

import json
import random
from collections.abc import Sequence
from functools import partial

import msgspec
import numpy as np

from hydrodask.blobs import Blobs
from hydrodask.detect import Criteria
from hydrodask.detect.arrivals import Arrival
from hydrodask.detect.detector import since_of
from hydrodask.nodes.editions import Edition, Judging
from hydrodask.records import Change, WindowRecord
from hydrodask.reports import WHOLE_RIG
from hydrodask.settings import Settings
from hydrodask.settings.model import Baseline, Rig
from hydrodask.testing import messages_of
from tests.running import Life
from tests.test_detector import of, rule
from tests.test_detector import row as row_of

row = partial(row_of, sampling_rate_hz=1.0)
COVERAGE = rule(name="missing_samples", statistic="coverage", comparison="<", enter=0.5, exit=0.9, message="{value}")
PEAK = rule(name="peak", statistic="max", enter=100, exit=90)


def judging(since: int = -1) -> Judging:
    """Return a detector with a rule on the mean, one on the maximum, and one on what is missing."""
    return Judging(
        [Edition(0, Criteria((rule(), PEAK, COVERAGE), Baseline(warm_up=1_000_000), 0.9, 60.0))], since=since
    )


def taken(one: Judging, rows: list[WindowRecord]) -> list[Change]:
    """Return what follows from rows."""
    return [change for place, each in enumerate(rows) for change in one.take(Arrival(place, place * 1000, each))]


def test_a_rig_that_stays_on_two_partitions_is_said() -> None:
    """Once their windows overlap by more than a window; its sensors are less healthy until one goes on alone."""
    one = judging()
    rows = [row(n, 20, partition=p, sample_count=30) for n in range(30) for p in (0, 1)]
    changes = taken(one, rows)

    (body,) = of("incidents", changes)
    assert (body["rule"], body["sensor"], body["status"]) == ("two_partitions", WHOLE_RIG, "open")
    assert ("partitions 0 and 1" in str(body["message"]), body["windows"]) == (True, 1)
    assert one.health()["rig-1", "CE"] == 80.0
    assert one.totals()["incidents"] == 1
    changes += taken(one, [row(n, 20, partition=1) for n in range(30, 100)])
    assert [body["status"] for body in of("incidents", changes)] == ["resolved"]
    assert one.alarms() == []


def test_rows_of_a_release_that_named_no_partition_are_on_none() -> None:
    """An upgrade is no move: its first windows are those that were open, and were published without a partition."""
    one = judging()
    rows = [row_of(n, 20, final=False) for n in range(30)] + [row(n, 20, partition=1) for n in range(30)]

    assert of("incidents", taken(one, rows)) == []


def test_windows_with_parts_are_not_judged_as_whole() -> None:
    """Neither is a mean of nearly all judged, nor what the part lacks; what is certain is."""
    one = judging()
    rows = [row(n, 20) for n in range(5)]
    rows += [row(n, 20, final=False, partition=1, sample_count=3) for n in range(5, 40)]
    changes = taken(one, rows)
    parts = [row(n, 50, partition=0, sample_count=57) for n in range(5, 30)]
    parts += [row(n, 50, max_value=120.0, partition=1, sample_count=3) for n in range(30, 40)]
    changes += taken(one, parts)

    assert {body["rule"] for body in of("anomalies", changes) if body["rule"] != "peak"} == set()
    assert "peak" in {body["rule"] for body in of("anomalies", changes)}
    assert [body["rule"] for body in of("incidents", changes) if body["sensor"] == WHOLE_RIG] == ["two_partitions"]


def test_a_rig_that_moves_is_no_incident() -> None:
    """As when partitions were added: from one sample on all come on another one."""
    one = judging()
    rows = [row(n, 20) for n in range(20)] + [row(n, 20, partition=3) for n in range(15, 60)]

    assert of("incidents", taken(one, rows)) == []


def test_a_replay_says_the_same_wherever_it_begins() -> None:
    """State goes through snapshots at any place."""
    rows = [row(n, 20, partition=p, rig=rig) for n in range(30) for p in (0, 1) for rig in ("a", "b")]
    rows += [row(n, 20, rig="a") for n in range(30, 120)]
    whole = judging()
    wanted = taken(whole, rows)
    cut = random.Random(1).randrange(len(rows))  # noqa: S311
    one = judging()
    changes = taken(one, rows[:cut])
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(one.snapshot()))
    one = judging(since_of(state["detector"]))
    one.restore(state)
    for place, each in enumerate(rows[cut:], cut):
        changes += one.take(Arrival(place, place * 1000, each))

    assert changes == wanted
    assert msgspec.msgpack.encode(one.snapshot()) == msgspec.msgpack.encode(whole.snapshot())


def test_rows_of_the_first_partition_are_as_they_were() -> None:
    """Only those of others name theirs: older readers, and older rows, need not know."""
    assert b"partition" not in msgspec.json.encode(row(1, 20.0))
    assert json.loads(msgspec.json.encode(row(1, 20.0, partition=2)))["partition"] == 2


# Rigs by key ------------------------------------------------------------------------------------


def sample(second: int, **more: str) -> bytes:
    """Return a sample of TS1 that names no rig."""
    fields = {"sensor": "TS1", "cycle": 0, "sample_idx": second, "value": 1.5, "sampling_rate_hz": 1}
    return json.dumps(fields | {"timestamp": f"2026-01-01T00:00:{second:02}"} | more).encode()


def samples_by_key(keys: Sequence[bytes | None], **more: object) -> Life:
    """Return a partition of TS1 that has read a sample a second, none of which names its rig, under these keys."""
    life = Life(Settings(rig=Rig.model_validate(more)), topic="hydraulic-TS1")
    values: list[bytes | None] = [sample(place % 60) for place in range(len(keys))]
    messages = messages_of(values, topic="hydraulic-TS1", stamp_ms=1_767_229_200_000)
    messages.keys = Blobs.of(keys)
    life.feed(messages)
    return life


def test_the_key_names_the_rig_where_the_record_does_not() -> None:
    """With `rig.from_key`; without a key it is the default one, and a key that is no name is a dead letter."""
    keys = [b"left", b"right", None, b"left", b"\xff\xfe", b"right"]
    life = samples_by_key(keys, from_key=True, default_id="other")

    assert {rig: one["kept"] for rig, one in life.partition.report(0).per_rig.items()} == {
        "left": 2,
        "right": 2,
        "other": 1,
    }
    assert life.partition.ctx.totals["dead"] == 1
    life.commit()
    (letter,) = [one for one in life.published if one.topic.endswith("dead-letter")]
    assert b"the key is no rig's name" in bytes(dict(letter.headers)["reason"] or b"")  # type: ignore[arg-type]


def test_a_rig_in_the_record_counts_more_than_its_key() -> None:
    """`rig.from_key` is for records that name none."""
    life = Life(Settings(rig=Rig(from_key=True)), topic="hydraulic-TS1")
    life.feed(messages_of([sample(0, rig="named")], topic="hydraulic-TS1", stamp_ms=1_767_229_200_000))

    assert list(life.partition.report(0).per_rig) == ["named"]


def test_nameless_records_under_several_keys_are_said_once() -> None:
    """Without the setting they are all of one rig, and that is told."""
    life = samples_by_key([b"left"] * 5 + [b"right"] * 5)

    assert list(life.partition.report(0).per_rig) == ["rig-1"]
    (note,) = [note for note in life.partition.ctx.notes if "rig.from_key" in note]
    assert "'left'" in note
    assert "'right'" in note
    assert np.all([("rig.from_key" not in note) for note in samples_by_key([b"left"] * 5).partition.ctx.notes])


def test_what_was_said_of_a_rig_goes_when_it_is_forgotten() -> None:
    """Nothing tells any more on which partitions it is."""
    criteria = Criteria((), Baseline(warm_up=1_000_000), 0.9, 60.0, forgotten_after_s=3600.0)
    one = Judging([Edition(0, criteria)], since=-1)
    rows = [row(n, 20, partition=p, sample_count=30) for n in range(30) for p in (0, 1)]
    changes = taken(one, rows + [row(n, 20, rig="rig-2") for n in range(30, 1000)])

    assert [body["status"] for body in of("incidents", changes)] == ["resolved"]
    assert one.alarms() == []
