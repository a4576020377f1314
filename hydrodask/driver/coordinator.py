"""The driver's side: a desired assignment, and one step in flight on each worker that makes it true.

Level-triggered: what is wanted is computed anew from who is there and what topics there are, and a worker that dies,
joins, restarts or stalls needs no path of its own. A partition is in at most one seat's order at a time; it goes to
another only after its seat has reported without it, or has been fenced.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from hydrodask import clock
from hydrodask.driver.assignment import Assignment
from hydrodask.driver.blame import Shared
from hydrodask.driver.flight import fly
from hydrodask.driver.losses import Losses
from hydrodask.driver.overview import StatusTracker
from hydrodask.driver.pauses import Pauses
from hydrodask.driver.seats import Cluster, Seat
from hydrodask.errors import (
    ConfigError,
    FatalError,
    FencedError,
    HydrodaskError,
    IntegrityError,
    RetryableError,
    WorkerLostError,
)
from hydrodask.failpoints import failpoint
from hydrodask.outage import Outage
from hydrodask.protocol.incarnation import same
from hydrodask.protocol.order import Build, Order
from hydrodask.protocol.ownership import unclaimed
from hydrodask.records import PartitionId
from hydrodask.reports import Pulse, StepReport
from hydrodask.settings import Settings
from hydrodask.settings.relations import within_step

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_S = 0.5
"""How often the coordinator looks at workers and at what is asked for."""

FENCINGS_MAX = 20
"""So often may somebody who is no later run take slots away: it is one that can't be seen from here."""


class Coordinator:
    """Keeps one step in flight on each worker. `run` returns after `stop`, or raises what ended it."""

    def __init__(
        self,
        cluster: Cluster,
        settings: Settings,
        *,
        run_id: str,
        builds: Mapping[str, Build],
        discover: Callable[[], Mapping[PartitionId, str]],
        fence: Callable[[int, int], None],
        outdone: Callable[[], bool] = lambda: True,
        run: int = 0,
        begun: bool | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        """`fence` gives a slot's generation up; `outdone`: has a later run come than this, the `run`-th of a group."""
        self.tracker = StatusTracker(run_id, clock.now_us())
        self._cluster, self._settings = Shared.of(cluster), settings
        self._given = within_step(settings)
        self._builds, self._discover = dict(builds), discover
        self._fence, self._outdone = fence, outdone
        self._run, self._pulse = run, pulse or Pulse()
        self._begun = run > 1 if begun is None else begun
        self._mode, self._losses, self._pauses = "run", Losses(), Pauses(self.tracker.note)
        self._seats: dict[str, Seat] = {}
        self._assignment = Assignment(settings.topics.prefix)
        self._generation = self._fencings = 0
        self._discovered_s = float("-inf")
        self._alone, self._refusal, self._stuck = Outage(), Outage(), Outage()

    def want(self, mode: str) -> None:
        """Ask every seat for `run`, `flush` or `stop`."""
        self._mode = mode

    async def run(self) -> None:
        """Work until every seat has stopped. Raises FatalError, IntegrityError or what patience ended with."""
        try:
            while not self._over():
                await self._look()
                await self._pause()
        finally:
            self._pulse.look_s = None
            for seat in self._seats.values():
                if seat.task is not None:
                    seat.task.cancel()

    def settled(self, ends: Mapping[PartitionId, int], logs: Mapping[str, str] = MappingProxyType({})) -> bool:
        """Say whether all that there was up to `ends`, as the broker counts, is consumed and committed.

        `logs` names the log that each topic has now: what is known of another one says nothing.
        """
        seen = self.tracker.overview.partitions
        known = seen.keys() - self._assignment.stale
        return set(self.sources) <= set(ends) <= known and all(
            # Records that are replayed are committed already, and not yet in files again.
            min(seen[source].position, seen[source].committed) - seen[source].base >= end
            and same(logs.get(source[0], seen[source].log), seen[source].log)
            for source, end in ends.items()
        )

    def reached(self, mode: str) -> bool:
        """Say whether every seat has done a step in `mode`, and has published what came of it."""
        ready = self._ready()
        return bool(ready) and all(seat.reached == mode for seat in ready)

    @property
    def sources(self) -> Mapping[PartitionId, str]:
        """The partitions that there are, and whose flow each is."""
        return self._assignment.sources

    def _over(self) -> bool:
        return self._mode == "stop" and all(s.stopped or s.lost or not s.steps for s in self._seats.values())

    async def _look(self) -> None:
        """Compare what is wanted with what is there."""
        now_s = self._pulse.look_s = clock.monotonic_s()
        try:
            if now_s - self._discovered_s >= self._settings.kafka.discover_every:
                self._assignment.found(await asyncio.to_thread(self._discover))
                self._discovered_s = now_s
            workers = await self._cluster.workers()
            self._pauses.look(self._cluster.paused(), self._seats.values(), self._ready())
            self._attend(workers)
            self._refusal.end()
        except RetryableError as error:
            await self._wait(self._refusal, error)
        else:
            self._mind_loneliness()  # a scheduler that does not answer does not say that there is nobody
        self._assignment.place(self._ready())
        self.tracker.refresh({s.worker: s.slot for s in self._living()}, self._state())

    async def _pause(self) -> None:
        """Wait a little, or until a seat's task has ended; an error that ends the run comes out here."""
        tasks = [s.task for s in self._seats.values() if s.task is not None]
        if not tasks:
            await asyncio.sleep(LOOK_S)
            return
        done, _ = await asyncio.wait(tasks, timeout=LOOK_S, return_when=asyncio.FIRST_EXCEPTION)
        for task in filter(done.__contains__, tasks):  # in order: a set of tasks has none
            task.result()
        for worker, seat in list(self._seats.items()):
            if seat.task in done and seat.lost:
                del self._seats[worker]  # if its address answers again it gets a new seat and generation
        await asyncio.sleep(LOOK_S if done else 0)

    def _attend(self, workers: list[str]) -> None:
        """Give new workers a seat, and tell the seats of those who are gone: their steps may never come back."""
        for worker in workers:
            if worker not in self._seats and worker not in self._pauses.why and self._mode != "stop":
                self._seat(worker)
        there = set(workers)
        for worker, seat in self._seats.items():
            if worker not in there:
                seat.gone.set()

    def _seat(self, worker: str) -> None:
        """Give a new worker the lowest free slot, and start its steps."""
        taken = {s.slot for s in self._seats.values()}
        slot = next(i for i in range(len(taken) + 1) if i not in taken)
        self._generation += 1
        seat = self._seats[worker] = Seat(worker, slot, self._generation)
        seat.task = asyncio.create_task(self._drive(seat), name=f"drive {worker}")

    def _living(self) -> list[Seat]:
        return [s for s in self._seats.values() if not s.lost and not s.stopped]

    def _ready(self) -> list[Seat]:
        """Return who has answered since it was seated: one that stands still must not get a partition again."""
        return [s for s in self._living() if s.steps]

    def _order(self, seat: Seat) -> Order:
        """Return the next order: what the seat should host and nobody else holds."""
        sources = self._assignment.grant(seat)
        return Order(
            self.tracker.run_id, seat.generation, seat.slot, seat.worker, self._given, sources, self._builds,
            mode=self._mode if seat.steps else "greet",
            run=self._run,
            newcomers=self._assignment.newcomers(sources, start=self._settings.kafka.start, begun=self._begun),
            deaf=self.tracker.deaf(self.sources, clock.monotonic_s()),
        )  # fmt: skip

    async def _drive(self, seat: Seat) -> None:
        """Keep one step in flight until the seat is stopped or lost."""
        while not seat.stopped:
            order = self._order(seat)
            failpoint("drive.ordered")
            try:
                report = await fly(self._cluster, seat, order, self._settings.step, self.tracker.note)
            except (WorkerLostError, TimeoutError) as error:
                await self._lose(seat, order, error)
                return
            except FencedError as error:
                await self._fenced(seat, error)
                return
            except (ConfigError, FatalError, IntegrityError):
                raise
            except HydrodaskError as error:
                await self._failed(seat, order, error)
                continue
            failpoint("drive.reported")
            self._take(seat, order, report)

    def _take(self, seat: Seat, order: Order, report: StepReport) -> None:
        """Take note of a report, and free what the seat does not host any more."""
        seat.steps += 1
        hosted = {(p.topic, p.partition) for p in report.partitions}
        self._assignment.free(seat, kept=hosted | set(order.sources))
        self._assignment.stale -= hosted
        self.tracker.take(report, clock.monotonic_s())
        if seat.steps == 1:
            self._assignment.place(self._ready())  # or its next step, a whole trigger, would have nothing to do
        if not report.waiting:
            if order.mode != "greet":
                self._pulse.step_s = clock.monotonic_s()
                self._stuck.end()  # somebody gets through a step: whoever does not is given up, the run is not
                if self._losses.finished(seat, report):
                    seat.failing.end()
            seat.reached = order.mode
            seat.stopped = order.mode == "stop"

    async def _failed(self, seat: Seat, order: Order, error: HydrodaskError) -> None:
        """Wait before the next step, and give up once patience is over: a step that has got on in between ends it."""
        self._losses.failed(order.sources, self.tracker.overview.partitions)
        named = RetryableError(f"worker {seat.worker}: {error}", backoff_s=getattr(error, "backoff_s", 1.0))
        await self._wait(seat.failing, named)

    async def _lose(self, seat: Seat, order: Order, error: WorkerLostError | TimeoutError) -> None:
        """Let go of a seat whose worker is gone or hangs. Raises FatalError after too many in a row."""
        late = isinstance(error, TimeoutError)
        memory = await self._cluster.memory(seat.worker, died=not late)
        why = f"{error}: {memory}" if memory else str(error)
        if not self._cluster.guilty(seat.worker, why, memory=bool(memory), late=late):
            self._losses.lost(seat, order.sources, self.tracker.overview.partitions, why=why, memory=memory)
        await self._give_up(seat, why)
        if late:
            await self._cluster.restart(seat.worker)  # whatever it hangs in, its next step would wait for that
            self._stuck.check(RetryableError(why), self._settings.step.patience)

    async def _give_up(self, seat: Seat, why: str) -> None:
        """Fence the seat's slot for good, then let its partitions go to others."""
        log.warning("slot %s is lost: %s", seat.slot, why, extra={"slot": seat.slot, "worker": seat.worker})
        self.tracker.note(f"slot {seat.slot} lost: {why}")
        failpoint("fence.begun")
        await self._patiently(lambda: self._fence(seat.slot, seat.generation))
        failpoint("fence.done")
        seat.lost = True
        self._assignment.free(seat, kept=set())

    async def _fenced(self, seat: Seat, error: FencedError) -> None:
        """End the run if a later one has the group; else somebody that was given up went on, and is fenced again."""
        self._fencings += 1
        group = self._settings.kafka.group
        if await self._patiently(self._outdone):
            raise FatalError(f"another hydrodask run has taken over group {group!r}; this one ends: {error}") from error
        if self._fencings > FENCINGS_MAX:
            raise FatalError(unclaimed(group, self._settings.snapshots_url, self._fencings, error)) from error
        await self._give_up(seat, str(error))

    async def _patiently(self, call: Callable[[], T]) -> T:
        """Return what a call does; who is away for a moment is waited for, for nothing may go on before."""
        trouble = Outage()
        while True:
            try:
                return await asyncio.to_thread(call)
            except RetryableError as error:
                await self._wait(trouble, error)

    async def _wait(self, trouble: Outage, error: RetryableError) -> None:
        """Wait before the next try, and tell people why. Raises FatalError once patience is over."""
        trouble.check(error, self._settings.step.patience)
        self.tracker.note(str(error))
        await asyncio.sleep(error.backoff_s)

    def _mind_loneliness(self) -> None:
        """Wait for a cluster without workers, though not for ever."""
        if self._living() or self._mode == "stop":
            self._alone.end()
        else:
            self._alone.check(self._pauses.alone(), self._settings.step.patience)

    def _state(self) -> str:
        return "stopping" if self._mode == "stop" else self._pauses.state(self._living())
