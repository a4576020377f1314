"""Sliding windows: equal to a reference that keeps every value, and the same bits for any batching."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrodask.protocol import snapshot
from hydrodask.records import Late, Windows
from hydrodask.rigs import RigTable
from hydrodask.window import OpenWindows
from tests.strategies import (
    GEOMETRIES,
    US,
    Geometry,
    Record,
    cuts,
    pieces,
    samples_of,
    stories,
)

ANY = st.sampled_from(GEOMETRIES).flatmap(lambda g: st.tuples(st.just(g), stories(g)))
MINUTE = GEOMETRIES[0]


# The reference: the design's sentences, one record at a time ------------------------------------


@dataclass(slots=True)
class NaiveRig:
    """One rig's windows as lists of values; `final` holds the starts of those that are final."""

    newest_us: int | None = None
    values: dict[int, list[float]] = field(default_factory=dict)
    final: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Naive:
    """Windows that are computed by remembering everything."""

    geometry: Geometry
    rigs: dict[str, NaiveRig] = field(default_factory=dict)
    done: list[tuple[str, int, int, list[float]]] = field(default_factory=list)
    late: list[tuple[int, int]] = field(default_factory=list)

    def take(self, record: Record) -> None:
        """Move the watermark, close what it passes, then add the value or call it late."""
        g, rig = self.geometry, self.rigs.setdefault(record.rig, NaiveRig())
        if rig.newest_us is None or record.time_us > rig.newest_us:
            rig.newest_us = record.time_us
        watermark_us = rig.newest_us - g.lateness_us
        for start in sorted(set(rig.values) - rig.final):
            if start + g.length_us <= watermark_us:
                rig.final.add(start)
                self.done.append((record.rig, start, record.offset, rig.values[start]))
        newest = record.time_us - record.time_us % g.slide_us
        starts = range(newest, record.time_us - g.length_us, -g.slide_us)
        open_ones = [start for start in starts if start + g.length_us > watermark_us]
        for start in open_ones:
            rig.values.setdefault(start, []).append(record.value)
        if not open_ones:
            self.late.append((record.offset, watermark_us - record.time_us))


def naive(geometry: Geometry, records: Sequence[Record]) -> Naive:
    """Return the reference after `records`."""
    reference = Naive(geometry)
    for record in records:
        reference.take(record)
    return reference


# What is compared -------------------------------------------------------------------------------


def windows_of(geometry: Geometry, rigs: RigTable) -> OpenWindows:
    """Return fresh windows of PS1."""
    return OpenWindows(
        "PS1",
        length_us=geometry.length_us,
        slide_us=geometry.slide_us,
        lateness_us=geometry.lateness_us,
        rigs=rigs,
    )


def rows_of(rows: Windows, rigs: RigTable) -> list[tuple[object, ...]]:
    """Return rows as tuples, rigs by name, floats by their bits."""
    floats = (rows.mean, rows.stddev, rows.low, rows.high)
    columns = [c.tolist() for c in (rows.start_us, rows.revision, rows.count, rows.final)]
    bits = [np.ascontiguousarray(f).view(np.int64).tolist() for f in floats]
    return list(zip([rigs.name(int(c)) for c in rows.rig], *columns, *bits, strict=True))


def late_of(late: Late) -> list[tuple[int, int]]:
    """Return late samples as (offset, how late)."""
    return list(zip(late.samples.offset.tolist(), late.late_us.tolist(), strict=True))


def check_statistics(rows: Windows, values: Sequence[list[float]]) -> None:
    """Compare rows with values: counts, least and largest are exact; mean and deviation as good as doubles allow."""
    assert rows.count.tolist() == [len(v) for v in values]
    assert rows.low.tolist() == [min(v) for v in values]
    assert rows.high.tolist() == [max(v) for v in values]
    for i, parts in enumerate(values):
        exact = [Fraction(v) for v in parts]
        mean = sum(exact) / len(exact)
        scale = max(1e-290, *(abs(v) for v in parts))
        assert abs(float(rows.mean[i] - mean)) <= 1e-14 * len(parts) * scale
        if len(parts) == 1:
            assert np.isnan(rows.stddev[i])
            continue
        variance = float(sum((v - mean) ** 2 for v in exact) / (len(exact) - 1))
        assert abs(rows.stddev[i] ** 2 - variance) <= 1e-12 * len(parts) * scale**2


@settings(max_examples=300, deadline=None)
@given(given_story=ANY)
def test_windows_equal_the_reference(given_story: tuple[Geometry, list[Record]]) -> None:
    """Which windows, when final, of which values, and who is late: as the design says."""
    geometry, records = given_story
    rigs = RigTable()
    windows, reference = windows_of(geometry, rigs), naive(geometry, records)

    final, late = windows.consume(samples_of(records, rigs))

    assert [r[:3] for r in rows_of(final, rigs)] == [d[:3] for d in reference.done]
    assert final.final.all()
    check_statistics(final, [d[3] for d in reference.done])
    assert late_of(late) == reference.late
    assert (windows.kept, windows.late) == (
        len(records) - len(reference.late),
        len(reference.late),
    )


@settings(max_examples=150, deadline=None)
@given(given_story=ANY)
def test_updates_show_every_open_window(given_story: tuple[Geometry, list[Record]]) -> None:
    """Without a final window in between, updates are the reference's open windows."""
    geometry, records = given_story
    rigs = RigTable()
    windows, reference = windows_of(geometry, rigs), naive(geometry, records)
    windows.consume(samples_of(records, rigs))

    rows = windows.updates(77)

    wanted = [
        (name, start, 77, values)
        for name, rig in reference.rigs.items()
        for start, values in sorted(rig.values.items())
        if start not in rig.final
    ]
    assert [r[:3] for r in rows_of(rows, rigs)] == [w[:3] for w in wanted]
    check_statistics(rows, [w[3] for w in wanted])
    assert not rows.final.any()
    assert len(windows.updates(78)) == 0


@settings(max_examples=150, deadline=None)
@given(given_story=ANY)
def test_shown_is_the_newest_window_that_is_half_as_full_as_the_fullest(
    given_story: tuple[Geometry, list[Record]],
) -> None:
    """Of the open ones up to the newest sample; and nothing changes by looking."""
    geometry, records = given_story
    rigs = RigTable()
    windows, reference = windows_of(geometry, rigs), naive(geometry, records)
    windows.consume(samples_of(records, rigs))
    before = snapshot.encode(windows.snapshot())

    rows = windows.shown(100)

    wanted = []
    for name, rig in reference.rigs.items():
        last = (rig.newest_us or 0) // geometry.slide_us * geometry.slide_us + geometry.slide_us - geometry.length_us
        among = {start: values for start, values in rig.values.items() if start not in rig.final and start <= last}
        most = max(map(len, among.values()))
        start = max(start for start, values in among.items() if 2 * len(values) >= most)
        wanted.append((name, start, 0, among[start]))
    assert [r[:3] for r in rows_of(rows, rigs)] == [w[:3] for w in wanted]
    check_statistics(rows, [w[3] for w in wanted])
    assert not rows.final.any()
    assert snapshot.encode(windows.snapshot()) == before


def test_shown_follows_the_newest_sample_and_not_the_lateness() -> None:
    """A sample each second: what is shown has the newest one at once, and five sixths of a window at least."""
    rigs = RigTable()
    windows = windows_of(MINUTE, rigs)
    for number in range(200):
        windows.consume(samples_of([at(number, number, offset=number)], rigs))
        shown = windows.shown(1)

        assert shown.high.tolist() == [float(number)]
        assert number < 60 or 50 < shown.count[0] <= 60


def test_shown_of_windows_side_by_side_is_half_full() -> None:
    """Where no window overlaps another, one that has just begun waits for half of its samples."""
    rigs = RigTable()
    windows = windows_of(Geometry(10 * US, 10 * US, 10 * US), rigs)
    for number in range(15):
        windows.consume(samples_of([at(number, offset=number)], rigs))
        shown = windows.shown(1)

        assert shown.start_us.tolist() == [10 * US if number == 14 else 0]


@settings(max_examples=200, deadline=None)
@given(given_story=ANY, data=st.data())
def test_any_batching_gives_the_same_bits(given_story: tuple[Geometry, list[Record]], data: st.DataObject) -> None:
    """Batches, updates in between and restores from snapshots change no bit of rows or state."""
    geometry, records = given_story
    rigs = RigTable()
    once = windows_of(geometry, rigs)
    final, late = once.consume(samples_of(records, rigs))
    cut = windows_of(geometry, rigs)
    rows, lates = [], []
    for piece in pieces(data.draw(cuts(len(records))), len(records)):
        part, behind = cut.consume(samples_of(records[piece], rigs))
        rows += rows_of(part, rigs)
        lates += late_of(behind)
        if data.draw(st.booleans()):
            cut.updates(0)
        if data.draw(st.booleans()):
            state = snapshot.decode(snapshot.encode(cut.snapshot()))
            if data.draw(st.booleans()):
                rigs = RigTable()  # another process
                cut = windows_of(geometry, rigs)
            cut.restore(state)

    assert rows == rows_of(final, once_rigs(once))
    assert lates == late_of(late)
    assert snapshot.encode(cut.snapshot()) == snapshot.encode(once.snapshot())
    assert (cut.kept, cut.late) == (once.kept, once.late) == (len(records) - len(lates), len(lates))


def once_rigs(windows: OpenWindows) -> RigTable:
    """Return the rig table that these windows were made with."""
    return windows._keys._rigs


@settings(max_examples=100, deadline=None)
@given(given_story=ANY, data=st.data())
def test_watermark_never_goes_back(given_story: tuple[Geometry, list[Record]], data: st.DataObject) -> None:
    """However disordered the records are, a rig's watermark only grows, and final windows come in order."""
    geometry, all_records = given_story
    records = [r for r in all_records if r.rig == "a"]
    rigs = RigTable()
    windows = windows_of(geometry, rigs)
    marks, starts = [-(2**63)], []
    for piece in pieces(data.draw(cuts(len(records))), len(records)):
        final, _ = windows.consume(samples_of(records[piece], rigs))
        starts += final.start_us.tolist()
        mark = windows.watermark_us
        marks += [] if mark is None else [mark]

    assert marks == sorted(marks)
    assert starts == sorted(set(starts))


@settings(max_examples=100, deadline=None)
@given(given_story=ANY, again=st.integers(0, 60))
def test_replay_changes_nothing(given_story: tuple[Geometry, list[Record]], again: int) -> None:
    """Records that were taken already are skipped, wherever the replay begins."""
    geometry, records = given_story
    rigs = RigTable()
    windows = windows_of(geometry, rigs)
    windows.consume(samples_of(records, rigs))
    before = snapshot.encode(windows.snapshot())

    final, late = windows.consume(samples_of(records[again:], rigs))

    assert (len(final), len(late.samples)) == (0, 0)
    assert snapshot.encode(windows.snapshot()) == before


def at(second: float, value: float = 1.0, *, offset: int) -> Record:
    """Return a record of rig a."""
    return Record("a", round(second * US), value, offset)


def test_timeline_of_one_minute() -> None:
    """A window is final once its end is at or below the largest event time − 10 s, not before.

    [0 ------------------------- 60)       watermark
         [10 ------------------------- 70)  70 s − 10 s = 60 s closes the first one
    """
    rigs = RigTable()
    windows = windows_of(MINUTE, rigs)
    records = [at(0, 5, offset=0), at(59.999999, 7, offset=1), at(69.999999, 9, offset=2)]
    before, _ = windows.consume(samples_of(records, rigs))

    after, _ = windows.consume(samples_of([at(70, 11, offset=3)], rigs))

    assert before.start_us.tolist() == [-50 * US, -40 * US, -30 * US, -20 * US, -10 * US]
    assert before.revision.tolist() == [1, 1, 1, 1, 2]
    assert after.start_us.tolist() == [0]
    assert (after.count.tolist(), after.high.tolist()) == ([2], [7.0])


def test_border_of_late() -> None:
    """With the watermark at 60 s, what is before 10 s has no open window; what is at 10 s has one."""
    rigs = RigTable()
    windows = windows_of(MINUTE, rigs)
    records = [at(70, offset=0), at(9.999999, offset=1), at(10, offset=2), at(0, offset=3)]

    _, late = windows.consume(samples_of(records, rigs))

    assert late_of(late) == [(1, 50 * US + 1), (3, 60 * US)]
    assert windows.updates(4).start_us.tolist()[0] == 10 * US


def test_partly_final_sample_changes_the_other_windows() -> None:
    """A sample 9 s behind the watermark is not late while one of its windows is open."""
    rigs = RigTable()
    windows = windows_of(MINUTE, rigs)
    records = [at(0, offset=0), at(100, offset=1), at(81, 3, offset=2), at(29, 4, offset=3)]

    _, late = windows.consume(samples_of(records, rigs))
    rows = windows.updates(4)

    assert late_of(late) == [(3, 61 * US)]
    assert dict(zip(rows.start_us.tolist(), rows.high.tolist(), strict=True)) == {
        40 * US: 3.0,
        50 * US: 3.0,
        60 * US: 3.0,
        70 * US: 3.0,
        80 * US: 3.0,
        90 * US: 1.0,
        100 * US: 1.0,
    }


def test_disorder_changes_no_count_and_almost_no_mean() -> None:
    """An ordered and a disordered log: count, least, largest equal; mean and deviation to 1e-12."""
    rng = np.random.default_rng(7)
    values = 150.0 + rng.normal(size=30_000)
    sent = np.argsort(np.arange(30_000) * 10_000 + rng.uniform(0, 8e6, 30_000))
    both = []
    for order in (np.arange(30_000), sent):
        rigs = RigTable()
        records = [Record("a", i * 10_000, values[i], n) for n, i in enumerate(order.tolist())]
        final, late = windows_of(MINUTE, rigs).consume(samples_of(records, rigs))
        assert len(late.samples) == 0
        both.append(final)
    # The last samples of the disordered log may be a little older, and its watermark with them.
    ordered, disordered = both
    count = min(len(ordered), len(disordered))

    assert count >= 28
    for name in ("start_us", "count", "low", "high"):
        assert getattr(ordered, name)[:count].tolist() == getattr(disordered, name)[:count].tolist()
    np.testing.assert_allclose(disordered.mean[:count], ordered.mean[:count], rtol=1e-12)
    np.testing.assert_allclose(disordered.stddev[1:count], ordered.stddev[1:count], rtol=1e-12)


def test_thousand_rigs_at_once() -> None:
    """More final rows than one call of the kernel can write come out complete and in order."""
    rigs = RigTable()
    names = [f"rig-{i}" for i in range(3000)]
    times = (0.0, 65.0, 200.0)
    records = [
        Record(name, round(second * US), float(k), 3000 * k + i)
        for k, second in enumerate(times)
        for i, name in enumerate(names)
    ]
    windows = windows_of(MINUTE, rigs)

    final, _ = windows.consume(samples_of(records, rigs))
    rows = windows.updates(9000)

    assert len(final) == 3000 * 12
    assert len(rows) == 3000 * 6
    assert sorted({int(c) for c in np.bincount(final.rig)}) == [12]


def test_other_geometry_in_a_snapshot_is_refused() -> None:
    """A snapshot of windows with other settings does not fit, and says so."""
    rigs = RigTable()

    with pytest.raises(ValueError, match=r"were .* are"):
        windows_of(GEOMETRIES[1], rigs).restore(windows_of(MINUTE, rigs).snapshot())
