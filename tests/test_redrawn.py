"""What is promised of combinations that nobody has seen: it holds as often as it says."""

import numpy as np
from sklearn.metrics import f1_score

from hydrodask.learn.train import redrawn
from hydrodask.learn.train.redrawn import Verdicts

EACH = 12
"""Cycles of a combination."""


def verdicts(combinations: int, *, wrong: float, seed: int) -> Verdicts:
    """Return verdicts of combinations; of some of them half of the cycles are wrong, of the others none."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(combinations), EACH)
    truth = (np.arange(combinations) % 4)[groups]
    bad = (rng.random(combinations) < wrong)[groups] & (rng.random(len(groups)) < 0.5)
    return Verdicts(truth, np.where(bad, (truth + 1) % 4, truth), groups)


def test_a_draw_of_all_is_what_scikit_learn_says() -> None:
    """Confusions by combination add up to that of all cycles."""
    some = verdicts(40, wrong=0.3, seed=1)
    of_all = redrawn.macro_f1s(some.confusions().sum(axis=0, keepdims=True))

    assert of_all[0] == f1_score(some.truth, some.said, average="macro")
    assert len(np.unique(redrawn.drawn(some, 10))) > 1


def test_the_promise_is_kept_nineteen_times_in_twenty() -> None:
    """Of 23 combinations that come after 92; how five folds of these differ is kept more rarely."""
    kept, by_folds = [], []
    for seed in range(300):
        every = verdicts(115, wrong=0.12, seed=seed)
        order = np.random.default_rng(seed).permutation(115)
        held, rest = (every.take(np.isin(every.groups, part)) for part in (order[:23], order[23:]))
        figure = f1_score(held.truth, held.said, average="macro")
        parts = [rest.take(np.isin(rest.groups, part)) for part in np.array_split(order[23:], 5)]
        spread = np.std([f1_score(part.truth, part.said, average="macro") for part in parts], ddof=1)
        kept.append(figure >= redrawn.lowest(rest, 23))
        by_folds.append(figure >= f1_score(rest.truth, rest.said, average="macro") - spread)

    assert 0.91 < np.mean(kept) < 0.99
    assert np.mean(by_folds) < np.mean(kept) - 0.05


def test_equal_verdicts_give_an_equal_promise() -> None:
    """And without an error there is no spread: nothing is known of what is rarer than one combination in 30."""
    some = verdicts(92, wrong=0.1, seed=3)

    assert redrawn.lowest(some, 23) == redrawn.lowest(some, 23)
    assert redrawn.lowest(verdicts(92, wrong=0.0, seed=3), 23) == 1.0
