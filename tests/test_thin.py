"""A sensor of whose samples too few come to be judged is said, until enough come; who is well is not."""

from collections.abc import Iterable
from typing import Any

import pytest

from hydrodask.detect import Criteria
from hydrodask.detect.arrivals import Arrival
from hydrodask.nodes.editions import Edition, Judging
from hydrodask.protocol import snapshot
from hydrodask.records import Change, WindowRecord
from hydrodask.settings import Settings, load
from tests.test_detector import of, row

SHIPPED = Criteria.of(Settings())
STAMP_MS = 1_790_000_000_000


def shipped(*sets: str) -> Judging:
    """Return a detector by the shipped rules."""
    return Judging([Edition(0, Criteria.of(load(sets=list(sets), environ={})[0]))])


def feed(one: Judging, rows: Iterable[WindowRecord], first: int = 0) -> list[Change]:
    """Return what follows, with each one's place as revision."""
    arrivals = (Arrival(first + place, STAMP_MS + 10_000 * (first + place), each) for place, each in enumerate(rows))
    return [change for each in arrivals for change in one.take(each)]


def windows(count: int, value: float, share: float, *, first: int = 0, **said: Any) -> list[WindowRecord]:
    """Return final windows of which so much is there."""
    return [row(first + i, value, sample_count=round(60 * share), **said) for i in range(count)]


def said(changes: list[Change]) -> list[tuple[object, ...]]:
    """Return what incidents say of who is not judged."""
    names = ("sensor", "status", "windows", "opened_at", "resolved_at")
    return [tuple(one[n] for n in names) for one in of("incidents", changes) if one["rule"] == "unjudged_samples"]


@pytest.mark.parametrize(
    ("sensor", "value", "share"),
    [("TS1", 57.0, 0.5), ("CE", 18.0, 0.1), ("TS1", 57.0, 2 / 3), ("CE", 18.0, 0.89)],
)
def test_a_sensor_that_is_never_full_is_said(sensor: str, value: float, share: float) -> None:
    """From its first sample on, below and within what `missing_samples` leaves out; five minutes later."""
    one = shipped()
    changes = feed(one, windows(29, value, share, sensor=sensor))
    assert said(changes) == []
    assert one.health()["rig-1", sensor] == 100.0

    changes += feed(one, windows(331, value, share, first=29, sensor=sensor), 29)
    assert said(changes) == [(sensor, "open", 30, "2026-01-01T00:05:50Z", None)]
    assert one.alarms() == [("rig-1", sensor, "unjudged_samples")]
    assert one.health()["rig-1", sensor] == 90.0
    assert one.totals()["incidents"] == 1
    text = str(of("incidents", changes)[0]["message"])
    assert f"{sensor} is not judged: {round(60 * share) / 60:.0%} of its samples" in text

    changes += feed(one, windows(1, value, 1.0, first=360, sensor=sensor), 360)
    assert said(changes)[0][1:2] + said(changes)[0][4:] == ("resolved", "2026-01-01T01:01:00Z")
    assert ("rig-1", sensor, "unjudged_samples") not in one.alarms()


def test_a_leak_at_half_the_rate_that_is_named_is_said() -> None:
    """FS1 names 10 Hz and sends 5."""
    changes = feed(shipped(), [row(i, 6.0, sensor="FS1", sample_count=300, sampling_rate_hz=10.0) for i in range(40)])
    assert [one[0] for one in said(changes)] == ["FS1"]


def test_rigs_that_come_and_go_are_judged() -> None:
    """Windows of beginnings and ends are thin, and so are two of them with a hole between; a full one is enough."""
    edges = [1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    rows = [row(100 * k + i, 40.0, sample_count=round(60 * share)) for k in range(9) for i, share in enumerate(edges)]
    short = [row(2000 + 30 * k + i, 40.0, sample_count=40) for k in range(3) for i in range(9)]
    assert said(feed(shipped(), [*rows, *short])) == []


def test_it_can_be_left_out_and_a_change_ends_what_was_said() -> None:
    """`detect.unjudged_after: null` has the digest of before; who goes over to it is told that it ends."""
    never = Criteria.of(load(sets=["detect.unjudged_after=null"], environ={})[0])
    assert b"unjudged" not in never.encoded
    assert Criteria.decoded(SHIPPED.encoded).digest == SHIPPED.digest
    one = Judging([Edition(0, SHIPPED), Edition(50, never)])
    changes = feed(one, windows(60, 57.0, 0.5, sensor="TS1"))
    assert [entry[1] for entry in said(changes)] == ["resolved"]
    assert said(feed(Judging([Edition(0, never)]), windows(60, 57.0, 0.5, sensor="TS1"))) == []


def test_a_replay_finds_the_same_to_the_last_bit() -> None:
    """Cut anywhere, with known rows again; and of who is well a snapshot says nothing."""
    rows = [*windows(20, 57.0, 1.0), *windows(40, 57.0, 0.6, first=20), *windows(5, 57.0, 1.0, first=60)]
    whole = shipped()
    want = feed(whole, rows)
    for cut in (10, 35, 55, 62):
        one = shipped()
        changes = feed(one, rows[:cut])
        kept = Judging([Edition(0, SHIPPED)], since=0)
        kept.restore(snapshot.decode(snapshot.encode(one.snapshot())))
        changes += feed(kept, rows[cut:], cut)
        assert changes == want
        assert snapshot.encode(kept.snapshot()) == snapshot.encode(whole.snapshot())
    again = shipped()
    assert said([*feed(again, rows), *feed(again, rows[15:], 100)]) == said(want)
    well = shipped()
    feed(well, windows(50, 40.0, 1.0))
    assert "thin" not in well.snapshot()
