"""Bands: the baseline that judged is kept, the same however the stream was cut, and nobody needs it to restart."""

import json

import pytest

from hydrodask.clock import US_PER_S, iso
from hydrodask.records import Messages
from hydrodask.settings import load
from hydrodask.testing import messages_of
from tests.running import Life

SETTINGS = load(sets=["detect.baseline.warm_up=6"], environ={})[0]
START_US = 1_796_011_200 * US_PER_S
ROWS = 60
TOPIC = "hydraulic-analytics"


def rows() -> Messages:
    """Return ten minutes of final windows of one sensor; in the middle the value leaps."""
    values: list[bytes | None] = []
    for number in range(ROWS):
        start_us = START_US + number * 10 * US_PER_S
        mean = 47.0 + 0.01 * (number % 7) - (30.0 if 30 <= number < 36 else 0.0)
        row: dict[str, object] = {
            "rig": "rig-1",
            "sensor": "CE",
            "window_start": iso(start_us),
            "window_end": iso(start_us + 60 * US_PER_S),
        }
        row |= {
            "avg_value": mean,
            "max_value": mean + 1,
            "min_value": mean - 1,
            "stddev_value": 0.1,
            "range_value": 2.0,
        }
        row |= {"sample_count": 60, "final": True, "revision": number, "sampling_rate_hz": 1.0}
        values.append(json.dumps(row).encode())
    return messages_of(values, topic=TOPIC, stamp_ms=START_US // 1000)


def run(*cuts: int, crash_at: int | None = None) -> Life:
    """Run the rows through the alert flow in batches that end at `cuts`, with a restart from a snapshot at one."""
    return Life(SETTINGS, topic=TOPIC, flow="alert").through(rows(), *cuts, crash_at=crash_at)


@pytest.mark.parametrize(("cuts", "crash_at"), [((1, 2, 31), None), ((20,), 20), ((33, 47), 33)])
def test_bands_are_those_of_the_rows_however_they_were_cut(cuts: tuple[int, ...], crash_at: int | None) -> None:
    """Once a minute, before the row is learned; an unusual leap teaches nothing; a crash changes nothing."""
    whole, cut = run(), run(*cuts, crash_at=crash_at)
    table = whole.table("bands")
    means = [row for row in table.to_pylist() if row["statistic"] == "avg_value"]

    assert cut.table("bands").equals(table)
    assert cut.state() == whole.state()
    assert [row["revision"] for row in means] == list(range(6, ROWS, 6))
    assert {row["enter"] for row in means} == {SETTINGS.detect.baseline.enter}
    assert all(abs(row["centre"] - 47.0) < 0.1 for row in means)


def test_a_snapshot_of_a_release_without_bands_is_gone_on_from() -> None:
    """They begin where it was taken."""
    life, every = Life(SETTINGS, topic=TOPIC, flow="alert"), rows()
    life.feed(every.take(slice(0, 30)))
    life.commit()
    del life.partition.ctx.files["bands"]
    life.save()
    assert life.restart() == 30
    life.feed(every.take(slice(30, None)))
    life.end()

    assert life.table("bands")["revision"].to_pylist() == [r for r in range(30, ROWS, 6) for _ in range(2)]
