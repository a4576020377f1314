"""A whole platform in a simulated world: drivers, workers and fakes round real flows, hosts and coordinators."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from unittest.mock import patch

from flows import FLOWS
from hydrodask import clock, failpoints
from hydrodask.detect import criteria
from hydrodask.detect.rules import load_rules
from hydrodask.errors import FatalError, FencedError, HydrodaskError, RetryableError, UnreachableError, WorkerLostError
from hydrodask.ingest import commits
from hydrodask.ingest import reader as reading
from hydrodask.ingest.discover import Discovery
from hydrodask.kafka import KafkaError, KafkaException
from hydrodask.reports import Overview, StepReport
from hydrodask.settings import Settings
from hydrodask.settings.model import Baseline, Detect, Documents, Kafka, Lake, Step, Window
from hydrodask.store import topics
from hydrodask.store.topics import fence
from hydrodask.stream import flight, spread, turns
from hydrodask.stream.coordinator import Coordinator
from hydrodask.stream.order import Order
from hydrodask.stream.ownership import Ownership
from hydrodask.stream.step import Desk, step
from hydrodask.stream.surroundings import Surroundings
from tests.simulation.broker import Entry, FakeBroker
from tests.simulation.input import PREFIX, SENSORS
from tests.simulation.nemesis import WITHIN, Nemesis
from tests.simulation.recorded import put_back, unsent
from tests.simulation.schedule import DRIVERS, FAULTY_S, HARMS, PUBLISH_S, Event, Fault, Schedule
from tests.simulation.stores import FakeDisk, FakeDocuments
from tests.simulation.world import OWNER, Killed, Process, World

ADVICE_MAX = 5
"""So often in a life the advice of a sentence is followed."""

SETTLE_S = 200.0
"""Virtual time within which everything has to be at rest after the last fault."""

FLOW_OF = {
    PREFIX + name: flow.name for flow in FLOWS for name in flow.topics if name in (*SENSORS, "labels", "analytics")
}
REMADE = tuple(PREFIX + name for name in (*SENSORS, "labels"))
"""Topics that may be deleted and made anew, and how often that happens in a life."""
REMADE_MAX = 3

_load_rules = cache(load_rules)
BUILDS = {flow.name: flow.build for flow in FLOWS}


class FakeCluster:
    """Worker processes by address, as the coordinator sees them; steps of one are done one after the other."""

    def __init__(self, platform: "Platform", name: str, count: int) -> None:
        self.name = name
        self.away = False
        self._platform = platform
        self._members: dict[str, Process] = {}
        self._desks: dict[Process, Desk] = {}
        self._made = 0
        for _ in range(count):
            self.join()

    def join(self, address: str | None = None) -> None:
        """Start a worker, at an address of its own unless a nanny gives it that of a dead one."""
        self._made += 1
        address = address or f"{self.name}-worker{self._made}"
        process = self._members[address] = Process(self._platform.world, address, serial=True)
        self._desks[process] = Desk()

    def living(self) -> list[str]:
        """Return the addresses of those who live."""
        return [address for address, process in self._members.items() if process.alive]

    def kill(self, address: str) -> None:
        """Kill -9 of a worker."""
        self._members[address].kill()

    async def workers(self) -> list[str]:
        if self.away:
            raise UnreachableError("the scheduler does not answer", backoff_s=0.2)
        return sorted(self.living())

    def paused(self) -> Mapping[str, str]:
        """Return nobody: nobody is short of memory here."""
        return {}

    async def memory(self, worker: str) -> str:
        """Say nothing: nobody is short of memory here."""
        return ""

    async def restart(self, worker: str) -> None:
        """Leave it: here nobody has a nanny, and who was given up goes on some time."""

    def processes(self) -> list[Process]:
        """Return the workers that live."""
        return [process for process in self._members.values() if process.alive]

    async def step(self, worker: str, order: Order) -> StepReport:
        process = self._members.get(worker)
        if process is None or not process.alive or self._platform.nemesis.cut_off(worker, "before"):
            await asyncio.sleep(0.01)
            raise WorkerLostError(f"there is no worker {worker}")
        surroundings, desk = self._platform.surroundings, self._desks[process]
        done = process.run(lambda: step(order, surroundings=surroundings, desk=desk))
        try:
            report = await done
        finally:
            done.cancel()  # takes it back if it has not begun; what has begun goes on
        await self._platform.deliver(worker)
        return report


class Told(Exception):  # noqa: N818 - an answer, no error
    """A platform to which harm was done has ended, and has said why."""

    def __init__(self, error: HydrodaskError) -> None:
        super().__init__(str(error))
        self.error = error


class Driver:
    """A driver process: fences its predecessors, then coordinates until it is stopped, killed or fenced."""

    def __init__(self, platform: "Platform", number: int, cluster: FakeCluster) -> None:
        self.process = Process(platform.world, f"driver{number}")
        self.cluster = cluster
        self.coordinator: Coordinator | None = None
        self.error: BaseException | None = None
        self._platform, self._number = platform, number
        self.task = asyncio.create_task(self._run())

    @property
    def living(self) -> bool:
        """Whether it still drives."""
        return self.process.alive and not self.task.done()

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.task.cancel()

    def _look(self) -> None:
        """Look before anything begins, as a platform does: at the windows that are in use, and at topics of ours."""
        settings, files = self._platform.settings, self._platform.disk.at(self._platform.settings.snapshots_url)
        turns.check(settings, files)
        logs = self._platform.broker.logs
        spread.settle(settings, files, Counter(topic for topic, _ in logs))

    async def _run(self) -> None:
        OWNER.set(self.process)
        settings, broker = self._platform.settings, self._platform.broker
        try:
            await asyncio.to_thread(self._look)
            discovery = Discovery(settings.kafka, FLOW_OF, connect=broker.consumer)
            ownership = Ownership(self._platform.disk.at(settings.snapshots_url), settings.kafka.group)
            number = await asyncio.to_thread(ownership.claim, f"run{self._number}")
            for slot in await asyncio.to_thread(ownership.slots):
                await asyncio.to_thread(fence, settings.kafka, slot, connect=broker.producer)

            def give_up(slot: int, generation: int) -> None:
                ownership.give_up(number, generation)
                fence(settings.kafka, slot, connect=broker.producer)

            self.coordinator = Coordinator(
                self.cluster,
                settings,
                run_id=f"run{self._number}",
                builds=BUILDS,
                discover=discovery.sources,
                fence=give_up,
                outdone=lambda: ownership.newest() > number,
                run=number,
            )
            await self.coordinator.run()
        except (Killed, WorkerLostError, asyncio.CancelledError) as error:
            if self.process.alive:
                self.error = error
        except Exception as error:
            self.error = error
        if self.coordinator is not None:
            self._platform.notes += self.coordinator.board.overview.notes
        self._platform.world.note(f"{self.process.name} ends: {self.error!r}")


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


class Platform(Fakes):
    """One life by a schedule. `run` returns when everything is at rest; the fakes then hold what was delivered.

    `said` is the sentence that has ended it, if harm was done to it and it did not go on.
    """

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(World(schedule.seed), schedule.mutation)
        self.schedule = schedule
        self.settings = settings_of(dict(schedule.sets))
        self.nemesis = Nemesis(self)
        self.said: HydrodaskError | None = None
        self._ended: list[Driver] = []
        """Those that ran before the advice of a sentence was followed."""
        self.healed = False
        """Whether it went on to its end."""
        self.notes: list[str] = []
        self.overview: Overview
        """What the last driver knew in the end."""
        self.hits: list[Fault] = []
        """Faults that have happened."""
        self.drivers: list[Driver] = []
        self._seen: Counter[str] = Counter()
        self._away_until_s: dict[str, float] = {}
        self._faulty = True
        self._remade = 0
        self._seconds = False
        """Whether there have been two drivers at once: then one of them has to give up."""
        self._shared: FakeCluster | None = None

    def run(self) -> None:
        """Live the whole life. Raises AssertionError when it does not come to rest, or ends as it should not."""
        self.world.on_call = self._on_call
        with inside(self.world), patch.object(flight, "GREET_S", 3.0):
            try:
                self.world.loop.run_until_complete(self._live())
            finally:
                self._end()

    def _begin(self) -> None:
        """Make topics, or put back what the previous release has left."""
        if self.schedule.previous is not None:
            put_back(self.schedule.previous, self, self.settings.kafka.group)
            return
        for topic, count in (("TS1", 1 if self.schedule.late_partition else 2), ("CE", 1), ("labels", 1)):
            self.broker.create(PREFIX + topic, count)
        for topic, count in (("analytics", 2), ("cycles", 1), ("dead-letter", 1)):
            self.broker.create(PREFIX + topic, count)

    async def _live(self) -> None:
        self._begin()
        self._start()
        working = [asyncio.create_task(work) for work in (self._publish(), self._happen_all(), self._supervise())]
        await asyncio.sleep(FAULTY_S)
        await asyncio.gather(*working[:2])
        self._faulty = False
        self._away_until_s.clear()
        self.nemesis.over()
        driver = await self._settle_as_told(working[2])
        if driver is None:
            return
        assert driver.coordinator is not None
        self.overview = driver.coordinator.board.overview
        self.healed = True
        driver.coordinator.want("stop")
        await asyncio.wait({driver.task}, timeout=30)
        assert driver.task.done(), "the driver does not stop"
        assert driver.error is None, f"the driver ended with {driver.error!r}"

    async def deliver(self, worker: str) -> None:
        """Let a step's report be late, or get lost with its worker's connection."""
        if self.nemesis.cut_off(worker, "after"):
            await asyncio.sleep(0.3)
            raise WorkerLostError(f"no report comes from {worker}")
        for fault in self._due("report"):
            self._hit(fault)
            if fault.kind == "stall":
                await asyncio.sleep(fault.seconds)
            else:
                raise WorkerLostError(f"the report of {worker} was lost")
        await asyncio.sleep(0.001)

    def processes(self) -> list[Process]:
        """Return all processes that live."""
        drivers = [driver.process for driver in self.drivers if driver.living]
        return drivers + [process for cluster in self._clusters() for process in cluster.processes()]

    def kill_all(self) -> None:
        """Kill all that runs on the machine; a cluster of its own starts again by and by."""
        for driver in self.drivers:
            driver.kill()
            for process in driver.cluster.processes():
                process.kill()
        if self._shared is not None:
            for _ in range(self.schedule.workers):
                self.world.loop.call_later(self.world.random.uniform(0.1, 0.6), self._shared.join)

    def refuse(self, name: str) -> None:
        """Refuse a call."""
        refuse(name)

    def _start(self) -> Driver:
        number = len(self.drivers) + 1
        if self.schedule.shared:
            self._shared = self._shared or FakeCluster(self, "c", self.schedule.workers)
            cluster = self._shared
        else:
            cluster = FakeCluster(self, f"d{number}", self.schedule.workers)
        driver = Driver(self, number, cluster)
        self.drivers.append(driver)
        return driver

    def _clusters(self) -> list[FakeCluster]:
        return list({id(d.cluster): d.cluster for d in self.drivers if d.living or self.schedule.shared}.values())

    async def _publish(self) -> None:
        waiting = unsent(self, self.schedule.kind)
        while waiting:
            now = self.world.loop.time() / PUBLISH_S
            held = []
            for one in waiting:
                source = one.topic, one.partition
                if one.when > now or source not in self.broker.logs:
                    held.append(one)
                else:
                    self.broker.append(source, Entry(one.value, b"key", stamp_ms=one.stamp_ms))
            waiting = held
            await asyncio.sleep(self.world.random.uniform(0.1, 0.5))

    async def _happen_all(self) -> None:
        operators = []
        for event in self.schedule.events:
            await asyncio.sleep(max(0.0, event.at_s - self.world.loop.time()))
            self.world.note(f"{event}")
            if event.kind in HARMS:
                operators.append(asyncio.create_task(self.nemesis.do(event)))
            else:
                self.happen(event)
        await asyncio.gather(*operators)

    def happen(self, event: Event) -> None:
        """Let an event happen, if there is somebody to whom it can."""
        clusters = [cluster for cluster in self._clusters() if cluster.living()]
        if event.kind == "partition":
            self.broker.create(f"{PREFIX}TS1", 2)
        elif event.kind in {"retention", "deletion"}:
            self._forget(everything=event.kind == "retention")
        elif event.kind == "foreign commit":
            self.broker.commit_foreign(self.settings.kafka.group)
        elif event.kind == "remake":
            self.remake(event.seconds)
        elif event.kind == "second driver":
            self._seconds = True
            self._start()
        elif event.kind == "kill driver":
            for driver in self.drivers[-1:]:
                driver.kill()
                self._orphan(driver)
        elif event.kind == "broker":
            self._away_until_s["kafka."] = self.world.loop.time() + event.seconds
        elif event.kind == "store":
            for prefix in ("files.", "documents."):
                self._away_until_s[prefix] = self.world.loop.time() + event.seconds
        elif clusters:
            self._to_cluster(event, clusters[0])

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

    async def _supervise(self) -> None:
        """Start another driver when none is left; any end that the schedule does not explain is an error."""
        while True:
            await asyncio.sleep(0.1)
            for driver in self.drivers:
                if driver.error is not None and driver not in self._ended and not self._explained(driver):
                    if self.schedule.harms and isinstance(driver.error, HydrodaskError):
                        raise Told(driver.error)
                    raise AssertionError(f"{driver.process.name} ended with {driver.error!r}") from driver.error
            if not any(driver.living for driver in self.drivers) and not self.nemesis.held:
                await asyncio.sleep(self.world.random.uniform(0.0, 1.0))
                self._start()
            for cluster in self._clusters():
                if not cluster.living() and not self._faulty:
                    cluster.join()

    def _explained(self, driver: Driver) -> bool:
        if isinstance(driver.error, RetryableError):
            return driver.coordinator is None  # it could not start: the broker was away
        taken_over = isinstance(driver.error, FatalError) and isinstance(driver.error.__cause__, FencedError)
        return self._seconds and (taken_over or isinstance(driver.error, FencedError))

    async def _settle_as_told(self, supervising: "asyncio.Task[None]") -> Driver | None:
        """Settle; if the run ends with a sentence do what it says, and start it again. None: it only says why."""
        for _ in range(ADVICE_MAX):
            try:
                return await self._settle(supervising)
            except Told as told:
                self.said = told.error
                self._ended = list(self.drivers)
                self.nemesis.kill_all()
                if not self.nemesis.follow(str(told.error)):
                    return None
            finally:
                supervising.cancel()
            supervising = asyncio.create_task(self._supervise())
        raise AssertionError(f"told {ADVICE_MAX} times what to do, and did it; in the end: {self.said}")

    async def _settle(self, supervising: "asyncio.Task[None]") -> Driver:
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
                self._orphan(living[0])
            if len(living) != 1 or living[0].coordinator is None or self._zombies():
                continue
            one = living[0].coordinator
            ends = {source: log.stable for source, log in self.broker.logs.items() if source[0] in FLOW_OF}
            flushed, settled = one.reached("flush"), one.settled(ends, self.broker.ids())
            if settled and flushed:
                return living[0]
            if settled:
                one.want("flush")

    def _zombies(self) -> bool:
        """Say whether processes of drivers that are gone still do something."""
        gone = [driver for driver in self.drivers if not driver.living and not self.schedule.shared]
        return any(p.threads for driver in gone for p in driver.cluster._members.values() if p.alive)

    def _why_not(self) -> str:
        seen = [(d.process.name, d.living, d.coordinator and d.coordinator.board.overview) for d in self.drivers]
        return f"not at rest after {SETTLE_S:g} s: {seen}"

    def _end(self) -> None:
        """Let everybody go, so that nothing of this world is left."""
        for driver in self.drivers:
            driver.kill()
            for process in driver.cluster._members.values():
                process.kill()
        loop = self.world.loop
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:  # `gather` of nothing makes a loop of its own, which nobody closes
            with contextlib.suppress(BaseException):
                loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        for _ in range(10):  # threads that were told to end by others than the loop
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    def _due(self, place: str) -> Iterator[Fault]:
        self._seen[place] += 1
        count = self._seen[place]
        return iter([f for f in self.schedule.faults if f.place == place and f.count == count])

    def _hit(self, fault: Fault) -> None:
        self.hits.append(fault)
        self.world.note(f"{fault}")

    def _on_call(self, process: Process, name: str, when: str) -> None:
        """Do to a process what the schedule has in store for it at this call."""
        if not self._faulty:
            return
        self.nemesis.on_call(process, name, when)
        if when == "before":
            self._refuse_while_away(name)
            self._seen[name] += 1
        for fault in self.schedule.faults:
            if fault.place == name and fault.when == when and fault.count == self._seen[name]:
                self._do(process, fault)

    def _do(self, process: Process, fault: Fault) -> None:
        self._hit(fault)
        if fault.kind == "kill":
            self._kill(process)
        elif fault.kind == "stall" and fault.place not in DRIVERS:
            self.world.sleep_s(fault.seconds)
        elif fault.kind == "remake":
            self.remake(fault.seconds)
        elif fault.kind == "power":
            self.nemesis.cut_power()
        elif fault.kind == "redeliver":
            for fetcher in self.broker.fetchers:
                fetcher.redeliver(10)
        elif fault.kind == "refuse" and not (fault.place in WITHIN and fault.when == "after"):
            refuse(fault.place)

    def _kill(self, process: Process) -> None:
        for driver in self.drivers:
            if driver.process is process:
                driver.kill()
                self._orphan(driver)
                return
            if process.name in driver.cluster._members:
                process.kill()
                again = self.world.random.choice([None, process.name])
                self.world.loop.call_later(self.world.random.uniform(0.2, 1.5), driver.cluster.join, again)
                return

    def _orphan(self, driver: Driver) -> None:
        """Let the workers of a dead driver find out, after a while, if they are its own."""
        if not self.schedule.shared:
            for process in driver.cluster._members.values():
                self.world.loop.call_later(self.world.random.uniform(0.0, 4.0), process.kill)

    def _refuse_while_away(self, name: str) -> None:
        for prefix, until_s in self._away_until_s.items():
            if name.startswith(prefix) and self.world.loop.time() < until_s:
                self.world.sleep_s(0.2)
                refuse(name)


@contextlib.contextmanager
def inside(world: World) -> Iterator[None]:
    """Let the engine live in `world`: its clock, its fail points, and no threads."""
    with (
        clock.replaced_by(world),
        failpoints.armed(world.come_to),
        patch.object(topics, "in_background", _at_once),
        patch.object(topics, "in_time", lambda call, _seconds: call()),
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
    """Return small settings: windows of 6 s every two seconds, steps of 0.4 s."""
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
        detect=Detect(
            silent_after=None,  # what a fault delays by minutes would be a silence
            coverage_min=0.4,  # so that provisional documents come, and are taken back
            rules=str(Path(__file__).with_name("rules.yaml")),
            baseline=Baseline(statistics=("avg_value",), warm_up=8, enter=4.0, exit=2.0),
        ),
    )


def _at_once(*calls: Callable[[], object]) -> None:
    """Make calls here and now, for a simulated process has no threads."""
    for call in calls:
        call()
