"""Baselines learn what is usual, follow slow drift, and see steps."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrodask.detect.baseline import RELEARN, Baseline

WARM_UP = 90


def learned(values: list[float], *, floor: float = 0.1) -> Baseline:
    """Return a baseline that has seen these values."""
    baseline = Baseline(floor=floor)
    for value in values:
        baseline.learn(value, warm_up=WARM_UP)
    return baseline


def test_warm_up_takes_the_median() -> None:
    """A few wild values in the warm-up do no harm."""
    baseline = learned([10.0] * 60 + [1e6] * 30)

    assert baseline.warm
    assert baseline.centre == 10.0
    assert baseline.scale == 0.1


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200))
def test_scale_never_falls_below_the_floor(values: list[float]) -> None:
    """Whatever was seen, scale ≥ floor and the centre is finite."""
    baseline = learned(values)

    assert baseline.scale >= baseline.floor
    assert math.isfinite(baseline.centre)


@pytest.mark.parametrize("step", [0.001, 0.01, 0.1, 1.0])
def test_steady_drift_is_usual(step: float) -> None:
    """A drift of any speed that was there in the warm-up never reaches a z-score of 5."""
    baseline = Baseline(floor=0.1)
    worst = 0.0
    for i in range(2000):
        value = 40 + step * i
        worst = max(worst, abs(baseline.z(value)) if baseline.warm else 0.0)
        baseline.learn(value, warm_up=WARM_UP)

    assert worst < 5


def test_warming_oil_is_usual() -> None:
    """A first-order rise over many cycles, with noise, never reaches a z-score of 5."""
    noise = np.random.default_rng(1).normal(0, 0.02, 1000)
    baseline = Baseline(floor=0.1)
    worst = 0.0
    for i in range(1000):
        value = 45 - 10 * math.exp(-i / 120) + float(noise[i])
        worst = max(worst, abs(baseline.z(value)) if baseline.warm else 0.0)
        baseline.learn(value, warm_up=WARM_UP)

    assert worst < 5


def test_step_is_unusual() -> None:
    """A step of a tenth of the range stands out by 20 floors."""
    assert learned([50.0] * 200, floor=0.5).z(60.0) == pytest.approx(20.0)


def test_outlier_teaches_little() -> None:
    """One wild value moves the centre by no more than 3 scales' weight."""
    baseline = learned([50.0] * 100)
    baseline.learn(1e9, warm_up=WARM_UP)

    assert baseline.centre == pytest.approx(50.0, abs=0.01)


def test_lasting_change_is_learned_anew() -> None:
    """After an hour of abnormal windows in a row the warm-up begins again."""
    baseline = learned([50.0] * 100)

    assert [baseline.endure() for _ in range(RELEARN)] == [False] * (RELEARN - 1) + [True]
    assert not baseline.warm


@given(st.lists(st.floats(-1e6, 1e6), max_size=200), st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_restored_baseline_goes_on_alike(before: list[float], after: list[float]) -> None:
    """A snapshot holds all there is, to the last bit."""
    one, other = learned(before), Baseline(floor=0.1)
    other.restore(one.snapshot())
    for value in after:
        one.learn(value, warm_up=WARM_UP)
        other.learn(value, warm_up=WARM_UP)

    assert one.snapshot() == other.snapshot()
