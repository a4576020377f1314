"""What goes wrong in one simulated life of the platform: drawn from a seed, printed when a test fails, and shrunk."""

import random
from dataclasses import dataclass, field, replace

from hydrodask.testing.simulation.course import (
    CALLS,
    FAULTY_S,
    PUBLISH_S,
    Course,
    Event,
    InjectedFault,
    a_fault,
    a_setting,
    an_event,
)
from tests.simulation.input import KINDS

HARMS = (
    *(f"{what} {where}" for where in ("lake", "snapshot", "small") for what in ("flip", "truncate", "lose", "older")),
    "power", "slow disk", "clock back", "clock on", "clock strobing", "cut there", "cut back", "offsets gone",
    "restore documents", "restore state", "more analytics", "change rules", "change windows",
)  # fmt: skip
"""What is done to disks, clocks and connections, and by operators: see `Nemesis.do`."""

FORGETTING = ("retention", "deletion", "remake")
"""Harms that broker and operators do to the logs: in other lives, too."""


@dataclass(frozen=True, slots=True)
class Schedule(Course):
    """One life of the platform's own flows. `kind`: which input."""

    kind: int = 0
    late_partition: bool = field(default=False)
    previous: int | None = None
    """Which of the states it begins with that the previous release has left, see `recorded`; None: with none."""

    @property
    def harms(self) -> tuple[str, ...]:
        """The harms that are in it, each once."""
        kinds = [*(event.kind for event in self.events), *(fault.kind for fault in self.faults)]
        if self.previous is not None and "foreign commit" in kinds:
            kinds.append("offsets gone")  # it has none of its own that others do not overwrite
        harms = tuple(kind for kind in (*HARMS, *FORGETTING) if kind in kinds)
        if not set(HARMS) & set(kinds) and self.previous is None:
            return ()  # lives with these alone have tests of their own
        return harms if self.previous is None else ("upgrade", *harms)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: input {self.kind}, {self.workers} workers, shared={self.shared}, {self.sets}"]
        lines += [] if self.previous is None else [f"  after state {self.previous} of the previous release"]
        lines += [f"  {fault}" for fault in self.faults]
        lines += [f"  {event}" for event in self.events]
        return "\n".join(lines)

    def without(self, number: int) -> "Schedule":
        """Return the schedule without one of its faults or events."""
        fewer = Course.without(self, number)
        late = self.late_partition and any(event.kind == "partition" for event in fewer.events)
        return replace(fewer, late_partition=late)


def draw(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    rng = random.Random(f"schedule {seed}")  # noqa: S311 - no secret
    late = rng.random() < 0.25
    events = [an_event(rng) for _ in range(rng.choice([0, 1, 1, 2, 3]))]
    if late:
        events.append(Event(rng.uniform(0.5, 4.0), "partition"))
    if rng.random() < 0.2:
        events += _forget(rng)
    return Schedule(
        seed,
        kind=rng.randrange(KINDS),
        workers=rng.choice([1, 2, 2, 3]),
        shared=rng.random() < 0.5,
        sets=a_setting(rng),
        faults=tuple(a_fault(rng) for _ in range(rng.choice([0, 1, 2, 4, 6, 8, 10]))),
        events=tuple(sorted(events, key=lambda event: event.at_s)),
        late_partition=late,
    )


def remade(schedule: Schedule) -> Schedule:
    """Return a life in which topics are deleted and made anew, too: at some time, or in the middle of a call."""
    rng = random.Random(f"remade {schedule.seed}")  # noqa: S311 - no secret
    gone_s = [0.0, 0.0, 0.3, 1.5]
    events = [event for event in schedule.events if event.kind not in {"retention", "deletion"}]
    faults = list(schedule.faults)
    for _ in range(rng.choice([1, 1, 2])):
        if rng.random() < 0.5:
            events.append(Event(round(rng.uniform(0.5, FAULTY_S - 2), 2), "remake", rng.choice(gone_s)))
        else:
            place = rng.choice([*(name for name in CALLS if name.startswith("kafka.")), "open.begun", "open.restored"])
            count = rng.choice([2, 5, 13, 21, 34])
            faults.append(InjectedFault(place, count, "remake", rng.choice(["before", "after"]), rng.choice(gone_s)))
    return replace(schedule, faults=tuple(faults), events=tuple(sorted(events, key=lambda event: event.at_s)))


def left_by_a_broker(schedule: Schedule) -> Schedule:
    """Return a life in which the only broker leaves while a commit goes on, which it calls done, and has not marked."""
    rng = random.Random(f"left {schedule.seed}")  # noqa: S311 - no secret
    leaves = [Event(round(rng.uniform(0.5, FAULTY_S - 1), 2), "broker leaves") for _ in range(rng.choice([1, 1, 2]))]
    events = tuple(sorted((*schedule.events, *leaves), key=lambda event: event.at_s))
    return replace(schedule, events=events)


def harmed(schedule: Schedule) -> Schedule:
    """Return a life with fewer faults, to which harm is done, too; what is hurt is opened again soon, as a rule."""
    rng = random.Random(f"harmed {schedule.seed}")  # noqa: S311 - no secret
    events = [event for event in schedule.events if event.kind not in FORGETTING]
    events, faults = rng.sample(events, min(len(events), 2)), list(schedule.faults[: rng.choice([0, 0, 1, 3])])
    chosen = [(*HARMS, *FORGETTING)[schedule.seed % (len(HARMS) + len(FORGETTING))]]
    if rng.random() < 0.25 or chosen[0] in FORGETTING:
        chosen.append(rng.choice(HARMS))
    for kind in chosen:
        at_s = round(rng.uniform(0.5, FAULTY_S - 1), 2)
        if kind == "power" and rng.random() < 0.6:
            place = rng.choice([name for name in CALLS if name.startswith("files.")])
            faults.append(InjectedFault(place, rng.choice([2, 5, 13, 34, 55]), kind, rng.choice(["before", "after"])))
            continue
        seconds = rng.choice([0.5, 3600.0, 90_000.0]) if kind.startswith("clock") else rng.choice([0.4, 1.2, 2.5])
        events.append(Event(at_s, kind, seconds))
        if rng.random() < 0.7:
            reopened = rng.choice(["kill worker", "kill driver", "join", "leave", "power"])
            events.append(Event(round(at_s + rng.uniform(0.0, 0.8), 2), reopened, 0.3))
    late = schedule.late_partition and any(event.kind == "partition" for event in events)
    return replace(
        schedule, faults=tuple(faults), events=tuple(sorted(events, key=lambda e: e.at_s)), late_partition=late
    )


def upgraded(schedule: Schedule, case: int, kind: int) -> Schedule:
    """Return a life that begins with what the previous release has left of an input; to every other harm is done."""
    rng = random.Random(f"upgraded {schedule.seed}")  # noqa: S311 - no secret
    chosen = harmed(schedule) if rng.random() < 0.5 else schedule
    events = tuple(e for e in chosen.events if e.kind not in {"remake", "partition"})
    faults = tuple(fault for fault in chosen.faults if fault.kind != "remake")
    return replace(chosen, faults=faults, events=events, kind=kind, previous=case, late_partition=False)


def _forget(rng: random.Random) -> list[Event]:
    """Return a loss, by retention or by somebody who deletes records, at about the time at which partitions move."""
    at_s = round(rng.uniform(0.5, PUBLISH_S), 2)
    kind = rng.choice(["retention", "retention", "deletion"])
    move = rng.choice(["join", "join", "leave", "kill worker"])
    return [Event(at_s, kind), Event(round(at_s + rng.uniform(-0.5, 0.5), 2), move, rng.choice([0.3, 1.0]))]
