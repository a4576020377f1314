"""A platform that is going to be hurt, and how long it takes to get over it."""

import json
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from hydrodask import clock
from hydrodask.audit.verify import verify
from hydrodask.settings.model import Kafka
from tests.audited import fine
from tests.delivery import (
    NEVER_QUICK,
    SOURCES,
    Delivered,
    Driver,
    Progress,
    assert_same,
    collect,
    publish,
    reach,
    sets_of,
    settings_of,
    until,
)

ALL_OPEN = (*NEVER_QUICK, "kafka.consumer={fetch.message.max.bytes: 8192}")
"""Small fetches, so that the records of a commit are of all partitions, and not of one after the other."""

RECOVERY_S = 150.0
"""Within this time every partition must be committed again; the table says how long it really takes."""

RESULTS = os.environ.get("CHAOS_RESULTS")
"""A file that gets a JSON line for each recovery; `python -m tests.chaos.table` makes the table of it."""


class Stage:
    """One group with topics and folders of its own, whose log is there and whose driver has not been started.

    `rng` says when something happens; it depends on the case and the seed alone.
    """

    def __init__(
        self, kafka: Kafka, recording: Path, folder: Path, *, name: str, seed: int, sets: Sequence[str] = ALL_OPEN
    ) -> None:
        self.name = name
        self.seed = seed
        self.folder = folder
        self.sets = sets_of(kafka, folder, f"{name}{seed}", *sets)
        self.settings = settings_of(kafka, folder, f"{name}{seed}", *sets)
        self.total = publish(self.settings, recording)
        self.rng = random.Random(f"{name} {seed}")  # noqa: S311 - no secret

    def driver(
        self, *options: str, more: Sequence[str] = (), environment: Mapping[str, str] = MappingProxyType({})
    ) -> Driver:
        """Return a run that ends once all is stored; `more` are settings over those of the stage."""
        self.folder.mkdir(exist_ok=True)
        log = self.folder / "log"
        return Driver([*self.sets, *more], log, "--until-idle", *options, environment=environment)

    def moments(self, count: int) -> list[int]:
        """Return numbers of committed records at which to act, in order, early enough to hit the run."""
        return sorted(self.rng.sample(range(1, self.total * 8 // 10), count))

    def reach(self, driver: Driver, records: int) -> None:
        """Wait until `records` are committed. Fails when the driver ends before."""
        reach(driver, self.settings, records)

    def settled(self, wanted: Delivered) -> None:
        """Fail unless all is there as without a fault, and the audit finds nothing wrong."""
        assert_same(collect(self.settings), wanted)
        self.audited()

    def audited(self) -> None:
        """Fail, naming what is wrong, unless the audit finds nothing."""
        fine(verify(self.settings))
        note({"case": self.name, "seed": self.seed, "green": True})

    @contextmanager
    def recovery(self) -> Iterator[None]:
        """Measure from the block's beginning, where the fault comes, until each partition has committed again.

        That is past where it was at the block's end, when whoever is dead has committed what it could; a partition that
        has been read to its end has nothing left to commit.
        """
        with Progress(self.settings) as progress:
            ends = progress.ends()
            replayed = self._replayed(progress.offsets())
            began_s = clock.monotonic_s()
            yield
            before = progress.offsets()
            left = [name for name in SOURCES if before[name] < ends[name]]
            until(
                lambda: _all_past(progress.offsets(), before, left),
                f"each of {left} is committed past where it was",
                seconds=RECOVERY_S,
            )
            seconds = round(clock.monotonic_s() - began_s, 2)
        note({"case": self.name, "seed": self.seed, "recovery_s": seconds, "replayed": replayed, "open": len(left)})

    def _replayed(self, committed: Mapping[str, int]) -> int:
        """Return how many committed records are newer than their partition's newest snapshot."""
        behind = 0
        for name, offset in committed.items():
            folder = Path(self.settings.snapshots_url.plain()) / f"{self.settings.topic(name)}-0"
            taken = [int(p.stem) for p in folder.glob("[0-9]*.snapshot")]
            behind += max(0, offset - max((t for t in taken if t <= offset), default=0))
        return behind


def _all_past(now: Mapping[str, int], before: Mapping[str, int], names: Sequence[str]) -> bool:
    return all(now[name] > before[name] for name in names)


def note(line: Mapping[str, object]) -> None:
    """Add a line to the results, if somebody wants them."""
    if RESULTS:
        with Path(RESULTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
