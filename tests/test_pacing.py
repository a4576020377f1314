"""Deadlines, ticks and phases: arithmetic, no clocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrodask.channels import SENSORS
from hydrodask.ingest.pacing import TICK_S, Pace, phase_us, rate_error

DAY_US = 86_400_000_000
START_US = 1_767_225_600_000_000


def test_deadlines_do_not_drift() -> None:
    """The millionth second is due exactly a million seconds after the first."""
    pace = Pace(1.0, START_US, START_US, 50.0)

    assert pace.deadlines_s(np.array([START_US + 10**12])).tolist() == [1_000_050.0]


def test_max_is_due_at_once() -> None:
    """At speed max everything in the past is due before the start."""
    pace = Pace(None, START_US, START_US + DAY_US, 50.0)

    assert (pace.deadlines_s(START_US + np.arange(1000) * 1_000_000) <= 50.0).all()


@pytest.mark.parametrize("speed", [60.0, None])
def test_a_feed_that_caught_up_goes_on_at_real_time(speed: float | None) -> None:
    """A second after the present is due a second after the start, whatever the speed.

    event time   start ………………… now   now + 1 s
    due          0 s (60 times as fast)    never before 1 s.
    """
    now_us = START_US + 1_000_000
    pace = Pace(speed, START_US, now_us, 0.0)

    assert pace.deadlines_s(np.array([now_us + 1_000_000])).tolist() == [1.0]


@given(
    steps_us=st.lists(st.integers(0, 200_000), min_size=1, max_size=200),
    speed=st.sampled_from([None, 0.5, 1.0, 60.0]),
    records_max=st.integers(1, 50),
)
def test_ticks_cover_all_records_in_order(steps_us: list[int], speed: float | None, records_max: int) -> None:
    """Every record is in exactly one run, in order, at most one tick after its deadline."""
    send_us = START_US + np.cumsum(np.array(steps_us))
    pace = Pace(speed, START_US, START_US + DAY_US, 7.0)
    deadlines_s = pace.deadlines_s(send_us)

    runs = list(pace.ticks(send_us, records_max=records_max))

    assert [i for _, run in runs for i in range(run.start, run.stop)] == list(range(len(send_us)))
    assert [when for when, _ in runs] == sorted(when for when, _ in runs)
    for when_s, run in runs:
        assert run.stop - run.start <= records_max
        due_s = np.maximum(deadlines_s[run], 7.0)
        assert (due_s <= when_s + 1e-6).all()
        assert (due_s > when_s - TICK_S - 1e-6).all()


def test_no_records_no_ticks() -> None:
    """A second without records gives no run."""
    pace = Pace(1.0, START_US, START_US, 0.0)

    assert list(pace.ticks(np.zeros(0, np.int64), records_max=10)) == []


@given(rig=st.text(max_size=20))
def test_sensors_of_a_rig_start_apart(rig: str) -> None:
    """Seventeen different phases below one second, the same each time."""
    phases = [phase_us(sensor, rig) for sensor in SENSORS]

    assert len(set(phases)) == 17
    assert all(0 <= phase < 1_000_000 for phase in phases)
    assert phases == [phase_us(sensor, rig) for sensor in SENSORS]


def test_rate_error() -> None:
    """Too slow is negative; nothing planned means no error."""
    assert rate_error(60.0, 60.6) == pytest.approx(-0.0099, abs=1e-4)
    assert rate_error(0.0, 1.0) is None
