"""The detector turns window rows into documents; final windows alone decide what remains."""

import math
import random
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrodask.channels import CHANNELS
from hydrodask.clock import US_PER_S, iso
from hydrodask.detect import Criteria, Detector, Rule
from hydrodask.detect.baseline import RELEARN
from hydrodask.detect.incidents import OPEN_MAX
from hydrodask.errors import ConfigError, IntegrityError
from hydrodask.records import Change, Remove, Upsert, WindowRecord
from hydrodask.settings.model import Baseline
from hydrodask.store.documents.sqlite import SqliteDocuments

BASELINE = Baseline(floor=0.01, warm_up=4, statistics=("avg_value",))
QUIET = Baseline(warm_up=1_000_000)
T0 = 1_767_225_600  # 2026-01-01T00:00:00Z


def rule(**changed: object) -> Rule:
    """Return a rule on CE, warm above 30 until 25, with some things changed."""
    values: dict[str, Any] = {
        "name": "high",
        "sensor": "CE",
        "statistic": "avg",
        "comparison": ">",
        "enter": 30,
        "exit": 25,
        "severity": "warning",
        "message": "{value:g} > {threshold:g}",
    }
    return Rule(**(values | changed))


def detector(*rules: Rule, baseline: Baseline = QUIET, window_s: float = 60.0) -> Detector:
    """Return a detector of windows of one minute, or as long as is said, with coverage 0.9."""
    return Detector(rules, baseline=baseline, coverage_min=0.9, window_s=window_s)


def row(number: int, value: float, *, final: bool = True, **changed: object) -> WindowRecord:
    """Return window `number` (10 s apart) of CE with all its statistics at `value`."""
    values: dict[str, Any] = {
        "rig": "rig-1",
        "sensor": "CE",
        "window_start": iso((T0 + 10 * number) * US_PER_S),
        "window_end": iso((T0 + 10 * number + 60) * US_PER_S),
        "avg_value": value,
        "max_value": value,
        "min_value": value,
        "stddev_value": value,
        "range_value": value,
        "sample_count": 60,
        "final": final,
        "revision": 0,
    }
    return WindowRecord(**(values | changed))


def feed(one: Detector, rows: Iterable[WindowRecord], first: int = 0) -> list[Change]:
    """Return all changes that the rows bring, with their place as revision."""
    changes: list[Change] = []
    for revision, each in enumerate(rows, first):
        changes += one.update(each, revision)
    return changes


def stored(changes: Iterable[Change]) -> dict[tuple[str, str], dict[str, object]]:
    """Return what a store holds after these changes, without revisions."""
    there: dict[tuple[str, str], dict[str, object]] = {}
    for change in changes:
        key = (change.collection, change.id)
        if isinstance(change, Upsert):
            there[key] = change.body
        else:
            there.pop(key, None)
    return there


def of(kind: str, changes: Iterable[Change]) -> list[dict[str, object]]:
    """Return the stored documents of a collection, by id."""
    there = stored(changes)
    return [there[key] for key in sorted(there) if key[0] == kind]


def packed(one: Detector) -> bytes:
    """Return the snapshot as bytes."""
    return msgspec.msgpack.encode(one.snapshot())


# Rules and incidents ----------------------------------------------------------------------------


def test_incident_opens_lasts_and_resolves() -> None:
    """Between exit and enter the rule stays broken; at exit it is over."""
    one = detector(rule())
    changes = feed(one, [row(0, 20), row(1, 31), row(2, 35), row(3, 26), row(4, 25), row(5, 29)])

    assert [c["value"] for c in of("anomalies", changes)] == [31, 35, 26]
    assert of("incidents", changes) == [
        {
            "rig": "rig-1",
            "sensor": "CE",
            "rule": "high",
            "severity": "warning",
            "rules": one.criteria.digest,
            "statistic": "avg",
            "status": "resolved",
            "opened_at": "2026-01-01T00:01:10Z",
            "resolved_at": "2026-01-01T00:01:40Z",
            "first_window": "2026-01-01T00:00:10Z",
            "last_window": "2026-01-01T00:00:30Z",
            "windows": 3,
            "worst": 35,
            "threshold": 30,
            "message": "35 > 30",
            "provisional": False,
        }
    ]
    assert one.totals == {"anomalies": 3, "incidents": 1}
    assert one.alarms() == []


def test_ids_name_what_and_when() -> None:
    """Ids are built from the row alone."""
    changes = feed(detector(rule()), [row(1, 31)])

    assert [(c.collection, c.id) for c in changes] == [
        ("anomalies", "rig-1/CE/2026-01-01T00:00:10Z/high"),
        ("incidents", "rig-1/CE/high/2026-01-01T00:00:10Z"),
    ]


def test_rule_may_ask_for_several_windows_in_a_row() -> None:
    """Windows before the last of the run are no anomalies; a normal one starts the count again."""
    changes = feed(detector(rule(windows=2)), [row(i, v) for i, v in enumerate((31, 20, 31, 32, 26))])

    assert [c["value"] for c in of("anomalies", changes)] == [32, 26]


def test_levels_are_separate_rules() -> None:
    """A warning and a critical level of one statistic hold at once, and cost 30 of health."""
    low = rule(name="low", comparison="<", enter=37, exit=39)
    lower = rule(name="lower", comparison="<", enter=23.5, exit=26, severity="critical")
    one = detector(low, lower)
    feed(one, [row(0, 20)])

    assert one.alarms() == [("rig-1", "CE", "low"), ("rig-1", "CE", "lower")]
    assert one.health() == {("rig-1", "CE"): 70.0}


def test_rigs_and_sensors_do_not_mix() -> None:
    """Each (rig, sensor) has its own state."""
    one = detector(rule())
    feed(one, [row(0, 31), row(0, 20, rig="rig-2"), row(0, 31, sensor="CP")])

    assert one.alarms() == [("rig-1", "CE", "high")]
    assert one.health() == {("rig-1", "CE"): 90.0, ("rig-2", "CE"): 100.0, ("rig-1", "CP"): 100.0}


def test_repeated_final_row_changes_nothing() -> None:
    """A window row that was published twice counts once."""
    one = detector(rule())
    feed(one, [row(0, 31), row(1, 31)])
    before = packed(one)

    assert feed(one, [row(0, 31), row(1, 31), row(1, 99, final=False)], 2) == []
    assert packed(one) == before


# Coverage ---------------------------------------------------------------------------------------


def test_mean_of_a_partial_window_is_not_judged() -> None:
    """Below coverage_min a mean neither breaks a rule nor ends an incident."""
    one = detector(rule())

    assert feed(one, [row(0, 99, sample_count=53)]) == []
    assert feed(one, [row(1, 99, sample_count=54)], 1) != []
    assert feed(one, [row(2, 0, sample_count=53)], 2) == []
    assert one.alarms() == [("rig-1", "CE", "high")]


@pytest.mark.parametrize(
    ("statistic", "comparison", "certain"),
    [
        ("max", ">", True),
        ("range", ">", True),
        ("min", "<", True),
        ("min", ">", False),
        ("max", "<", False),
        ("range", "<", False),
        ("stddev", ">", False),
        ("avg", "<", False),
    ],
)
def test_growing_statistics_are_certain_at_once(statistic: str, comparison: str, certain: bool) -> None:
    """One sample is enough where more samples can only make it worse."""
    one = detector(rule(statistic=statistic, comparison=comparison, enter=30, exit=30))
    value = 31 if comparison == ">" else 29

    assert bool(feed(one, [row(0, value, sample_count=1, final=False)])) is certain


def test_growing_statistic_is_normal_only_with_enough_samples() -> None:
    """A low maximum of half a window doesn't end an incident."""
    one = detector(rule(statistic="max"))
    feed(one, [row(0, 31), row(1, 20, sample_count=30)])
    assert one.alarms()

    feed(one, [row(2, 20)], 2)
    assert not one.alarms()


def test_missing_samples_count_once_the_stream_runs() -> None:
    """The partial windows of a stream's begin are no drop-out; those after a full one are."""
    lost = rule(statistic="coverage", comparison="<", enter=0.5, exit=0.9)
    one = detector(lost)
    begin = [row(i, 1, sample_count=10 * (i + 1)) for i in range(6)]

    assert (feed(one, begin), one.missing) == ([], 0)
    assert (feed(one, [row(6, 1, sample_count=20, final=False)], 6), one.missing) == ([], 0)
    assert of("anomalies", feed(one, [row(6, 1, sample_count=20)], 7))[0]["value"] == 20 / 60
    assert one.missing == 40
    assert (feed(one, [row(6, 1, sample_count=20)], 8), one.missing) == ([], 0)  # it was there already
    assert one.alarms()
    feed(one, [row(7, 1)], 9)
    assert (one.alarms(), one.missing) == ([], 0)


@pytest.mark.parametrize(("count", "missing"), [(53, 0), (54, 30)])
def test_a_window_with_enough_samples_is_a_full_one(count: int, missing: int) -> None:
    """Of 60 nine in ten, and not more. What the first one lacks is not missing: the stream began there."""
    one = detector()
    feed(one, [row(0, 1, sample_count=count)])
    assert one.missing == 0
    feed(one, [row(1, 1, sample_count=30)])

    assert one.missing == missing


def test_what_a_hole_or_parts_leave_out_is_not_missing() -> None:
    """After a long hole a sensor begins anew; rows of parts of a rig say nothing of what was lost."""
    one = detector()
    feed(one, [row(0, 1)])
    feed(one, [row(100, 1, sample_count=57)], 1)
    assert one.missing == 0
    feed(one, [row(101, 1, sample_count=57)], 2)
    assert one.missing == 3
    one.update(row(102, 1, sample_count=30), 3, whole=False)

    assert one.missing == 0


def test_long_hole_starts_anew() -> None:
    """After ten minutes without a window the first ones are partial for a good reason again."""
    one = detector(rule(statistic="coverage", comparison="<", enter=0.5, exit=0.9))

    assert feed(one, [row(0, 1), row(100, 1, sample_count=10)]) == []


def test_long_windows_one_after_the_other_have_no_hole() -> None:
    """Windows of 15 minutes are in a row when they begin 15 minutes apart, and no longer after an hour without one."""
    slow = rule(name="slow", windows=2)
    lost = rule(name="lost", statistic="coverage", comparison="<", enter=0.5, exit=0.9)
    first, second, third = row(0, 31, sample_count=900), row(90, 31, sample_count=900), row(180, 31, sample_count=90)
    one = detector(slow, lost, window_s=900.0)

    assert feed(one, [first]) == []
    assert [c["rule"] for c in of("incidents", feed(one, [second], 1))] == ["slow"]
    assert [c["rule"] for c in of("incidents", feed(one, [third], 2))] == ["lost"]
    assert feed(detector(slow, lost, window_s=900.0), [first, row(450, 31, sample_count=90)]) == []


def test_stddev_of_one_sample_is_not_judged() -> None:
    """Null is no number."""
    one = detector(rule(statistic="stddev"), baseline=BASELINE)

    assert feed(one, [row(0, 1, stddev_value=None)]) == []


# Provisional documents --------------------------------------------------------------------------


def test_open_window_gives_provisional_documents() -> None:
    """They are there at once, count in alarms and health, and not in totals."""
    one = detector(rule())
    changes = feed(one, [row(0, 31, final=False)])

    assert [c["provisional"] for c in of("anomalies", changes)] == [True]
    assert [c["provisional"] for c in of("incidents", changes)] == [True]
    assert one.alarms() == [("rig-1", "CE", "high")]
    assert one.health() == {("rig-1", "CE"): 90.0}
    assert one.totals == {"anomalies": 0, "incidents": 0}


def test_open_window_of_what_is_broken_is_judged_by_the_exit() -> None:
    """As its final one will be: between exit and enter it goes on."""
    one = detector(rule())
    changes = feed(one, [row(0, 31), row(1, 26, final=False)])

    assert [(c["value"], c["provisional"]) for c in of("anomalies", changes)] == [(31, False), (26, True)]
    changes = feed(detector(rule()), [row(0, 31, final=False), row(0, 26, final=False), row(1, 26, final=False)])
    assert [c["value"] for c in of("anomalies", changes)] == [26]  # of the other window nobody knows yet


def test_open_window_that_can_not_be_judged_any_more_takes_nothing_back() -> None:
    """As when another worker has a part of its samples: only what is certain counts then."""
    one = detector(rule())
    feed(one, [row(0, 31, final=False)])

    assert feed(one, [row(0, 20, final=False, sample_count=10)], 1) == []
    assert one.alarms()


def test_final_window_confirms() -> None:
    """The same documents, no longer provisional."""
    changes = feed(detector(rule()), [row(0, 31, final=False), row(0, 32)])

    assert stored(changes) == stored(feed(detector(rule()), [row(0, 32)]))


def test_final_window_takes_back() -> None:
    """What the final window doesn't show is gone."""
    one = detector(rule())
    changes = feed(one, [row(0, 31, final=False), row(1, 31, final=False), row(0, 20), row(1, 20)])

    assert stored(changes) == {}
    assert not one.alarms()
    assert packed(one) == packed_after(row(0, 20), row(1, 20))


def packed_after(*rows: WindowRecord) -> bytes:
    """Return the snapshot after these rows alone."""
    one = detector(rule())
    feed(one, rows)
    return packed(one)


def test_open_window_takes_back_too() -> None:
    """An update that is normal again removes what an earlier update brought."""
    changes = feed(detector(rule()), [row(0, 31, final=False), row(0, 24, final=False)])

    assert stored(changes) == {}


def test_provisional_documents_say_what_the_newest_update_said() -> None:
    """An update with another value is stored, one with the same writes nothing."""
    one = detector(rule())
    changes = feed(one, [row(0, 31, final=False), row(0, 32, final=False)])

    assert stored(changes) == stored(feed(detector(rule()), [row(0, 32, final=False)]))
    assert feed(one, [row(0, 32, final=False)], 2) == []


def test_provisional_incident_is_that_of_the_oldest_open_window() -> None:
    """Whichever was seen first: so what is stored does not depend on the order of updates."""
    older, younger = row(0, 31, final=False), row(1, 33, final=False)
    changes = [feed(detector(rule()), rows) for rows in ([older, younger], [younger, older])]

    assert stored(changes[0]) == stored(changes[1])
    assert len(of("incidents", changes[0])) == 1


def test_provisional_documents_are_bounded() -> None:
    """However many windows are open, so many are remembered."""
    one = detector(rule(statistic="max"))
    changes = feed(one, [row(i, 31, final=False) for i in range(3 * OPEN_MAX)])

    assert len(of("anomalies", changes)) == OPEN_MAX
    assert stored([*changes, *feed(one, [row(i, 0) for i in range(3 * OPEN_MAX)], 1000)]) == {}


# Baselines --------------------------------------------------------------------------------------


def test_baseline_alarms_on_a_step_and_lets_go() -> None:
    """After the warm-up a step opens an incident; what is normal again resolves it."""
    one = detector(baseline=BASELINE)
    changes = feed(one, [row(i, v) for i, v in enumerate([20] * 4 + [30] * 3 + [20])])
    incident = of("incidents", changes)[0]

    assert incident["rule"] == "baseline:avg_value"
    assert incident["windows"] == 3
    assert incident["status"] == "resolved"
    assert "usually 20 %" in str(incident["message"])


def test_partial_windows_teach_no_baseline() -> None:
    """The warm-up counts full windows only."""
    one = detector(baseline=BASELINE)
    partial = [row(i, 99, sample_count=50) for i in range(10)]

    assert feed(one, partial + [row(i, 20) for i in range(10, 14)]) == []
    assert feed(one, [row(14, 40)], 14) != []


@pytest.mark.parametrize(("values", "limits"), [([24, 22, 21], [23.18, 21.59]), ([16, 18, 19], [16.82, 18.41])])
def test_baseline_names_the_limit_that_a_value_is_beyond(values: list[float], limits: list[float]) -> None:
    """Broken from 20 ± 3.18 % on, it stays so until ± 1.59 %: in between that is the limit."""
    rows = [row(i, value) for i, value in enumerate([20.0] * 4 + values)]
    found = of("anomalies", feed(detector(baseline=BASELINE), rows))

    assert [c["value"] for c in found] == values[:2]
    assert [c["threshold"] for c in found] == pytest.approx(limits)


def test_bands_are_what_each_baseline_takes_for_usual() -> None:
    """Of the rigs and the statistic that are asked for, once a baseline is warm."""
    one = detector(baseline=BASELINE.model_copy(update={"statistics": ("avg_value", "max_value")}))
    feed(one, [row(i, 20.0, max_value=30.0) for i in range(4)])
    feed(one, [row(0, 20.0, rig="rig-2")], 4)
    key = "rig-1", "CE"

    assert one.bands_of(["rig-1", "rig-2"]) == {key: pytest.approx((16.82, 23.18))}
    assert one.bands_of(["rig-1"], "max_value") == {key: pytest.approx((26.82, 33.18))}
    assert one.bands_of(["rig-2"]) == {}


def test_bands_are_kept_with_the_first_final_window_of_a_minute() -> None:
    """Those that the window is judged by, of each statistic."""
    one = detector(baseline=BASELINE.model_copy(update={"statistics": ("max_value", "avg_value")}))
    kept = []
    for number in range(15):
        one.update(row(number, 20.0, final=number != 9), number)
        kept.append([(band.statistic, band.revision) for band in one.bands])

    assert {number: bands for number, bands in enumerate(kept) if bands} == {
        number: [("avg_value", number), ("max_value", number)] for number in (6, 12)
    }


def test_new_normal_is_learned_after_an_hour() -> None:
    """A freeze does not last for ever; the incident is resolved with it."""
    one = detector(baseline=BASELINE)
    changes = feed(one, [row(i, 20) for i in range(4)])
    changes += feed(one, [row(i, 40) for i in range(4, 4 + RELEARN + 10)], 4)
    incident = of("incidents", changes)[0]

    assert incident["status"] == "resolved"
    assert incident["windows"] == RELEARN - 1
    assert not one.alarms()
    assert feed(one, [row(500, 20)], 1000) != []


@pytest.mark.parametrize("sensor", CHANNELS)
def test_healthy_hour_with_drift_gives_no_false_alarm(sensor: str) -> None:
    """Oil that warms by a tenth of the range within 20 minutes, and noise of 0.3 %, is usual."""
    channel, noise = CHANNELS[sensor], random.Random(sensor)  # noqa: S311 - no secret
    span = channel.high - channel.low
    one = detector(baseline=Baseline(warm_up=90))
    changes: list[Change] = []
    for i in range(400):
        mean = channel.low + span * (0.5 - 0.1 * math.exp(-i / 120) + noise.gauss(0, 0.003))
        each = row(i, mean, sensor=sensor, sample_count=channel.samples_per_cycle)
        each.stddev_value = span * (0.1 + noise.gauss(0, 0.003))
        changes += one.update(each, i)

    assert changes == []


@pytest.mark.parametrize(
    ("changed", "key"),
    [({"statistics": ("median",)}, "statistics"), ({"enter": 3.0, "exit": 4.0}, "exit")],
)
def test_impossible_baseline_is_refused(changed: dict[str, object], key: str) -> None:
    """ConfigError names the key."""
    with pytest.raises(ConfigError, match=f"detect.baseline.{key}"):
        detector(baseline=Baseline.model_validate(changed))


# Snapshots --------------------------------------------------------------------------------------


def test_removed_rule_leaves_nothing_open() -> None:
    """Its incident is resolved by the newest final window, and what is provisional of all open windows goes at once."""
    one, other = detector(rule()), detector()
    changes = feed(one, [row(0, 31), *(row(number, 31, final=False) for number in range(1, 7))])
    assert len(of("anomalies", changes)) == 7

    changes += one.adopt(other.criteria, since=7, revision=7)

    assert [(c["status"], c["resolved_at"]) for c in of("incidents", changes)] == [("resolved", "2026-01-01T00:01:00Z")]
    assert [(c["value"], c["provisional"]) for c in of("anomalies", changes)] == [(31, False)]
    assert one.alarms() == []


def test_changed_rule_begins_anew() -> None:
    """What the old one left provisional goes, though the new one would not look at it; its incident is resolved."""
    one = detector(rule())
    changes = feed(one, [row(0, 31), *(row(number, 31, final=False) for number in range(1, 7))])
    changes += one.adopt(detector(rule(enter=40, exit=30)).criteria, since=7, revision=7)

    assert [c["status"] for c in of("incidents", changes)] == ["resolved"]
    assert [c["provisional"] for c in of("anomalies", changes)] == [False]

    changes += feed(one, [row(1, 41), row(2, 20)], 8)
    digests = {c["value"]: c["rules"] for c in of("anomalies", changes)}
    assert digests == {31: detector(rule()).criteria.digest, 41: one.criteria.digest}


def test_rule_that_stays_keeps_its_incident() -> None:
    """A rule beside it has changed: the incident goes on, and what it has learned of usual values too."""
    one = detector(rule(), rule(name="other"), baseline=BASELINE)
    changes = feed(one, [row(number, 20) for number in range(5)] + [row(5, 31)])
    changes += one.adopt(detector(rule(), baseline=BASELINE).criteria, since=6, revision=6)
    changes += feed(one, [row(6, 32)], 6)

    found = {c["rule"]: (c["status"], c["windows"]) for c in of("incidents", changes)}
    assert found["high"] == ("open", 2)
    assert found["other"] == ("resolved", 1)
    assert found["baseline:avg_value"] == ("open", 2)


@pytest.mark.parametrize("same", [True, False])
def test_runs_of_windows_go_on_under_the_same_criteria_alone(same: bool) -> None:
    """A restart changes nothing; other criteria begin anew."""
    twice = rule(windows=2)
    one = detector(twice)
    feed(one, [row(0, 31)])
    other = one if same else detector(twice, rule(name="other", enter=90))
    one.adopt(other.criteria, since=1, revision=1)

    assert bool(feed(one, [row(1, 31)], 1)) is same


def test_what_was_provisional_leaves_no_trace_once_criteria_are_adopted() -> None:
    """The state is that of a detector that never saw the open window."""
    one, other = detector(rule()), detector(rule())
    feed(one, [row(0, 20), row(1, 31, final=False)])
    feed(other, [row(0, 20)])
    for each in (one, other):
        each.adopt(each.criteria, since=2, revision=2)

    assert packed(one) == packed(other)


def test_incidents_of_a_rig_that_is_forgotten_end_with_its_newest_window() -> None:
    """And those of no other rig."""
    one = detector(rule())
    feed(one, [row(0, 31), row(0, 31, rig="rig-2")])
    ended = of("incidents", one.forget("rig-1", 2))

    assert [(c["status"], c["resolved_at"]) for c in ended] == [("resolved", "2026-01-01T00:01:00Z")]
    assert one.alarms() == [("rig-2", "CE", "high")]


def test_detector_by_criteria_has_their_digest() -> None:
    """Also where they say more than rules, baselines and coverage: after a restart documents name the same digest."""
    criteria = Criteria((rule(),), QUIET, 0.9, 60.0, slide_s=5.0, silent_after_s=30.0)

    assert Detector.by(criteria).criteria.digest == criteria.digest


def test_digest_is_of_the_content() -> None:
    """Other order, same digest; another message, threshold or coverage, another one."""
    low, high = rule(name="a"), rule(name="b")

    assert detector(low, high).criteria.digest == detector(high, low).criteria.digest
    others = [detector(low), detector(low, rule(name="b", message="x")), detector(low, high, baseline=BASELINE)]
    assert len({one.criteria.digest for one in [*others, detector(low, high)]}) == 4
    decoded = Criteria.decoded(detector(low, high, baseline=BASELINE).criteria.encoded)
    assert decoded.digest == others[2].criteria.digest


def test_criteria_of_before_the_floor_was_a_setting_are_known_yet() -> None:
    """Their baselines went down to a hundredth of the range: so do they now, and documents name their digest."""
    before = detector(baseline=Baseline(floor=0.01)).criteria

    assert b"floor" not in before.encoded
    assert Criteria.decoded(before.encoded) == before
    assert detector(baseline=Baseline()).criteria.digest != before.digest


def test_snapshot_of_another_layout_is_refused() -> None:
    """Better to read the topic again than to guess."""
    with pytest.raises(IntegrityError, match="version 99"):
        detector().restore({"version": 99})


def test_snapshot_is_apart_from_the_state() -> None:
    """What happens later doesn't change a snapshot that was taken."""
    one = detector(rule())
    feed(one, [row(0, 31)])
    snapshot = one.snapshot()
    before = msgspec.msgpack.encode(snapshot)
    feed(one, [row(1, 35), row(2, 0)], 1)

    assert msgspec.msgpack.encode(snapshot) == before


# Properties -------------------------------------------------------------------------------------

RULES = (
    rule(),
    rule(name="slow", windows=3),
    rule(name="peak", statistic="max", enter=40, exit=38, severity="critical"),
    rule(name="low", statistic="min", comparison="<", enter=10, exit=12),
    rule(name="lost", statistic="coverage", comparison="<", enter=0.5, exit=0.9, windows=2),
)


@dataclass
class Story:
    """Rows in offset order: finals in order per key, updates of open windows strewn between."""

    rows: list[WindowRecord]


values = st.sampled_from([5.0, 11.0, 20.0, 24.0, 26.0, 31.0, 39.0, 45.0])


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Draw the rows of two keys; before window i is final, windows i..i+5 may be updated."""
    rows: list[WindowRecord] = []
    for rig in draw(st.sampled_from([["a"], ["a", "b"]])):
        for number in range(draw(st.integers(1, 14))):
            for _ in range(draw(st.integers(0, 4))):
                ahead = number + draw(st.integers(0, 5))
                count = draw(st.sampled_from([1, 30, 54, 60]))
                rows.append(row(ahead, draw(values), final=False, rig=rig, sample_count=count))
            count = draw(st.sampled_from([60, 60, 60, 59, 54, 20]))
            rows.append(row(number, draw(values), rig=rig, sample_count=count))
        last = max(number_of(each) for each in rows if each.rig == rig)
        first = max(number_of(each) for each in rows if each.rig == rig and each.final) + 1
        rows += [row(number, draw(values), rig=rig) for number in range(first, last + 1)]
    return Story(rows)


def number_of(each: WindowRecord) -> int:
    """Return which window a row is of, in an order that holds as text."""
    minutes, seconds = each.window_start[14:19].split(":")
    return (60 * int(minutes) + int(seconds)) // 10


def in_sqlite(changes: Sequence[Change], size: int) -> list[dict[str, Any]]:
    """Return what is in a fresh SQLite store after writing the changes in batches."""
    with tempfile.TemporaryDirectory() as folder:
        documents = SqliteDocuments(Path(folder) / "d.sqlite", timeout_s=1.0)
        for first in range(0, len(changes), size):
            documents.write(changes[first : first + size])
        found = [
            {"collection": name, **one}
            for name in ("anomalies", "incidents")
            for one in documents.find(name, {}, limit=1000)
        ]
        documents.close()
    return found


@settings(max_examples=60, deadline=None)
@given(story=stories(), data=st.data())
def test_documents_depend_on_final_windows_alone(story: Story, data: st.DataObject) -> None:
    """Whatever open rows were seen, the store ends up the same, and so does the state."""
    chosen = [data.draw(st.booleans()) if not each.final else True for each in story.rows]
    results = []
    for take in (chosen, [each.final for each in story.rows]):
        one = detector(*RULES, baseline=BASELINE)
        changes = [
            change
            for revision, (each, wanted) in enumerate(zip(story.rows, take, strict=True))
            if wanted
            for change in one.update(each, revision)
        ]
        results.append((in_sqlite(changes, 7), one.totals, packed(one)))

    assert results[0] == results[1]


@settings(max_examples=100, deadline=None)
@given(story=stories(), where=st.floats(0, 1))
def test_restored_detector_goes_on_alike(story: Story, where: float) -> None:
    """Snapshot and restore at any point: the same changes and the same bytes from there on."""
    cut = int(where * len(story.rows))
    one = detector(*RULES, baseline=BASELINE)
    other = detector(*RULES, baseline=BASELINE)
    feed(one, story.rows[:cut])
    other.restore(msgspec.msgpack.decode(packed(one)))

    assert packed(other) == packed(one)
    assert feed(other, story.rows[cut:], cut) == feed(one, story.rows[cut:], cut)
    assert packed(other) == packed(one)
    assert other.alarms() == one.alarms()
    assert other.health() == one.health()


@settings(max_examples=100, deadline=None)
@given(story=stories())
def test_one_row_changes_a_document_once(story: Story) -> None:
    """Two changes of one id with one revision would be a race that the guard can't settle."""
    one = detector(*RULES, baseline=BASELINE)
    for revision, each in enumerate(story.rows):
        changes = one.update(each, revision)

        assert len({(c.collection, c.id) for c in changes}) == len(changes)
        assert all(c.revision == revision for c in changes)
        assert all(isinstance(c, Upsert | Remove) for c in changes)


@settings(max_examples=50, deadline=None)
@given(story=stories(), back=st.floats(0, 1))
def test_replay_changes_nothing(story: Story, back: float) -> None:
    """A restart from an older snapshot writes the tail again, and the documents stay."""
    cut = int(back * len(story.rows))
    one, other = detector(*RULES, baseline=BASELINE), detector(*RULES, baseline=BASELINE)
    changes = feed(one, story.rows[:cut])
    other.restore(one.snapshot())
    tail = feed(one, story.rows[cut:], cut)
    again = feed(other, story.rows[cut:], cut)

    assert in_sqlite([*changes, *tail, *again], 5) == in_sqlite([*changes, *tail], 5)


@settings(max_examples=50, deadline=None)
@given(story=stories())
def test_open_incident_means_active_alarm(story: Story) -> None:
    """At every moment, what a store shows as open is what the detector calls active."""
    one = detector(*RULES, baseline=BASELINE)
    changes: list[Change] = []
    for revision, each in enumerate(story.rows):
        changes += one.update(each, revision)
        shown = [c for c in of("incidents", changes) if c["status"] == "open"]
        names = [(c["rig"], c["sensor"], c["rule"]) for c in shown]

        assert len(set(names)) == len(names)
        assert set(names) <= set(one.alarms())


def test_every_sensor_can_be_judged() -> None:
    """No channel lacks what the detector needs."""
    one = detector(baseline=Baseline())
    for name, channel in CHANNELS.items():
        one.update(row(0, channel.low, sensor=name, sample_count=channel.samples_per_cycle), 0)

    assert len(one.health()) == len(CHANNELS)
