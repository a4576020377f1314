"""Who stops is said: a sensor whose rig goes on, a whole rig, that each is back; and a replay says the same."""

import random
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from hydrodask import clock
from hydrodask.clock import US_PER_S, iso
from hydrodask.detect import Criteria
from hydrodask.detect.arrivals import DEAF, HEARING, SETTLED, Arrival
from hydrodask.detect.incidents import INCIDENTS
from hydrodask.detect.silence import PAUSE_MS, QUIET_MS
from hydrodask.errors import ConfigError
from hydrodask.nodes.editions import Edition, Judging
from hydrodask.records import Change, Outgoing, RefusedRecord, Upsert, WindowRecord
from hydrodask.reports import STANDING, WHOLE_RIG
from hydrodask.settings import Settings
from hydrodask.settings.model import Baseline
from hydrodask.testing import messages_of
from tests.running import Life
from tests.test_detector import of, rule

T0 = 1_767_225_600
STAMP_MS = 1_790_000_000_000
"""The broker's clock is another than the rig's."""

SENSORS = ("TS1", "TS2", "CE")


def detector(*, after_s: float | None = 120.0) -> Judging:
    """Return a detector without rules that says who is silent after two minutes."""
    return Judging([Edition(0, criteria(after_s))])


def criteria(after_s: float | None) -> Criteria:
    """Return criteria without rules."""
    return Criteria((), Baseline(warm_up=1_000_000), 0.9, 60.0, 10.0, after_s)


def arrival(second: float, sensor: str = "CE", *, rig: str = "rig-1", late_s: float = 0.0, **row: Any) -> Arrival:
    """Return the open row of a sensor's newest window, `second` into the log; `late_s`: how much later it is read."""
    start = T0 + int(second) // 10 * 10
    values: dict[str, Any] = dict.fromkeys(("avg_value", "max_value", "min_value", "range_value"), 1.0)
    record = WindowRecord(
        **(values | {"rig": rig, "sensor": sensor, "stddev_value": 1.0, "sample_count": 60, "final": False})
        | {"window_start": iso(start * US_PER_S), "window_end": iso((start + 60) * US_PER_S), "revision": 0}
        | row
    )
    return Arrival(0, STAMP_MS + round((second + late_s) * 1000), record)


def stream(seconds: range, sensors: Iterable[str] = SENSORS, *, rig: str = "rig-1") -> Iterator[Arrival]:
    """Yield the newest window of each sensor each second, and before the first one those that its sample is in, too."""
    for second in seconds:
        for sensor in sensors:
            for older in range(50, -1, -10) if second == seconds.start else (0,):
                yield arrival(second - older, sensor, rig=rig, late_s=older)


def pause(first: int, last: int) -> Iterator[Arrival]:
    """Yield what an idle partition is told: that time passes."""
    for second in range(first, last, 10):
        yield Arrival(0, STAMP_MS + second * 1000, None)


def feed(one: Judging, arrivals: Iterable[Arrival], first: int = 0) -> list[Change]:
    """Return what follows, with each one's place as revision."""
    return [change for place, each in enumerate(arrivals, first) for change in one.take(each._replace(offset=place))]


def said(changes: Iterable[Change]) -> list[tuple[object, ...]]:
    """Return sensor, rule, status, begin and end of each stored incident."""
    names = ("sensor", "rule", "status", "opened_at", "resolved_at")
    return [tuple(one[name] for name in names) for one in of("incidents", changes)]


def test_a_sensor_that_stops_while_its_rig_goes_on_is_an_incident() -> None:
    """Two minutes of event time later it is open, its health is less, and when it comes back it is over."""
    one = detector()
    changes = feed(one, [*stream(range(300)), *stream(range(300, 420), ("TS1", "TS2"))])
    assert said(changes) == []
    changes += feed(one, stream(range(420, 460), ("TS1", "TS2")), 10_000)

    assert said(changes) == [("CE", "sensor_silent", "open", "2026-01-01T00:06:50Z", None)]
    assert one.alarms() == [("rig-1", "CE", "sensor_silent")]
    assert (one.health()["rig-1", "CE"], one.health()["rig-1", "TS1"]) == (90.0, 100.0)
    assert one.totals()["incidents"] == 1
    changes += feed(one, stream(range(900, 905)), 20_000)
    assert said(changes)[0][2:] == ("resolved", "2026-01-01T00:06:50Z", "2026-01-01T00:15:00Z")
    assert one.alarms() == []
    assert one.health()["rig-1", "CE"] == 100.0


def test_a_rig_that_stops_is_one_incident() -> None:
    """Other rigs make time pass; its sensors are no incidents of their own, and all of them are less healthy."""
    one = detector()
    changes = feed(one, [*stream(range(300)), *stream(range(300), rig="rig-2")])
    changes += feed(one, stream(range(300, 600), rig="rig-2"), 10_000)

    assert [entry[:3] for entry in said(changes)] == [(WHOLE_RIG, "rig_silent", "open")]
    assert {one.health()["rig-1", sensor] for sensor in SENSORS} == {80.0}
    assert one.alarms() == [("rig-1", WHOLE_RIG, "rig_silent")]
    changes += feed(one, [*stream(range(600, 640)), *stream(range(600, 640), rig="rig-2")], 20_000)
    assert [entry[:3] for entry in said(changes)] == [(WHOLE_RIG, "rig_silent", "resolved")]
    assert of("incidents", changes)[0]["worst"] == 301.0  # seconds, from the last record on


def test_a_rig_is_silent_when_nobody_sends_anything() -> None:
    """Records that only tell the time are enough, and once all is said no more are needed."""
    one = detector()
    changes = feed(one, [*stream(range(60)), *pause(60, 170)])
    assert (said(changes), one.silence.pending) == ([], True)
    changes += feed(one, pause(170, 200), 10_000)

    assert [entry[:3] for entry in said(changes)] == [(WHOLE_RIG, "rig_silent", "open")]
    assert not one.silence.pending


def test_the_platforms_own_pause_is_nobodys_silence() -> None:
    """A platform that was away for an hour, and reads what there is, says nothing of rigs that were there."""
    one = detector()
    changes = feed(one, [*stream(range(60)), *stream(range(60), rig="rig-2")])
    changes += feed(one, [*stream(range(3600, 3660)), *stream(range(3600, 3660), rig="rig-2")], 10_000)

    assert said(changes) == []


def test_a_rig_that_was_off_comes_back_sensor_by_sensor() -> None:
    """The first sensor of a rig that starts again is not ahead of the others by a night."""
    one = detector()
    changes = feed(one, [*stream(range(300)), *stream(range(300), ("CE",), rig="rig-2"), *pause(300, 500)])
    changes += feed(one, [*stream(range(30_000, 30_060), ("TS1",)), *stream(range(30_060, 30_120))], 10_000)

    assert [entry[:3] for entry in said(changes) if entry[0] != WHOLE_RIG] == []


def test_a_short_pause_is_no_silence() -> None:
    """Neither a sensor nor a rig is said to be silent for less than the setting."""
    one = detector()
    changes = feed(one, [*stream(range(300)), *stream(range(300, 400), ("TS1",)), *stream(range(400, 500))])
    changes += feed(one, [*pause(500, 600), *stream(range(600, 700))], 10_000)

    assert said(changes) == []


def test_who_is_read_later_is_not_silent() -> None:
    """After an outage one topic may be read hours before another; what comes meanwhile shows that it is there."""
    one = detector()
    ahead = [arrival(second, "TS1", late_s=4000 - second) for second in range(0, 3600, 10)]
    behind = [arrival(second, "CE", late_s=4000 - second + second / 100) for second in range(0, 3600, 10)]
    begun = [arrival(0, "TS1"), arrival(0, "CE")]

    assert said(feed(one, [*begun, *ahead, *behind])) == []


def test_who_stopped_and_is_read_after_the_others_is_silent() -> None:
    """Which topic is read first does not matter."""
    one = detector()
    feed(one, [*stream(range(600), ("TS1",)), *stream(range(300), ("CE",)), Arrival(0, STAMP_MS, None, settled=True)])

    assert one.alarms() == [("rig-1", "CE", "sensor_silent")]


def test_a_sensor_that_was_only_read_late_is_taken_back() -> None:
    """If its rows come without a gap after all, there was nothing."""
    one = detector()
    changes = feed(one, [*stream(range(60)), *stream(range(60, 300), ("TS1", "TS2"))])
    assert [entry[1:3] for entry in said(changes)] == [("sensor_silent", "open")]
    changes += feed(one, [arrival(second, "CE", late_s=240) for second in range(60, 300, 10)], 10_000)

    assert said(changes) == []


def test_what_is_read_fast_is_said_once_all_is_read() -> None:
    """A recording at full speed ends within a second of the broker's clock; that all was read decides."""
    one = detector()
    rows = [*stream(range(300)), *stream(range(300, 600), ("TS1",))]
    changes = feed(one, [each._replace(stamp_ms=STAMP_MS + place) for place, each in enumerate(rows)])
    assert (said(changes), one.silence.overdue) == ([], True)
    changes += feed(one, [Arrival(0, STAMP_MS + 5000, None, settled=True)], 10_000)

    assert [entry[:3] for entry in said(changes)] == [
        ("CE", "sensor_silent", "open"),
        ("TS2", "sensor_silent", "open"),
    ]


def test_a_silence_that_is_read_later_is_said_too() -> None:
    """Who was silent for ten minutes and is back by the time that it is read has an incident that is over."""
    one = detector()
    rows = [*stream(range(300)), *stream(range(300, 900), ("TS1",)), *stream(range(900, 930))]
    changes = feed(one, [each._replace(stamp_ms=STAMP_MS + place) for place, each in enumerate(rows)])

    assert [entry for entry in said(changes) if entry[0] == "CE"] == [
        ("CE", "sensor_silent", "resolved", "2026-01-01T00:06:50Z", "2026-01-01T00:15:00Z")
    ]


@pytest.mark.parametrize(
    "order", [("TS1", "CE", "TS2"), ("CE", "TS1", "TS2"), ("CE", "TS2", "TS1"), ("TS2", "CE", "TS1")]
)
def test_in_which_order_topics_are_read_does_not_matter(order: tuple[str, ...]) -> None:
    """TS1 is there all the time, CE away for ten minutes, TS2 gone: the same is said whoever is read first."""
    log = {
        "TS1": [*stream(range(1000), ("TS1",))],
        "CE": [*stream(range(300), ("CE",)), *stream(range(900, 1000), ("CE",))],
        "TS2": [*stream(range(300), ("TS2",))],
    }
    rows = [each._replace(stamp_ms=STAMP_MS) for sensor in order for each in log[sensor]]
    changes = feed(detector(), [*rows, Arrival(0, STAMP_MS, None, settled=True)])

    assert said(changes) == [
        ("CE", "sensor_silent", "resolved", "2026-01-01T00:06:50Z", "2026-01-01T00:15:00Z"),
        ("TS2", "sensor_silent", "open", "2026-01-01T00:06:50Z", None),
    ]


def test_who_sends_rarely_is_not_silent_in_between() -> None:
    """A sensor with a sample in four minutes is overdue after three of its own pauses."""
    one = detector()
    rows = []
    for second in range(0, 7200, 10):
        rows += [arrival(second, "TS1")] + [arrival(second, "CE")] * (second % 240 == 0)
    opened = [c for c in feed(one, rows) if isinstance(c, Upsert) and c.body["status"] == "open"]

    assert len(opened) <= 1  # before its rhythm is known


def test_nothing_is_said_without_the_setting() -> None:
    """`detect.silent_after: null` is the end of it."""
    one = detector(after_s=None)

    assert said(feed(one, [*stream(range(60)), *stream(range(60, 600), ("TS1",)), *pause(600, 1200)])) == []


def test_what_was_said_is_over_when_the_setting_goes() -> None:
    """Criteria without it close what those before have opened; a silence that comes later is none."""
    one = Judging([Edition(0, criteria(120.0)), Edition(10_000, criteria(None))])
    changes = feed(one, [*stream(range(300)), *stream(range(300, 500), ("TS1", "TS2"))])
    changes += feed(one, [*stream(range(500, 900), ("TS1",)), *pause(900, 1200)], 10_000)

    assert [entry[:3] for entry in said(changes)] == [("CE", "sensor_silent", "resolved")]
    assert one.alarms() == []


def test_a_rule_can_not_have_one_of_these_names() -> None:
    """Or two different things would be told in one document."""
    with pytest.raises(ConfigError, match="said without a rule"):
        rule(name="rig_silent")


def test_a_snapshot_while_a_sensor_is_waited_for_can_be_read() -> None:
    """It is behind its rig, and may only be read later than the others: that is so often when there is a backlog."""
    one = detector()
    feed(one, [*stream(range(300)), *(arrival(second, "TS1", late_s=300 - second) for second in range(300, 440))])
    assert one.silence.overdue
    two = detector()
    two.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(one.snapshot())))

    assert two.snapshot() == one.snapshot()
    assert feed(two, pause(300, 400), 1000) == feed(one, pause(300, 400), 1000)
    assert two.alarms() == [("rig-1", "CE", "sensor_silent"), ("rig-1", "TS2", "sensor_silent")]


def test_a_rig_of_which_nothing_can_be_used_has_its_alarm() -> None:
    """It has no window, and is shown with less health, as the others are."""
    life = Life(Settings(), topic="hydraulic-analytics", flow="alert")
    refused = RefusedRecord("rig-9", "TS1", iso(T0 * US_PER_S), 0, 60, 0, over_half=True, revision=0)
    life.feed(messages_of([msgspec.json.encode(refused)], topic="hydraulic-analytics", stamp_ms=STAMP_MS))
    report = life.partition.report(0)

    assert report.alarms == [("rig-9", WHOLE_RIG, "unusable_samples")]
    assert report.health == {("rig-9", "TS1"): 80.0}


def test_a_replay_says_the_same_wherever_it_begins() -> None:
    """State goes through snapshots at any place, and nothing of what follows changes, to the last bit."""
    rows = [*stream(range(200)), *stream(range(200, 420), ("TS1",)), *pause(420, 700), *stream(range(700, 760))]
    rows = sorted([*rows, *stream(range(0, 300, 7), rig="rig-2")], key=lambda each: each.stamp_ms)
    whole = detector()
    wanted = feed(whole, rows)
    assert {change.body["rule"] for change in wanted if isinstance(change, Upsert)} == {"sensor_silent", "rig_silent"}
    for seed in range(5):
        cuts = [0, *sorted(random.Random(seed).sample(range(len(rows)), 4)), len(rows)]  # noqa: S311
        one, changes = detector(), list[Change]()
        for start, end in pairwise(cuts):
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(one.snapshot()))
            one = detector()
            one.restore(state)
            changes += feed(one, rows[start:end], start)
        assert changes == wanted
        assert msgspec.msgpack.encode(one.snapshot()) == msgspec.msgpack.encode(whole.snapshot())


# The partition ----------------------------------------------------------------------------------


def encoded(arrivals: Iterable[Arrival]) -> list[bytes | None]:
    """Return rows as the topic has them."""
    return [None if each.row is None else msgspec.json.encode(each.row) for each in arrivals]


class Hands:
    """A clock that is set by hand."""

    now_s = 100.0

    def now_us(self) -> int:
        """Return the time in µs."""
        return STAMP_MS * 1000 + round(self.now_s * 1e6)

    def monotonic_s(self) -> float:
        """Return the same in seconds."""
        return self.now_s

    def sleep_s(self, seconds: float) -> None:
        """Let the time pass."""
        self.now_s += seconds


@pytest.fixture
def hands() -> Iterator[Hands]:
    """Let the test tell the time."""
    hands = Hands()
    with clock.replaced_by(hands):
        yield hands


@pytest.fixture
def life(hands: Hands) -> Life:  # noqa: ARG001 - it has to be opened by that clock
    """Give a partition of the alert flow."""
    return Life(Settings(), topic="hydraulic-analytics", flow="alert")


def standing(life: Life) -> list[object]:
    """Return the names of the incidents that are no rule's, as they were stored one after the other."""
    bodies = [c.body for c in life.changes if isinstance(c, Upsert) and c.collection == INCIDENTS]
    return [body["rule"] for body in bodies if body["rule"] in STANDING]


def asked(life: Life, *, deaf: bool = False) -> list[Outgoing]:
    """Return what the partition wants to publish now."""
    life.published.clear()
    life.commit(deaf=deaf)
    return list(life.published)


def test_an_idle_partition_asks_for_the_time_until_all_is_said(life: Life, hands: Hands) -> None:
    """A record without a value to itself each ten seconds, while there is a rig of which nothing is said yet."""
    rows = encoded(stream(range(5)))
    life.feed(messages_of(rows, topic="hydraulic-analytics", stamp_ms=STAMP_MS))
    asks, offset = 0, len(rows)
    assert asked(life) == []
    for _ in range(60):
        hands.now_s += 5.0
        for one in asked(life):
            assert (one.topic, one.key, one.value, one.partition) == ("hydraulic-analytics", None, None, 0)
            stamp_ms = STAMP_MS + round((hands.now_s - 100) * 1000)
            life.feed(messages_of([None], topic="hydraulic-analytics", first=offset, stamp_ms=stamp_ms))
            offset, asks = offset + 1, asks + 1

    assert asks == 7
    assert standing(life) == ["rig_silent"]
    report = life.partition.report(offset)
    assert report.silent == [("rig-1", WHOLE_RIG)]
    assert report.totals["consumed"] == report.totals["kept"] == len(rows)


def test_a_partition_says_to_itself_that_all_is_read(life: Life) -> None:
    """Only while somebody is overdue, and it changes nothing for who replays it quietly."""
    rows = [*stream(range(300)), *stream(range(300, 600), ("TS1",))]
    life.feed(messages_of(encoded(rows), topic="hydraulic-analytics", stamp_ms=STAMP_MS))
    life.partition.settle()
    (one,) = asked(life)
    assert (one.key, one.value, one.partition) == (SETTLED, None, 0)
    told = messages_of([None], topic="hydraulic-analytics", first=len(rows), stamp_ms=STAMP_MS)
    told.keys = type(told.keys).of([SETTLED])
    life.feed(told)
    life.partition.settle()

    assert asked(life) == []
    assert standing(life) == ["sensor_silent", "sensor_silent"]


def test_what_is_not_read_is_nobodys_silence() -> None:
    """A rig and a sensor of which nothing is read for ten minutes are there: rows of others make no time pass then."""
    one, hundred = detector(), range(200, 800)
    others = [*stream(hundred, rig="rig-2"), *stream(hundred, ("TS1", "TS2"), rig="rig-3")]
    changes = feed(one, [*stream(range(200)), *stream(range(200), rig="rig-2"), *stream(range(200), rig="rig-3")])
    changes += feed(one, [Arrival(0, STAMP_MS + 205_000, None, hearing=False)], 10_000)
    changes += feed(one, others[: len(others) // 2], 11_000)
    kept = detector()
    kept.restore(one.snapshot())
    changes += feed(kept, [*others[len(others) // 2 :], Arrival(0, STAMP_MS + 800_000, None, hearing=True)], 20_000)
    changes += feed(kept, stream(range(800, 820), rig="rig-2"), 30_000)
    assert said(changes) == []

    changes += feed(kept, stream(range(820, 1000), rig="rig-2"), 40_000)
    silent = {(str(body["rig"]), str(body["rule"])) for body in of("incidents", changes)}
    assert {("rig-1", "rig_silent"), ("rig-3", "rig_silent")} <= silent  # who stays away is said later


def test_a_partition_is_told_what_the_driver_knows(life: Life, hands: Hands) -> None:
    """Once, and again if it has not come back; while time stands still nobody is asked for it."""
    rows = encoded(stream(range(5)))
    life.feed(messages_of(rows, topic="hydraulic-analytics", stamp_ms=STAMP_MS))
    keys, offset = [], len(rows)
    for number in range(80):
        hands.now_s += 5.0
        for one in asked(life, deaf=number < 60):
            told = messages_of(
                [None], topic="hydraulic-analytics", first=offset, stamp_ms=STAMP_MS + round(hands.now_s * 1000)
            )
            told.keys = type(told.keys).of([one.key])
            keys.append(one.key)
            if len(keys) != 1:  # the first one does not come back at once
                life.feed(told)
                offset += 1

    assert keys[:4] == [DEAF, DEAF, HEARING, None]
    assert set(keys[4:]) == {None}
    assert standing(life) == []


def test_pauses_fit_each_other() -> None:
    """Who asks for the time does it before it would stand still."""
    from hydrodask.nodes.judging import ASK_S  # noqa: PLC0415 - the only test that needs it

    assert ASK_S * 1000 < PAUSE_MS < QUIET_MS
