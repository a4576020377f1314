"""The coordinator with workers in memory: who hosts what when workers die, hang, join and come back.

Time is virtual, so limits of minutes are those that people have by default.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pytest

from hydrodask.driver.coordinator import Coordinator
from hydrodask.driver.losses import IDLE_STEPS, LOSSES_MAX
from hydrodask.errors import (
    ConfigError,
    FatalError,
    FencedError,
    HydrodaskError,
    RetryableError,
    UnreachableError,
    WorkerLostError,
)
from hydrodask.protocol.order import Order
from hydrodask.records import PartitionId
from hydrodask.reports import PartitionReport, StepReport
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from hydrodask.testing.simulation.world import World

SOURCES = {(f"hydraulic-{s}", 0): "monitor" for s in ("PS1", "PS2", "FS1", "TS1", "CE")}
SETTINGS = Settings()
PATIENCE_S = SETTINGS.step.patience
STEP_S = SETTINGS.step.trigger

SHORTLY_S = 2.0
"""Within this a coordinator has looked, and everybody has done a step."""

FOR_EVER_S = 86_400.0


@dataclass
class FakeCluster:
    """Workers in memory that hold what they are told to, as hosts do: until told otherwise, or fenced.

    A source that is given to a worker while another one may still write for it is an error of the coordinator's.
    """

    alive: list[str] = field(default_factory=list)
    hanging: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    """Who answers, and hangs in its work."""
    dying: set[str] = field(default_factory=set)
    """Who dies of its work; a nanny starts it again."""
    starved: str = ""
    """What is said of the memory of those who died."""
    pausing: dict[str, str] = field(default_factory=dict)
    """Who starts no step, and why."""
    failing: dict[str, HydrodaskError] = field(default_factory=dict)
    away: bool = False
    holders: dict[PartitionId, tuple[str, int, int]] = field(default_factory=dict)
    fenced: list[int] = field(default_factory=list)
    fence_errors: list[HydrodaskError] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    @cached_property
    def world(self) -> World:
        """Where they live."""
        return World(0)

    @property
    def now_s(self) -> float:
        """Virtual time since it began."""
        return self.world.loop.now_s

    async def workers(self) -> list[str]:
        """Return who is there."""
        if self.away:
            raise UnreachableError("the Dask scheduler does not answer", backoff_s=1.0)
        return sorted(self.alive)

    def paused(self) -> Mapping[str, str]:
        """Return who is paused."""
        return self.pausing

    async def memory(self, _worker: str, *, died: bool = False) -> str:  # noqa: ARG002
        """Say what is wrong with a worker's memory."""
        return self.starved

    async def restart(self, worker: str) -> None:
        """Take note."""
        self.events.append(f"restart {worker}")

    def step(self, worker: str, order: Order) -> Awaitable[StepReport]:
        """Hold what the order says, and report it a trigger later."""
        return self._step(worker, order)

    async def _step(self, worker: str, order: Order) -> StepReport:
        self._check(worker)
        self.orders.append(order)
        me = (worker, order.generation, order.slot)
        for source in [s for s, holder in self.holders.items() if holder == me]:
            if source not in order.sources:
                del self.holders[source]
        for source in order.sources:
            holder = self.holders.setdefault(source, me)
            assert holder == me, f"{source} goes to {me} while {holder} may still write for it"
        hangs = worker in self.hanging or (worker in self.stuck and order.mode != "greet")
        await asyncio.sleep(FOR_EVER_S if hangs else order.settings.step.trigger)
        self._check(worker)
        if worker in self.dying and order.mode != "greet" and order.sources:
            raise WorkerLostError(f"worker {worker} went away during a step")
        if order.mode == "stop":
            self.holders = {s: holder for s, holder in self.holders.items() if holder != me}
        report = StepReport(worker, order.slot, order.generation, latency_counts=[0] * 15)
        report.partitions = [
            PartitionReport(flow, *source, position=9, committed=9)
            for source, flow in order.sources.items()
            if order.mode != "stop"
        ]
        return report

    def _check(self, worker: str) -> None:
        if worker not in self.alive:
            raise WorkerLostError(f"worker {worker} went away during a step")
        if worker in self.failing:
            raise self.failing[worker]

    def fence(self, slot: int, _generation: int) -> None:
        """Make sure that a slot can't write any more."""
        if self.fence_errors:
            raise self.fence_errors.pop()
        self.fenced.append(slot)
        self.holders = {s: holder for s, holder in self.holders.items() if holder[2] != slot}

    def hosts(self) -> dict[str, set[PartitionId]]:
        """Return what each worker holds."""
        found: dict[str, set[PartitionId]] = {}
        for source, (worker, _, _) in self.holders.items():
            found.setdefault(worker, set()).add(source)
        return found

    def complete(self, *workers: str) -> bool:
        """Say whether exactly these workers hold all sources together."""
        return set(self.holders) == set(SOURCES) and set(self.hosts()) == set(workers)


def play(
    cluster: FakeCluster,
    story: Callable[[Coordinator], Coroutine[None, None, None]],
    *,
    discover: Callable[[], Mapping[PartitionId, str]] = lambda: SOURCES,
    outdone: Callable[[], bool] = lambda: True,
    stop: bool = True,
    settings: Settings = SETTINGS,
    run_number: int = 0,
    begun: bool | None = None,
) -> Coordinator:
    """Run a coordinator while the story is told, then stop it; raises what ended it."""

    async def run() -> Coordinator:
        one = Coordinator(
            cluster,
            settings,
            run_id="run",
            run=run_number,
            begun=begun,
            builds={},
            discover=discover,
            fence=cluster.fence,
            outdone=outdone,
        )
        working = asyncio.create_task(one.run())
        telling = asyncio.create_task(story(one))
        done, _ = await asyncio.wait({working, telling}, timeout=FOR_EVER_S, return_when=asyncio.FIRST_COMPLETED)
        assert done, "neither the story nor the coordinator came to an end"
        if working in done:
            telling.cancel()
            working.result()
        telling.result()
        if stop:
            one.want("stop")
        await asyncio.wait_for(working, PATIENCE_S)
        return one

    return cluster.world.live(run())


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, ten minutes at most."""
    async with asyncio.timeout(600):
        while not condition():  # noqa: ASYNC110  (what is waited for has no event)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("run", "begun", "old"), [(1, None, set(SOURCES)), (2, None, set()), (2, False, set(SOURCES))])
def test_what_is_younger_than_the_group_is_a_newcomer(run: int, begun: bool | None, old: set[PartitionId]) -> None:
    """With `kafka.start: latest` only what was there when the group began is read from its end on."""
    cluster = FakeCluster(["w1"])
    younger = {("hydraulic-VS1", 0): "monitor"}
    there: dict[PartitionId, str] = dict(SOURCES)
    settings = SETTINGS.model_copy(update={"kafka": Kafka(start="latest")})

    async def story(_one: Coordinator) -> None:
        await until(lambda: set(cluster.holders) == set(SOURCES))
        there.update(younger)
        await until(lambda: set(cluster.holders) == set(SOURCES | younger))

    play(cluster, story, discover=lambda: dict(there), settings=settings, run_number=run, begun=begun)

    assert cluster.orders[-1].mode == "stop"
    for order in cluster.orders:
        assert order.newcomers == set(order.sources) - old


def test_one_worker_gets_everything() -> None:
    """The only worker hosts all partitions, in slot 0, and lets go of them at the end."""
    cluster = FakeCluster(["w1"])

    async def story(_one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1"))

    play(cluster, story)

    assert {o.slot for o in cluster.orders} == {0}
    assert cluster.orders[-1].mode == "stop"
    assert (cluster.holders, cluster.fenced) == ({}, [])


def test_two_workers_share() -> None:
    """Each has a slot of its own; no source is ever with both."""
    cluster = FakeCluster(["w1", "w2"])

    async def story(one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1", "w2"))
        await until(lambda: len(one.tracker.overview.partitions) == len(SOURCES))

    one = play(cluster, story)

    assert {(o.worker, o.slot) for o in cluster.orders} == {("w1", 0), ("w2", 1)}
    assert one.settled(dict.fromkeys(SOURCES, 9))
    assert not one.settled(dict.fromkeys(SOURCES, 10))


def test_lost_worker_is_fenced_before_its_partitions_move() -> None:
    """The fake refuses a source whose holder is not fenced, so reaching the end is the proof."""
    cluster = FakeCluster(["w1", "w2"])

    async def story(_one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1", "w2"))
        slot = next(o.slot for o in cluster.orders if o.worker == "w2")
        cluster.alive.remove("w2")
        await until(lambda: cluster.complete("w1"))
        assert cluster.fenced == [slot]

    one = play(cluster, story)

    # Its step fails, or the scheduler does not know it any more, whichever is seen first.
    assert any("slot 1 lost: worker w2 " in n for n in one.tracker.overview.notes)


def test_fence_that_fails_is_tried_again() -> None:
    """A broker that is away just when a worker dies ends nothing; nothing moves before it is back."""
    cluster = FakeCluster(["w1", "w2"])

    async def story(_one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1", "w2"))
        cluster.fence_errors = [RetryableError("no broker", backoff_s=1.0) for _ in range(3)]
        cluster.alive.remove("w2")
        await until(lambda: cluster.complete("w1"))

    play(cluster, story)

    assert cluster.fenced == [1]
    assert cluster.fence_errors == []


def test_fence_that_can_not_be_had_ends_the_run() -> None:
    """What a dead worker had goes nowhere before it is fenced, and the broker is waited for `step.patience` long."""
    cluster = FakeCluster(["w1", "w2"])

    async def story(_one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1", "w2"))
        cluster.fence_errors = [RetryableError("no broker", backoff_s=1.0) for _ in range(1000)]
        cluster.alive.remove("w2")
        await until(lambda: cluster.complete("w1"))

    with pytest.raises(FatalError, match=r"gave up after 300 s \(step.patience\): no broker"):
        play(cluster, story)


def test_worker_that_comes_back_is_a_new_one() -> None:
    """The nanny's new process has the old address: it gets a new generation, and a slot that is free."""
    cluster = FakeCluster(["w1"])

    async def story(_one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1"))
        cluster.alive.remove("w1")
        await until(lambda: cluster.fenced == [0])
        cluster.alive.append("w1")
        await until(lambda: cluster.complete("w1"))

    play(cluster, story)

    assert sorted({o.generation for o in cluster.orders}) == [1, 2]


def test_step_over_its_time_is_given_up_and_fenced() -> None:
    """A worker that hangs may wake up and write: its slot is fenced, then others go on."""
    cluster = FakeCluster(["w1", "w2"])

    async def story(_one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1", "w2"))
        cluster.hanging.add("w2")
        await until(lambda: 1 in cluster.fenced)
        cluster.alive.remove("w2")
        await until(lambda: cluster.complete("w1"))

    one = play(cluster, story)

    assert any("step.time_max" in n for n in one.tracker.overview.notes)
    assert "restart w2" in cluster.events


def test_a_paused_worker_is_named_at_once_and_not_left_with_partitions() -> None:
    """Alone it is waited for, and said; if there are others they get what it hosts within seconds. Later it is back."""
    cluster = FakeCluster(["w1"])
    cure = "Dask has paused it; set distributed.worker.memory.pause to false"

    async def story(one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1"))
        cluster.pausing["w1"] = cure
        cluster.hanging.add("w1")
        began_s = cluster.now_s
        await until(lambda: one.tracker.overview.state == "waiting for memory")
        assert any(note.endswith(f"worker w1: {cure}") for note in one.tracker.overview.notes)
        assert cluster.now_s - began_s < SHORTLY_S
        cluster.alive.append("w2")
        await until(lambda: cluster.complete("w2"))
        assert cluster.now_s - began_s < 10 + 2 * SHORTLY_S
        assert one.tracker.overview.state == "running"
        cluster.pausing.clear()
        cluster.hanging.clear()
        await until(lambda: cluster.complete("w1", "w2"))

    one = play(cluster, story)

    assert cluster.fenced == [0]
    assert any("w1 is not paused any more" in note for note in one.tracker.overview.notes)


def test_a_cluster_of_paused_workers_ends_the_run_with_the_cure() -> None:
    """Nobody gets a seat, and patience ends with what is wrong."""
    cluster = FakeCluster(["w1"], pausing={"w1": "Dask has paused it"})

    async def story(_one: Coordinator) -> None:
        await asyncio.sleep(FOR_EVER_S)

    with pytest.raises(FatalError, match=r"gave up after 300 s \(step.patience\): worker w1: Dask has paused it"):
        play(cluster, story)


def test_newcomer_gets_partitions_from_those_who_have_reported_without_them() -> None:
    """A worker joins: the other closes some first, and only then does the newcomer open them."""
    cluster = FakeCluster(["w1"])

    async def story(_one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1"))
        cluster.alive.append("w2")
        await until(lambda: cluster.complete("w1", "w2"))

    play(cluster, story)

    assert cluster.fenced == []


def test_workers_come_and_go_at_random() -> None:
    """Through twenty changes no source is ever with two, and in the end all are somewhere."""
    cluster = FakeCluster(["w1"])

    async def story(_one: Coordinator) -> None:
        for number in range(20):
            worker = f"w{number * 7 % 4 + 1}"
            if worker in cluster.alive and len(cluster.alive) > 1:
                cluster.alive.remove(worker)
            elif worker not in cluster.alive:
                cluster.alive.append(worker)
            await asyncio.sleep(3 * STEP_S)
        await until(lambda: cluster.complete(*cluster.alive))

    play(cluster, story)


def test_new_topic_is_found_while_running() -> None:
    """What the broker shows later is hosted later."""
    cluster, known = FakeCluster(["w1"]), {("hydraulic-PS1", 0): "monitor"}

    async def story(_one: Coordinator) -> None:
        await until(lambda: set(cluster.holders) == set(known))
        known["hydraulic-PS1", 1] = "monitor"
        await until(lambda: len(cluster.holders) == 2)

    play(cluster, story, discover=lambda: dict(known))


def test_topic_that_is_gone_for_a_moment_comes_back() -> None:
    """A broker may leave a topic out while it elects a leader; that ends nothing."""
    cluster, known = FakeCluster(["w1", "w2"]), dict(SOURCES)

    async def story(_one: Coordinator) -> None:
        for _ in range(3):
            await until(lambda: cluster.complete("w1", "w2"))
            flow = known.pop(("hydraulic-PS2", 0))
            await until(lambda: len(cluster.holders) == len(SOURCES) - 1)
            known["hydraulic-PS2", 0] = flow
        await until(lambda: cluster.complete("w1", "w2"))

    play(cluster, story, discover=lambda: dict(known))


def test_scheduler_may_be_away_for_a_while() -> None:
    """Steps go on with the workers that are known, and nobody is fenced."""
    cluster = FakeCluster(["w1"])

    async def story(one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1"))
        cluster.away = True
        steps = len(cluster.orders)
        await until(lambda: len(cluster.orders) > steps + 3)
        await until(lambda: any("does not answer" in n for n in one.tracker.overview.notes))
        cluster.away = False
        cluster.alive.append("w2")
        await until(lambda: cluster.complete("w1", "w2"))

    play(cluster, story)

    assert cluster.fenced == []


async def _forever(_one: Coordinator) -> None:
    await asyncio.sleep(FOR_EVER_S)


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (FakeCluster(["w1"], away=True), r"gave up after 300 s \(step.patience\): the Dask scheduler"),
        (FakeCluster([]), "no worker"),
    ],
    ids=["scheduler", "workers"],
)
def test_who_stays_away_ends_the_run(cluster: FakeCluster, said: str) -> None:
    """A scheduler, or all workers: patience has an end, and the message says whose."""
    with pytest.raises(FatalError, match=said):
        play(cluster, _forever)

    assert PATIENCE_S < cluster.now_s < PATIENCE_S + SHORTLY_S


def test_second_coordinator_takes_over() -> None:
    """The first one's worker is fenced; the run ends with one sentence that says why."""
    fenced = FencedError("could not commit 3 records as hydrodask-0: fenced")

    with pytest.raises(FatalError, match="another hydrodask run has taken over group 'hydrodask'"):
        play(FakeCluster(["w1"], failing={"w1": fenced}), _forever)


def test_that_another_run_has_taken_over_is_said_only_when_there_is_one() -> None:
    """Slots that are taken away again and again by nobody who has claimed the group: the sentence says that."""
    fenced = FencedError("run 5 of this group has taken over from run 1")

    with pytest.raises(
        FatalError, match=r"taken away 21 times, and no other run has claimed it in hydrodask-data/snapshots.*: run 5"
    ) as caught:
        play(FakeCluster(["w1"], failing={"w1": fenced}), _forever, outdone=lambda: False)

    assert "another hydrodask run" not in str(caught.value)


def test_slot_that_a_zombie_took_is_taken_back() -> None:
    """A worker that was given up may initialise its slot once more: as there is no later run, ours goes on."""
    cluster = FakeCluster(["w1"])

    async def story(_one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1"))
        cluster.failing["w1"] = FencedError("could not commit 3 records as hydrodask-0: fenced")
        await until(lambda: cluster.fenced == [0])
        del cluster.failing["w1"]
        await until(lambda: cluster.complete("w1"))

    play(cluster, story, outdone=lambda: False)

    assert max(o.generation for o in cluster.orders) > 1


@pytest.mark.parametrize("error", [FatalError("disk on fire"), ConfigError("no such rules")], ids=repr)
def test_an_error_that_no_repetition_mends_ends_the_run(error: HydrodaskError) -> None:
    """It comes out at once and as it is, what a setting names on the worker's machine too."""
    with pytest.raises(type(error), match=str(error)):
        play(FakeCluster(["w1"], failing={"w1": error}), _forever)


def test_retryable_error_of_a_step_is_waited_out() -> None:
    """The seat keeps what it has; another try succeeds, and the note says what was refused."""
    cluster = FakeCluster(["w1"])

    async def story(one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1"))
        cluster.failing["w1"] = RetryableError("broker says wait", backoff_s=1.0)
        await until(lambda: any("broker says wait" in n for n in one.tracker.overview.notes))
        del cluster.failing["w1"]
        steps = len(cluster.orders)
        await until(lambda: len(cluster.orders) > steps + 2)

    play(cluster, story)

    assert (cluster.fenced, {o.generation for o in cluster.orders}) == ([], {1})


def test_workers_are_told_while_one_of_them_reads_nothing() -> None:
    """Two share the sensors, and one fails in every step: the other knows it soon, and that it is over."""
    cluster = FakeCluster(["w1", "w2"])

    def told() -> bool:
        return next(order.deaf for order in reversed(cluster.orders) if order.worker == "w2")

    async def story(_one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1", "w2"))
        await asyncio.sleep(15.0)
        assert not any(order.deaf for order in cluster.orders)
        cluster.failing["w1"] = RetryableError("the lake says wait", backoff_s=1.0)
        await until(told)
        del cluster.failing["w1"]
        await until(lambda: not told())

    play(cluster, story)


def test_retryable_error_that_stays_ends_the_run() -> None:
    """Patience has an end here too."""
    cluster = FakeCluster(["w1"], failing={"w1": RetryableError("broker says wait", backoff_s=1.0)})

    with pytest.raises(FatalError, match=r"gave up after 300 s .*broker says wait"):
        play(cluster, _forever)

    assert PATIENCE_S < cluster.now_s < PATIENCE_S + SHORTLY_S


def test_errors_with_finished_work_in_between_do_not_add_up() -> None:
    """A broker that is away twice, each time for less than `step.patience`, ends no run."""
    cluster = FakeCluster(["w1"])

    async def story(one: Coordinator) -> None:
        for _ in range(3):
            await until(lambda: cluster.complete("w1"))
            await asyncio.sleep(2 * IDLE_STEPS * STEP_S)
            cluster.failing["w1"] = RetryableError("broker says wait", backoff_s=1.0)
            await asyncio.sleep(0.6 * PATIENCE_S)
            del cluster.failing["w1"]
        assert one.tracker.overview.state == "running"

    play(cluster, story)


def test_a_step_leaves_nothing_behind() -> None:
    """An hour of steps: there are no more tasks after it than before."""
    cluster, tasks = FakeCluster(["w1", "w2"]), list[int]()

    async def story(_one: Coordinator) -> None:
        for _ in range(2):
            await asyncio.sleep(1800)
            tasks.append(len(asyncio.all_tasks()))

    play(cluster, story)

    assert tasks[1] <= tasks[0] + 2


def test_worker_that_dies_while_stopping_does_not_hang_the_stop() -> None:
    """Its slot is fenced, and the others stop."""
    cluster = FakeCluster(["w1", "w2"])

    async def story(one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1", "w2"))
        cluster.alive.remove("w2")
        one.want("stop")

    play(cluster, story)

    assert cluster.fenced == [1]


def test_a_run_in_which_nobody_gets_through_a_step_ends() -> None:
    """A worker that hangs is restarted, and hangs again: what it was given would be tried for ever."""
    cluster = FakeCluster(["w1"], stuck={"w1"})

    with pytest.raises(FatalError, match=r"gave up after 300 s \(step.patience\): a step took more than 60 s"):
        play(cluster, _forever)
    assert cluster.events.count("restart w1") > 1
    assert cluster.now_s < PATIENCE_S + 3 * SETTINGS.step.time_max


def test_a_run_in_which_somebody_gets_through_goes_on() -> None:
    """One worker hangs again and again, the other has all of the partitions meanwhile."""
    cluster = FakeCluster(["w1", "w2"], stuck={"w2"})

    async def story(_one: Coordinator) -> None:
        await asyncio.sleep(1.5 * PATIENCE_S)
        cluster.alive.remove("w2")
        await until(lambda: cluster.complete("w1"))

    play(cluster, story)
    assert cluster.events.count("restart w2") > 1


def test_a_worker_that_hangs_in_every_step_ends_the_run_though_others_get_through() -> None:
    """Ten times in a row, which takes ten minutes: its slot would be started again and again for ever."""
    cluster = FakeCluster(["w1", "w2"], stuck={"w2"})

    with pytest.raises(FatalError, match=r"10 workers in a row were lost in slot 1 .*w2: a step took more than 60 s"):
        play(cluster, _forever)

    assert cluster.now_s > LOSSES_MAX * SETTINGS.step.time_max


def test_a_worker_that_dies_in_every_step_ends_the_run() -> None:
    """It is replaced a few times; then a sentence names it, what it hosted, and what to do."""
    cluster = FakeCluster(["w1"], dying={"w1"})

    with pytest.raises(FatalError, match=r"10 workers in a row were lost with hydraulic-.* and 2 more .*w1.*logs"):
        play(cluster, _forever)

    assert len(cluster.fenced) < 10


def test_a_partition_that_kills_whoever_has_it_ends_the_run() -> None:
    """Others may finish steps meanwhile, with other partitions or without: it gets no further all the same."""
    cluster = FakeCluster(["w1", "w2", "w3"], dying={"w1", "w2", "w3"})

    with pytest.raises(FatalError, match="10 workers in a row were lost"):
        play(cluster, _forever)


def test_a_worker_that_dies_before_its_first_step_ends_the_run() -> None:
    """A machine on which nothing starts has no partition yet: its slot counts."""
    cluster = FakeCluster(["w1"], failing={"w1": WorkerLostError("worker w1 went away during a step")})

    with pytest.raises(FatalError, match=r"10 workers in a row were lost in slot 0 before one finished a step.*w1"):
        play(cluster, _forever)


def test_workers_that_die_of_memory_in_a_circle_end_the_run() -> None:
    """Each next one needs as much: three are enough, and the sentence names memory and rigs."""
    cluster = FakeCluster(["w1"], dying={"w1"}, starved="Dask ended it at 3.8 GiB of memory, its limit is 4.0 GiB")

    with pytest.raises(FatalError, match=r"3 workers in a row died of memory.*w1 \(Dask ended it at 3.8 GiB.*rig"):
        play(cluster, _forever)


def test_losses_with_finished_work_in_between_do_not_count() -> None:
    """A worker that is killed now and then, for days, is replaced each time."""
    cluster = FakeCluster(["w1"])

    async def story(one: Coordinator) -> None:
        for _ in range(LOSSES_MAX + 2):
            await until(lambda: cluster.complete("w1"))
            steps = len(cluster.orders)
            await until(lambda: len(cluster.orders) > steps + IDLE_STEPS)  # noqa: B023  (it is waited for here)
            fenced = len(cluster.fenced)
            cluster.alive.remove("w1")
            await until(lambda: len(cluster.fenced) > fenced)  # noqa: B023
            cluster.alive.append("w1")
        await until(lambda: cluster.complete("w1"))
        assert one.tracker.overview.state == "running"

    play(cluster, story)


def test_a_paused_worker_is_named() -> None:
    """Dask pauses a worker that is short of memory, starts no step there, and says nothing."""
    paused = "Dask has paused it at 0.4 GiB of memory, its limit is 0.5 GiB: no step starts there"
    cluster = FakeCluster(["w1"], stuck={"w1"}, starved=paused)

    with pytest.raises(FatalError, match=r"died of memory.*w1 \(Dask has paused it at 0.4 GiB"):
        play(cluster, _forever)


@dataclass
class SlowCluster(FakeCluster):
    """Takes a minute to restart a worker, and keeps how it was asked for memory."""

    asked: list[tuple[str, bool]] = field(default_factory=list)

    async def restart(self, worker: str) -> None:
        """Take note when it begins and when it is done."""
        self.events.append(f"restart {worker}")
        await asyncio.sleep(60)
        self.events.append(f"restarted {worker}")

    async def memory(self, worker: str, *, died: bool = False) -> str:
        """Take note."""
        self.asked.append((worker, died))
        return self.starved


def test_a_worker_that_is_restarted_hosts_nothing_meanwhile() -> None:
    """The others have its partitions before it is done, and it is not asked for a step."""
    cluster = SlowCluster(["w1", "w2"])

    async def story(one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1", "w2"))
        cluster.hanging.add("w2")
        await until(lambda: "restart w2" in cluster.events)
        orders = sum(order.worker == "w2" for order in cluster.orders)
        await until(lambda: cluster.complete("w1"))
        assert set(one.tracker.overview.workers) == {"w1"}
        await asyncio.sleep(SHORTLY_S)
        assert cluster.events == ["restart w2"]
        assert sum(order.worker == "w2" for order in cluster.orders) == orders
        cluster.hanging.clear()
        await until(lambda: cluster.complete("w1", "w2"))

    play(cluster, story)

    assert set(cluster.asked) == {("w2", False)}, "it is there, and may say itself what is wrong"


def test_memory_of_a_worker_that_died_is_asked_for_as_such() -> None:
    """Its nanny may tell a little later; what is found is said with the loss."""
    cluster = SlowCluster(["w1"])

    async def story(one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1"))
        cluster.starved = "Dask ended it"
        cluster.alive.remove("w1")
        await until(lambda: cluster.fenced == [0])
        assert any(note.endswith(": Dask ended it") and "slot 0 lost: worker w1" in note for note in notes(one))
        cluster.alive.append("w2")
        await until(lambda: cluster.complete("w2"))

    play(cluster, story)

    assert cluster.asked == [("w1", True)]


def notes(one: Coordinator) -> list[str]:
    """Return what people are told."""
    return one.tracker.overview.notes


def test_a_worker_that_is_gone_in_its_step_is_given_up_at_once() -> None:
    """Its step never comes back, and is not waited for."""
    cluster = FakeCluster(["w1", "w2"])

    async def story(_one: Coordinator) -> None:
        await until(lambda: cluster.complete("w1", "w2"))
        cluster.hanging.add("w2")
        await asyncio.sleep(SHORTLY_S)
        cluster.alive.remove("w2")
        began_s = cluster.now_s
        await until(lambda: cluster.complete("w1"))
        assert cluster.now_s - began_s < 2 * SHORTLY_S

    play(cluster, story)


@dataclass
class Circling(FakeCluster):
    """Every other step fails, and those between only replay: no more is committed."""

    turn: int = 0

    async def _step(self, worker: str, order: Order) -> StepReport:
        report = await super()._step(worker, order)
        for part in report.partitions:
            part.end = 100
        self.turn += 1
        if self.turn % 2 and report.partitions:
            raise RetryableError("broker says wait", backoff_s=1.0)
        return report


def test_steps_that_only_replay_between_errors_end_no_patience() -> None:
    """A partition that fails at the same place each time gets no further."""
    cluster = Circling(["w1"])

    with pytest.raises(FatalError, match=r"gave up after 300 s .*broker says wait"):
        play(cluster, _forever)

    assert PATIENCE_S < cluster.now_s < PATIENCE_S + 2 * SHORTLY_S


@pytest.mark.parametrize("who", ["scheduler", "workers"])
def test_absences_with_a_return_in_between_do_not_add_up(who: str) -> None:
    """Each is shorter than `step.patience`; the run goes on, and says what it does."""
    cluster = FakeCluster(["w1"])

    async def story(one: Coordinator) -> None:
        for _ in range(3):
            await until(lambda: cluster.complete("w1"))
            if who == "scheduler":
                cluster.away = True
            else:
                cluster.alive.clear()
            await asyncio.sleep(0.6 * PATIENCE_S)
            cluster.away, cluster.alive[:] = False, ["w1"]
            await asyncio.sleep(SHORTLY_S)
        await until(lambda: cluster.complete("w1"))
        assert one.tracker.overview.state == "running"

    play(cluster, story)


def test_a_mode_is_reached_when_everybody_has_done_a_step_in_it() -> None:
    """Nobody is there: nothing is reached. One who hangs: not yet."""
    cluster = FakeCluster([])

    async def story(one: Coordinator) -> None:
        await asyncio.sleep(SHORTLY_S)
        assert not one.reached("run")
        cluster.alive += ["w1", "w2"]
        await until(lambda: cluster.complete("w1", "w2"))
        await until(lambda: one.reached("run"))
        assert not one.reached("flush")
        cluster.hanging.add("w2")
        await asyncio.sleep(SHORTLY_S)
        one.want("flush")
        await asyncio.sleep(2 * SHORTLY_S)
        assert not one.reached("flush")
        cluster.alive.remove("w2")
        await until(lambda: one.reached("flush"))
        one.want("stop")
        await until(lambda: one.tracker.overview.state == "stopping")

    play(cluster, story)


def test_what_is_settled_counts_as_the_broker_does() -> None:
    """Of the log that there is now: read and committed up to its end, less the offsets of the logs before."""
    source, other = ("hydraulic-PS1", 0), ("hydraulic-PS2", 0)
    one = Coordinator(FakeCluster(), SETTINGS, run_id="run", builds={}, discover=dict, fence=lambda *_: None)

    def settled(end: int, *, committed: int = 1009, log: str = "c/ps1", at: PartitionId = source) -> bool:
        report = StepReport("w1", 0, 1, latency_counts=[0] * 15)
        report.partitions = [
            PartitionReport("monitor", *source, position=1009, committed=committed, base=1000, log="c/ps1")
        ]
        one.tracker.take(report, 0.0)
        return one.settled({at: end}, {"hydraulic-PS1": log})

    assert settled(9)
    assert not settled(10)
    assert not settled(9, committed=1008)
    assert not settled(9, log="c/another")
    assert not settled(0, at=other)


def test_a_run_that_ends_leaves_no_step_in_flight() -> None:
    """Whatever has ended it: the steps of the other workers are cancelled."""
    cluster = FakeCluster(["w1", "w2"], hanging={"w2"})
    driving: list[asyncio.Task[object]] = []

    async def story() -> None:
        one = Coordinator(
            cluster,
            SETTINGS,
            run_id="run",
            builds={},
            discover=lambda: SOURCES,
            fence=cluster.fence,
            outdone=lambda: True,
        )
        working = asyncio.create_task(one.run())
        await asyncio.sleep(SHORTLY_S)
        driving.extend(task for task in asyncio.all_tasks() if task.get_name().startswith("drive "))
        cluster.failing["w1"] = FatalError("disk on fire")
        with pytest.raises(FatalError, match="disk on fire"):
            await working
        await asyncio.sleep(SHORTLY_S)
        assert len(driving) == 2
        assert all(task.done() for task in driving)

    cluster.world.live(story())
