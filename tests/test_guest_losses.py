"""A flow from outside that kills workers, or hangs in them: it is charged, ends for good, and the platform goes on.

Workers are in memory, do one step at a time as real ones do, and time is virtual.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hydrodask.driver.blame import CHARGES_MAX, Shared
from hydrodask.driver.coordinator import Coordinator
from hydrodask.driver.losses import IDLE_STEPS, LOSSES_MAX
from hydrodask.errors import FatalError, WorkerLostError
from hydrodask.flow import Flow
from hydrodask.protocol.order import Order
from hydrodask.records import PartitionId
from hydrodask.reports import PartitionReport, StepReport
from hydrodask.run import guests, tenure
from hydrodask.run.guests import NOTE_S, Guest
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka as KafkaSettings
from hydrodask.testing.simulation.world import World

SOURCE = ("hydraulic-PS1", 0)
STARVED = "Dask ended it at 3.8 GiB of memory, its limit is 4.0 GiB"
FOR_EVER_S = 86_400.0


def build(_source: Any, _ctx: Any) -> None:
    """Wire nothing."""


@dataclass
class Workers:
    """One worker at a time; each next one has another address."""

    does: dict[str, str] = field(default_factory=dict)
    """What a step of a flow does: `leak`, `hang`, `raise`; nothing: it is finished."""
    said: list[str] = field(default_factory=list)
    """What a guest's steps note."""
    worker: str = "w0"
    lost: int = 0
    end: int = 9
    committed: int = 9
    starved: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._one, self._gone = asyncio.Lock(), asyncio.Event()

    async def workers(self) -> list[str]:
        """Return who is there."""
        return [self.worker]

    def paused(self) -> Mapping[str, str]:
        """Nobody is."""
        return {}

    async def memory(self, worker: str, *, died: bool = False) -> str:  # noqa: ARG002
        """Say who died of it."""
        return STARVED if worker in self.starved else ""

    async def restart(self, worker: str) -> None:
        """Begin another one."""
        if worker == self.worker:
            self.lose()

    def lose(self) -> None:
        """Let the worker die, and another one come."""
        self._gone.set()
        self._one, self._gone = asyncio.Lock(), asyncio.Event()
        self.lost += 1
        self.worker = f"w{self.lost}"

    def step(self, worker: str, order: Order) -> Awaitable[StepReport]:
        """Do it once those before it are done, and end with the worker."""
        return self._step(worker, order)

    async def _step(self, worker: str, order: Order) -> StepReport:
        if worker != self.worker:
            raise WorkerLostError(f"worker {worker} is gone")
        doing, gone = asyncio.ensure_future(self._do(self._one, order)), asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise WorkerLostError(f"worker {worker} died during a step")
            return await doing
        finally:
            gone.cancel()
            if worker != self.worker:
                doing.cancel()

    async def _do(self, one: asyncio.Lock, order: Order) -> StepReport:
        async with one:
            await asyncio.sleep(order.settings.step.trigger)
            flow = next(iter(order.sources.values()), "")
            doing = self.does.get(flow)
            if doing == "leak":
                self.starved.add(self.worker)
                self.lose()
                await asyncio.sleep(FOR_EVER_S)
            if doing == "hang":
                await asyncio.sleep(FOR_EVER_S)
            if doing == "raise":
                raise FatalError("KeyError: 'rig'")
            report = StepReport(order.worker, order.slot, order.generation, latency_counts=[0] * 15)
            report.partitions = [
                PartitionReport(name, *source, position=self.committed, committed=self.committed, end=self.end)
                for source, name in order.sources.items()
            ]
            report.notes = self.said if flow == "spikes" else []
            return report


class _Nothing:
    """Partitions without a broker."""

    def __init__(self, _kafka: Any, topics: Mapping[str, str]) -> None:
        (self._flow,) = topics.values()

    def sources(self) -> Mapping[PartitionId, str]:
        """Return the only one."""
        return {SOURCE: self._flow}

    def close(self) -> None:
        """Nothing."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is noted, without a broker."""
    monkeypatch.setattr(guests, "Discovery", _Nothing)
    monkeypatch.setattr(tenure, "fence", lambda *_: None)
    return []


def live(
    workers: Workers, told: list[str], tmp_path: Path, until: Callable[[Coordinator, Guest], Awaitable[None]]
) -> None:
    """Run the platform and a guest beside it until a story ends; raises what ends the platform."""
    settings = Settings(data_dir=tmp_path, kafka=KafkaSettings(embedded=True))

    async def run() -> None:
        shared = Shared.of(workers)
        one = Coordinator(
            shared,
            settings,
            run_id="run",
            builds={},
            discover=lambda: {SOURCE: "monitor"},
            fence=lambda *_: None,
        )
        flow = Flow("spikes", topics=("PS1",), build=build)
        guest = Guest(flow, settings, shared, told.append, "run")
        tasks = [asyncio.create_task(one.run()), asyncio.create_task(guest.run())]
        story = asyncio.ensure_future(until(one, guest))
        await asyncio.wait({tasks[0], story}, timeout=FOR_EVER_S, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel() if not task.done() else task.result()
        assert story.done(), "the story did not come to its end"
        story.result()

    World(0).live(run())


async def when(condition: Callable[[], bool]) -> None:
    """Wait until something is so, an hour at most."""
    async with asyncio.timeout(3600):
        while not condition():  # noqa: ASYNC110  (what is waited for has no event)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("does", "said"), [("leak", STARVED), ("hang", "step.time_max")])
def test_a_guest_that_workers_are_lost_to_ends_for_good_and_the_platform_goes_on(
    told: list[str], tmp_path: Path, does: str, said: str
) -> None:
    """Three workers, within an hour: that it ends is said with why and what to do; none is charged to the platform."""
    workers = Workers({"spikes": does})

    async def story(one: Coordinator, guest: Guest) -> None:
        await when(lambda: "not begun again" in guest.report().advice)
        steps = one.tracker.overview.steps
        await when(lambda: one.tracker.overview.steps > steps + IDLE_STEPS)
        assert workers.lost == CHARGES_MAX
        assert (guest.report().state, await guest.settled(None)) == ("stalled", True)  # type: ignore[arg-type]
        workers.does["monitor"] = "leak"  # of what it did nothing is left to the platform's account
        await when(lambda: workers.lost == CHARGES_MAX + 2)
        await when(lambda: one.tracker.overview.steps > steps + IDLE_STEPS)

    live(workers, told, tmp_path, story)

    assert f"flow spikes ended, and the others go on: FatalError: {CHARGES_MAX} workers were lost" in told[-1]
    assert said in told[-1]
    assert "take it out of the setting flows" in told[-1]


def test_the_platform_s_own_losses_end_it_beside_a_guest(told: list[str], tmp_path: Path) -> None:
    """A guest that is in flight is charged first, as nobody can tell; once it has ended, the platform is."""
    workers = Workers({"monitor": "leak"})

    async def story(_one: Coordinator, _guest: Guest) -> None:
        await asyncio.sleep(FOR_EVER_S / 2)

    with pytest.raises(FatalError, match=r"3 workers in a row died of memory.*flows from outside.*setting flows"):
        live(workers, told, tmp_path, story)

    assert workers.lost <= 2 * CHARGES_MAX


def test_a_hang_of_the_platform_s_own_is_not_charged_to_a_guest(told: list[str], tmp_path: Path) -> None:
    """The oldest step in flight is the one that hangs."""
    workers = Workers({"monitor": "hang"})

    async def story(_one: Coordinator, _guest: Guest) -> None:
        await asyncio.sleep(FOR_EVER_S / 2)

    with pytest.raises(FatalError):
        live(workers, told, tmp_path, story)

    assert workers.lost <= LOSSES_MAX + 1
    assert not [one for one in told if "ended" in one]


def test_a_guest_that_works_again_is_no_longer_stalled_on_a_quiet_topic(told: list[str], tmp_path: Path) -> None:
    """All is read, so no more will be committed: that every partition is at its end for a while says as much."""
    workers = Workers()

    async def story(_one: Coordinator, guest: Guest) -> None:
        await when(lambda: guest.report().state == "running" and guest.report().partitions == 1)
        workers.does["spikes"] = "raise"
        await when(lambda: guest.report().state == "stalled")
        await asyncio.sleep(30)
        assert guest.report().state == "stalled"
        workers.does.clear()
        await when(lambda: guest.report().state == "running")
        assert guest.report().advice == ""

    live(workers, told, tmp_path, story)


def test_a_guest_s_notes_are_passed_on_now_and_then(told: list[str], tmp_path: Path) -> None:
    """The newest, with its name: one that says something new in each step leaves room for others."""
    workers = Workers()
    numbers = itertools.count()

    async def story(_one: Coordinator, guest: Guest) -> None:
        for _ in range(3 * int(NOTE_S)):
            workers.said = [f"pump {next(numbers)} is odd"]
            await asyncio.sleep(1)
            guest.report()

    live(workers, told, tmp_path, story)

    assert 2 <= len(told) <= 4
    assert all(one.startswith("flow spikes: ") and one.endswith("is odd") for one in told)
