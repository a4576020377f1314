"""What the driver makes of workers that are lost, pause, or hang: how often is too often, and whose fault it is."""

import asyncio
from collections.abc import Awaitable, Mapping

import pytest

from hydrodask.driver.blame import CHARGES_MAX, KNOWN_MAX, PLATFORM, WITHIN_S, Blame, Shared
from hydrodask.driver.flight import ASK_S, GREET_S, fly
from hydrodask.driver.losses import IDLE_STEPS, LOSSES_MAX, STARVED_MAX, Losses
from hydrodask.driver.pauses import PAUSED_S, Pauses
from hydrodask.driver.seats import Seat
from hydrodask.errors import FatalError, RetryableError, WorkerLostError
from hydrodask.protocol.order import Order
from hydrodask.records import PartitionId
from hydrodask.reports import PartitionReport, StepReport
from hydrodask.settings import Settings
from hydrodask.settings.model import Step
from hydrodask.testing.simulation.world import World
from hydrodask.testing.time import VirtualClock

PS1, PS2 = ("hydraulic-PS1", 0), ("hydraulic-PS2", 0)
SETTINGS = Settings()


def seat(slot: int = 0) -> Seat:
    """Return the seat of worker w-SLOT."""
    return Seat(f"w{slot}", slot, 1)


def part(
    source: PartitionId, committed: int, *, position: int | None = None, end: int | None = None
) -> PartitionReport:
    """Return what is reported of a partition, by default one that is read to its end."""
    return PartitionReport(
        "monitor",
        *source,
        committed=committed,
        position=committed if position is None else position,
        end=committed if end is None else end,
    )


def lose(
    losses: Losses, *sources: PartitionId, known: Mapping[PartitionId, int] | None = None, memory: str = ""
) -> None:
    """Lose the worker that hosts these sources."""
    reports = {source: part(source, committed) for source, committed in (known or {}).items()}
    losses.lost(seat(), sources, reports, why="it died", memory=memory)


def finish(losses: Losses, *parts: PartitionReport, slot: int = 0) -> bool:
    """Finish a step with these partitions."""
    return losses.finished(seat(slot), StepReport(f"w{slot}", slot, 1, partitions=list(parts)))


def test_the_tenth_loss_with_a_partition_is_the_last() -> None:
    """Nine are replaced; the sentence of the tenth says the partition, and where it stands."""
    losses = Losses()
    for _ in range(LOSSES_MAX - 1):
        lose(losses, PS1, known={PS1: 70})
        finish(losses, part(PS1, 70, end=80))  # of its slot that is a finished step, and the partition stays behind

    with pytest.raises(
        FatalError, match=r"10 workers in a row were lost with hydraulic-PS1-0, which stands at off.* 70"
    ):
        lose(losses, PS1, known={PS1: 70})


def test_the_tenth_loss_in_a_slot_is_the_last() -> None:
    """Also when each had another partition, or none, and none is named then."""
    losses = Losses()
    for number in range(LOSSES_MAX - 1):
        lose(losses, ("hydraulic-PS1", number))

    with pytest.raises(FatalError, match="lost in slot 0 before one finished a step"):
        lose(losses)


def test_a_finished_step_ends_the_count_of_its_slot() -> None:
    """Of its own, and not of another one."""
    losses = Losses()
    for _ in range(LOSSES_MAX - 1):
        lose(losses)
    assert finish(losses)
    for _ in range(LOSSES_MAX - 1):
        lose(losses)
    assert finish(losses, slot=1)

    with pytest.raises(FatalError, match="in slot 0"):
        lose(losses)


def test_the_third_that_dies_of_memory_is_the_last() -> None:
    """What died of something else does not count with them; partitions of which nothing is known have no rigs."""
    losses = Losses()
    for _ in range(STARVED_MAX - 1):
        lose(losses, PS1, PS2, memory="it was full")
        lose(losses, PS1)

    with pytest.raises(FatalError, match=r"3 workers in a row died of memory.*\(it was full\), with .*-PS2-0.*5 rigs"):
        losses.lost(seat(), [PS1, PS2], {PS2: PartitionReport("monitor", *PS2, keys=5)}, why="", memory="it was full")


@pytest.mark.parametrize(
    ("count", "said"),
    [(3, r"-0, hydraulic-PS1-1, hydraulic-PS1-2; the"), (4, r"-1, hydraulic-PS1-2 and 1 more partit")],
)
def test_the_message_names_three_partitions_and_counts_the_others(count: int, said: str) -> None:
    """Three of three, and three of four; one of which nothing is known has no place."""
    sources = [("hydraulic-PS1", number) for number in range(count)]
    losses = Losses()
    for _ in range(LOSSES_MAX - 1):
        lose(losses, *sources)
        finish(losses)

    with pytest.raises(FatalError, match=said):
        lose(losses, *sources)


@pytest.mark.parametrize(
    ("then", "fine"),
    [
        (part(PS1, 70, end=80), False),  # a step that only replays
        (part(PS1, 70), False),  # nothing to read, once: it may not know yet
        (part(PS1, 71, end=80), True),
    ],
)
def test_a_partition_has_got_on_when_more_of_it_is_committed(then: PartitionReport, *, fine: bool) -> None:
    """After an error of its step as after a loss; a partition that was not set back is always fine."""
    losses = Losses()
    losses.failed([PS1], {PS1: part(PS1, 70)})

    assert finish(losses, part(PS2, 0, end=9))
    assert finish(losses, then, part(PS2, 0)) == fine
    assert finish(losses, part(PS1, 72, end=80))
    assert finish(losses, part(PS1, 72, end=80)), "nothing is left to remember"


def test_of_several_set_back_all_have_to_get_on() -> None:
    """One that has does not speak for the other, whichever is named first."""
    for first, second in (PS1, PS2), (PS2, PS1):
        losses = Losses()
        losses.failed([PS1, PS2], {})

        assert not finish(losses, part(first, 5, end=9), part(second, -1, end=9))


@pytest.mark.parametrize("quiet", [{}, {"position": 71}, {"end": 71}], ids=["read", "uncommitted", "unread"])
def test_a_partition_with_nothing_left_to_read_has_got_on(quiet: dict[str, int]) -> None:
    """When that is so in twenty reports in a row: something uncommitted, or unread, begins the count anew."""
    losses = Losses()
    losses.failed([PS1], {PS1: part(PS1, 70)})
    for _ in range(IDLE_STEPS - 1):
        assert not finish(losses, part(PS1, 70))
    assert finish(losses, part(PS1, 70, **quiet)) == (not quiet)
    if quiet:
        for _ in range(IDLE_STEPS - 1):
            assert not finish(losses, part(PS1, 70))
        assert finish(losses, part(PS1, 70))


def test_a_new_setback_begins_the_count_of_quiet_reports_anew() -> None:
    """And what was committed before does not count as progress again."""
    losses = Losses()
    losses.failed([PS1], {PS1: part(PS1, 70)})
    for _ in range(IDLE_STEPS - 1):
        finish(losses, part(PS1, 70))
    losses.failed([PS1], {})

    assert not finish(losses, part(PS1, 70))


def test_who_died_of_memory_counts_until_nothing_is_left_to_read() -> None:
    """Each next one may get a little further: what is committed ends the count of other losses only."""
    losses = Losses()
    for committed in range(1, STARVED_MAX):
        lose(losses, PS1, memory="full")
        assert finish(losses, part(PS1, committed, end=900))
    with pytest.raises(FatalError, match="died of memory"):
        lose(losses, PS1, memory="full")
    losses = Losses()
    for _ in range(2 * STARVED_MAX):
        lose(losses, PS1, memory="full")
        for _ in range(IDLE_STEPS):
            finish(losses, part(PS1, 70))


def test_losses_with_progress_in_between_do_not_add_up() -> None:
    """Other ones than of memory: a worker that is killed for days by somebody."""
    losses = Losses()
    for committed in range(3 * LOSSES_MAX):
        lose(losses, PS1, known={PS1: committed})
        assert finish(losses, part(PS1, committed + 1, end=900))


def test_a_pause_is_said_when_it_begins_and_when_it_ends() -> None:
    """Once each, and for each worker."""
    said: list[str] = []
    pauses = Pauses(said.append)
    with VirtualClock().running():
        for paused in ({"w0": "full"}, {"w0": "full"}, {"w0": "full", "w1": "full too"}, {"w1": "full too"}, {}):
            pauses.look(paused, [seat()], [seat()])

    assert said == [
        "worker w0: full",
        "worker w1: full too",
        "worker w0 is not paused any more",
        "worker w1 is not paused any more",
    ]


@pytest.mark.parametrize(("others", "given_up"), [([0, 1], True), ([0], False), ([], False)])
def test_a_seat_is_given_up_after_a_long_pause_if_others_are_ready(*, others: list[int], given_up: bool) -> None:
    """After ten seconds of it, and not before; who works is never given up."""
    pauses, mine, other = Pauses(lambda _: None), seat(), seat(1)
    with VirtualClock().running() as time:
        pauses.look({"w0": "full"}, [mine, other], [mine, other])
        time.now_s += PAUSED_S - 1
        pauses.look({"w0": "full"}, [mine, other], [mine, other])
        assert not mine.gone.is_set()
        time.now_s += 1
        pauses.look({"w0": "full"}, [mine, other], [seat(slot) for slot in others])

    assert (mine.gone.is_set(), other.gone.is_set()) == (given_up, False)


def test_what_a_run_does_with_its_seats() -> None:
    """It waits for memory only when all of its workers do."""
    pauses = Pauses(lambda _: None)
    assert (pauses.state([]), pauses.state([seat()])) == ("waiting for workers", "running")
    assert str(pauses.alone()) == "the Dask cluster has no worker"
    with VirtualClock().running():
        pauses.look({"w0": "full"}, [], [])

    assert [pauses.state(living) for living in ([], [seat()], [seat(), seat(1)], [seat(1)])] == [
        "waiting for memory",
        "waiting for memory",
        "running",
        "running",
    ]
    assert str(pauses.alone()) == "worker w0: full"


class Work:
    """A cluster on which a step takes as long as is said, and then is what is said."""

    def __init__(self, *, takes_s: float, error: Exception | None = None, memory: str = "") -> None:
        self.takes_s, self.error, self.full = takes_s, error, memory
        self.asked_s: list[float] = []
        self.ended = ""

    async def workers(self) -> list[str]:
        """One."""
        return ["w0"]

    def paused(self) -> Mapping[str, str]:
        """Nobody."""
        return {}

    async def restart(self, worker: str) -> None:
        """Do nothing."""

    async def memory(self, worker: str, *, died: bool = False) -> str:  # noqa: ARG002
        """Say what is said of it, and keep when that was asked."""
        self.asked_s.append(asyncio.get_running_loop().time())
        return self.full

    def step(self, worker: str, order: Order) -> Awaitable[StepReport]:
        """Take the time."""
        return self._step(worker, order)

    async def _step(self, worker: str, order: Order) -> StepReport:
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        self.ended = "finished"
        if self.error is not None:
            raise self.error
        return StepReport(worker, order.slot, order.generation)


LIMITS = Step(trigger=1.0, time_max=60.0)
ORDER = Order("run", 1, 0, "w0", SETTINGS, sources={PS1: "monitor"})


def flight(work: Work, *, steps: int = 1, gone_after_s: float | None = None) -> tuple[object, float, list[str], int]:
    """Return what came of a step, after how long, what was said meanwhile, and how many tasks it left behind."""
    one, said = seat(), list[str]()
    one.steps = steps

    async def story() -> tuple[object, float, list[str], int]:
        loop = asyncio.get_running_loop()
        if gone_after_s is not None:
            loop.call_later(gone_after_s, one.gone.set)
        result: object
        try:
            result = await fly(work, one, ORDER, LIMITS, said.append)
        except (WorkerLostError, TimeoutError, RetryableError) as error:
            result = error
        took_s = loop.time()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return result, took_s, said, len(asyncio.all_tasks()) - 1

    return World(0).live(story())


@pytest.mark.parametrize(("steps", "limit_s"), [(1, 61.0), (0, GREET_S)])
def test_a_step_may_take_as_long_as_the_settings_say(steps: int, limit_s: float) -> None:
    """One that comes back in time is what it is; after that it is given up, and a worker's first one later."""
    report, took_s, said, left = flight(Work(takes_s=limit_s - 1), steps=steps)
    assert isinstance(report, StepReport)
    assert (took_s, said, left) == (limit_s - 1, [], 0)

    work = Work(takes_s=limit_s + 1)
    error, took_s, _, left = flight(work, steps=steps)

    assert isinstance(error, TimeoutError)
    assert str(error) == f"a step took more than {limit_s:.0f} s (step.time_max)"
    assert (took_s, work.ended, left) == (limit_s, "cancelled", 0)


def test_a_short_step_comes_back_at_once() -> None:
    """Its error too, and nobody asks after its worker."""
    work = Work(takes_s=0.5, error=RetryableError("wait"))
    error, took_s, said, left = flight(work)

    assert (str(error), took_s, said, left, work.asked_s) == ("wait", 0.5, [], 0, [])


def test_a_step_that_takes_long_is_asked_after() -> None:
    """After five seconds, and what is wrong with its worker's memory is said."""
    work = Work(takes_s=10, memory="Dask has paused it")
    report, took_s, said, _ = flight(work)

    assert isinstance(report, StepReport)
    assert (took_s, work.asked_s, said) == (10, [ASK_S], ["worker w0: Dask has paused it"])
    assert flight(Work(takes_s=10))[2] == []


@pytest.mark.parametrize("after_s", [1.0, 20.0])
def test_a_step_ends_with_its_worker(after_s: float) -> None:
    """A step on a worker that is gone may never come back: it is not waited for."""
    work = Work(takes_s=30)
    error, took_s, _, left = flight(work, gone_after_s=after_s)

    assert isinstance(error, WorkerLostError)
    assert (str(error), took_s, work.ended, left) == ("worker w0 is gone", after_s, "cancelled", 0)


def test_a_hang_is_charged_to_the_oldest_step_on_its_worker() -> None:
    """Steps of one worker are done one after the other; one that came back, and one begun anew, is not the oldest."""
    blame = Blame()
    blame.begun("w0", "guest", hosts=True)
    blame.begun("w0", PLATFORM, hosts=True)
    assert blame.judge("w0", "hangs", memory=False, late=True) == ("guest",)
    for first, second, came in (PLATFORM, "guest", True), ("guest", PLATFORM, True), (PLATFORM, "guest", False):
        blame = Blame()
        blame.begun("w1", first, hosts=True)
        blame.begun("w1", second, hosts=True)
        if came:  # or it was lost, with a worker of before at that address
            blame.done("w1", first)
        blame.begun("w1", first, hosts=True)
        assert blame.judge("w1", "hangs", memory=False, late=True) == ((second,) if second else ())


def test_want_of_memory_is_charged_to_each_guest_that_had_something_there() -> None:
    """Not to one that hosted nothing, not to the platform, and not to one that has ended."""
    blame = Blame()
    for name, hosts in ("a", True), ("b", False), (PLATFORM, True), ("c", True):
        blame.begun("w0", name, hosts=hosts)
    blame.ended["c"] = "too often"

    assert blame.judge("w0", "full", memory=True, late=False) == ("a",)


def test_a_loss_is_judged_once() -> None:
    """Whoever hears of it later gets the same answer, also without knowing why, until a worker of that name is back."""
    blame = Blame()
    blame.begun("w0", "a", hosts=True)
    assert blame.judge("w0", "gone", memory=False, late=False) == ()
    assert blame.judge("w0", "full", memory=True, late=False) == ("a",)
    blame.begun("w0", "b", hosts=True)
    assert blame.judge("w0", "full", memory=True, late=False) == ("a",)
    assert blame.judge("w0", "gone", memory=False, late=False) == ("a",)
    blame.begun("w0", PLATFORM, hosts=True)
    assert blame.judge("w0", "gone", memory=False, late=False) == ()
    assert blame.judge("w0", "full", memory=True, late=False) == ("b",)


@pytest.mark.parametrize(("within_s", "ends"), [(WITHIN_S, True), (WITHIN_S + 1, False)])
def test_a_guest_ends_after_three_charges_within_an_hour(within_s: float, *, ends: bool) -> None:
    """Two are not enough, and three that are further apart are not."""
    blame = Blame()
    with VirtualClock().running() as time:
        for number in range(CHARGES_MAX):
            time.now_s += within_s / (CHARGES_MAX - 1)
            assert blame.ended == {}
            blame.begun(f"w{number}", "a", hosts=True)
            blame.judge(f"w{number}", "full", memory=True, late=False)

    assert ("a" in blame.ended) == ends
    assert not ends or "the last one worker w2: full" in blame.ended["a"]


def test_only_so_many_workers_are_remembered() -> None:
    """Who was heard of last stays; at the limit nobody is forgotten."""
    blame = Blame()
    for number in range(KNOWN_MAX + 1):
        blame.begun(f"w{number}", "a", hosts=True)
        if number == KNOWN_MAX - 1:
            blame.begun("w0", "a", hosts=True)  # not for long any more
            blame.begun("w0", "b", hosts=False)

    assert blame.judge("w1", "full", memory=True, late=False) == ()
    assert blame.judge("w0", "full", memory=True, late=False) == ("a",)
    assert blame.judge("w2", "full", memory=True, late=False) == ("a",)


def test_of_the_oldest_lost_workers_too() -> None:
    """A thousand and one verdicts: the first one is given up, and not before."""
    blame = Blame()
    for number in range(KNOWN_MAX + 1):
        blame.begun(f"w{number}", PLATFORM, hosts=True)
        blame.begun(f"w{number}", "a", hosts=True)
        blame.ended.clear()
        blame.judge(f"w{number}", "full", memory=True, late=False)
        assert blame.judge("w0", "gone", memory=False, late=False) == ("a",)
    blame.begun("new", "a", hosts=True)

    assert blame.judge("w0", "gone", memory=False, late=False) == ()
    assert blame.judge("w1", "gone", memory=False, late=False) == ("a",)


@pytest.mark.parametrize(
    ("error", "guilty"), [(None, False), (RetryableError("wait"), False), (WorkerLostError("gone"), True)], ids=repr
)
def test_a_step_is_in_flight_until_it_comes_back(error: Exception | None, *, guilty: bool) -> None:
    """With a report or an error; one whose worker is lost stays, as it may be why."""

    async def story() -> bool:
        platform = Shared.of(Work(takes_s=1, error=error))
        assert Shared.of(platform) is platform
        guest = platform.seen_by("guest")
        assert not guest.ended()
        [came] = await asyncio.gather(guest.step("w0", ORDER), return_exceptions=True)
        assert came is error or isinstance(came, StepReport)
        return platform.guilty("w0", "hangs", memory=False, late=True)

    assert World(0).live(story()) == guilty


def test_a_guest_that_is_charged_too_often_is_told_so() -> None:
    """With what is to be done; the platform is only told that it was not itself."""

    async def story() -> None:
        platform = Shared.of(Work(takes_s=1, error=WorkerLostError("gone")))
        guest = platform.seen_by("guest")
        for number in range(CHARGES_MAX):
            assert not guest.ended()
            await asyncio.gather(guest.step(f"w{number}", ORDER), return_exceptions=True)
            assert platform.guilty(f"w{number}", "hangs", memory=False, late=True)
        assert guest.ended()
        with pytest.raises(FatalError, match="it is not begun again in this run: mend it"):
            guest.guilty("w0", "gone", memory=False, late=False)

    World(0).live(story())
