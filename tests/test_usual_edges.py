"""Usual cycles at the edges: which seconds and phases count, what is said of them, and when it is critical."""

from functools import cache

import numpy as np
import pytest

from benchmarks.unlabelled import learned
from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.detect.usual import phases
from hydrodask.detect.usual.judgement import Contribution, Judgement, judge
from hydrodask.detect.usual.phases import LOAD_STEPS_S, PHASES, SECONDS, spoiled
from hydrodask.detect.usual.reference import STEADY, CycleReference, steady_places
from hydrodask.detect.usual.telling import CRITICAL, At, go_on, words
from hydrodask.detect.usual.telling import opened as incident
from hydrodask.detect.usual.watch import CycleWatch
from hydrodask.records import Float64
from hydrodask.settings.model import Usual
from tests.test_usual import of, taken

PS1, PS2, FS1, TS1 = (SENSORS.index(name) for name in ("PS1", "PS2", "FS1", "TS1"))


@cache
def cycles() -> Float64:
    """Return cycles of a rig at rest, (41, 17, 60): each sensor in the middle of its range, with little noise."""
    middle = np.array([(CHANNELS[name].low + CHANNELS[name].high) / 2 for name in SENSORS])
    spread = np.array([(CHANNELS[name].high - CHANNELS[name].low) / 1000 for name in SENSORS])
    noise = np.random.default_rng(1).normal(0, 1, (41, len(SENSORS), SECONDS))
    return middle[:, None] + spread[:, None] * noise


@cache
def reference() -> CycleReference:
    """Return what forty of them say is usual."""
    return learned(cycles()[:40])


def off(**by: float) -> Judgement:
    """Return the judgement of a cycle in which PS2 is off in some seconds: `s9=20.0`."""
    means = cycles()[40].copy()
    for second, bar in by.items():
        means[PS2, int(second[1:])] += bar
    return judge(reference(), means)


def test_phases_are_all_of_a_cycle() -> None:
    """One after the other, and at each change of the load begins one of a second."""
    found = phases._phases()
    assert found == PHASES
    assert [second for start, end in found for second in range(start, end)] == list(range(SECONDS))
    assert {start for start, end in found if end - start == 1} >= set(LOAD_STEPS_S)


def test_steady_sensors_and_the_others_are_all() -> None:
    """Each feature is of one or of the other kind."""
    places = steady_places()
    assert {SENSORS[place // len(PHASES)] for place in places[True]} == set(STEADY)
    assert sorted([*places[True], *places[False]]) == list(range(len(SENSORS) * len(PHASES)))


@pytest.mark.parametrize(
    ("bar", "flow", "seconds", "jumped"),
    [(189.0, 1.1, 3, True), (189.0, 1.1, 2, False), (170.0, 1.1, 3, False), (189.0, 3.0, 3, False)],
)
def test_a_jump_to_the_relief_valve_is_one_of_three_seconds(
    bar: float, flow: float, seconds: int, jumped: bool
) -> None:
    """Above 170 bar and below 3 l/min, both."""
    means = cycles()[0].copy()
    means[[PS1, FS1], 21 : 21 + seconds] = [[bar], [flow]]
    assert (spoiled(means) is not None) == jumped


def test_a_jump_spoils_the_phases_that_it_touches() -> None:
    """From two seconds before it to four after it: not the phase that ends there, but the one that begins there."""
    means = cycles()[0].copy()
    means[[PS1, FS1], 21:41] = [[189.0], [1.1]]
    places = spoiled(means)
    assert places is not None
    touched = [phase for phase, there in zip(PHASES, places, strict=True) if there]
    assert touched == [phase for phase in PHASES if 19 <= phase[0] <= 44]


@pytest.mark.parametrize("lost", [True, False], ids=["oil", "reference"])
def test_without_oil_or_reference_there_is_no_score(lost: bool) -> None:
    """Either is enough that nothing can be said."""
    means = cycles()[40].copy()
    if lost:
        means[TS1, 5] = np.nan
    found = judge(reference() if lost else CycleReference(), means)
    assert np.isnan(found.score)
    assert (found.new, found.contributions) == (True, ())


def test_shares_are_of_all_that_makes_the_score() -> None:
    """A sensor that is off in two places has both; no share is above one."""
    found = off(s9=20.0, s29=21.0).contributions
    assert (found[0].sensor, found[0].start, found[0].end) == ("PS2", 29, 30)
    assert 0.99 < found[0].share <= 1.0
    assert sum(one.share for one in found) <= 1.0 + 1e-9


def test_what_is_high_and_then_low_is_not_one_place() -> None:
    """The stronger of the two is named, with its own side."""
    (first, *_) = off(s9=20.0, s10=-9.0, s11=-6.0).contributions
    assert first.text.startswith("PS2 in second 9 is ")
    assert first.deviation == pytest.approx(20.0, abs=1.0)


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (Contribution("PS2", 8, 10, 14.2, 0.7), "PS2 in seconds 8-9 is 14.2 bar high"),
        (Contribution("PS2", 9, 10, -14.2, 0.7), "PS2 in second 9 is 14.2 bar low"),
    ],
)
def test_a_contribution_is_a_clause(one: Contribution, text: str) -> None:
    """With its seconds and its side; several are joined, and of none it is said that there is none."""
    assert words((one,)) == text
    assert words((one, one)) == f"{text}; {text}"
    assert words(()) == "nothing stands out"


def judgement(score: float, bar: float = 14.2) -> Judgement:
    """Return one that was scored so, and what it comes from."""
    found = (Contribution("PS2", 9, 10, bar, 0.7),)
    return Judgement(score, 45.0, new=False, relief=False, missing=(), contributions=found, features=np.zeros(510))


@pytest.mark.parametrize(("score", "severity"), [(CRITICAL * 4.5, "critical"), (CRITICAL * 4.5 - 0.1, "warning")])
def test_four_times_the_threshold_is_critical(score: float, severity: str) -> None:
    """And less is not; an incident has the words of its worst cycle, the first of those that are as far off."""
    body = incident(At("rig-1", 5, 0, 5), judgement(score), 0, 2, 4.5)
    go_on(body, judgement(score, -14.2), 60_000_000)

    assert (body["severity"], body["worst"], body["windows"]) == (severity, score, 3)
    assert body["message"] == "load cycles are unlike the rig's own: PS2 in second 9 is 14.2 bar high"


def with_ps2(by: float, count: int) -> list[Float64]:
    """Return cycles in which PS2 is off in second 9."""
    off = np.zeros((len(SENSORS), SECONDS))
    off[PS2, 9] = by
    return [one + off for one in cycles()[20 : 20 + count]]


def test_a_rigs_cycles_change_when_they_are_learned_unusual_and_usual_again() -> None:
    """With the cycle that shows it: the last one that is learned, and the second of each in a row."""
    watch = CycleWatch(Usual(learn=20))
    means = [*cycles()[:20], *with_ps2(0.0, 2), *with_ps2(30.0, 3), *with_ps2(0.0, 3)]
    changes = taken(watch, means)

    told = [(one["before"], one["state"], one["cycle"]) for one in of(changes, "component_changes")]
    assert told == [
        (None, "learning", 0),
        ("learning", "usual", 19),
        ("usual", "unusual", 23),
        ("unusual", "usual", 26),
    ]
    assert watch.incidents == 1
    ((_, _, _, _, _, recent, *_),) = watch.snapshot()["rigs"]
    assert len(recent) == len(means) - 20  # a trend is of those that were judged


def test_an_incident_goes_on_between_its_two_limits() -> None:
    """A cycle between `exit` and `enter` is usual, but for a rig that has an incident."""
    between = with_ps2(12.0, 1)[0]
    score = judge(learned(cycles()[:20]), between).score
    watch = CycleWatch(Usual(learn=20, enter=score + 1.0, exit=score - 1.0))
    changes = taken(watch, [*cycles()[:20], between, between, *with_ps2(30.0, 2), between, between])

    assert [one["state"] for one in of(changes, "components")[20:]] == ["usual"] * 2 + ["unusual"] * 4
    assert watch.open() == ["rig-1"]


def test_what_lasts_for_a_day_is_learned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the last cycle of the day its incident ends, and says why."""
    monkeypatch.setattr("hydrodask.detect.usual.watch.RELEARN", 5)
    watch = CycleWatch(Usual(learn=20))
    changes = taken(watch, [*cycles()[:20], *with_ps2(30.0, 5)])

    (*_, last) = of(changes, "incidents")
    assert (last["status"], last["windows"]) == ("resolved", 5)
    assert str(last["message"]).endswith("learned anew, as that is usual now")
    assert of(changes[-1:], "component_changes")[0]["state"] == "learning"


def test_a_row_is_of_the_cycle_that_was_taken() -> None:
    """Of a rig that nobody knows, or of which nothing was said yet, there is none; nor has it anything to end."""
    watch, later = CycleWatch(Usual(learn=20)), CycleWatch(Usual(learn=20))
    taken(watch, cycles()[:3])
    (one,) = watch.scored("rig-1")
    assert (one.cycle, one.verdict, one.why) == (2, "learning", "3 of 20 cycles learned")
    later.restore(watch.snapshot())

    assert later.scored("rig-1") == watch.scored("rig-2") == []
    assert watch.forget("rig-1", 9) == watch.forget("rig-2", 9) == []
    assert watch.rigs() == []
