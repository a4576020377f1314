"""Figures are those of what is registered: its temperature and limits, and the splits that say something."""

import numpy as np
import pytest
from distributed import Client

from hydrodask.errors import FatalError
from hydrodask.learn.score.committee import Committee, probabilities
from hydrodask.learn.targets import TARGETS
from hydrodask.learn.train import committees, nested, weighing
from hydrodask.learn.train.card import card
from hydrodask.learn.train.moments import Moments
from hydrodask.learn.train.nested import Lesson
from hydrodask.learn.train.plans import candidates
from hydrodask.learn.train.results import Data, TrainedModel, check_registrable
from hydrodask.learn.train.validation import GROUPED, LEAVE_COOLER, RANDOM, Sure, ValidationScores, folds, macro_f1
from tests.test_contest import STATES, some_cycles

pytestmark = pytest.mark.filterwarnings("ignore")  # libraries about each other


def test_a_level_left_out_is_judged_as_the_stored_model_judges() -> None:
    """With the temperature and the limits that are stored; what it would say without the gate is as it was."""
    seconds, labels = some_cycles()
    seconds += np.random.default_rng(1).normal(size=seconds.shape) * 4.0  # so that some are wrong
    levels, target = labels[:, :4], TARGETS["valve"]
    moments = Moments(seconds.mean(axis=0)).take(seconds, labels, weighing.weights_of(seconds))
    lesson = Lesson(seconds, np.searchsorted(STATES, labels[:, 1]), levels)
    with Client(processes=False, dashboard_address=None) as client:
        keeper = committees.Keeper(client, seconds, levels, moments)
        taught = committees.train(client, target, lesson, keeper, moments)
    parts = folds(LEAVE_COOLER, labels[:, 1].astype(np.int64), levels)
    heard = [nested.one_fold(candidates("valve"), lesson, fold) for fold in parts]
    said, odds = taught.said[LEAVE_COOLER], np.concatenate([one.odds for one in heard])
    far = np.concatenate([
        (one.distances > [float(view.limit) for view in taught.made.views][: one.distances.shape[1]]).any(axis=1)
        for one in heard
    ])  # fmt: skip
    alone = nested.honest([test for _, test in parts], heard, lesson.numbers, np.zeros(len(seconds), np.bool_))

    assert np.allclose(said.chances, probabilities(odds * taught.made.temperature), rtol=0, atol=1e-6)
    assert not np.allclose(said.chances, alone.chances, atol=1e-3)  # that other folds of this split would give
    assert (said.chances.argmax(axis=1) == alone.chances.argmax(axis=1)).all()
    assert not said.known[far].any()
    assert taught.figures[LEAVE_COOLER].macro_f1 == macro_f1(
        labels[said.rows, 1], np.array(STATES)[odds.argmax(axis=1)]
    )


def test_a_card_promises_no_more_than_was_seen() -> None:
    """Where no combination was wrong it says how rare a wrong one may be, and whose limits those of the levels are."""
    data = Data("now", 1876, ["uci"], "", "", 115)
    parameters = {"plan": "PS1", "plans_tried": 3}

    def card_of(low: float) -> str:
        sure = Sure(1.0, 1.0, 1.0, 0.0, 0.0, 1.0, low)
        figures = {split: ValidationScores(split, 1.0, 1.0, None, [], sure=sure) for split in (GROUPED, LEAVE_COOLER)}
        made = Committee("valve", 0, "gaussian", "valve", np.array(STATES), 1.0, (), None)  # type: ignore[arg-type]
        return card(
            TrainedModel(TARGETS["valve"], "gaussian", "says", made, (), figures, data, b"", 0, {}, parameters, 0.0, "")
        )

    assert "what is rarer than one combination in 38 nobody has seen" in card_of(1.0)
    assert "On `leave-cooler` temperature and limits are those it is registered with" in card_of(1.0)
    assert "nobody has seen" not in card_of(0.95)


def test_the_random_split_may_be_missing() -> None:
    """Where it lacks a state it is left out, and what was judged on the honest ones can be registered."""
    rng, count = np.random.default_rng(1), 200
    _, test = folds(RANDOM, np.zeros(count, np.int64), np.zeros((count, 4)))[0]
    valve = np.full(count, 100)
    valve[test[:3]] = 73  # all of them are in the test rows of the random split
    levels = np.stack(
        [rng.choice([3, 20, 100], count), valve, rng.choice([0, 1, 2], count), np.full(count, 130)], axis=1
    ).astype(np.float64)
    levels[test[:3], 0], levels[test[:3], 2] = (3, 20, 100), (0, 1, 2)
    lesson = Lesson(np.zeros((count, 4)), (valve == 100).astype(np.int64), levels)
    splits = committees.whole_splits(TARGETS["valve"], np.array([73, 100]), lesson)
    figures = {split: ValidationScores(split, 1.0, 1.0, None, []) for split in splits}
    data = Data("now", 1, ["rig-1"], "", "", 1)

    def judged_on(*names: str) -> TrainedModel:
        some = {name: figures[name] for name in names}
        return TrainedModel(TARGETS["valve"], "gaussian", "", None, (), some, data, b"", 0, {}, {}, 0.0, "")

    assert set(splits) == {GROUPED, LEAVE_COOLER}
    check_registrable(judged_on(*splits))
    with pytest.raises(FatalError, match="was not judged on leave-cooler;"):
        check_registrable(judged_on(GROUPED))
