"""The platform's own flows in a simulated world, with all that operators, disks and logs can do to them."""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from hydrodask.errors import HydrodaskError
from hydrodask.flows import FLOWS
from hydrodask.settings import Settings
from hydrodask.settings.model import Baseline, Detect
from hydrodask.testing.simulation.course import Event, InjectedFault, Sent
from hydrodask.testing.simulation.fakecluster import Driver
from hydrodask.testing.simulation.fakelogs import Entry
from hydrodask.testing.simulation.fakes import Fakes, inside, refuse
from hydrodask.testing.simulation.fakes import settings_of as small
from hydrodask.testing.simulation.simulated import SimulatedLife
from hydrodask.testing.simulation.world import SimulatedProcess
from tests.simulation.input import PREFIX, SENSORS
from tests.simulation.nemesis import Nemesis
from tests.simulation.recorded import put_back, unsent
from tests.simulation.schedule import HARMS, Schedule

__all__ = ["BUILDS", "FLOW_OF", "Fakes", "Platform", "inside", "refuse", "settings_of"]

ADVICE_MAX = 5
"""So often in a life the advice of a sentence is followed."""

FLOW_OF = {
    PREFIX + name: flow.name for flow in FLOWS for name in flow.topics if name in (*SENSORS, "labels", "analytics")
}
REMADE = tuple(PREFIX + name for name in (*SENSORS, "labels"))
"""Topics that may be deleted and made anew, and how often that happens in a life."""
REMADE_MAX = 3

BUILDS = {flow.name: flow.build for flow in FLOWS}


class Told(Exception):  # noqa: N818 - an answer, no error
    """A platform to which harm was done has ended, and has said why."""

    def __init__(self, error: HydrodaskError) -> None:
        super().__init__(str(error))
        self.error = error


class Platform(SimulatedLife):
    """One life by a schedule.

    `said` is the sentence that has ended it, if harm was done to it and it did not go on.
    """

    def __init__(self, schedule: Schedule) -> None:
        topics = {"TS1": 1 if schedule.late_partition else 2, "CE": 1, "labels": 1}
        outputs = {"analytics": 2, "cycles": 1, "dead-letter": 1}
        create = {PREFIX + name: count for name, count in (topics | outputs).items()}
        super().__init__(schedule, settings_of(dict(schedule.sets)), builds=BUILDS, reads=FLOW_OF, create=create)
        self.schedule = schedule
        self.nemesis = Nemesis(self)
        self.said: HydrodaskError | None = None
        self.healed = False
        """Whether it went on to its end."""
        self._ended: list[Driver] = []
        """Those that ran before the advice of a sentence was followed."""
        self._remade = 0

    def begin(self) -> None:
        """Make topics, or put back what the previous release has left."""
        if self.schedule.previous is not None:
            put_back(self.schedule.previous, self, self.settings.kafka.group)
        else:
            super().begin()

    def unsent(self) -> Sequence[Sent]:
        """Return the records of the input that were not sent yet."""
        return unsent(self, self.schedule.kind)

    def over(self) -> None:
        """Let nothing go wrong any more."""
        super().over()
        self.nemesis.over()

    def cut_off(self, worker: str, when: str) -> bool:
        """Say whether orders do not come to a worker, or its reports do not come back."""
        return self.nemesis.cut_off(worker, when)

    @property
    def held(self) -> bool:
        """Whether an operator is at work."""
        return self.nemesis.held

    def harm(self, process: SimulatedProcess, name: str, when: str) -> None:
        """Hold up a call, or refuse it."""
        self.nemesis.on_call(process, name, when)

    def refuse(self, name: str) -> None:
        """Refuse a call."""
        refuse(name)

    def happen(self, event: Event) -> Coroutine[Any, Any, None] | None:
        """Let an event happen, if there is somebody to whom it can; return what is still to be done of it."""
        if event.kind in HARMS:
            return self.nemesis.do(event)
        if event.kind == "partition":
            self.broker.create(f"{PREFIX}TS1", 2)
        elif event.kind in {"retention", "deletion"}:
            self._forget(everything=event.kind == "retention")
        elif event.kind == "remake":
            self.remake(event.seconds)
        elif event.kind == "broker leaves":
            self.broker.leaving = True
        else:
            return super().happen(event)
        return None

    def do(self, process: SimulatedProcess, fault: InjectedFault) -> None:
        """Let a fault happen to a process."""
        super().do(process, fault)
        if fault.kind == "remake":
            self.remake(fault.seconds)
        elif fault.kind == "power":
            self.nemesis.cut_power()

    def _forget(self, *, everything: bool) -> None:
        """Let the logs of sensors forget what they have, or a part of it."""
        for (topic, partition), log in self.broker.logs.items():
            if topic.removeprefix(PREFIX) in SENSORS:
                low = log.stable if everything else self.world.random.randint(log.low, log.stable)
                self.broker.retain((topic, partition), low)

    def remake(self, gone_s: float) -> None:
        """Delete a topic; it is made anew, at once or after a while, with nothing, some, or more than it had."""
        random = self.world.random
        topics = [topic for topic in REMADE if (topic, 0) in self.broker.logs]
        if not topics or self._remade >= REMADE_MAX:
            return
        self._remade += 1
        topic = random.choice(topics)
        had = {source: log.entries for source, log in self.broker.logs.items() if source[0] == topic}
        share = random.choice([0.0, 0.5, 1.0, 1.3])
        self.world.note(f"{topic} is made anew, with {share:g} of its records")
        self.broker.epochs = self.broker.epochs or random.random() < 0.5
        self.broker.delete(topic)

        def again() -> None:
            self.broker.create(topic, len(had))
            for source, entries in had.items():
                for entry in [*entries, *entries][: round(share * len(entries))]:
                    self.broker.append(source, Entry(entry.value, entry.key, stamp_ms=entry.stamp_ms))

        if gone_s:
            self.world.loop.call_later(gone_s, again)
        else:
            again()

    def ended(self, driver: Driver) -> None:
        """Raise what an end is that nothing explains: a sentence, if harm was done."""
        if driver in self._ended:
            return
        if self.schedule.harms and isinstance(driver.error, HydrodaskError):
            raise Told(driver.error)
        super().ended(driver)

    async def settled(self, supervising: "asyncio.Task[None]") -> Driver | None:
        """Settle; if the run ends with a sentence do what it says, and start it again. None: it only says why."""
        for _ in range(ADVICE_MAX):
            try:
                driver = await self.settle(supervising)
            except Told as told:
                self.said = told.error
                self._ended = list(self.drivers)
                self.nemesis.kill_all()
                if not self.nemesis.follow(str(told.error)):
                    return None
            else:
                self.healed = True
                return driver
            finally:
                supervising.cancel()
            supervising = asyncio.create_task(self.supervise())
        raise AssertionError(f"told {ADVICE_MAX} times what to do, and did it; in the end: {self.said}")


def settings_of(sets: dict[str, float]) -> Settings:
    """Return small settings with rules that these inputs break now and then."""
    detect = Detect(
        silent_after=120.0,  # longer than what a life sends: nobody may be called silent while it does
        coverage_min=0.4,  # so that provisional documents come, and are taken back
        rules=str(Path(__file__).with_name("rules.yaml")),
        baseline=Baseline(statistics=("avg_value",), warm_up=8, enter=4.0, exit=2.0),
    )
    return small(sets).model_copy(update={"detect": detect})
