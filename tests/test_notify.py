"""People are told once of a cause, again only as they have asked, and when it is over; nothing that was due is lost."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrodask.answers import Answer, Answers
from hydrodask.clock import US_PER_S, Zone, iso, parse_iso
from hydrodask.detect.usual.judgement import Contribution, Judgement
from hydrodask.detect.usual.telling import At, opened
from hydrodask.episodes import episodes
from hydrodask.learn.score.story import UNKNOWN, ComponentTrack, Unknown, Verdict, incident_of
from hydrodask.learn.targets import TARGETS
from hydrodask.notify import conditions
from hydrodask.notify.cause import Cause
from hydrodask.notify.dues import Dues
from hydrodask.reports import Overview, PartitionReport
from hydrodask.settings.notify import Notify

T0 = parse_iso("2026-11-28T12:00:00Z")
WEBHOOK = {"kind": "webhook", "url": "http://127.0.0.1:9/"}
Incident = dict[str, Any]


def incident(rig: str, rule: str, began_s: float, ended_s: float | None = None, **more: Any) -> Incident:
    """Return an incident document."""
    start = iso(T0 + round(began_s * US_PER_S))
    sensor = more.pop("sensor", "CE")
    return {
        "_id": f"{rig}/{sensor}/{rule}/{start}",
        "rig": rig,
        "sensor": sensor,
        "rule": rule,
        "severity": "warning",
        "status": "open" if ended_s is None else "resolved",
        "opened_at": start,
        "resolved_at": None if ended_s is None else iso(T0 + round(ended_s * US_PER_S)),
        "statistic": "avg_value",
        "worst": 20.125,
        "threshold": 37.0,
        "message": f"{rule} of {sensor}",
        "provisional": False,
        **more,
    }


@dataclass
class People:
    """Looks at given incidents at given seconds, and delivers at once: `got` has what arrived, by channel."""

    notify: dict[str, Any] = field(default_factory=dict)
    restarts: bool = False
    zone: Zone = field(default_factory=Zone)
    answers: list[Incident] = field(default_factory=list)
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    dues: Dues = field(init=False)

    def __post_init__(self) -> None:
        self.dues = Dues(
            Notify.model_validate({"channels": {"desk": WEBHOOK}, **self.notify}), "http://page/", self.zone
        )
        self.dues.mark_us = 0

    def look(self, at_s: float, *incidents: Incident) -> list[str]:
        """Look once; return the subjects of what has arrived."""
        now_us = T0 + round(at_s * US_PER_S)
        before = len(self.got)
        self.dues.look(episodes(incidents), Answers(self.answers), now_us)
        for cause, one in self.dues.waiting():
            self.got.append((one.channel, one.message))
            self.dues.arrived(cause.id, one.id)
        if self.restarts:
            kept = [{"_id": c.id, "revision": c.revision, **c.body()} for c in self.dues.causes.values()]
            again = Dues(self.dues.notify, self.dues.link, self.zone, mark_us=self.dues.mark_us)
            again.causes = {one["_id"]: Cause.of(one) for one in kept}
            self.dues = again
        return [message["subject"] for _, message in self.got[before:]]

    def answer(self, at_s: float, **fields: Any) -> None:
        """Let somebody answer."""
        change = Answer.made(fields, by="anna", now_us=T0 + round(at_s * US_PER_S)).change()
        self.answers.append({"_id": change.id, "revision": change.revision, **change.body})


def test_one_fault_is_one_message_and_one_more_when_it_is_over() -> None:
    """Three rules on two sensors, one after the other, are one cause, which has the name of the worst."""
    people = People()
    first = incident("rig-1", "baseline:stddev_value", 0, sensor="PS4")
    worst = incident("rig-1", "cooler_failing", 1, severity="critical")
    third = incident("rig-1", "oil_warm", 30, sensor="TS1")

    assert people.look(0, first) == []
    assert people.look(3, first, worst) == ["CRITICAL: cooler failing on rig-1"]
    assert [people.look(at, first, worst, third) for at in (30, 60, 600)] == [[], [], []]
    over = [one | {"status": "resolved", "resolved_at": iso(T0 + 610 * US_PER_S)} for one in (first, worst, third)]
    assert [people.look(at, *over) for at in (611, 670)] == [[], []]
    assert people.look(671, *over) == ["over: cooler failing on rig-1"]
    assert [people.look(at, *over) for at in (700, 80_000)] == [[], []]


def test_a_message_says_value_limit_since_and_where_to_look() -> None:
    """In the zone of those who read it, in one line a rig, whatever the rig is called."""
    people = People({"gather": 0}, zone=Zone("Europe/Berlin"))
    people.look(0, incident("a\r\nBcc: b/c", "cooler_failing", 0, severity="critical", provisional=True))
    message = people.got[0][1]

    assert message["subject"] == "CRITICAL: cooler failing on a Bcc: b/c"
    assert message["text"].splitlines()[1] == (
        "a Bcc: b/c CE: cooler_failing of CE, worst 20.12 %, limit 37 %, since 2026-11-28 13:00:00 CET, provisional"
    )
    assert message["link"].startswith("http://page/#/rig/a%0D%0ABcc%3A%20b%2Fc/1h/a%0D%0A")
    assert message["text"].endswith(message["link"])
    rig = message["rigs"][0]
    assert (rig["value"], rig["limit"], rig["unit"], rig["since"]) == (20.125, 37.0, "%", "2026-11-28T12:00:00Z")


def test_the_same_rule_on_twelve_rigs_is_one_message() -> None:
    """More rigs that follow are one more message, after a minute; baselines of different sensors are no one cause."""
    people = People()
    rigs = [incident(f"rig-{n}", "cooler_failing", n / 10) for n in range(12)]
    other = incident("rig-20", "baseline:avg_value", 0, sensor="PS1")
    strange = incident("rig-21", "baseline:avg_value", 0, sensor="TS1")

    assert people.look(1, *rigs[:5]) == []
    assert people.look(4, *rigs) == ["WARNING: cooler failing on 12 rigs"]
    assert people.got[0][1]["rigs_count"] == len(people.got[0][1]["rigs"]) == 12
    more = [*rigs, incident("rig-12", "cooler_failing", 30), incident("rig-13", "cooler_failing", 31)]
    assert [people.look(at, *more) for at in (31, 63)] == [[], []]
    assert people.look(64, *more) == ["WARNING: cooler failing on 14 rigs, more rigs"]
    assert people.look(400, *more, incident("rig-14", "cooler_failing", 400)) == []
    assert people.look(404, *more, incident("rig-14", "cooler_failing", 400)) == ["WARNING: cooler failing on rig-14"]
    assert People({"gather": 0}).look(0, other, strange) == [
        "WARNING: unusual mean on rig-20",
        "WARNING: unusual mean on rig-21",
    ]


def test_what_flaps_is_told_once() -> None:
    """Twenty incidents within ten minutes are one message, and one when it has been calm for a minute."""
    people, every = People(), []
    for at in range(0, 600, 30):
        every.append(incident("rig-1", "cooler_failing", at))
        people.look(at, *every)
        people.look(at + 4, *every)
        every[-1] |= {"status": "resolved", "resolved_at": iso(T0 + (at + 10) * US_PER_S)}
        people.look(at + 10, *every)
    people.look(640, *every)
    people.look(700, *every)

    assert [message["kind"] for _, message in people.got] == ["opened", "over"]
    assert people.got[1][1]["rigs"][0]["incidents"] == 20


def test_it_is_repeated_until_somebody_acknowledges() -> None:
    """An acknowledgement stops it, one that is taken back does not; that it got worse is told in any case."""
    people = People({"repeat": "1h"})
    mild = incident("rig-1", "cooler_degraded", 0)
    people.look(0, mild)
    people.look(3, mild)
    assert [people.look(at, mild) for at in (3600, 3603)] == [[], ["still WARNING: cooler degraded on rig-1"]]
    people.answer(4000, kind="ack", incident=mild["_id"])
    assert people.look(9000, mild) == []
    people.answer(9001, kind="unack", incident=mild["_id"])
    assert people.look(9002, mild) == ["still WARNING: cooler degraded on rig-1"]
    people.answer(9003, kind="ack", incident=mild["_id"])
    bad = incident("rig-1", "cooler_failing", 9100, severity="critical")
    assert [people.look(at, mild, bad) for at in (9104, 20_000)] == [["now CRITICAL: cooler failing on rig-1"], []]


def test_what_is_muted_is_not_told_and_says_so() -> None:
    """Maintenance keeps it back; what is still there at its end is told then, and what is over never."""
    people = People()
    people.answer(0, kind="maintenance", rig="rig-1", for_s=600)
    people.answer(0, kind="mute", rig="rig-2", for_s=600)
    staying, passing = incident("rig-1", "oil_warm", 1), incident("rig-2", "cooler_failing", 1)
    assert [people.look(at, staying, passing) for at in (1, 10)] == [[], []]
    assert sorted(one.kept_back for one in people.dues.causes.values()) == [
        "in maintenance until 2026-11-28T12:10:00Z by anna",
        "muted until 2026-11-28T12:10:00Z by anna",
    ]
    gone = passing | {"status": "resolved", "resolved_at": iso(T0 + 100 * US_PER_S)}
    assert [people.look(at, staying, gone) for at in (100, 200, 599)] == [[], [], []]
    assert people.look(600, staying, gone) == ["WARNING: oil warm on rig-1"]


def test_quiet_hours_keep_warnings_until_the_morning() -> None:
    """What is still there is told at their end, what has come and gone, too; critical ones by another route at once."""
    routes = [{"to": ["desk"], "quiet": "11:00-13:00"}, {"to": ["desk"], "severity": "critical"}]
    people = People({"routes": routes})
    staying, passing = incident("rig-1", "oil_warm", 0), incident("rig-2", "cooler_degraded", 0)
    bad = incident("rig-3", "cooler_failing", 0, severity="critical")
    people.look(0, staying, passing, bad)
    assert people.look(3, staying, passing, bad) == ["CRITICAL: cooler failing on rig-3"]
    gone = passing | {"status": "resolved", "resolved_at": iso(T0 + 60 * US_PER_S)}
    assert [people.look(at, staying, gone, bad) for at in (61, 300, 3599)] == [[], [], []]
    assert people.look(3600, staying, gone, bad) == ["WARNING: oil warm on rig-1", "over: cooler degraded on rig-2"]


def test_routes_choose_by_severity_and_rig() -> None:
    """A channel hears of what one of its routes takes, and of nothing else."""
    channels = dict.fromkeys(("pager", "press", "all"), WEBHOOK)
    routes = [
        {"to": ["pager"], "severity": "critical"},
        {"to": ["press"], "rigs": ["press-*"]},
        {"to": ["all"]},
    ]
    people = People({"channels": channels, "routes": routes, "gather": 0})
    people.look(0, incident("press-1", "oil_warm", 0), incident("x", "cooler_failing", 0, severity="critical"))

    assert sorted((channel, message["rigs"][0]["rig"]) for channel, message in people.got) == [
        ("all", "press-1"),
        ("all", "x"),
        ("pager", "x"),
        ("press", "press-1"),
    ]


def test_a_provisional_incident_and_the_real_one_are_the_same() -> None:
    """Its id changes, which nobody is told of; one that comes to nothing is taken back, if anybody was told."""
    people = People()
    early = incident("rig-1", "cooler_failing", 10, provisional=True)
    people.look(0, early)
    assert people.look(3, early) == ["WARNING: cooler failing on rig-1"]
    assert [people.look(at, incident("rig-1", "cooler_failing", 0)) for at in (5, 100)] == [[], []]
    assert [people.look(at) for at in (101, 161)] == [[], ["came to nothing: cooler failing on rig-1"]]
    nobody = People()
    assert [nobody.look(0, early), nobody.look(1), nobody.look(99)] == [[], [], []]


def test_what_was_over_before_anybody_looked_is_history() -> None:
    """At the first look ever; what is open then is told, and so is whatever comes and goes between two looks later."""
    people = People({"gather": 0})
    people.dues.mark_us = None
    old, still = incident("rig-1", "cooler_failing", 0, 50), incident("rig-2", "oil_warm", 20)
    assert people.look(60, old, still) == ["WARNING: oil warm on rig-2"]
    brief = incident("rig-3", "cooler_failing", 70, 80)
    assert [people.look(at, old, still, brief) for at in (90, 150)] == [[], ["over: cooler failing on rig-3"]]


def test_unknown_components_and_drift_are_told_like_incidents() -> None:
    """A component of which nothing is known for five minutes, and cycles beyond the training data; over is over."""
    component = {"rig": "rig-1", "component": "cooler", "unknown_since": iso(T0), "unknown_because": "CE is missing"}
    soon, late = ({**component, "time": iso(T0 + s * US_PER_S)} for s in (60, 300))
    part = PartitionReport("score", "cycles", 0, drift={"CE mean": (0.4, 0.31), "TS1 mean": (0.1, 0.05)})
    overview = Overview("r", T0, partitions={("cycles", 0): part})
    drifts = {("cycles", 0): part.drift}
    assert conditions.unknown([soon], US_PER_S) == []
    assert conditions.drifting(overview, drifts, 0.4, T0) == []
    found = [*conditions.unknown([late], US_PER_S), *(conditions.drifting(overview, drifts, 0.2, T0) or [])]
    people = People({"gather": 0})

    assert sorted(people.look(0, *found)) == ["WARNING: component unknown on rig-1", "WARNING: drift on all rigs"]
    assert "CE mean" in next(m["text"] for _, m in people.got if m["rule"] == "drift")
    people.look(100)
    assert sorted(people.look(160)) == ["over: component unknown on rig-1", "over: drift on all rigs"]


def test_a_message_of_a_component_or_of_cycles_says_why() -> None:
    """Text and each rig's `message` name what spoke for it: a component is worn or unknown, a cycle is unusual."""
    track, since = ComponentTrack(settled=80, run=2, since=iso(T0)), ("rig-1", "valve", 7, T0)
    says = ("PS2 in seconds 9–10 is 12.9 bar below valve at 100 %", "PS1 in second 9 is 3 bar below valve at 100 %")
    worn = incident_of(track, Verdict(*since, 80, 0.99, "valve", 1, (), says), TARGETS["valve"], 100)
    novel = Unknown(*since, "like nothing trained on: PS3", "valve", 1, novel=True)
    strange = incident_of(ComponentTrack(settled=UNKNOWN, run=2, since=iso(T0)), novel, TARGETS["valve"], 100)
    found = Judgement(9.0, 46.0, False, False, (), (Contribution("FS1", 3, 5, -1.5, 0.9),), np.zeros(510))
    unusual = opened(At("rig-1", 7, T0, 7), found, T0, 2, 4.5)
    for body, whys in ((worn, says), (strange, [novel.why]), (unusual, ["FS1 in seconds 3-4 is 1.5 l/min low"])):
        people = People({"gather": 0})
        people.look(0, {"_id": "x", **body})
        (message,) = (one for _, one in people.got)
        for why in whys:
            assert why in message["text"].splitlines()[1]
            assert why in message["rigs"][0]["message"]


EVENTS = st.lists(
    st.tuples(st.integers(0, 90), st.sampled_from(["open", "close", "ack", "mute"]), st.integers(0, 2)), max_size=30
)


@settings(deadline=None)  # on a busy machine any example may take long
@given(EVENTS)
def test_a_restart_at_any_moment_changes_nothing(events: list[tuple[int, str, int]]) -> None:
    """A notifier that goes on from its documents after each look tells what one tells that never stops.

    Of each cause a channel hears first that it is there or was, and last that it is over, once it is.
    """
    through, restarted = People({"repeat": "90s"}), People({"repeat": "90s"}, restarts=True)
    every: dict[str, Incident] = {}
    at = 0
    for wait, what, number in [*events, (1, "close", 0), (1, "close", 1), (1, "close", 2)]:
        at += wait
        rig = f"rig-{number}"
        open_ = next((one for one in every.values() if one["rig"] == rig and one["status"] == "open"), None)
        if what == "open" and open_ is None:
            one = incident(rig, "cooler_failing" if number else "oil_warm", at)
            every[one["_id"]] = one
        if what == "close" and open_ is not None:
            open_ |= {"status": "resolved", "resolved_at": iso(T0 + at * US_PER_S)}
        for people in (through, restarted):
            if what == "ack" and open_ is not None:
                people.answer(at, kind="ack", incident=open_["_id"])
            if what == "mute":
                people.answer(at, kind="mute", rig=rig, for_s=60)
            people.look(at, *every.values())
    for later in (at + 100, at + 200, at + 300):
        through.look(later, *every.values())
        restarted.look(later, *every.values())

    assert restarted.got == through.got
    assert all(one.done_us is not None for one in through.dues.causes.values())
    for cause in {message["cause"] for _, message in through.got}:
        kinds = [message["kind"] for _, message in through.got if message["cause"] == cause]
        assert kinds[-1] == "over"
        assert "opened" in kinds or set(kinds) == {"over"}
    assert len({message["id"] for _, message in through.got}) == len(through.got)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"routes": [{"to": ["nobody"]}]}, "nobody"),
        ({"channels": {"desk": {"kind": "webhook", "url": "ftp://x"}}}, "http://"),
        ({"channels": {"desk": {"kind": "webhook", "url": "http://u:geheim@x/"}}}, "password_file"),
        ({"channels": {"desk": {"kind": "webhook"}}}, "url_file"),
        ({"channels": {"desk": {"kind": "webhook", "url": "http://x.example/", "password_file": "x"}}}, "https://"),
        ({"routes": [{"to": ["desk"], "quiet": "25:00-06:00"}]}, "quiet"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(wrong: dict[str, Any], words: str) -> None:
    """Before anything starts."""
    with pytest.raises(ValueError, match=words):
        Notify.model_validate({"channels": {"desk": WEBHOOK}, **wrong})
