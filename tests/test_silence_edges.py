"""Who has stopped, at the edges: repeated and late rows, limits to the second, rigs that are forgotten."""

from collections.abc import Iterable

import pytest

from hydrodask.detect.arrivals import Arrival
from hydrodask.detect.presence import RigPresence, Sensor
from hydrodask.detect.silence import LOOK_MS
from hydrodask.records import Change, Upsert
from hydrodask.reports import WHOLE_RIG
from tests.test_detector import of
from tests.test_silence import SENSORS, STAMP_MS, arrival, detector, feed, pause, said, stream

SECOND_US = 1_000_000
LIMIT_US = 120 * SECOND_US


def at_once(arrivals: Iterable[Arrival], stamp_ms: int = STAMP_MS) -> list[Arrival]:
    """Return rows as they come after an outage: no time passes between them."""
    return [each._replace(stamp_ms=stamp_ms) for each in arrivals]


def statuses(changes: Iterable[Change]) -> list[object]:
    """Return how the incidents of CE were left."""
    return [entry[2] for entry in said(changes) if entry[0] == "CE"]


def test_a_rig_is_away_until_it_is_heard() -> None:
    """And again once it is silent; nobody is away where silence is not looked for."""
    one, never = detector(), detector(after_s=None)
    assert one.silence.away("rig-1")
    feed(one, [*stream(range(10)), *stream(range(10), rig="rig-2")])
    assert not one.silence.away("rig-1")
    feed(one, stream(range(10, 200), rig="rig-2"), 1000)
    assert (one.silence.away("rig-1"), one.silence.away("rig-2")) == (True, False)
    assert one.totals()["incidents"] == 1
    feed(never, stream(range(10)))
    assert not never.silence.away("rig-1")
    assert not never.silence.away("rig-2")


@pytest.mark.parametrize(("gone", "ends"), [(False, ["CE"]), (True, [WHOLE_RIG, "CE"])])
def test_a_rig_that_is_forgotten_leaves_nothing_behind(gone: bool, ends: list[str]) -> None:
    """Neither one that is there, with a sensor that is silent, nor one that is silent itself."""
    one = detector()
    feed(one, [*stream(range(300)), *stream(range(300, 500), ("TS1", "TS2")), *(pause(500, 700) if gone else ())])
    changes = one.silence.leave("rig-1", 99_999)

    assert [c.body["sensor"] for c in changes if isinstance(c, Upsert) and c.body["status"] == "resolved"] == ends
    assert (one.silence.alarms(), one.silence.pending) == ([], False)
    assert one.silence.leave("rig-1", 100_000) == []
    state = one.silence.snapshot()
    assert (state["rigs"], state["gone"]) == ([], [])


def test_who_is_forgotten_is_not_waited_for() -> None:
    """A sensor of it was behind, and nobody had said yet that it is silent."""
    one = detector()
    feed(one, at_once([*stream(range(300)), *stream(range(300, 600), ("TS1",))]))
    assert one.silence.overdue
    one.silence.leave("rig-1", 99_999)

    assert one.silence.take(Arrival(100_000, STAMP_MS + 5000, None, settled=True)) == []
    assert not one.silence.overdue


def test_only_who_is_behind_is_waited_for() -> None:
    """Nobody among equals, and nobody any more that has come after the others."""
    one, waited = detector(), list[bool]()
    for seconds, sensors in ((range(300), SENSORS), (range(300, 600), ("TS1",)), (range(300, 600), ("CE", "TS2"))):
        feed(one, at_once(stream(seconds, sensors)))
        waited.append(one.silence.overdue)

    assert waited == [False, True, False]


def test_a_sensor_of_one_second_was_there_for_that_second() -> None:
    """Its samples are in windows that began up to fifty seconds before."""
    changes = feed(detector(), [*stream(range(100, 101)), *stream(range(101, 400), ("TS1", "TS2"))])

    assert said(changes) == [("CE", "sensor_silent", "open", "2026-01-01T00:03:40Z", None)]
    assert of("incidents", changes)[0]["first_window"] == "2026-01-01T00:01:40Z"


def test_the_last_window_of_who_is_silent_ends_nothing() -> None:
    """It becomes final while the sensor is silent: the row says what was known."""
    one = detector()
    changes = feed(one, [*stream(range(300)), *stream(range(300, 500), ("TS1", "TS2"))])
    changes += feed(one, [arrival(290, final=True, late_s=210)], 10_000)

    assert statuses(changes) == ["open"]
    assert one.alarms() == [("rig-1", "CE", "sensor_silent")]


def test_rows_of_one_window_do_not_change_a_sensors_rhythm() -> None:
    """A sample in four minutes, and each time its newest window comes twice: open and final."""
    one, rows = detector(), list[Arrival]()
    for second in range(0, 7200, 10):
        rows += [arrival(second, "TS1")] + [arrival(second), arrival(second, final=True)] * (second % 240 == 0)
    opened = [c for c in feed(one, rows) if isinstance(c, Upsert) and c.body["status"] == "open"]

    assert len(opened) <= 1  # before its rhythm is known


@pytest.mark.parametrize(("start_s", "left"), [(370, []), (380, ["resolved"])])
def test_who_is_back_within_the_limit_was_only_read_late(start_s: int, left: list[str]) -> None:
    """The sample is fifty seconds after the window: two minutes and a slide after the last ones, and one slide more."""
    one = detector()
    changes = feed(one, [*stream(range(300)), *stream(range(300, 460), ("TS1", "TS2"))])
    assert statuses(changes) == ["open"]
    changes += feed(one, [arrival(start_s, late_s=100)], 10_000)

    assert statuses(changes) == left


@pytest.mark.parametrize("order", [("TS1", "CE"), ("CE", "TS1")])
def test_how_long_a_sensor_was_silent_is_said_in_seconds(order: tuple[str, str]) -> None:
    """Whether it is read after the others, or before them."""
    log = {"TS1": [range(1000)], "CE": [range(300), range(900, 1000)]}
    rows = (each for sensor in order for seconds in log[sensor] for each in stream(seconds, (sensor,)))
    changes = feed(detector(), at_once(rows))

    (body,) = (one for one in of("incidents", changes) if one["sensor"] == "CE")
    assert (body["status"], body["worst"]) == ("resolved", 610.0)


def test_it_is_looked_once_a_second() -> None:
    """Of the broker's time: with the first record a second after the last look, and not with each."""
    one = detector()
    feed(one, [arrival(0), *pause(10, 120)])
    times_ms = (119_500, 120_400, 119_500 + LOOK_MS)
    looks = [one.silence.take(Arrival(0, STAMP_MS + time_ms, None)) for time_ms in times_ms]

    assert [len(changes) for changes in looks] == [0, 0, 1]


@pytest.mark.parametrize(("back_s", "silent"), [(220, False), (221, True)])
def test_a_sensor_that_comes_back_at_its_limit_was_not_silent(back_s: int, silent: bool) -> None:
    """The rig went on without it for two minutes; a second more is silence."""
    sensor = Sensor(100 * SECOND_US, 10 * SECOND_US, 0)
    rig = RigPresence(reach_us=1000 * SECOND_US, begin_us=0, sensors={"TS1": sensor})

    assert rig.advance(sensor, back_s * SECOND_US, LIMIT_US) == silent


@pytest.mark.parametrize(("here_s", "closed"), [(179, False), (180, True)])
def test_a_hole_of_the_rig_is_closed_from_its_limit_on(here_s: int, closed: bool) -> None:
    """Another sensor was there in between: what is left of the hole is no longer than the limit."""
    gaps = {"long": [179, 310], "short": [180, 310], "over": [100, 299]}
    sensors = {
        name: Sensor(310 * SECOND_US, 10 * SECOND_US, 0, [first * SECOND_US, last * SECOND_US])
        for name, (first, last) in gaps.items()
    }
    rig = RigPresence(310 * SECOND_US, begin_us=300 * SECOND_US, hole_us=100 * SECOND_US, before_us=0, sensors=sensors)

    assert rig.move(here_s * SECOND_US, LIMIT_US) == (["long"] if closed else [])
    assert (rig.begin_us == 0) == closed


@pytest.mark.parametrize(("jump_s", "begin_s"), [(120, 0), (121, 421)])
def test_a_jump_that_is_no_hole_leaves_the_hole_before_it(jump_s: int, begin_s: int) -> None:
    """Another sensor that was there in between closes that one yet, unless there is a newer hole."""
    rig = RigPresence(300 * SECOND_US, begin_us=300 * SECOND_US, hole_us=100 * SECOND_US, before_us=0)
    rig.move((300 + jump_s) * SECOND_US, LIMIT_US)
    rig.move(180 * SECOND_US, LIMIT_US)

    assert rig.begin_us == begin_s * SECOND_US
