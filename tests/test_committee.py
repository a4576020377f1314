"""Committees of Gaussian views on real cycles of combinations that they never saw: gaps, broken input, and why."""

from dataclasses import replace
from time import process_time

import numpy as np
import pytest

from benchmarks.exam import Exam, broken, gaps, with_broken, with_gap
from hydrodask.channels import SENSORS
from hydrodask.errors import FatalError
from hydrodask.learn.registry import Version, worse
from hydrodask.learn.score import asking, saying
from hydrodask.learn.score.committee import Committee
from hydrodask.learn.score.gaussian import CELLS, marginal
from hydrodask.learn.score.novelty import Gate
from hydrodask.learn.train import nested
from hydrodask.learn.train.plans import candidates
from hydrodask.learn.train.validation import folds, macro_f1

WRONG_MAX = 0.02
WANTED = {"cooler": 0.999, "valve": 0.999, "pump": 0.997, "accumulator": 0.965, "stable": 0.85}
"""Macro-F1 over answered cycles of combinations that nothing was trained on or chosen by."""


def test_unseen_combinations_are_told(exam: Exam) -> None:
    """As good as is promised, over answered cycles; at most 3 % of cycles are unknown to any of the five."""
    said = asking.score(exam.models, exam.cycles(exam.seconds))
    known = np.stack([one.usable for one in said.values()])

    assert known.all(axis=0).mean() >= 0.97
    for place, (name, one) in enumerate(said.items()):
        assert macro_f1(exam.labels[one.usable, place], one.label[one.usable]) >= WANTED[name], name


def test_what_is_missing_is_marginalised(exam: Exam) -> None:
    """The rest has the precision of the covariance's sub-block, and its odds are those of that Gaussian."""
    view = exam.models["accumulator"].views[0]
    there = np.random.default_rng(1).random(len(view.cells)) > 0.2
    covariance = np.linalg.inv(view.precision)
    block = np.linalg.inv(covariance[np.ix_(there, there)])

    assert np.allclose(marginal(view.precision, there), block, rtol=1e-6, atol=1e-6 * np.abs(block).max())
    seconds = exam.seconds[:3].copy()
    seconds[:, view.cells[~there]] = np.nan
    given = (seconds[:, view.cells[there]] - view.mean[there]) / view.scale[there]
    apart = given[:, None] - view.centres[:, there][None]
    logs = -0.5 * np.einsum("nki,ij,nkj->nk", apart, block, apart)
    odds = view.opinions(seconds)[0]
    assert np.allclose(odds, logs - logs.mean(axis=1, keepdims=True), rtol=1e-5, atol=1e-3)


def test_gaps_do_not_lie(exam: Exam) -> None:
    """Any lost second of all sensors, any lost sensor, seconds 7–11 of PS2, half of a cycle: never wrong and sure."""
    for kind, cells in gaps(step=5):
        wrong = with_gap(exam, cells)
        assert max(wrong.values()) <= WRONG_MAX, (kind, cells[:3], wrong)


def test_without_what_tells_states_apart_it_is_unknown(exam: Exam) -> None:
    """No second of 7 to 11 of any sensor: the valve is unknown, why is said, and what there is of odds is kept."""
    seconds = exam.seconds[:4].copy()
    seconds[:, np.isin(np.arange(CELLS) % 60, np.arange(7, 12))] = np.nan
    said = asking.score(exam.models, exam.cycles(seconds))["valve"]

    assert not said.usable.any()
    assert not said.novel.any()
    assert set(said.why) == {"not measured: PS1 seconds 7–11, PS2 seconds 7–11, PS3 seconds 7–11 and 3 more"}
    assert np.allclose(said.probability, 0.25)


def test_broken_input_is_not_believed(exam: Exam) -> None:
    """Of each kind no more than one verdict in fifty is wrong and sure, and of no sensor one in ten."""
    found: dict[str, list[float]] = {}
    for kind, sensor, change in broken():
        wrong = with_broken(exam, change, every=8)  # `benchmarks.evaluation broken` asks with all
        assert max(wrong.values()) <= 5 * WRONG_MAX, (kind, sensor, wrong)
        found.setdefault(kind, []).extend(wrong.values())
    assert len(found) >= 20
    assert {kind: np.mean(shares) for kind, shares in found.items() if np.mean(shares) > WRONG_MAX} == {}


def test_one_broken_sensor_is_named_and_leaves_others_alone(exam: Exam) -> None:
    """TS3 and VS1 in another unit: the valve's model looks at neither and goes on; only what is broken is novel."""
    seconds = exam.seconds[:20].copy()
    seconds[:, 60 * SENSORS.index("VS1") : 60 * SENSORS.index("VS1") + 60] *= 25.4
    novel = exam.models["valve"].gate.novel(seconds)
    said = asking.score(exam.models, exam.cycles(seconds))

    assert novel[:, SENSORS.index("VS1")].all()
    assert novel.sum() <= 22
    assert said["valve"].usable.mean() >= 0.9


def test_a_sensor_is_held_against_what_others_tell_of_it(exam: Exam) -> None:
    """Level and slope less what a regression on all other sensors says of them, with gaps as without; drifts are seen.

    Of clean cycles of unseen combinations at most 3 in 100 are, with a sensor less no more than 5; a model that is
    older has no such limits, and is read.
    """
    gate, seconds = exam.models["valve"].gate, exam.seconds[:40].copy()
    place, se = np.arange(CELLS) // 60, SENSORS.index("SE")
    seconds[1:, ::61] = np.nan
    for row in (0, 7):
        others = np.isfinite(seconds[row]) & (place != se)
        seen = np.isfinite(seconds[row]) & (place == se)
        given, axes = (seconds[row] - gate.mean) / gate.scale, gate.axes[others]
        vague = np.linalg.inv(axes.T @ axes + 1e-3 * np.diag(1.0 / gate.spread))
        off, way = (given - gate.axes @ (vague @ axes.T @ given[others]))[seen], gate.axes[seen].mean(axis=0)
        want = abs(off.mean()) / np.sqrt(way @ vague @ way + 1 / seen.sum())
        assert gate.alone(seconds)[row, se, 0] == pytest.approx(want, rel=1e-6)
    for drift in (1.05, 0.95):
        seconds = exam.seconds.copy()
        seconds[:, place == se] *= np.linspace(1.0, drift, 60)
        novel = gate.novel(seconds)
        assert novel[:, se].mean() > 0.95
        assert novel.sum(axis=1).mean() < 2.0
    for lost in ("PS4", "SE", "PS1"):
        seconds = exam.seconds.copy()
        seconds[:, place == SENSORS.index(lost)] = np.nan
        assert gate.novel(seconds).any(axis=1).mean() < 0.05, lost
    older = {name: array for name, array in gate.arrays("g.").items() if name != "g.alone_max"}
    assert type(gate).of(older, "g.").novel(exam.seconds).any(axis=1).mean() < 0.03


def test_contributions_are_exact(exam: Exam) -> None:
    """They add up to the difference of the log odds of the two states, as the Gaussian has it."""
    view = exam.models["valve"].views[1]
    seconds = exam.seconds[5]
    parts = np.zeros(CELLS)
    view.contributions(seconds[None], 0, 3, parts)
    given = (seconds[view.cells] - view.mean) / view.scale
    square = [(given - c) @ view.precision @ (given - c) for c in view.centres]

    assert parts.sum() == pytest.approx((square[3] - square[0]) / 2, rel=1e-6)
    said = asking.score(exam.models, exam.cycles(exam.seconds))["valve"]
    worn = int(np.flatnonzero(said.usable & (said.label == 73))[0])
    because = exam.models["valve"].because(exam.cycles(exam.seconds[worn : worn + 1]), 73)
    assert because[0].startswith("PS2 in second")
    assert because[0].endswith("valve at 100 %")


def test_it_is_quick(exam: Exam) -> None:
    """One cycle for all targets with gate and reasons, and many at once, within four times what is wanted of CPU.

    Wanted are 3 ms and 10,000 cycles in 10 s, see `benchmarks.scorecost`: a busy machine is that much slower.
    """
    one, took_s = exam.cycles(exam.seconds[:1]), []
    for _ in range(30):
        began_s = process_time()
        for target, said in asking.score(exam.models, one).items():
            assert said.odds is not None
            exam.models[target].because(one, int(said.label[0]), said.odds[0])
        took_s.append(process_time() - began_s)
    many = exam.cycles(np.resize(exam.seconds, (2_000, CELLS)))
    many_took_s = []
    for _ in range(3):
        began_s = process_time()
        asking.score(exam.models, many)
        many_took_s.append(process_time() - began_s)

    assert min(took_s) < 4 * 0.003
    assert min(many_took_s) < 4 * 2.0


def test_a_choice_sees_nothing_of_the_cycles_that_judge_it(exam: Exam) -> None:
    """Other labels of a fold's test cycles change neither what is chosen, nor what is said of them."""
    rows = np.arange(0, len(exam.lesson.numbers), 4)
    lesson = exam.lesson.take(rows)
    lesson.numbers = np.unique(lesson.numbers, return_inverse=True)[1]
    fold = folds("grouped", lesson.numbers, lesson.levels)[0]
    lied = replace(lesson, numbers=lesson.numbers.copy())
    lied.numbers[fold[1]] = 0
    plans = candidates("valve")
    one, other = (nested.one_fold(plans, some, fold) for some in (lesson, lied))

    assert one.plan == other.plan
    assert (one.odds == other.odds).all()


def test_stored_as_plain_arrays(exam: Exam) -> None:
    """Equal models give equal bytes, without pickle; what is damaged is refused with what to do."""
    model = exam.models["pump"]
    data = model.dump()
    again = Committee.load(data, name=model.name, version=2)

    assert again.dump() == data
    assert (again.odds(exam.seconds[:9])[0] == model.odds(exam.seconds[:9])[0]).all()
    for bad in (data[:3_000], data.replace(b"view1.centres", b"view1.centrex"), b"PK"):
        with pytest.raises(FatalError, match=r"hydrodask-pump version 2.*train again"):
            asking.tried(bad, name="hydrodask-pump", version=2)


def test_figures_of_other_cycles_are_not_compared() -> None:
    """A promotion needs a reason when the figures of the two are of different cycles, or when either split is worse."""
    figures = {"grouped.macro_f1": 0.9, "leave-cooler.macro_f1": 0.8}
    champion = Version("valve", "hydrodask-valve", 1, "gaussian", "a", (), 0, figures, "", judged_on="d1")

    assert worse(replace(champion, version=2), champion) == ""
    assert "was judged on other cycles" in worse(replace(champion, judged_on="d2"), champion)
    less = replace(champion, figures=figures | {"leave-cooler.macro_f1": 0.68})
    assert "has not seen is 0.680, the champion's 0.800" in worse(less, champion)


def test_what_is_novel_is_named_by_how_novel_it_is() -> None:
    """The worst first, in units of what is usual; one that varies much, and no more than it may, is not named."""
    limits = np.ones(17)
    limits[SENSORS.index("PS1")] = 100.0
    plain = np.ones(1020)
    gate = Gate(0 * plain, plain, np.zeros((1020, 1)), np.ones(1), plain, limits, limits)
    seconds = np.zeros((17, 60))
    for sensor, off in (("PS1", 50.0), ("PS3", 3.0), ("CE", -9.0)):
        seconds[SENSORS.index(sensor), 7] = off
    sensors = gate.novel(seconds.reshape(1, -1))[0]

    assert [SENSORS[n] for n in np.flatnonzero(sensors)] == ["PS1", "PS3", "CE"]  # as figures that are told go by
    said = saying.novel(gate, seconds.ravel(), sensors)
    assert said == saying.NOVEL + "CE in second 7 is 9 % low, PS3 in second 7 is 3 bar high"
