"""What goes wrong in one simulated life: drawn from a seed, printed when a test fails, and shrunk."""

import random
from dataclasses import dataclass, replace
from typing import Self

from hydrodask.failpoints import NAMES

CALLS = (
    "kafka.append", "kafka.assign", "kafka.bounds", "kafka.commit", "kafka.committed", "kafka.consume",
    "kafka.describe", "kafka.init_transactions", "kafka.list_topics", "kafka.send_offsets", "kafka.abort",
    "kafka.unassign", "files.write", "files.sync", "files.link", "files.replace", "files.folder", "files.read",
    "files.list", "files.remove", "documents.write",
)  # fmt: skip
"""Calls that fakes answer; beside them the fail points can be hit."""

DRIVERS = tuple(name for name in NAMES if name.startswith(("drive.", "fence.")))
WRITES = ("kafka.append", "kafka.commit", "kafka.send_offsets", "files.link", "files.replace", "documents.write")
"""Those that change something, and are worth more faults."""

WITHIN = ("kafka.consume", "kafka.assign", "kafka.unassign")
"""Calls within the client: one that is refused has had no effect."""

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
class Sent:
    """One record, and when it is sent: a share of the time that publishing takes."""

    when: float
    topic: str
    partition: int
    value: bytes | None
    stamp_ms: int
    key: bytes = b"key"


@dataclass(frozen=True, slots=True)
class InjectedFault:
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
    """What happens at a time, whoever does what: see `SimulatedLife.happen`."""

    at_s: float
    kind: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Course:
    """One life. `shared`: workers belong to a cluster of their own, and outlive the driver."""

    seed: int
    workers: int = 1
    shared: bool = True
    sets: tuple[tuple[str, float], ...] = ()
    faults: tuple[InjectedFault, ...] = ()
    events: tuple[Event, ...] = ()
    mutation: str = ""
    """What the fakes do not do: `fence`, `put-if-absent`, `sync`, `replace`, `revision`, `removal`, `transaction`."""

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.workers} workers, shared={self.shared}, {self.sets}"]
        lines += [f"  {fault}" for fault in self.faults]
        lines += [f"  {event}" for event in self.events]
        return "\n".join(lines)

    def __len__(self) -> int:
        return len(self.faults) + len(self.events)

    def without(self, number: int) -> Self:
        """Return the course without one of its faults or events."""
        if number < len(self.faults):
            return replace(self, faults=self.faults[:number] + self.faults[number + 1 :])
        number -= len(self.faults)
        return replace(self, events=self.events[:number] + self.events[number + 1 :])


def draw(seed: int) -> Course:
    """Return the course of a seed."""
    rng = random.Random(f"course {seed}")  # noqa: S311 - no secret
    return Course(
        seed,
        workers=rng.choice([1, 2, 2, 3]),
        shared=rng.random() < 0.5,
        sets=a_setting(rng),
        faults=tuple(a_fault(rng) for _ in range(rng.choice([0, 1, 2, 4, 6, 8, 10]))),
        events=tuple(sorted((an_event(rng) for _ in range(rng.choice([0, 1, 1, 2, 3]))), key=lambda e: e.at_s)),
    )


def a_setting(rng: random.Random) -> tuple[tuple[str, float], ...]:
    """Return how often there are commits, snapshots and files."""
    return (
        ("commit_every", rng.choice([0.1, 0.4, 1.0])),
        ("emit_every", rng.choice([0.0, 0.5, 1.0])),
        ("snapshot_every", rng.choice([0.2, 0.8, 2.5])),
        ("roll_rows", rng.choice([12, 40, 1000])),
        ("roll_age", rng.choice([0.8, 3.0, 60.0])),
        ("rows_max", rng.choice([15, 60, 400])),
    )


def a_fault(rng: random.Random) -> InjectedFault:
    """Return what goes wrong at some call or fail point."""
    place = rng.choice(rng.choice([CALLS, WRITES, NAMES, (*DRIVERS, "report")]))
    count = rng.choice([1, 2, 3, 5, 8, 13, 21, 34])
    kind = rng.choice(["kill", "kill", "stall", "stall", "refuse"])
    seconds = rng.choice([0.1, 0.8, 2.0, 5.0])
    when = rng.choice(["before", "after"])
    if place == "kafka.consume":
        kind = rng.choice([kind, "redeliver"])
    return InjectedFault(place, count, kind, when, seconds)


def an_event(rng: random.Random) -> Event:
    """Return what happens at some time."""
    kind = rng.choice(EVENTS)
    return Event(round(rng.uniform(0.2, FAULTY_S - 1), 2), kind, rng.choice([0.3, 1.0, 2.5]))
