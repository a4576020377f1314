"""Three splits and what is measured on each.

random        80/20, seed 42: what the older platform reported. Neighbours in time leak, and every model looks perfect.
grouped       five folds; cycles of one combination of faults (cooler × valve × pump × accumulator) stay together.
leave-cooler  trained at two levels of the cooler, tested at the third: another oil temperature than any seen before.
              Not for the cooler itself, whose levels these are.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from hydrodask.learn.models import SEED
from hydrodask.learn.targets import Target
from hydrodask.records import Float64, Int64

RANDOM, GROUPED, LEAVE_COOLER = "random", "grouped", "leave-cooler"
SPLITS = (RANDOM, GROUPED, LEAVE_COOLER)
FOLDS = 5

Fold = tuple[Int64, Int64]
"""Rows to train on, rows to test."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How good a model was on one split, over all of its folds together; rows of `confusion` are the true classes.

    `mean_error` is the mean absolute error in the target's unit, None where the distance of classes means nothing.
    """

    split: str
    macro_f1: float
    accuracy: float
    mean_error: float | None
    confusion: list[list[int]]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def splits_of(target: Target) -> tuple[str, ...]:
    """Return the splits that a model of this target has to be judged on."""
    return SPLITS if target.name != "cooler" else (RANDOM, GROUPED)


def folds(split: str, labels: Int64, levels: Float64) -> list[Fold]:
    """Return the folds of a split; `levels` has shape (n, 4): cooler, valve, pump, accumulator."""
    rows = np.arange(len(labels))
    if split == RANDOM:
        train, test = train_test_split(rows, test_size=0.2, random_state=SEED)
        return [(train, test)]
    if split == GROUPED:
        groups = np.unique(levels, axis=0, return_inverse=True)[1].ravel()
        count = min(FOLDS, int(groups.max()) + 1)
        made = StratifiedGroupKFold(count, shuffle=True, random_state=SEED).split(rows, labels, groups)
        return [(train, test) for train, test in made if len(test) and len(np.unique(labels[train])) > 1]
    cooler = levels[:, 0]
    return [(rows[cooler != level], rows[cooler == level]) for level in np.unique(cooler)]


def judge(split: str, target: Target, truth: Int64, said: Int64) -> Figures:
    """Return the figures of predictions."""
    classes = [c for c in target.classes if (truth == c).any() or (said == c).any()]
    error = float(np.abs(truth - said).mean()) if target.ordered else None
    return Figures(
        split,
        float(f1_score(truth, said, labels=classes, average="macro", zero_division=0.0)),
        float(accuracy_score(truth, said)),
        error,
        confusion_matrix(truth, said, labels=list(target.classes)).tolist(),
    )


def macro_f1(truth: Int64, said: Int64) -> float:
    """Return the mean of the classes' F1."""
    return float(f1_score(truth, said, average="macro", zero_division=0.0))


def worst(figures: dict[str, Figures]) -> float:
    """Return the smaller macro-F1 of the two splits that say something about cycles nobody has seen."""
    return min(figures[split].macro_f1 for split in (GROUPED, LEAVE_COOLER) if split in figures)
