"""Numbers and edges of detection that a small fault would move: each of these was tried, and lived, before."""

import json
import math
from pathlib import Path

import pytest
import yaml

from hydrodask.blobs import Blobs
from hydrodask.channels import CHANNELS
from hydrodask.clock import iso
from hydrodask.detect import Criteria
from hydrodask.detect.arrivals import SETTLED, Arrival, arrivals
from hydrodask.detect.baseline import ALPHA, CLIP, Baseline
from hydrodask.detect.incidents import ANOMALIES, INCIDENTS, Track, anomaly_id, incident_id, let_go
from hydrodask.detect.judge import FULL, BaselineJudge, RuleJudge
from hydrodask.detect.presence import RHYTHM, RigPresence, Sensor
from hydrodask.detect.refusals import Refusals
from hydrodask.detect.rules import CHANGES_MAX, SHIPPED, described, load_rules
from hydrodask.detect.thin import CoverageWatch
from hydrodask.errors import ConfigError
from hydrodask.records import RefusedRecord, Remove, Upsert
from hydrodask.settings import CONF, Settings, model
from hydrodask.testing import messages_of
from tests.test_detector import BASELINE, detector, feed, row, rule
from tests.test_thin import windows

SECOND_US = 1_000_000
LIMIT_US = 120 * SECOND_US


def warmed() -> Baseline:
    """Return a baseline whose centre is 10 and whose scale is its floor."""
    one = Baseline(floor=0.1)
    for _ in range(3):
        one.learn(10.0, warm_up=3)
    assert (one.warm, one.centre, one.scale) == (True, 10.0, 0.1)
    return one


@pytest.mark.parametrize(("value", "learned"), [(10.2, 0.2), (9.8, -0.2), (11.0, CLIP * 0.1), (9.0, -CLIP * 0.1)])
def test_a_baseline_follows_what_it_learns(value: float, learned: float) -> None:
    """Towards the value, by a fiftieth of how far it is, or of three scales."""
    one = warmed()
    one.learn(value, warm_up=3)
    assert one.centre == pytest.approx(10.0 + ALPHA * learned, rel=1e-12)


def judge() -> BaselineJudge:
    """Return a judge of the mean of TS1 that has learned 40 °C."""
    one = BaselineJudge("avg_value", CHANNELS["TS1"], model.Baseline(warm_up=3))
    for _ in range(3):
        one.learn(row(0, 40.0), 1.0, abnormal=None)
    assert one.baseline.warm
    return one


@pytest.mark.parametrize(("coverage", "counts"), [(FULL, True), (FULL - 1e-9, False)])
def test_a_window_that_is_just_full_counts(coverage: float, counts: bool) -> None:
    """It is judged and learned; one below it is neither."""
    one = judge()
    assert (one.verdict(row(1, 90.0), coverage, broken=False, steady=True) is not None) == counts
    one.learn(row(1, 40.1), coverage, abnormal=False)
    assert (one.baseline.centre != 40.0) == counts


def test_the_worse_value_is_farther_from_what_is_usual() -> None:
    """On either side of it."""
    one = judge()
    assert one.worse(35.0, 42.0)
    assert one.worse(46.0, 35.0)
    assert not one.worse(42.0, 35.0)


def exactly() -> BaselineJudge:
    """Return a judge for which 40 ± 5 °C is usual, and 40 ± 2.5 once it was not: numbers that have no rounding."""
    one = BaselineJudge("avg_value", CHANNELS["TS1"], model.Baseline(enter=10.0, exit=5.0))
    one.baseline.restore([None, 40.0, 0.5, 0])
    return one


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("off", "broken", "abnormal"), [(5.0, False, False), (5.5, False, True), (2.5, True, False), (3.0, True, True)]
)
def test_a_value_at_its_limit_is_usual(off: float, side: int, *, broken: bool, abnormal: bool) -> None:
    """One beyond it is not, on either side; of what is no number nothing can be said."""
    one, more = exactly(), {"coverage": 1.0, "broken": broken, "steady": True}
    assert one.verdict(row(0, 40.0 + side * off), **more) == abnormal  # type: ignore[arg-type]
    for nothing in (None, math.nan, math.inf, -math.inf):
        assert one.verdict(row(0, 40.0, avg_value=nothing), **more) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "limit"), [(45.5, 45.0), (45.0, 42.5), (35.0, 37.5), (34.5, 35.0)])
def test_a_document_names_the_limit_that_its_value_is_beyond(value: float, limit: float) -> None:
    """What is just at the limit of entering is beyond that of leaving alone."""
    assert exactly().details(row(0, value), 1.0)["threshold"] == limit


@pytest.mark.parametrize(
    ("comparison", "enter", "exit_"), [(">", 30.0, 25.0), ("<", 37.0, 39.0)], ids=["above", "below"]
)
def test_a_rule_is_broken_beyond_its_limit_and_not_at_it(comparison: str, enter: float, exit_: float) -> None:
    """Of either side; at `exit` it is over."""
    one = rule(comparison=comparison, enter=enter, exit=exit_)
    beyond = 0.1 if one.above else -0.1
    assert [one.beyond(enter + off, broken=False) for off in (0.0, beyond)] == [False, True]
    assert [one.beyond(exit_ + off, broken=True) for off in (0.0, beyond)] == [False, True]


def test_of_what_is_as_far_out_the_first_stays() -> None:
    """It is the worst value of an incident as long as none is farther, on whichever side."""
    assert not exactly().worse(45.0, 35.0)
    assert not exactly().worse(35.0, 45.0)
    for one in (RuleJudge(rule(), coverage_min=0.9), RuleJudge(rule(comparison="<", exit=39), coverage_min=0.9)):
        assert not one.worse(35.0, 35.0)


def test_a_window_that_can_not_be_judged_ends_no_incident_of_a_baseline() -> None:
    """With too few samples it says neither that the step lasts nor that it is over."""
    one = detector(baseline=BASELINE)
    feed(one, [*(row(i, 20.0) for i in range(4)), row(4, 40.0), row(5, 20.0, sample_count=50)])
    assert one.alarms() == [("rig-1", "CE", "baseline:avg_value")]
    feed(one, [row(6, 20.0)], 6)
    assert one.alarms() == []


def test_a_baseline_may_end_where_it_begins() -> None:
    """`exit` as large as `enter`, but not larger; the sentence names what can be judged, and no more."""
    equal = model.Baseline(enter=6.0, exit=6.0)
    assert Criteria((), equal, 0.9, 60.0).baseline.exit == 6.0
    with pytest.raises(ConfigError, match=r"detect.baseline.exit is 6.1; want at most detect.baseline.enter \(6\)"):
        Criteria((), equal.model_copy(update={"exit": 6.1}), 0.9, 60.0)
    with pytest.raises(ConfigError, match="has 'sample_count'; want some of") as caught:
        Criteria((), model.Baseline.model_construct(**{**dict(equal), "statistics": ["sample_count"]}), 0.9, 60.0)
    assert "None" not in str(caught.value)
    assert str(caught.value).count("sample_count") == 1


@pytest.mark.parametrize("change", [{"judging": "of another release"}, {"judging": None}, {}])
def test_criteria_of_another_release_are_refused(change: dict[str, object]) -> None:
    """What is stored says how it was judged; what can't be read that way is not guessed at."""
    tree = json.loads(Criteria.of(Settings()).encoded) | change
    data = json.dumps(tree if change else [tree]).encode()
    with pytest.raises(ValueError, match="another release has judged by it"):
        Criteria.decoded(data)


@pytest.mark.parametrize(
    "change", [{"rules": [{"name": "hot"}]}, {"coverage_min": ...}, {"baseline": {"enter": 1.0, "exit": 2.0}}]
)
def test_criteria_that_are_damaged_are_refused(change: dict[str, object]) -> None:
    """Rules that lack something, numbers that are gone, a baseline that could not come to rest."""
    tree = json.loads(Criteria.of(Settings()).encoded) | change
    data = json.dumps({name: value for name, value in tree.items() if value is not ...}).encode()
    with pytest.raises(ValueError, match="it is not what was encoded"):
        Criteria.decoded(data)


def test_rows_and_what_only_tells_the_time_come_in_the_order_of_the_log() -> None:
    """A record without a value has its place between them."""
    messages = messages_of([b"{}", None, b"{}", None, b"{}"], first=7)
    messages.keys = Blobs.of([b"rig-1", SETTLED, b"rig-1", None, b"rig-1"])
    found = arrivals(messages, [(7, row(0, 1.0)), (9, row(1, 1.0)), (11, row(2, 1.0))])

    assert [one.offset for one in found] == [7, 8, 9, 10, 11]
    assert [one.row is None for one in found] == [False, True, False, True, False]
    assert [one.settled for one in found] == [False, True, False, False, False]


def test_what_is_provisional_goes_with_its_rule() -> None:
    """Anomalies of open windows and the incident that they opened; a real one ends when its rule is gone."""
    names = ("rig-1", "TS1", "hot")
    provisional = Track(open_values={5: 50.0, 7: 51.0}, open_incident_us=5)
    changes = let_go(provisional, names, 9, None)
    assert changes == [
        Remove(ANOMALIES, anomaly_id(names, 5), 9),
        Remove(ANOMALIES, anomaly_id(names, 7), 9),
        Remove(INCIDENTS, incident_id(names, 5), 9),
    ]
    assert provisional.idle

    real = Track(first_us=5, incident={"status": "open"}, open_values={7: 51.0}, open_incident_us=5)
    changes = let_go(real, names, 9, 8)
    over: dict[str, object] = {"status": "resolved", "resolved_at": iso(8)}
    assert changes == [
        Remove(ANOMALIES, anomaly_id(names, 7), 9),
        Upsert(INCIDENTS, incident_id(names, 5), 9, over),
    ]


@pytest.mark.parametrize("incident", [None, {"status": "open"}])
def test_a_provisional_incident_of_another_window_goes_too(incident: dict[str, object] | None) -> None:
    """Whatever the last real one was."""
    names = ("rig-1", "TS1", "hot")
    track = Track(first_us=3, incident=incident, open_incident_us=5)
    assert let_go(track, names, 9, None) == [Remove(INCIDENTS, incident_id(names, 5), 9)]


def present(reach_s: int, sensor_s: int) -> tuple[RigPresence, Sensor]:
    """Return a rig and a sensor of it, each with the second that it has come to."""
    sensor = Sensor(sensor_s * SECOND_US, 10 * SECOND_US, 0)
    return RigPresence(reach_us=reach_s * SECOND_US, begin_us=0, sensors={"TS1": sensor}), sensor


@pytest.mark.parametrize(("behind_s", "late"), [(120, False), (121, True)])
def test_a_sensor_at_its_limit_is_not_behind(behind_s: int, late: bool) -> None:
    """One beyond it is; a sensor with a slow rhythm has more time."""
    rig, sensor = present(500, 500 - behind_s)
    assert rig.behind(sensor, LIMIT_US) == late
    assert not rig.behind(Sensor(sensor.reach_us, LIMIT_US, 0), LIMIT_US)
    assert RHYTHM > 1


@pytest.mark.parametrize(("jump_s", "gap"), [(120, False), (121, True)])
def test_a_jump_as_long_as_the_limit_is_no_gap(jump_s: int, gap: bool) -> None:
    """Neither a sensor's own, nor that of its rig."""
    rig, sensor = present(100, 100)
    rig.advance(sensor, (100 + jump_s) * SECOND_US, LIMIT_US)
    assert (sensor.gap is not None) == gap
    rig.move((100 + jump_s) * SECOND_US, LIMIT_US)
    assert (rig.begin_us == (100 + jump_s) * SECOND_US) == gap


def test_refusals_are_counted_and_said_with_both_kinds() -> None:
    """Late samples and dead letters together."""
    one = Refusals("digest")
    record = RefusedRecord("rig-1", "TS1", iso(0), 20, 30, 50, over_half=True, revision=0)
    (opened,) = one.take(Arrival(3, 0, record))
    assert isinstance(opened, Upsert)
    assert opened.body["worst"] == 0.8
    assert "80% of the samples of TS1" in str(opened.body["message"])
    assert one.incidents == 1


@pytest.mark.parametrize(("count", "more"), [(CHANGES_MAX, ""), (CHANGES_MAX + 1, "; 1 more")])
def test_only_what_is_left_out_is_called_more(tmp_path: Path, count: int, more: str) -> None:
    """A file with so many changes shows them all."""
    rules = yaml.safe_load((CONF / SHIPPED).read_text(encoding="utf-8"))
    found = rules["rules"]
    for one in found[:count]:
        one["message"] += "!"
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(rules), encoding="utf-8")
    assert len(found) > CHANGES_MAX
    told = described(str(path)).partition("unlike the shipped ones: ")[2]
    assert told.count("message") == CHANGES_MAX
    assert told.endswith(more)
    assert ("more" in told) == bool(more)


@pytest.mark.parametrize(("count", "fine"), [(2, True), (3, False)])
def test_as_many_rules_as_there_may_be_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, *, fine: bool
) -> None:
    """And not one more."""
    monkeypatch.setattr("hydrodask.detect.rules.RULES_MAX", 2)
    some = yaml.safe_load((CONF / SHIPPED).read_text(encoding="utf-8"))["rules"][:count]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"rules": some}), encoding="utf-8")
    if fine:
        assert len(load_rules(path)) == count
    else:
        with pytest.raises(ConfigError, match="a list of at most 2"):
            load_rules(path)


@pytest.mark.parametrize(("comparison", "exit_", "said"), [(">", 31, "at most"), ("<", 29, "at least")])
def test_on_which_side_an_exit_lies_is_told(comparison: str, exit_: int, said: str) -> None:
    """Where a value comes to rest."""
    with pytest.raises(ConfigError, match=rf"exit has value {exit_}; want {said} enter \(30\)"):
        rule(comparison=comparison, exit=exit_)


def test_a_limit_without_end_is_no_number(tmp_path: Path) -> None:
    """A rule that could never be broken is refused."""
    path = tmp_path / "mine.yaml"
    hot = "{name: hot, sensor: TS1, statistic: avg, comparison: '>', enter: .inf, severity: warning, message: hot}"
    path.write_text(f"rules: [{hot}]", encoding="utf-8")
    with pytest.raises(ConfigError, match="enter has value inf; want a finite number"):
        described(str(path))


@pytest.mark.parametrize(("count", "ends"), [(29, 0), (30, 1)])
def test_who_leaves_takes_only_open_incidents_along(count: int, ends: int) -> None:
    """Thin windows that were no incident yet end in silence; an incident is forgotten, and says so."""
    watch = CoverageWatch(Criteria.of(Settings()))
    for place, one in enumerate(windows(count, 57.0, 0.5)):
        watch.take(one, 0.5, place)
    assert watch.incidents == ends
    assert len(watch.leave("rig-1", 99)) == ends
