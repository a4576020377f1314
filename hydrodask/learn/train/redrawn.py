"""What to expect of combinations that nobody has seen: combinations drawn anew, whole, from those that were judged.

Cycles of one combination are right or wrong together, so a figure of n cycles knows no more than its combinations do;
and how folds differ says little, for there are five. What another set of combinations would give follows from drawing
it, among drawn ones: that has the chance of the draw, and that of the estimate, too. What was never wrong comes out
without a spread: of n combinations that were all right, one in n / 3 may be wrong all the same.
"""

from dataclasses import dataclass

import numpy as np

from hydrodask.learn.train.estimators import SEED
from hydrodask.records import Bool, Float64, Int64

DRAWS = 4_000

LOW = 0.05
"""The share of draws that are below what is promised: one in twenty."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was said of cycles by models that had not seen their combination; `groups` say which that is."""

    truth: Int64
    said: Int64
    groups: Int64

    def take(self, which: Bool) -> "Verdicts":
        """Return some of the cycles."""
        return Verdicts(self.truth[which], self.said[which], self.groups[which])

    def confusions(self) -> Float64:
        """Return what was said of which state, shape (combinations, states, states); rows are the true ones."""
        states, numbers = np.unique(np.stack([self.truth, self.said]), return_inverse=True)
        truth, said = numbers.reshape(2, -1)
        groups = np.unique(self.groups, return_inverse=True)[1]
        found = np.zeros((int(groups.max()) + 1, len(states), len(states)))
        np.add.at(found, (groups, truth, said), 1.0)
        return found


def drawn(verdicts: Verdicts, held: int) -> Float64:
    """Return macro-F1 of `held` combinations, drawn `DRAWS` times: always the same for the same verdicts."""
    each = verdicts.confusions()
    rng, count = np.random.default_rng(SEED), len(each)
    among = rng.integers(0, count, (DRAWS, count))
    chosen = np.take_along_axis(among, rng.integers(0, count, (DRAWS, held)), axis=1)
    places = (np.arange(DRAWS)[:, None] * count + chosen).ravel()
    times = np.bincount(places, minlength=DRAWS * count).reshape(DRAWS, count)
    return macro_f1s(np.tensordot(times, each, axes=1))


def lowest(verdicts: Verdicts, held: int) -> float:
    """Return the macro-F1 that 19 of 20 draws of `held` combinations reach."""
    return float(np.quantile(drawn(verdicts, held), LOW))


def macro_f1s(confusions: Float64) -> Float64:
    """Return macro-F1 of each of some confusions, shape (n, states, states), over states that are there or were said.

    >>> macro_f1s(np.array([[[2.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 2.0]]])).round(3).tolist()
    [1.0, 0.733]
    """
    right = np.einsum("nii->ni", confusions)
    both = confusions.sum(axis=1) + confusions.sum(axis=2)
    f1 = np.divide(2.0 * right, both, out=np.zeros_like(both), where=both > 0)
    return np.asarray(f1.sum(axis=1) / np.maximum((both > 0).sum(axis=1), 1))
