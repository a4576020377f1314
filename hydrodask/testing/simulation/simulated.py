"""A whole platform in a simulated world: drivers, workers and fakes round real flows, hosts and coordinators."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any
from unittest.mock import patch

from hydrodask.driver import flight
from hydrodask.errors import FatalError, FencedError, RetryableError, WorkerLostError
from hydrodask.protocol.order import Build
from hydrodask.reports import Overview
from hydrodask.settings import Settings
from hydrodask.testing.simulation.actors import Actors
from hydrodask.testing.simulation.course import DRIVERS, FAULTY_S, PUBLISH_S, WITHIN, Course, Event, InjectedFault, Sent
from hydrodask.testing.simulation.fakecluster import Driver, FakeCluster
from hydrodask.testing.simulation.fakelogs import Entry
from hydrodask.testing.simulation.fakes import inside, refuse
from hydrodask.testing.simulation.world import SimulatedProcess

SETTLE_S = 200.0
"""Virtual time within which everything has to be at rest after the last fault."""


class SimulatedLife(Actors):
    """One life on a course. `run` returns when everything is at rest; the fakes then hold what was delivered.

    `reads` says whose flow each full name of a topic is, and `waiting` what is sent. `create` says what topics there
    are. Subclasses let more happen.
    """

    def __init__(
        self,
        course: Course,
        settings: Settings,
        *,
        builds: Mapping[str, Build],
        reads: Mapping[str, str],
        create: Mapping[str, int],
        waiting: Sequence[Sent] = (),
    ) -> None:
        super().__init__(course, settings, builds, reads)
        self.overview: Overview
        """What the last driver knew in the end."""
        self.hits: list[InjectedFault] = []
        """Faults that have happened."""
        self.faulty = True
        self._create, self._waiting = create, waiting
        self._seen: Counter[str] = Counter()
        self._away_until_s: dict[str, float] = {}
        self._seconds = False
        """Whether there have been two drivers at once: then one of them has to give up."""

    def run(self) -> None:
        """Live the whole life. Raises AssertionError when it does not come to rest, or ends as it should not."""
        self.world.on_call = self._on_call
        with inside(self.world), patch.object(flight, "GREET_S", 3.0):
            try:
                self.world.loop.run_until_complete(self._live())
            finally:
                self.end()

    def begin(self) -> None:
        """Make topics."""
        for topic, count in self._create.items():
            self.broker.create(topic, count)

    def unsent(self) -> Sequence[Sent]:
        """Return what is to be sent."""
        return self._waiting

    async def _live(self) -> None:
        self.begin()
        self.start()
        working = [asyncio.create_task(work) for work in (self._publish(), self._happen_all(), self.supervise())]
        await asyncio.sleep(FAULTY_S)
        await asyncio.gather(*working[:2])
        self.over()
        driver = await self.settled(working[2])
        if driver is None:
            return
        assert driver.coordinator is not None
        self.overview = driver.coordinator.tracker.overview
        driver.coordinator.want("stop")
        await asyncio.wait({driver.task}, timeout=30)
        assert driver.task.done(), "the driver does not stop"
        assert driver.error is None, f"the driver ended with {driver.error!r}"

    def over(self) -> None:
        """Let nothing go wrong any more."""
        self.faulty = False
        self._away_until_s.clear()

    async def deliver(self, worker: str) -> None:
        """Let a step's report be late, or get lost with its worker's connection."""
        if self.cut_off(worker, "after"):
            await asyncio.sleep(0.3)
            raise WorkerLostError(f"no report comes from {worker}")
        for fault in self._due("report"):
            self._hit(fault)
            if fault.kind == "stall":
                await asyncio.sleep(fault.seconds)
            else:
                raise WorkerLostError(f"the report of {worker} was lost")
        await asyncio.sleep(0.001)

    async def _publish(self) -> None:
        waiting = list(self.unsent())
        while waiting:
            now = self.world.loop.time() / PUBLISH_S
            held = []
            for one in waiting:
                source = one.topic, one.partition
                if one.when > now or source not in self.broker.logs:
                    held.append(one)
                else:
                    self.broker.append(source, Entry(one.value, one.key, stamp_ms=one.stamp_ms))
            waiting = held
            await asyncio.sleep(self.world.random.uniform(0.1, 0.5))

    async def _happen_all(self) -> None:
        working = []
        for event in self.course.events:
            await asyncio.sleep(max(0.0, event.at_s - self.world.loop.time()))
            self.world.note(f"{event}")
            if (work := self.happen(event)) is not None:
                working.append(asyncio.create_task(work))
        await asyncio.gather(*working)

    def happen(self, event: Event) -> Coroutine[Any, Any, None] | None:
        """Let an event happen, if there is somebody to whom it can; return what is still to be done of it."""
        clusters = [cluster for cluster in self.clusters() if cluster.living()]
        if event.kind == "foreign commit":
            self.broker.commit_foreign(self.settings.kafka.group)
        elif event.kind == "second driver":
            self._seconds = True
            self.start()
        elif event.kind == "kill driver":
            for driver in self.drivers[-1:]:
                driver.kill()
                self.orphan(driver)
        elif event.kind == "broker":
            self._away_until_s["kafka."] = self.world.loop.time() + event.seconds
        elif event.kind == "store":
            for prefix in ("files.", "documents."):
                self._away_until_s[prefix] = self.world.loop.time() + event.seconds
        elif clusters:
            self._to_cluster(event, clusters[0])
        return None

    def _to_cluster(self, event: Event, cluster: FakeCluster) -> None:
        if event.kind == "join":
            cluster.join()
        elif event.kind == "scheduler":
            cluster.away = True
            self.world.loop.call_later(event.seconds, setattr, cluster, "away", False)
        else:
            address = self.world.random.choice(cluster.living())
            cluster.kill(address)
            if event.kind == "kill worker" or not cluster.living():
                self.world.loop.call_later(event.seconds, cluster.join, self.world.random.choice([None, address]))

    async def supervise(self) -> None:
        """Start another driver when none is left; any end that the course does not explain is an error."""
        while True:
            await asyncio.sleep(0.1)
            for driver in self.drivers:
                if driver.error is not None and not self._explained(driver):
                    self.ended(driver)
            if not any(driver.living for driver in self.drivers) and not self.held:
                await asyncio.sleep(self.world.random.uniform(0.0, 1.0))
                self.start()
            for cluster in self.clusters():
                if not cluster.living() and not self.faulty:
                    cluster.join()

    def ended(self, driver: Driver) -> None:
        """Raise what an end is that nothing explains."""
        raise AssertionError(f"{driver.process.name} ended with {driver.error!r}") from driver.error

    @property
    def held(self) -> bool:
        """Whether nobody is to start a driver now."""
        return False

    def _explained(self, driver: Driver) -> bool:
        if isinstance(driver.error, RetryableError):
            return driver.coordinator is None  # it could not start: the broker was away
        taken_over = isinstance(driver.error, FatalError) and isinstance(driver.error.__cause__, FencedError)
        return self._seconds and (taken_over or isinstance(driver.error, FencedError))

    async def settled(self, supervising: "asyncio.Task[None]") -> Driver | None:
        """Return the driver that has brought everything to rest; None if it ends another way."""
        try:
            return await self.settle(supervising)
        finally:
            supervising.cancel()

    async def settle(self, supervising: "asyncio.Task[None]") -> Driver:
        """Wait until all is consumed, committed and flushed, and nobody is left who would go on with older work."""
        end_s = self.world.loop.time() + SETTLE_S
        while True:
            await asyncio.sleep(0.25)
            assert self.world.loop.time() < end_s, self._why_not()
            if supervising.done():
                supervising.result()
            living = [driver for driver in self.drivers if driver.living]
            if len(living) == 2 and self.world.loop.time() > end_s - SETTLE_S / 2:
                living[0].kill()  # one that has nothing to commit any more does not notice that there is another
                self.orphan(living[0])
            if len(living) != 1 or living[0].coordinator is None or self.zombies():
                continue
            one = living[0].coordinator
            ends = {source: log.stable for source, log in self.broker.logs.items() if source[0] in self.reads}
            flushed, settled = one.reached("flush"), one.settled(ends, self.broker.ids())
            if settled and flushed:
                return living[0]
            if settled:
                one.want("flush")

    def _why_not(self) -> str:
        seen = [(d.process.name, d.living, d.coordinator and d.coordinator.tracker.overview) for d in self.drivers]
        return f"not at rest after {SETTLE_S:g} s: {seen}"

    def _due(self, place: str) -> Iterator[InjectedFault]:
        self._seen[place] += 1
        count = self._seen[place]
        return iter([f for f in self.course.faults if f.place == place and f.count == count])

    def _hit(self, fault: InjectedFault) -> None:
        self.hits.append(fault)
        self.world.note(f"{fault}")

    def _on_call(self, process: SimulatedProcess, name: str, when: str) -> None:
        """Do to a process what the schedule has in store for it at this call."""
        if not self.faulty:
            return
        self.harm(process, name, when)
        if when == "before":
            self._refuse_while_away(name)
            self._seen[name] += 1
        for fault in self.course.faults:
            if fault.place == name and fault.when == when and fault.count == self._seen[name]:
                self.do(process, fault)

    def harm(self, process: SimulatedProcess, name: str, when: str) -> None:
        """Hold up a call, or refuse it."""

    def do(self, process: SimulatedProcess, fault: InjectedFault) -> None:
        """Let a fault happen to a process."""
        self._hit(fault)
        if fault.kind == "kill":
            self.kill(process)
        elif fault.kind == "stall" and fault.place not in DRIVERS:
            self.world.sleep_s(fault.seconds)
        elif fault.kind == "redeliver":
            for fetcher in self.broker.fetchers:
                fetcher.redeliver(10)
        elif fault.kind == "refuse" and not (fault.place in WITHIN and fault.when == "after"):
            refuse(fault.place)

    def _refuse_while_away(self, name: str) -> None:
        for prefix, until_s in self._away_until_s.items():
            if name.startswith(prefix) and self.world.loop.time() < until_s:
                self.world.sleep_s(0.2)
                refuse(name)
