"""What is owed to one channel holds no other one up; what can't be seen just now is neither over nor there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hydrodask.clock import US_PER_S, iso
from hydrodask.episodes import Document
from hydrodask.notify import conditions, lookout
from hydrodask.notify.alerts import alerts
from hydrodask.notify.dues import Dues
from hydrodask.notify.lookout import Lookout
from hydrodask.observe.figures import Figures
from hydrodask.observe.furthest import furthest
from hydrodask.reports import Component, Overview, PartitionReport
from tests.test_notify import T0, WEBHOOK, Incident, People, incident

DAY_S = 86_400
HOUR_S = 3600


def ended(one: Incident, at_s: float) -> Incident:
    """Return an incident that was over at this second."""
    return one | {"status": "resolved", "resolved_at": iso(T0 + round(at_s * US_PER_S))}


def kinds(people: People, channel: str) -> list[str]:
    """Return the kinds of messages that a channel has got."""
    return [message["kind"] for name, message in people.got if name == channel]


def test_what_breaks_again_is_told_while_another_channel_is_still_owed_that_it_is_over() -> None:
    """The pager hears of it each time; the desk, which has quiet hours, hears in the morning that it is over, once."""
    channels = dict.fromkeys(("desk", "pager"), WEBHOOK)
    people = People({"channels": channels, "routes": [{"to": ["pager"]}, {"to": ["desk"], "quiet": "12:01-20:00"}]})
    first, second = incident("rig-1", "cooler_failing", 0), incident("rig-1", "cooler_failing", HOUR_S)
    for at in (0, 3):
        people.look(at, first)
    first = ended(first, 100)
    for at in (100, 161):
        people.look(at, first)
    for at in (HOUR_S, HOUR_S + 3):
        people.look(at, first, second)
    assert kinds(people, "pager") == ["opened", "over", "opened"]
    second = ended(second, HOUR_S + 100)
    for at in (HOUR_S + 100, HOUR_S + 161, 8 * HOUR_S):
        people.look(at, first, second)
    assert kinds(people, "pager") == ["opened", "over", "opened", "over"]
    assert kinds(people, "desk") == ["opened", "over"]
    assert all(one.done_us is not None for one in people.dues.causes.values())


def test_what_a_route_takes_no_more_is_told_as_over() -> None:
    """A critical one that came to nothing, beside a warning, which the pager does not hear of: the cause gets done."""
    people = People({"routes": [{"to": ["desk"], "severity": "critical"}]})
    warning, early = incident("rig-1", "oil_warm", 0), incident("rig-1", "oil_hot", 0, severity="critical")
    for at in (0, 3):
        people.look(at, warning, early)
    for at in (60, 200, 261):
        people.look(at, ended(warning, 60))
    assert [message["subject"] for _, message in people.got] == [
        "CRITICAL: oil hot on rig-1",
        "over: oil warm on rig-1",
    ]
    assert all(one.done_us is not None for one in people.dues.causes.values())


@dataclass
class Shelf:
    """Documents in memory, as a store gives them: `asked` counts what was asked for by id."""

    incidents: dict[str, Document] = field(default_factory=dict)
    components: list[Document] = field(default_factory=list)
    asked: int = 0

    def find(
        self, collection: str, where: Mapping[str, object], *, limit: int, newest_first: str | None = None
    ) -> list[Document]:
        """Return documents."""
        self.asked += "_id" in where
        every = {"incidents": list(self.incidents.values()), "components": self.components}.get(collection, [])
        found = [one for one in every if all(one[name] == value for name, value in where.items())]
        return sorted(found, key=lambda one: str(one[newest_first or next(iter(one))]), reverse=True)[:limit]


@dataclass
class Watch:
    """A lookout on documents and an overview, and the dues of one channel, whose messages arrive at once."""

    shelf: Shelf = field(default_factory=Shelf)
    overview: Overview = field(default_factory=lambda: Overview("r", T0))
    dues: Dues = field(init=False)

    def __post_init__(self) -> None:
        self.restart(Dues(People({"gather": 0}).dues.notify, mark_us=0))

    def restart(self, dues: Dues) -> None:
        """Go on with another lookout."""
        self.dues = dues
        self.lookout = Lookout(self.shelf, lambda: self.overview, 0.2, DAY_S * US_PER_S)

    def look(self, at_s: float) -> list[str]:
        """Look once; return the subjects of what has arrived."""
        now_us = T0 + round(at_s * US_PER_S)
        seen = self.lookout.look(self.dues.wanted(), now_us)
        self.dues.look(seen.episodes, seen.answers, now_us, seen.unseen)
        waiting = self.dues.waiting()
        for cause, one in waiting:
            self.dues.arrived(cause.id, one.id)
        return [str(one.message["subject"]) for _, one in waiting]

    def drifts(self, *outside: float | None) -> None:
        """Let each partition say how far its cycles are outside; None: it has not enough of them today."""
        for number, share in enumerate(outside):
            part = PartitionReport("score", "cycles", number, health={(f"rig-{number}", "cooler"): 100.0})
            part.components = {(f"rig-{number}", "cooler"): Component(100, 0.9, 1, iso(T0))}
            part.drift = {} if share is None else {"CE mean": (0.1, share)}
            self.overview.partitions["cycles", number] = part


def test_what_is_out_of_sight_has_not_come_to_nothing() -> None:
    """More incidents than a look reads and asks for: each is over when its document says so; few are asked for."""
    count = lookout.ASKED_MAX + 50
    watch = Watch()
    mine = [incident(f"rig-{n}", "cooler_failing", n / 1000) for n in range(count)]
    watch.shelf.incidents = {one["_id"]: one for one in mine}
    assert watch.look(1) == [f"WARNING: cooler failing on {count} rigs"]
    newer = [incident("x", "oil_warm", 10 + n / 1000, 10 + n / 1000) for n in range(lookout.NEWEST_MAX)]
    watch.shelf.incidents |= {one["_id"]: one for one in newer}
    watch.look(12)
    for one in mine[:-1]:
        watch.shelf.incidents[one["_id"]] = ended(one, 20)
    assert [s for at in (20, 21, 22, 99) for s in watch.look(at) if "oil" not in s] == []
    watch.restart(watch.dues)
    assert [s for at in (100, 101, 102, 199) for s in watch.look(at) if "oil" not in s] == []
    watch.shelf.incidents[mine[-1]["_id"]] = ended(mine[-1], 200)
    watch.look(200)
    watch.look(201)
    before = watch.shelf.asked
    assert [s for at in (202, 262) for s in watch.look(at)] == [f"over: cooler failing on {count} rigs"]
    assert watch.shelf.asked == before


def test_conditions_are_not_asked_for_as_incidents() -> None:
    """They have no documents."""
    watch = Watch()
    watch.drifts(0.5)
    assert [*watch.look(0), *watch.look(1)] == ["WARNING: drift on all rigs"]
    assert watch.shelf.asked == 0


def test_drift_that_is_not_known_stays_as_it_was() -> None:
    """At midnight, and after a restart, a partition says nothing until it has enough cycles: that is no end of it."""
    watch = Watch()
    watch.drifts(0.5, 0.1)
    assert watch.look(0) == ["WARNING: drift on all rigs"]
    assert furthest(Figures(watch.overview).parts) == {"CE mean": (0.1, 0.5)}
    watch.drifts(None, 0.1)
    assert [watch.look(at) for at in (10, 100, 1000)] == [[], [], []]
    for nothing_yet in (True, False):
        watch.overview.partitions.clear()
        if not nothing_yet:
            watch.drifts(None, 0.1)
        watch.restart(watch.dues)
        assert [watch.look(at) for at in (1010, 1100, 2000)] == [[], [], []]
    watch.drifts(0.1, 0.1)
    assert [watch.look(at) for at in (2010, 2080)] == [[], ["over: drift on all rigs"]]
    fresh = Watch()
    fresh.drifts(None)
    assert [fresh.look(at) for at in (0, 100)] == [[], []]


def test_a_rig_that_is_gone_is_told_of_no_more_and_conditions_are_not_repeated() -> None:
    """Its document stays; what nobody can acknowledge is told once, and once that it is over."""
    unknown = {"rig": "rig-1", "component": "valve", "unknown_since": iso(T0), "time": iso(T0 + 360 * US_PER_S)}
    other = {"rig": "rig-2", "component": "valve", "time": iso(T0 + 360 * US_PER_S)}
    watch = Watch()
    watch.shelf.components = [unknown, other]
    assert watch.look(0) == ["WARNING: component unknown on rig-1"]
    assert [s for at in range(60, 20 * HOUR_S, 600) for s in watch.look(at)] == []
    other["time"] = iso(T0 + (DAY_S + 400) * US_PER_S)
    assert [watch.look(at) for at in (DAY_S, DAY_S + 61)] == [[], ["over: component unknown on rig-1"]]
    assert conditions.unknown([unknown], DAY_S * US_PER_S) != []


def test_an_alertmanager_ends_what_is_over_and_keeps_what_is_not() -> None:
    """As labels of a rig change with its episode; also what is acknowledged is sent again before it would end."""
    channel = {"kind": "alertmanager", "url": "http://127.0.0.1:9/"}
    people, fires = People({"channels": {"desk": channel}, "gather": 0, "repeat": None}), dict[tuple[str, ...], str]()

    def look(at_s: float, *incidents: Incident) -> list[str]:
        before = len(people.got)
        people.look(at_s, *incidents)
        for _, message in people.got[before:]:
            for one in alerts(message, T0 + round(at_s * US_PER_S)):
                fires[tuple(one["labels"].values())] = one["endsAt"]
        now = iso(T0 + round(at_s * US_PER_S))
        return sorted(f"{name} {rig} {sensor} {severity}" for (name, rig, sensor, severity, *_), end in fires.items()
            if end > now)  # fmt: skip

    mild, bad = incident("a", "oil_warm", 0), incident("a", "cooler_failing", 30, severity="critical", sensor="CP")
    other = incident("b", "oil_warm", 1)
    both = ["oil_warm a CE warning", "oil_warm b CE warning"]
    assert (look(0, mild), look(61, mild, other)) == (both[:1], both)
    people.answer(61, kind="ack", incident=mild["_id"])
    people.answer(61, kind="ack", incident=other["_id"])
    assert all(look(at, mild, other) == both for at in range(61, DAY_S, 1000))
    assert look(DAY_S, mild, other, bad) == ["cooler_failing a CP critical", both[1]]
    other = ended(other, DAY_S + 1)
    assert look(DAY_S + 400, mild, other, bad) == ["cooler_failing a CP critical"]
    mild, bad = ended(mild, DAY_S + 500), ended(bad, DAY_S + 500)
    look(DAY_S + 500, mild, other, bad)
    assert look(DAY_S + 561, mild, other, bad) == []
    assert people.got[-1][1]["kind"] == "over"
