"""Incidents at their edges: of final and open windows, of rigs on two partitions, of sensors that are not judged."""

import pytest

from hydrodask.clock import iso
from hydrodask.detect import Criteria
from hydrodask.detect.arrivals import Arrival
from hydrodask.detect.refusals import Refusals
from hydrodask.detect.splits import PARTITIONS_MAX, Splits
from hydrodask.detect.thin import CoverageWatch
from hydrodask.records import Change, RefusedRecord, Upsert, WindowRecord
from hydrodask.settings import Settings
from tests.test_detector import detector, feed, of, row, rule
from tests.test_splits import judging, taken
from tests.test_splits import row as row_of
from tests.test_thin import windows


@pytest.mark.parametrize(
    ("windows_", "rows", "left"),
    [
        (2, [row(0, 31), row(2, 31, final=False), row(1, 20), row(2, 31)], []),
        (1, [row(0, 31), row(1, 32, final=False), row(1, 20)], [31]),
        (1, [row(0, 31), row(1, 32, final=False), row(1, 32)], [31, 32]),
    ],
    ids=["opens nothing", "resolves", "goes on"],
)
def test_a_final_window_leaves_what_it_shows(windows_: int, rows: list[WindowRecord], left: list[float]) -> None:
    """Its provisional anomaly goes if it opens nothing, also when it is the one that ends an incident."""
    changes = feed(detector(rule(windows=windows_)), rows)

    assert [body["value"] for body in of("anomalies", changes)] == left
    assert not any(body["provisional"] for kind in ("anomalies", "incidents") for body in of(kind, changes))


def test_what_could_not_count_as_final_is_not_provisional() -> None:
    """A first broken window of three that a rule wants says nothing; while its incident is open each window does."""
    one = detector(rule(windows=3))
    assert feed(one, [row(0, 31, final=False)]) == []
    feed(one, [*(row(i, 31) for i in range(3)), row(100, 31)])  # a hole: the run begins anew, the incident goes on
    changes = feed(one, [row(101, 32, final=False)], 9)

    assert [(body["value"], body["provisional"]) for body in of("anomalies", changes)] == [(32, True)]


def test_a_rig_on_two_partitions_is_said_once_they_overlap_by_a_window() -> None:
    """A move brings windows with parts for less than that."""
    (body,) = of("incidents", taken(judging(), [row_of(n, 20, partition=p) for n in range(30) for p in (0, 1)]))

    assert (body["first_window"], body["opened_at"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z")


def test_windows_after_a_move_are_whole() -> None:
    """Those that both partitions have are not judged by their mean, and the next one is."""
    rows = [row_of(n, 20) for n in range(20)] + [row_of(n, 20, partition=3) for n in range(15, 20)]
    changes = taken(judging(), [*rows, *(row_of(n, 50, partition=3) for n in range(20, 25))])

    begins = [body["window_start"] for body in of("anomalies", changes)]
    assert (len(begins), begins[0]) == (5, "2026-01-01T00:03:20Z")


def test_of_partitions_so_many_are_told_apart() -> None:
    """Junk keys may bring a sensor on each of hundreds; of a rig that is forgotten none is remembered."""
    one = Splits("digest", length_s=60.0)
    for partition in range(PARTITIONS_MAX + 4):
        one.take(row_of(0, 20, partition=partition), partition)
    ((_, _, there),) = one.snapshot()["seen"]
    assert len(there) == PARTITIONS_MAX

    one.leave("rig-1", 99)
    assert one.snapshot()["seen"] == []


def test_a_window_with_just_enough_is_judged() -> None:
    """It is nobody's trouble, and it ends what was said of windows with less."""
    watch, rows = CoverageWatch(Criteria.of(Settings())), windows(32, 57.0, 0.5)
    assert watch.take(rows[0], 0.9, 0) == []
    opened = [change for place, each in enumerate(rows[1:31], 1) for change in watch.take(each, 0.5, place)]
    assert [c.body["status"] for c in opened if isinstance(c, Upsert)] == ["open"]
    (over,) = watch.take(rows[31], 0.9, 31)

    assert isinstance(over, Upsert)
    assert over.body["status"] == "resolved"
    assert watch.alarms() == []


def refused(one: Refusals, kept: int, late: int, *, sensor: str = "TS1") -> list[Change]:
    """Return what follows from a minute of which so many samples could not be used."""
    row = RefusedRecord("rig-1", sensor, iso(0), kept, late, 0, over_half=late > kept, revision=0)
    return one.take(Arrival(0, 0, row))


def test_the_worst_minute_of_refused_samples_is_told() -> None:
    """The first of those that are as bad; who was well already has nothing to end."""
    one = Refusals("digest")
    assert refused(one, 100, 0) == []
    told = [refused(one, kept, late) for kept, late in ((40, 60), (4, 6), (45, 55), (20, 80))]

    assert [[c.body["worst"] for c in some if isinstance(c, Upsert)] for some in told] == [[0.6], [], [], [0.8]]
    assert refused(one, 100, 0, sensor="CE") == []
    assert one.alarms() == [("rig-1", "*", "unusable_samples")]
