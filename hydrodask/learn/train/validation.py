"""Three splits and what is measured on each.

random        80/20, seed 42: what the older platform reported. Neighbours in time leak, and every model looks perfect.
grouped       five folds; cycles of one combination of faults (cooler × valve × pump × accumulator) stay together.
leave-cooler  trained at two levels of the cooler, tested at the third: another oil temperature than any seen before.
              Not for the cooler itself, whose levels these are.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from hydrodask.learn.targets import Target
from hydrodask.learn.train.estimators import SEED
from hydrodask.records import Bool, Float64, Int64

RANDOM, GROUPED, LEAVE_COOLER = "random", "grouped", "leave-cooler"
SPLITS = (RANDOM, GROUPED, LEAVE_COOLER)
FOLDS = 5
_PARTS = 4

Fold = tuple[Int64, Int64]
"""Rows to train on, rows to test."""


@dataclass(frozen=True, slots=True)
class Sure:
    """What a model that may say unknown is worth on one split: over answered cycles, and with unknown as wrong.

    `answered` is the share of cycles with a verdict. Log-loss, calibration error and `coverage`, how often the truth is
    in the smallest set of classes that holds 95 % of the probability, are those of answered cycles. `macro_f1_low` is
    what 19 of 20 draws of as many unseen combinations as a fold has reach, see `redrawn`.
    """

    answered: float
    macro_f1_answered: float
    macro_f1_unknown_wrong: float
    log_loss: float
    calibration_error: float
    coverage: float
    macro_f1_low: float | None = None


@dataclass(frozen=True, slots=True)
class ValidationScores:
    """How good a model was on one split, over all of its folds together; rows of `confusion` are the true classes.

    `mean_error` is the mean absolute error in the target's unit, None where the distance of classes means nothing.
    `spread` is the standard deviation of macro-F1 over folds, None where there is but one. `sure` is there for models
    that know what they do not know.
    """

    split: str
    macro_f1: float
    accuracy: float
    mean_error: float | None
    confusion: list[list[int]]
    recall: dict[str, float] = field(default_factory=dict)
    spread: float | None = None
    sure: "Sure | None" = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def splits_of(target: Target) -> tuple[str, ...]:
    """Return the splits that a model of this target has to be judged on."""
    return SPLITS if target.name != "cooler" else (RANDOM, GROUPED)


def folds(split: str, labels: Int64, levels: Float64, *, most: int = FOLDS) -> list[Fold]:
    """Return the folds of a split; `levels` are cooler, valve, pump, accumulator, maybe the group: see `groups_of`.

    Cycles of one group stay together where combinations are held out.
    """
    rows = np.arange(len(labels))
    if split == RANDOM:
        train, test = train_test_split(rows, test_size=0.2, random_state=SEED)
        return [(train, test)]
    if split == GROUPED:
        groups = groups_of(levels)
        count = min(most, int(groups.max()) + 1, int(np.unique(labels, return_counts=True)[1].max()))
        if count < 2:  # a class would need as many cycles as there are folds
            return []
        made = StratifiedGroupKFold(count, shuffle=True, random_state=SEED).split(rows, labels, groups)
        return [(train, test) for train, test in made if len(test) and len(np.unique(labels[train])) > 1]
    cooler = levels[:, 0]
    known = cooler >= 0  # what may be of the level that is left out is on neither side
    return [(rows[known & (cooler != level)], rows[cooler == level]) for level in np.unique(cooler[known])]


def groups_of(levels: Float64) -> Int64:
    """Return a number for each cycle, equal for those that are, or may be, of one combination of faults.

    `levels` has shape (n, 4), all of them known, or (n, 5): the last one is then that number, see `labelling.levels`.
    """
    whose = levels[:, _PARTS:] if levels.shape[1] > _PARTS else levels
    return np.asarray(np.unique(whose, axis=0, return_inverse=True)[1].ravel(), np.int64)


def judge(
    split: str, target: Target, truth: Int64, said: Int64, *, parts: Sequence[int] = (), sure: Sure | None = None
) -> ValidationScores:
    """Return the figures of predictions; `parts` are the sizes of the folds, one after the other."""
    classes = [c for c in target.classes if (truth == c).any() or (said == c).any()]
    error = float(np.abs(truth - said).mean()) if target.ordered else None
    return ValidationScores(
        split,
        float(f1_score(truth, said, labels=classes, average="macro", zero_division=0.0)),
        float(accuracy_score(truth, said)),
        error,
        confusion_matrix(truth, said, labels=list(target.classes)).tolist(),
        {str(c): float((said[truth == c] == c).mean()) for c in target.classes if (truth == c).any()},
        _spread(truth, said, parts),
        sure,
    )


def _spread(truth: Int64, said: Int64, parts: Sequence[int]) -> float | None:
    if len(parts) < 2:
        return None
    ends = np.cumsum(parts)
    each = [macro_f1(truth[end - size : end], said[end - size : end]) for end, size in zip(ends, parts, strict=True)]
    return float(np.std(each, ddof=1))


def macro_f1(truth: Int64, said: Int64) -> float:
    """Return the mean of the classes' F1."""
    return float(f1_score(truth, said, average="macro", zero_division=0.0))


def strict_f1(truth: Int64, said: Int64, known: Bool) -> float:
    """Return the mean of the F1 of the classes that there are; what is not `known` counts as wrong."""
    wrong = np.where(known, said, max(int(truth.max()), int(said.max())) + 1)
    return float(f1_score(truth, wrong, labels=np.unique(truth), average="macro", zero_division=0.0))


def worst(figures: dict[str, ValidationScores]) -> float:
    """Return the smaller macro-F1 of the two splits that say something about cycles nobody has seen."""
    return min(figures[split].macro_f1 for split in (GROUPED, LEAVE_COOLER) if split in figures)
