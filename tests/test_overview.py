"""The driver's overview: what the reports of all workers add up to, step by step."""

from collections.abc import Callable

from hydrodask.driver import overview
from hydrodask.driver.overview import StatusTracker
from hydrodask.reports import LATENCY_BUCKETS_S, ChannelReport, FlowReport, PartitionReport, StepReport
from hydrodask.testing.time import VirtualClock

BUCKETS = len(LATENCY_BUCKETS_S) + 1


def report(records: int = 0, *parts: PartitionReport, latency_s: float = 0.0, **stage_s: float) -> StepReport:
    """Return what a worker says of a step."""
    counts = [0] * BUCKETS
    counts[3] = records
    return StepReport(
        "w1",
        0,
        1,
        records=records,
        partitions=list(parts),
        stage_s=stage_s,
        latency_counts=counts,
        latency_sum_s=latency_s,
    )


def part(position: int = 0, end: int = 0, state: str = "running", number: int = 0) -> PartitionReport:
    """Return what is said of a partition."""
    return PartitionReport("monitor", "hydraulic-PS1", number, state=state, position=position, end=end)


def test_steps_add_up() -> None:
    """Times of stages, latencies and steps are sums; of a partition the newest report is what is known."""
    tracker = StatusTracker("run", 5)
    tracker.take(report(7, part(7), part(1, number=1), latency_s=2.0, poll=1.5), 0.0)
    first = tracker.overview
    tracker.take(report(4, part(11), latency_s=0.5, poll=0.5, decode=0.25), 1.0)

    assert (first.steps, first.stage_s, first.latency_sum_s, first.latency_counts[3]) == (1, {"poll": 1.5}, 2.0, 7)
    assert {source: one.position for source, one in first.partitions.items()} == {
        ("hydraulic-PS1", 0): 7,
        ("hydraulic-PS1", 1): 1,
    }, "a copy that nobody changes"
    now = tracker.overview
    assert (now.run_id, now.started_us, now.steps) == ("run", 5, 2)
    assert (now.stage_s, now.latency_sum_s) == ({"poll": 2.0, "decode": 0.25}, 2.5)
    assert now.latency_counts == [0, 0, 0, 11, *[0] * (BUCKETS - 4)]
    assert now.partitions["hydraulic-PS1", 0].position == 11
    assert tracker.overview is now


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """What came before the first of them, and with it, is not of these seconds; less than one counts as one."""
    tracker, rates = StatusTracker("run", 0), []
    for now_s in range(8):
        tracker.take(report(100 if now_s < 6 else 400), float(now_s))
        rates.append(tracker.overview.records_per_s)
    tracker.take(report(30), 7.5)
    tracker.take(report(30), 60.0)
    tracker.take(report(30), 60.5)

    assert rates == [0, 100, 100, 100, 100, 100, 160, 220]
    assert tracker.overview.records_per_s == 30


def test_a_partition_that_stands_still_with_something_to_read_is_stalled() -> None:
    """After thirty seconds, and until it moves; one that waits for a store says so itself."""
    tracker = StatusTracker("run", 0)

    def seen(now_s: float, **said: int | str) -> tuple[str, str]:
        tracker.take(report(0, part(**said)), now_s)  # type: ignore[arg-type]
        found = tracker.overview.partitions["hydraulic-PS1", 0]
        return found.state, found.advice[:26]

    stalled = ("stalled", "no record read for 31 s; l")
    assert [seen(100.0, position=5, end=9), seen(130.0, position=5, end=9)] == [("running", "")] * 2
    assert seen(131.0, position=5, end=9) == stalled
    assert seen(131.0, position=5, end=9, state="catching up") == stalled
    assert seen(131.0, position=5, end=9, state="waiting") == ("waiting", "")
    assert seen(132.0, position=6, end=9) == ("running", "")
    assert seen(162.0, position=6, end=9) == ("running", "")
    assert seen(190.0, position=6, end=6) == ("running", ""), "there is nothing to read"
    assert seen(220.0, position=6, end=7) == ("running", "")
    assert seen(221.0, position=6, end=7) == stalled


def test_who_is_not_read_is_known() -> None:
    """A sensors' partition that waits, stalls, or that nobody has: ten seconds later, until it goes on."""
    tracker, sources = StatusTracker("run", 0), {("hydraulic-PS1", 0): "monitor", ("hydraulic-labels", 0): "labels"}

    def seen(now_s: float, **said: int | str) -> bool:
        if said:
            tracker.take(report(0, part(**said)), now_s)  # type: ignore[arg-type]
        return tracker.deaf(sources, now_s)

    assert [seen(100.0), seen(110.0), seen(111.0)] == [False, False, True], "nobody has it"
    assert [seen(112.0, position=5, end=5), seen(120.0), seen(123.0)] == [False, False, True], "its worker is gone"
    assert [seen(124.0, position=5, end=5), seen(135.0, position=5, end=5)] == [False, False]
    assert [seen(140.0, position=5, end=9, state="waiting"), seen(146.0, position=5, end=9, state="waiting")] == [
        False,
        True,
    ]
    assert not seen(150.0, position=6, end=9)
    assert [seen(now_s, position=6, end=9) for now_s in (180.0, 181.0, 190.0, 191.5)] == [False, False, False, True]
    assert not tracker.deaf({("hydraulic-labels", 0): "labels"}, 500.0)


def test_what_others_say_is_shown_and_costs_nothing_when_it_is_the_same() -> None:
    """Workers, state, progress, flows and channels."""
    tracker = StatusTracker("run", 0)
    flows, channels = (FlowReport("spikes", "running"),), (ChannelReport("shift", "mail"),)
    changes: list[Callable[[], None]] = [
        lambda: tracker.refresh({"w1": 0}, "running"),
        lambda: tracker.refresh({"w1": 0, "w2": 1}, "running"),
        lambda: tracker.refresh({"w1": 0, "w2": 1}, "stopping"),
        lambda: tracker.progress(0.5),
        lambda: tracker.guests(flows),
        lambda: tracker.channels(channels),
    ]
    for change in changes:
        before = tracker.overview
        change()
        after = tracker.overview
        assert after is not before
        change()
        assert tracker.overview is after

    now = tracker.overview
    assert (now.workers, now.state, now.progress) == ({"w1": 0, "w2": 1}, "stopping", 0.5)
    assert (now.flows, now.channels) == (flows, channels)


def test_a_note_is_said_once_in_a_row() -> None:
    """With the time of day; what is the same again says nothing new, and only the newest stay."""
    tracker = StatusTracker("run", 0)
    with VirtualClock(now_s=3600.0).running() as time:
        tracker.note("no broker")
        time.now_s += 1
        tracker.note("no broker")
        assert tracker.overview.notes == ["01:00:00 no broker"]
        tracker.note("broker")
        tracker.note("no broker")
        assert tracker.overview.notes[1:] == ["01:00:01 broker", "01:00:01 no broker"]
        tracker.take(StepReport("w1", 0, 1, notes=["from a step"], latency_counts=[0] * BUCKETS), 0.0)
        assert tracker.overview.notes[3:] == ["01:00:01 from a step"]
        for number in range(overview._NOTES_MAX):
            tracker.note(f"note {number}")
    assert [note[9:] for note in tracker.overview.notes] == [f"note {number}" for number in range(overview._NOTES_MAX)]
