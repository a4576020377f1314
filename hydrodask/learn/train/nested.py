"""Choose a committee inside each fold, and judge it on the fold's other cycles: no figure is seen by a choice.

Plans and shrinkage are chosen on a fold's training cycles alone, by the worse of two inner splits (combinations held
out, and a level of the cooler). The held-out cycles of all folds together set temperature and limits; in the figures
each fold's are set by the others. Where a level of the cooler is left out they are those that the model is stored with:
an oil temperature that comes tomorrow can set none, either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hydrodask.learn.score.committee import INFORMATION_MIN, probabilities
from hydrodask.learn.score.gaussian import View
from hydrodask.learn.train import gaussians, weighing
from hydrodask.learn.train.gaussians import Cloud
from hydrodask.learn.train.plans import Plan
from hydrodask.learn.train.validation import GROUPED, Fold, folds, groups_of, macro_f1
from hydrodask.records import Bool, Float64, Int64

INNER_FOLDS = 3


@dataclass(slots=True)
class Lesson:
    """What is learned from: cells (n, 1020) without gaps, numbers of classes (n,), labels of the parts (n, 4).

    A fifth column of `levels` is the number of the group, where labels do not say it; see `validation.groups_of`.
    """

    seconds: Float64
    numbers: Int64
    levels: Float64

    def take(self, rows: Int64) -> "Lesson":
        """Return some of the cycles."""
        return Lesson(self.seconds[rows], self.numbers[rows], self.levels[rows])


@dataclass(slots=True)
class Heard:
    """What committees said of cycles that they had not seen: the plan, mean log odds, distances by view, information.

    `views` differ between folds in number when their plans do: distances are NaN beyond.
    """

    plan: Plan
    odds: Float64
    distances: Float64
    information: Float64


def inner_folds(lesson: Lesson) -> list[tuple[str, Fold]]:
    """Return the splits by which a plan is chosen: combinations held out, and each level of the cooler."""
    rows = np.arange(len(lesson.numbers))
    found: list[tuple[str, Fold]] = []
    if len(np.unique(groups_of(lesson.levels))) > 1:
        found += [(GROUPED, fold) for fold in folds(GROUPED, lesson.numbers, lesson.levels, most=INNER_FOLDS)]
    cooler = lesson.levels[:, 0]
    known = cooler >= 0
    if len(np.unique(cooler[known])) > 1 and not _tells(cooler, lesson.numbers):
        found += [("cooler", (rows[known & (cooler != c)], rows[cooler == c])) for c in np.unique(cooler[known])]
    classes = np.unique(lesson.numbers)
    whole = (len(np.unique(lesson.numbers[train])) == len(classes) and len(test) for _, (train, test) in found)
    return [one for one, ok in zip(found, whole, strict=True) if ok]


def _tells(cooler: Float64, numbers: Int64) -> bool:
    """Say whether the level of the cooler is what is to be told."""
    return len(np.unique(np.stack([cooler, numbers.astype(np.float64)]), axis=1).T) == len(np.unique(cooler))


def choose(plans: Sequence[Plan], lesson: Lesson) -> Plan:
    """Return the first plan that does as well as the best one, but for what folds differ by anyway.

    What counts is the worse of the inner splits; its standard error is that of the best plan's folds.
    """
    inner = inner_folds(lesson)
    if len(plans) == 1 or not inner:
        return plans[0]
    marks = [_mark(plan, lesson, inner) for plan in plans]
    best, error = max(marks)
    return next(plan for plan, (mark, _) in zip(plans, marks, strict=True) if mark >= best - error)


def _mark(plan: Plan, lesson: Lesson, inner: Sequence[tuple[str, Fold]]) -> tuple[float, float]:
    """Return macro-F1 on the worse of the inner splits, and its standard error."""
    said: dict[str, list[tuple[Int64, Int64]]] = {}
    for name, (train, test) in inner:
        odds = opinions(views_of(plan, lesson.take(train), measure=False), lesson.seconds[test], measure=False)[0]
        said.setdefault(name, []).append((lesson.numbers[test], odds.argmax(axis=1)))
    marks = []
    for parts in said.values():
        truth, spoken = (np.concatenate(some) for some in zip(*parts, strict=True))
        each = np.array([macro_f1(*part) for part in parts])
        marks.append((macro_f1(truth, spoken), float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else 0.0))
    return min(marks)


def views_of(plan: Plan, lesson: Lesson, *, measure: bool = True) -> tuple[View, ...]:
    """Return the trained views of a plan; cycles weigh as they are rare among those of the lesson."""
    weights, keys = weighing.weights_of(lesson.seconds), [look.key(lesson.numbers, lesson.levels) for look in plan]
    clouds = [Cloud.of(lesson.seconds[:, look.cells], key, weights) for look, key in zip(plan, keys, strict=True)]
    return tuple(gaussians.view(look, cloud, measure=measure) for look, cloud in zip(plan, clouds, strict=True))


def opinions(views: Sequence[View], seconds: Float64, *, measure: bool = True) -> tuple[Float64, Float64, Float64]:
    """Return mean log odds (n, classes), distances (n, views), information (n,) of views."""
    parts = [view.opinions(seconds, measure=measure) for view in views]
    odds, distances, information = (np.stack(some) for some in zip(*parts, strict=True))
    return odds.mean(axis=0), distances.T, information.max(axis=0)


def one_fold(plans: Sequence[Plan], lesson: Lesson, fold: Fold) -> Heard:
    """Choose on a fold's training cycles, and hear what the committee says of the others. One task of a validation."""
    train, test = fold
    part = lesson.take(train)
    plan = choose(plans, part)
    return Heard(plan, *opinions(views_of(plan, part), lesson.seconds[test]))


def gate_rests(seconds: Float64, fold: Fold) -> tuple[Float64, Float64]:
    """Return what a gate leaves over of cycles that it has not seen, and how alone their sensors are. One task."""
    train, test = fold
    made = gaussians.gate(seconds[train], weighing.weights_of(seconds[train]))
    return made.rest(seconds[test]), made.alone(seconds[test])


@dataclass(slots=True)
class Honest:
    """What was said of the test cycles of a split, in order of `rows`: probabilities, and which are known."""

    rows: Int64
    chances: Float64
    known: Bool
    sizes: list[int]
    """How many cycles each fold has."""


def honest(
    parts: Sequence[Int64], heard: Sequence[Heard], numbers: Int64, novel: Bool,
    stored: tuple[float, Sequence[Heard]] | None = None,
) -> Honest:  # fmt: skip
    """Return the verdicts of a split; each fold's temperature and limits are set by the other folds.

    Or they are those that the model is stored with: a temperature, and what set the limits. `novel` says of every cycle
    whether the gate, trained without its combination, lets it not pass.
    """
    chances, known = [], []
    for place, (rows, one) in enumerate(zip(parts, heard, strict=True)):
        others = [n for n in range(len(parts)) if n != place] or [place]
        setting = [heard[n] for n in others]
        factor = temperature_of(setting, [numbers[parts[n]] for n in others]) if stored is None else stored[0]
        chances.append(probabilities(one.odds * factor))
        limits = limits_of(setting if stored is None else stored[1], one.distances.shape[1])
        far = (one.distances > limits).any(axis=1) | (one.information < INFORMATION_MIN)
        known.append(~far & ~novel[rows])
    return Honest(np.concatenate(list(parts)), np.concatenate(chances), np.concatenate(known), list(map(len, parts)))


def temperature_of(heard: Sequence[Heard], numbers: Sequence[Int64]) -> float:
    """Return the geometric mean of the folds' temperatures: a few combinations must not set that of all others."""
    factors = [gaussians.temperature(one.odds, truth) for one, truth in zip(heard, numbers, strict=True)]
    return float(np.exp(np.mean(np.log(factors))))


def limits_of(heard: Sequence[Heard], views: int) -> Float64:
    """Return the limit of each view's distance; plans differ between folds, and the first view is the first of each."""
    found = []
    for number in range(views):
        parts = [one.distances[:, number] for one in heard if one.distances.shape[1] > number]
        found.append(gaussians.limit(np.concatenate(parts) if parts else np.zeros(0)))
    return np.array(found)


def limited(views: Sequence[View], limits: Float64) -> tuple[View, ...]:
    """Return views that know how far is too far."""
    return tuple(replace(one, limit=np.array(limits[number])) for number, one in enumerate(views))
