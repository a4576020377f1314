"""What the engine lives among in a simulation: broker, disk and documents of one world, and small settings."""

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from unittest.mock import patch

from hydrodask import clock, failpoints
from hydrodask.detect import criteria
from hydrodask.detect.rules import load_rules
from hydrodask.errors import RetryableError
from hydrodask.ingest import commits
from hydrodask.ingest import reader as reading
from hydrodask.kafka import KafkaError, KafkaException
from hydrodask.settings import Settings
from hydrodask.settings.model import Detect, Documents, Kafka, Lake, Step, Window
from hydrodask.store import transactions
from hydrodask.testing.simulation.fakebroker import FakeBroker
from hydrodask.testing.simulation.fakestores import FakeDisk, FakeDocuments
from hydrodask.testing.simulation.world import World
from hydrodask.worker.surroundings import Surroundings

_load_rules = cache(load_rules)


class Fakes:
    """Broker, disk and documents of one world, without one of their promises if `mutation` names it."""

    def __init__(self, world: World, mutation: str = "") -> None:
        self.world = world
        self.broker = FakeBroker(world, fenced=mutation != "fence", transactional=mutation != "transaction")
        self.disk = FakeDisk(
            world,
            exclusive=mutation != "put-if-absent",
            synced=mutation != "sync",
            atomic=mutation != "replace",
        )
        self.documents = FakeDocuments(world, guarded=mutation != "revision", remembers=mutation != "removal")
        self.surroundings = Surroundings(
            consumer=self.broker.consumer,
            fetcher=self.broker.fetcher,
            producer=self.broker.producer,
            files=self.disk.at,
            documents=lambda _settings: self.documents,
            identities=self.broker.identities,
        )


@contextlib.contextmanager
def inside(world: World) -> Iterator[None]:
    """Let the engine live in `world`: its clock, its fail points, and no threads."""
    with (
        clock.replaced_by(world),
        failpoints.armed(world.come_to),
        patch.object(transactions, "in_background", _at_once),
        patch.object(transactions, "in_time", lambda call, _seconds: call()),
        patch.object(reading, "in_background", _at_once),
        patch.object(commits, "in_background", _at_once),
        patch.object(criteria, "load_rules", _load_rules),  # parsing YAML takes longer than the rest of a life
    ):
        yield


def refuse(name: str) -> None:
    """Raise what a client raises when its server refuses; places that are no calls can't refuse."""
    if name.startswith("kafka."):
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, f"{name} was refused", retriable=True))
    if name.startswith(("files.", "documents.")):
        raise RetryableError(f"{name} was refused", backoff_s=0.2)


def settings_of(sets: dict[str, float]) -> Settings:
    """Return small settings: windows of 6 s every two seconds, steps of 0.4 s. `sets` are those of a course."""
    return Settings(
        data_dir=Path("simulated"),
        kafka=Kafka(embedded=False, group="simulated", discover_every=1.0, timeout=2.0),
        window=Window(length=6.0, slide=2.0, lateness=2.0, emit_every=sets.get("emit_every", 1.0)),
        step=Step(
            trigger=0.4,
            rows_max=int(sets.get("rows_max", 400)),
            commit_every=sets.get("commit_every", 0.3),
            snapshot_every=sets.get("snapshot_every", 2.0),
            time_max=1.5,
            patience=100.0,
        ),
        lake=Lake(url="fake://lake", roll_rows=int(sets.get("roll_rows", 30)), roll_age=sets.get("roll_age", 2.0)),
        documents=Documents(url="fake://documents"),
        detect=Detect(silent_after=None),  # what a fault delays by minutes would be a silence
    )


def _at_once(*calls: Callable[[], object]) -> None:
    """Make calls here and now, for a simulated process has no threads."""
    for call in calls:
        call()
