"""What goes wrong in one simulated life of the platform: drawn from a seed, printed when a test fails, and shrunk."""

import random
from dataclasses import dataclass, field, replace

from hydrodask.failpoints import NAMES
from tests.simulation.input import KINDS

CALLS = (
    "kafka.append", "kafka.assign", "kafka.bounds", "kafka.commit", "kafka.committed", "kafka.consume",
    "kafka.describe", "kafka.init_transactions", "kafka.list_topics", "kafka.send_offsets", "kafka.abort",
    "kafka.unassign", "files.write", "files.link", "files.replace", "files.read", "files.list", "files.remove",
    "documents.write",
)  # fmt: skip
"""Calls that fakes answer; beside them the fail points can be hit."""

DRIVERS = tuple(name for name in NAMES if name.startswith(("drive.", "fence.")))
WRITES = ("kafka.append", "kafka.commit", "kafka.send_offsets", "files.link", "files.replace", "documents.write")
"""Those that change something, and are worth more faults."""

EVENTS = (
    "kill worker", "kill worker", "join", "leave", "kill driver", "second driver", "scheduler", "broker", "store",
    "foreign commit",
)  # fmt: skip
"""What happens to the platform in any life."""

PUBLISH_S = 4.0
"""How long the rigs send."""

FAULTY_S = 6.0
"""How long things go wrong. After that all that is stalled goes on, and the platform has to settle."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the `count`-th call of `place`: kill, stall (for `seconds`), refuse, or redeliver.

    `when` says whether before or after its effect: a call that had its effect and was refused all the same is one whose
    answer was lost.
    """

    place: str
    count: int
    kind: str
    when: str = "before"
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Event:
    """What happens at a time, whoever does what: see `Platform.happen`."""

    at_s: float
    kind: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """One life. `shared`: workers belong to a cluster of their own, and outlive the driver."""

    seed: int
    kind: int = 0
    workers: int = 1
    shared: bool = True
    sets: tuple[tuple[str, float], ...] = ()
    faults: tuple[Fault, ...] = ()
    events: tuple[Event, ...] = ()
    mutation: str = ""
    """What the fakes do not do: `fence`, `put-if-absent`, `revision`, `removal`, `transaction`."""
    late_partition: bool = field(default=False)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: input {self.kind}, {self.workers} workers, shared={self.shared}, {self.sets}"]
        lines += [f"  {fault}" for fault in self.faults]
        lines += [f"  {event}" for event in self.events]
        return "\n".join(lines)

    def without(self, number: int) -> "Schedule":
        """Return the schedule without one of its faults or events."""
        if number < len(self.faults):
            return replace(self, faults=self.faults[:number] + self.faults[number + 1 :])
        number -= len(self.faults)
        late = self.late_partition and self.events[number].kind != "partition"  # nothing else makes it
        return replace(self, events=self.events[:number] + self.events[number + 1 :], late_partition=late)

    def __len__(self) -> int:
        return len(self.faults) + len(self.events)


def draw(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    rng = random.Random(f"schedule {seed}")  # noqa: S311 - no secret
    late = rng.random() < 0.25
    events = [_event(rng) for _ in range(rng.choice([0, 1, 1, 2, 3]))]
    if late:
        events.append(Event(rng.uniform(0.5, 4.0), "partition"))
    if rng.random() < 0.2:
        events += _forget(rng)
    return Schedule(
        seed,
        kind=rng.randrange(KINDS),
        workers=rng.choice([1, 2, 2, 3]),
        shared=rng.random() < 0.5,
        sets=(
            ("commit_every", rng.choice([0.1, 0.4, 1.0])),
            ("emit_every", rng.choice([0.0, 0.5, 1.0])),
            ("snapshot_every", rng.choice([0.2, 0.8, 2.5])),
            ("roll_rows", rng.choice([12, 40, 1000])),
            ("roll_age", rng.choice([0.8, 3.0, 60.0])),
            ("rows_max", rng.choice([15, 60, 400])),
        ),
        faults=tuple(_fault(rng) for _ in range(rng.choice([0, 1, 2, 4, 6, 8, 10]))),
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
            faults.append(Fault(place, count, "remake", rng.choice(["before", "after"]), rng.choice(gone_s)))
    return replace(schedule, faults=tuple(faults), events=tuple(sorted(events, key=lambda event: event.at_s)))


def _fault(rng: random.Random) -> Fault:
    place = rng.choice(rng.choice([CALLS, WRITES, NAMES, (*DRIVERS, "report")]))
    count = rng.choice([1, 2, 3, 5, 8, 13, 21, 34])
    kind = rng.choice(["kill", "kill", "stall", "stall", "refuse"])
    seconds = rng.choice([0.1, 0.8, 2.0, 5.0])
    when = rng.choice(["before", "after"])
    if place == "kafka.consume":
        kind = rng.choice([kind, "redeliver"])
    return Fault(place, count, kind, when, seconds)


def _event(rng: random.Random) -> Event:
    kind = rng.choice(EVENTS)
    return Event(round(rng.uniform(0.2, FAULTY_S - 1), 2), kind, rng.choice([0.3, 1.0, 2.5]))


def _forget(rng: random.Random) -> list[Event]:
    """Return a loss, by retention or by somebody who deletes records, at about the time at which partitions move."""
    at_s = round(rng.uniform(0.5, PUBLISH_S), 2)
    kind = rng.choice(["retention", "retention", "deletion"])
    move = rng.choice(["join", "join", "leave", "kill worker"])
    return [Event(at_s, kind), Event(round(at_s + rng.uniform(-0.5, 0.5), 2), move, rng.choice([0.3, 1.0]))]
