"""Features: a function of their own cycle alone, to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrodask.channels import SENSORS
from hydrodask.learn.features import CLASSIC, MEAN, SEGMENTS_MIN, Cycles, columns, compute, sensors_of
from hydrodask.learn.targets import TARGETS

EVERY = tuple(dict.fromkeys((*CLASSIC, *(name for target in TARGETS.values() for name in target.columns))))


def cycles(count: int, seed: int = 0) -> Cycles:
    """Return made-up cycles."""
    curves = np.random.default_rng(seed).normal(100.0, 30.0, (count, len(SENSORS), 3, 60))
    names = np.full(count, "rig", object)
    return Cycles(names, np.arange(count), np.zeros(count, np.int64), curves)


@given(count=st.integers(1, 9), seed=st.integers(0, 99), data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_cycle_alone_gives_the_same_bits(count: int, seed: int, data: st.DataObject) -> None:
    """However many cycles are computed together, and whichever features are asked for, the bits are the same."""
    some = cycles(count, seed)
    row = data.draw(st.integers(0, count - 1))
    names = tuple(data.draw(st.lists(st.sampled_from(EVERY), min_size=1, max_size=20, unique=True)))
    one = Cycles(some.rig[:1], some.cycle[:1], some.start_us[:1], some.curves[row : row + 1])

    together = compute(some, EVERY)[row, [EVERY.index(name) for name in names]]

    assert compute(one, names)[0].tobytes() == together.tobytes()


def test_a_shape_forgets_level_and_scale() -> None:
    """A sensor that reads twice as much, or ten more, has the same shape."""
    some = cycles(3)
    shape = compute(some, columns("shape", ["PS1"]))
    some.curves[:, 0] = 2 * some.curves[:, 0] + 10

    assert np.allclose(compute(some, columns("shape", ["PS1"])), shape, atol=1e-12)
    assert np.allclose(shape.mean(axis=1), 0, atol=1e-12)
    assert np.allclose(shape.std(axis=1), 1)


def test_a_flat_curve_has_a_flat_shape() -> None:
    """A sensor that stands still gives zeros, not infinities."""
    some = cycles(1)
    some.curves[:] = 5.0

    assert (compute(some, columns("shape", ["PS1"])) == 0).all()


def test_gaps_are_interpolated_up_to_a_limit() -> None:
    """A few seconds without samples are filled between their neighbours; with more the sensor is missing."""
    some = cycles(2)
    some.curves[0, 0, :, 10] = np.nan
    some.curves[1, 0, :, : 60 - SEGMENTS_MIN + 1] = np.nan
    made = compute(some, columns("mean", ["PS1"]))

    assert made[0, 10] == pytest.approx(some.curves[0, 0, MEAN, [9, 11]].mean())
    assert np.isnan(made[1]).all()
    assert np.isfinite(compute(some, columns("mean", ["PS2"]))).all()
    assert some.missing()[:, 0].tolist() == [False, True]


def test_each_target_names_the_sensors_that_show_it() -> None:
    """The valve can be judged without the sensors that say nothing about it."""
    assert sensors_of(TARGETS["valve"].columns) == ("PS1", "PS2", "EPS1")
    assert sensors_of(TARGETS["cooler"].columns) == ("CE",)
