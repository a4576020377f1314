"""Cycle profiles: equal to a reference that keeps every value, and the same bits for any batching."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrodask.protocol import snapshot
from hydrodask.records import Profiles
from hydrodask.rigs import RigTable
from hydrodask.window import OpenCycles
from hydrodask.window.cycles import LATER
from tests.strategies import (
    US,
    CycleGeometry,
    Record,
    cuts,
    cycle_stories,
    pieces,
    samples_of,
)

GEOMETRY = CycleGeometry()
STORIES = cycle_stories(GEOMETRY)
NEVER = -(2**62)


@dataclass(slots=True)
class NaiveCycle:
    """One open cycle: the values of each segment."""

    cycle: int
    start_us: int
    segments: list[list[float]]
    doubt: bool = False
    amid: bool = False


@dataclass(slots=True)
class NaiveRig:
    """One rig: at most two open cycles, in places so that equal starts are told apart."""

    newest_us: int = NEVER
    closed_us: int = NEVER
    over: bool = False
    places: list[NaiveCycle | None] = field(default_factory=lambda: [None, None])


Done = tuple[str, int, int, bool, int, list[list[float]]]


class Naive:
    """Profiles that are computed by remembering everything."""

    def __init__(self, geometry: CycleGeometry) -> None:
        self.geometry = geometry
        self.rigs: dict[str, NaiveRig] = {}
        self.done: list[Done] = []
        self.missed = 0
        self.short = 0

    def take(self, r: Record) -> None:
        """Put the sample into its cycle's segment; then see which cycles are over."""
        g, rig = self.geometry, self.rigs.setdefault(r.rig, NaiveRig())
        into_us = r.sample_idx / r.rate_hz * US
        start_us = r.time_us - round(into_us)
        same = [c for c in rig.places if c is not None and c.cycle == r.cycle]
        if not 0 <= into_us < g.length_us:
            self.missed += 1
            rig.over = rig.over or into_us >= g.length_us
            for other in same:
                other.doubt = True
        elif start_us + g.length_us // 2 < rig.closed_us:
            self.missed += 1
            self.meet(rig, self.open_place(rig, r, start_us), r)
        elif earlier := self.contradicted(same, start_us):
            self.missed += 1
            for other in earlier:
                other.doubt = True
        else:
            self.meet(rig, self.open_place(rig, r, start_us), r)
            place = self.place(rig, r, start_us)
            cycle = rig.places[place]
            assert cycle is not None
            cycle.segments[int(into_us * g.segments / g.length_us)].append(r.value)
            wanted = r.rate_hz * g.length_us / US
            taken = [len(s) for s in cycle.segments]
            if sum(taken) >= wanted and min(taken) >= wanted / g.segments:
                self.finish(rig, place, r, complete=True)
        if r.time_us > rig.newest_us:
            rig.newest_us = r.time_us
            old = self.older(rig)
            if old is not None:
                ended_us = rig.places[old].start_us + g.length_us  # type: ignore[union-attr]
                if r.time_us - g.lateness_us >= ended_us:
                    self.finish(rig, old, r, complete=False)

    def contradicted(self, same: list[NaiveCycle], start_us: int) -> list[NaiveCycle]:
        """Return the open cycles of a sample's number that began so much later that its time can't be right."""
        half_us = self.geometry.length_us // 2
        if any(abs(start_us - cycle.start_us) < half_us for cycle in same):
            return []
        return [cycle for cycle in same if cycle.start_us >= start_us + half_us]

    def meet(self, rig: NaiveRig, place: int | None, r: Record) -> None:
        """Note that a cycle goes on for a segment or more after the other one has begun."""
        if place is None:
            return
        cycle, other = rig.places[place], rig.places[1 - place]
        if cycle is not None and other is not None and other.start_us >= cycle.start_us:
            segment_us = self.geometry.length_us // self.geometry.segments
            cycle.amid = cycle.amid or r.time_us - other.start_us >= segment_us

    def open_place(self, rig: NaiveRig, r: Record, start_us: int) -> int | None:
        """Return where the record's cycle is open, if it is."""
        for place, cycle in enumerate(rig.places):
            if cycle is None or cycle.cycle != r.cycle:
                continue
            if abs(start_us - cycle.start_us) < self.geometry.length_us // 2:
                return place
        return None

    def place(self, rig: NaiveRig, r: Record, start_us: int) -> int:
        """Return where the record's cycle is open; a third one closes the older of two."""
        if (place := self.open_place(rig, r, start_us)) is not None:
            return place
        old = self.older(rig)
        if old is not None:
            self.finish(rig, old, r, complete=False)
        place = rig.places.index(None)
        segments: list[list[float]] = [[] for _ in range(self.geometry.segments)]
        rig.places[place] = NaiveCycle(r.cycle, start_us, segments, rig.over)
        rig.over = False
        return place

    def older(self, rig: NaiveRig) -> int | None:
        """Return the place of the older of two open cycles."""
        first, second = rig.places
        if first is None or second is None:
            return None
        return 0 if first.start_us <= second.start_us else 1

    def finish(self, rig: NaiveRig, place: int, r: Record, *, complete: bool) -> None:
        """Take a cycle off its place."""
        cycle, other = rig.places[place], rig.places[1 - place]
        assert cycle is not None
        if other is not None and other.start_us > cycle.start_us and not complete and not cycle.amid:
            each_us = self.geometry.length_us // self.geometry.segments
            for number in reversed(range(self.geometry.segments)):  # seconds at the end that the next one had begun by
                if cycle.segments[number] or cycle.start_us + number * each_us < other.start_us:
                    break
                self.short += 1
        whole = complete and not cycle.doubt
        self.done.append((r.rig, cycle.cycle, cycle.start_us, whole, r.offset, cycle.segments))
        rig.closed_us = max(rig.closed_us, cycle.start_us + self.geometry.length_us)
        rig.places[place] = None


def profiles_of(rigs: RigTable, geometry: CycleGeometry = GEOMETRY) -> OpenCycles:
    """Return fresh profiles of PS1."""
    return OpenCycles(
        "PS1",
        lateness_us=geometry.lateness_us,
        length_us=geometry.length_us,
        segments=geometry.segments,
        rigs=rigs,
    )


def heads_of(rows: Profiles, rigs: RigTable) -> list[tuple[object, ...]]:
    """Return what the rows are about: rig, cycle, start, complete, revision."""
    columns = (rows.cycle, rows.start_us, rows.complete, rows.revision)
    return list(zip([rigs.name(int(c)) for c in rows.rig], *(c.tolist() for c in columns), strict=True))


def bits_of(rows: Profiles, rigs: RigTable) -> list[tuple[object, ...]]:
    """Return rows as tuples, floats by their bits."""
    floats = (np.ascontiguousarray(f) for f in (rows.mean, rows.m2, rows.low, rows.high))
    arrays = [rows.count.tolist(), *(f.view(np.int64).tolist() for f in floats)]
    return [(*head, *parts) for head, *parts in zip(heads_of(rows, rigs), *arrays, strict=True)]


def check_segments(rows: Profiles, wanted: Sequence[list[list[float]]]) -> None:
    """Compare each segment with the values that it should hold."""
    for i, segments in enumerate(wanted):
        assert rows.count[i].tolist() == [len(s) for s in segments]
        for k, values in enumerate(segments):
            got = (rows.mean[i, k], rows.m2[i, k], rows.low[i, k], rows.high[i, k])
            if not values:
                assert np.isnan(got).all()
                continue
            scale = max(1e-290, *(abs(v) for v in values))
            exact = np.array(values, np.longdouble)
            assert got[2:] == (min(values), max(values))
            assert abs(float(got[0] - exact.mean())) <= 1e-14 * len(values) * scale
            m2 = float(((exact - exact.mean()) ** 2).sum())
            assert abs(got[1] - m2) <= 1e-12 * len(values) * scale**2


@settings(max_examples=200, deadline=None)
@given(records=STORIES)
def test_profiles_equal_the_reference(records: list[Record]) -> None:
    """Which cycles are done, when, complete or not, with which values in which second."""
    rigs = RigTable()
    profiles, reference = profiles_of(rigs), Naive(GEOMETRY)
    for record in records:
        reference.take(record)

    rows = profiles.consume(samples_of(records, rigs))

    assert heads_of(rows, rigs) == [d[:5] for d in reference.done]
    check_segments(rows, [d[5] for d in reference.done])
    assert profiles.missed == reference.missed
    assert profiles.short == reference.short
    assert sum(sum(counts.values()) for counts in profiles.lacks().values()) == reference.missed + reference.short


@settings(max_examples=150, deadline=None)
@given(records=STORIES, data=st.data())
def test_any_batching_gives_the_same_bits(records: list[Record], data: st.DataObject) -> None:
    """Batches and restores from snapshots, here or in another process, change no bit."""
    first = RigTable()
    once = profiles_of(first)
    wanted = bits_of(once.consume(samples_of(records, first)), first)
    rigs = RigTable()
    cut, rows = profiles_of(rigs), []
    for piece in pieces(data.draw(cuts(len(records))), len(records)):
        rows += bits_of(cut.consume(samples_of(records[piece], rigs)), rigs)
        if data.draw(st.booleans()):
            state = snapshot.decode(snapshot.encode(cut.snapshot()))
            rigs = RigTable()
            cut = profiles_of(rigs)
            cut.restore(state)

    assert str(rows) == str(wanted)  # a NaN's bits are equal, and so are their texts
    assert snapshot.encode(cut.snapshot()) == snapshot.encode(once.snapshot())
    assert cut.missed == once.missed


@settings(max_examples=50, deadline=None)
@given(records=STORIES, again=st.integers(0, 60))
def test_replay_changes_nothing(records: list[Record], again: int) -> None:
    """Records that were taken already are skipped."""
    rigs = RigTable()
    profiles = profiles_of(rigs)
    profiles.consume(samples_of(records, rigs))
    before = snapshot.encode(profiles.snapshot())

    assert len(profiles.consume(samples_of(records[again:], rigs))) == 0
    assert snapshot.encode(profiles.snapshot()) == before


def cycle(number: int, indices: Sequence[int], *, first: int) -> list[Record]:
    """Return these samples of a cycle of rig a at 1 Hz."""
    return [Record("a", (6 * number + i) * US, float(i), first + n, number, i) for n, i in enumerate(indices)]


def test_complete_cycle_is_done_at_its_last_sample() -> None:
    """Nothing is waited for once every segment has all of its samples."""
    rigs = RigTable()

    rows = profiles_of(rigs).consume(samples_of(cycle(0, [3, 0, 1, 2, 5, 4], first=0), rigs))

    assert heads_of(rows, rigs) == [("a", 0, 0, True, 5)]
    assert rows.mean.tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]


def test_duplicate_does_not_hide_a_hole() -> None:
    """Six samples of which two are the same second are not complete."""
    rigs = RigTable()
    records = cycle(0, [0, 1, 2, 3, 4, 4], first=0) + cycle(1, [0, 1, 2], first=6)

    rows = profiles_of(rigs).consume(samples_of(records, rigs))

    # The watermark (8 s − 2 s) is at the cycle's end with sample 2 of the next one.
    assert heads_of(rows, rigs) == [("a", 0, 0, False, 8)]
    assert rows.count.tolist() == [[1, 1, 1, 1, 2, 0]]


def test_sample_of_a_finished_cycle_is_missed() -> None:
    """A profile is sent once; what comes after is counted."""
    rigs = RigTable()
    profiles = profiles_of(rigs)
    records = cycle(0, range(6), first=0) + cycle(0, [3], first=6)

    rows = profiles.consume(samples_of(records, rigs))

    assert (len(rows), profiles.missed) == (1, 1)


def test_a_number_that_comes_again_is_another_cycle() -> None:
    """A run that is stopped in its cycle 0 and begun again has two of them, and the first is not made whole."""
    rigs = RigTable()
    again = [Record("a", (600 + i) * US, 9.0, 4 + i, 0, i) for i in range(6)]

    rows = profiles_of(rigs).consume(samples_of(cycle(0, range(4), first=0) + again, rigs))

    assert heads_of(rows, rigs) == [("a", 0, 0, False, 4), ("a", 0, 600 * US, True, 9)]
    assert rows.count.tolist() == [[1, 1, 1, 1, 0, 0], [1] * 6]
    assert rows.mean[1].tolist() == [9.0] * 6


def cycles_of(length_s: int, *, count: int = 4, first: int = 0, reset: bool = True) -> list[Record]:
    """Return cycles that take `length_s` at 1 Hz; profiles have six seconds."""
    numbers = [(n, i) for n in range(count) for i in range(length_s)]
    return [Record("a", at * US, 1.0, at, n, first + (i if reset else at)) for at, (n, i) in enumerate(numbers)]


@pytest.mark.parametrize(
    ("records", "left", "complete"),
    [
        (cycles_of(6), [0, 0, 0], [True] * 4),
        (cycles_of(6, first=1), [4, 0, 0], [False] * 3),  # sample_idx from 1 on
        (cycles_of(6, reset=False), [18, 0, 0], [True]),  # never reset
        (cycles_of(2, count=9), [0, 0, 0], [False] * 7),  # cycles of a third of the length
        (cycles_of(12), [24, 0, 0], [True, False, False, False]),  # and of twice the length, as the first one shows
    ],
)
def test_what_profiles_leave_out_is_counted_by_reason(
    records: list[Record], left: list[int], complete: list[bool]
) -> None:
    """A layout that is not ours is not lost in silence, and its profiles do not say that they are complete."""
    rigs = RigTable()
    profiles = profiles_of(rigs)

    rows = profiles.consume(samples_of(records, rigs))

    assert rows.complete.tolist() == complete
    assert profiles.left.tolist() == left


def test_one_time_stamp_for_a_whole_cycle_is_said() -> None:
    """From half a cycle on the samples contradict it: they are counted, and no cycle is made of them."""
    rigs = RigTable()
    profiles = profiles_of(rigs)
    records = [Record("a", 6 * (at // 6) * US, 1.0, at, at // 6, at % 6) for at in range(30)]

    rows = profiles.consume(samples_of(records, rigs))

    assert rows.cycle.tolist() == [0, 1, 2]
    assert not rows.complete.any()
    assert rows.count.tolist() == [[1, 1, 1, 0, 0, 0]] * 3
    assert profiles.left.tolist() == [0, 0, 15]


def test_state_of_before_reasons_were_kept_goes_on() -> None:
    """A snapshot of an older release is read: its rate is the table's, its count is kept."""
    rigs = RigTable()
    one, two = profiles_of(rigs), profiles_of(rigs)
    records = [Record("a", at * US // 100, 1.0, at, 0, at, 100.0) for at in range(600)]
    one.consume(samples_of(records[:300], rigs))
    state = one.snapshot()
    new = ("left", "over", "rates", "ages", "border", "one", "ones", "more", *LATER)
    old = {name: value for name, value in state.items() if name not in new}
    parts = one._parts[:1, 0].copy()
    two.restore(old | {"missed": 3, "ints": state["ints"][:, :4], "parts": parts})

    rows, wanted = (each.consume(samples_of(records[300:], rigs)) for each in (two, one))

    assert bits_of(rows, rigs) == bits_of(wanted, rigs)
    assert rows.rate_hz.tolist() == [100.0]
    assert two.missed == 3


def test_more_profiles_than_the_kernel_holds() -> None:
    """A thousand rigs that finish in one batch all come out."""
    rigs = RigTable()
    records = [Record(f"rig-{k}", i * US, 1.0, 1000 * i + k, 0, i) for i in range(6) for k in range(1000)]

    rows = profiles_of(rigs).consume(samples_of(records, rigs))

    assert len(rows) == 1000
    assert rows.complete.all()


def test_other_geometry_in_a_snapshot_is_refused() -> None:
    """A snapshot of other settings does not fit, and says so."""
    rigs = RigTable()
    other = CycleGeometry(lateness_us=7)

    with pytest.raises(ValueError, match=r"were .* are"):
        profiles_of(rigs, other).restore(profiles_of(rigs).snapshot())
