"""Train and judge a committee of Gaussian views: nested folds as tasks of the cluster, then a last choice on all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hydrodask.channels import CYCLE_S, SENSORS
from hydrodask.errors import UsageError
from hydrodask.learn.compute import in_turn, run_all, shared
from hydrodask.learn.features import VERSION
from hydrodask.learn.score.committee import INFORMATION_MIN, SECONDS, Committee
from hydrodask.learn.score.gaussian import View
from hydrodask.learn.targets import Target
from hydrodask.learn.train import gaussians, nested, redrawn
from hydrodask.learn.train.gaussians import COMPONENTS
from hydrodask.learn.train.moments import Moments
from hydrodask.learn.train.nested import Heard, Honest, Lesson
from hydrodask.learn.train.plans import Plan, ViewSpec, candidates, described
from hydrodask.learn.train.redrawn import Verdicts
from hydrodask.learn.train.validation import (
    GROUPED,
    LEAVE_COOLER,
    RANDOM,
    Fold,
    Sure,
    ValidationScores,
    folds,
    groups_of,
    judge,
    macro_f1,
    splits_of,
    strict_f1,
)  # fmt: skip
from hydrodask.records import Bool, Float64, Int64
from hydrodask.store.profiles import LABELS

KIND = "gaussian"


class Keeper:
    """The novelty gate of one training, and which cycles gates that had not seen their kind would have kept out."""

    def __init__(self, client: Any, seconds: Float64, levels: Float64, moments: Moments) -> None:
        self.gate = moments.gate()
        self.rests: dict[str, Float64] = {}
        self.alone: dict[str, Float64] = {}
        plan = [(split, fold) for split in ("random", "grouped", "leave-cooler") for fold in _folds(split, levels)]
        far = shared(client, seconds)
        done = run_all(client, [(nested.gate_rests, (far, fold)) for _, fold in plan])
        for (split, (_, test)), (rest, alone) in zip(plan, done, strict=True):
            self.rests.setdefault(split, np.zeros(seconds.shape))[test] = rest
            self.alone.setdefault(split, np.zeros((len(seconds), len(SENSORS), 2)))[test] = alone
        if GROUPED in self.rests:
            self.gate = gaussians.limited(self.gate, self.rests[GROUPED], self.alone[GROUPED])

    def novel(self, split: str, sensors: Sequence[int]) -> Bool:
        """Return which cycles a gate would not have let pass, because of these sensors."""
        beside = (self.alone[split] / self.gate.alone_max).max(axis=2)
        strange = np.maximum(self.gate.excess(self.rests[split]), beside)
        return np.asarray((strange[:, list(sensors)] > 1.0).any(axis=1))


def _folds(split: str, levels: Float64) -> list[Fold]:
    """Return folds that no target's labels decide."""
    return folds(split, levels[:, 1].astype(np.int64), levels)


@dataclass(slots=True)
class Taught:
    """A committee, its figures by split, what is lost without each sensor, what was chosen, and its honest verdicts."""

    made: Committee
    figures: dict[str, ValidationScores]
    lost: dict[str, float]
    chosen: dict[str, object]
    said: dict[str, Honest]


def train(
    client: Any, target: Target, lesson: Lesson, keeper: Keeper, moments: Moments, *,
    say: Callable[[str], None] = lambda _text: None,
) -> Taught:  # fmt: skip
    """Return the committee of all cycles, of which there are `moments`; choices and figures are of the lesson's.

    Each fold is said when it is done.
    """
    classes = np.array(target.classes)[np.unique(lesson.numbers)]
    lesson = Lesson(lesson.seconds, np.unique(lesson.numbers, return_inverse=True)[1], lesson.levels)
    plans = candidates(target.name)
    splits = whole_splits(target, classes, lesson)
    far = shared(client, lesson)
    tasks: list[Any] = [
        (nested.one_fold, (plans[:1] if split == RANDOM else plans, far, fold))  # a flattering figure needs no choice
        for split, parts in splits.items() for fold in parts
    ]  # fmt: skip
    tasks += [(nested.choose, (plans, far)), (without, (plans[0], far, splits[GROUPED][0]))]
    names = [f"{target.name} {split} {n} of {len(parts)}" for split, parts in splits.items() for n in _count(parts)]
    truths = [lesson.numbers[test] for parts in splits.values() for _, test in parts]
    done: list[Any] = []
    for place, one in enumerate(in_turn(client, tasks)):
        done.append(one)
        if place < len(names):
            say(f"{names[place]}: macro-F1 {macro_f1(truths[place], one.odds.argmax(axis=1)):.4f}")
    *heard, plan, lost = done
    figures, by_split, honest = {}, {}, {}
    for split, parts in splits.items():
        by_split[split], heard = heard[: len(parts)], heard[len(parts) :]
    grouped = by_split[GROUPED]
    factor = nested.temperature_of(grouped, [lesson.numbers[test] for _, test in splits[GROUPED]])
    for split, parts in splits.items():
        tests = [test for _, test in parts]
        novel = keeper.novel(split, sensors_of(plan))
        stored = (factor, grouped) if split == LEAVE_COOLER else None
        honest[split] = nested.honest(tests, by_split[split], lesson.numbers, novel, stored)
        figures[split] = _figures(split, target, classes, lesson, honest[split])
    views = nested.limited(views_of_all(plan, target, classes, moments), nested.limits_of(grouped, len(plan)))
    made = Committee(target.name, 0, KIND, target.name, classes, factor, views, keeper.gate)
    chosen: dict[str, object] = {"plan": described(plan), "temperature": round(factor, 5), "plans_tried": len(plans)}
    chosen |= {f"fold_{n}_plan": described(one.plan) for n, one in enumerate(grouped)}
    return Taught(made, figures, lost, chosen | _fixed(plan), honest)


def whole_splits(target: Target, classes: Int64, lesson: Lesson) -> dict[str, list[Fold]]:
    """Return the folds of each split. Raises UsageError where an honest one leaves no cycle of a state to learn from.

    The random split flatters anyway, and is left out then.
    """
    splits = {split: folds(split, classes[lesson.numbers], lesson.levels) for split in splits_of(target)}
    for split, parts in list(splits.items()):
        lacking = [set(range(len(classes))) - set(lesson.numbers[train].tolist()) for train, _ in parts] or [{0}]
        if not any(lacking):
            continue
        if split != RANDOM:
            state = classes[min(set().union(*lacking))]
            raise UsageError(
                f"could not train {KIND} for {target.name}: cycles of state {state} are of one combination of faults, "
                f"or of one oil temperature ({split}), and a model that is judged without these has never seen it; "
                "label cycles of others"
            )
        del splits[split]
    return splits


def views_of_all(plan: Plan, target: Target, classes: Int64, moments: Moments) -> tuple[View, ...]:
    """Return the views of a plan, trained on all cycles. Raises UsageError for a state that the lesson has not."""
    place = LABELS.index(target.name)
    if strange := sorted({labels[place] for labels in moments.counts} - set(classes.tolist())):
        raise UsageError(
            f"could not train {target.name}: of state {strange[0]:g} there are only cycles that lack a second among "
            "those that choices are made on; label more of it"
        )
    made = []
    for look in plan:

        def key(labels: Float64, look: ViewSpec = look) -> Int64:
            return look.key(np.searchsorted(classes, labels[:, place].astype(np.int64)), labels[:, :4])

        made.append(gaussians.view(look, moments.cloud(look.cells, key)))
    return tuple(made)


def _fixed(plan: Plan) -> dict[str, object]:
    """Return the hyper-parameters: those of the plan, and those that no training chooses."""
    fixed: dict[str, object] = {f"view_{n}_shrinkage": look.shrinkage for n, look in enumerate(plan)}
    return fixed | {
        "likeness_shrinkage": gaussians.LIKENESS, "view_quantile": gaussians.KNOWN, "gate_components": COMPONENTS,
        "gate_quantile": gaussians.FAMILIAR, "information_min": INFORMATION_MIN, "inner_folds": nested.INNER_FOLDS,
    }  # fmt: skip


def sensors_of(plan: Plan) -> list[int]:
    """Return the numbers of the sensors that a plan looks at."""
    return sorted({SENSORS.index(sensor) for look in plan for sensor in look.sensors})


def _count(parts: Sequence[Fold]) -> range:
    return range(1, len(parts) + 1)


def verdicts(said: Honest, lesson: Lesson) -> Verdicts:
    """Return the verdicts of a split on cycles that were answered, with their combinations."""
    rows, groups = said.rows[said.known], groups_of(lesson.levels)
    return Verdicts(lesson.numbers[rows], said.chances[said.known].argmax(axis=1), groups[rows])


def _lowest(split: str, lesson: Lesson, said: Honest) -> float | None:
    """Return what 19 of 20 draws of as many combinations as a fold has reach; None where none were held out."""
    if split != GROUPED or not said.known.any():
        return None
    held = max(round(len(np.unique(groups_of(lesson.levels))) / len(said.sizes)), 1)
    return redrawn.lowest(verdicts(said, lesson), held)


def _figures(split: str, target: Target, classes: Int64, lesson: Lesson, said: Honest) -> ValidationScores:
    numbers = lesson.numbers
    truth, spoken = classes[numbers[said.rows]], classes[said.chances.argmax(axis=1)]
    known = said.known
    strict = strict_f1(truth, spoken, known)
    answered = numbers[said.rows][known]
    sure = Sure(
        float(known.mean()), macro_f1(truth[known], spoken[known]) if known.any() else 0.0, strict,
        gaussians.log_loss(said.chances[known], answered), gaussians.calibration_error(said.chances[known], answered),
        gaussians.coverage(said.chances[known], answered), _lowest(split, lesson, said),
    )  # fmt: skip
    return judge(split, target, truth, spoken, parts=said.sizes, sure=sure)


def without(plan: Plan, lesson: Lesson, fold: Fold) -> dict[str, float]:
    """Return how much macro-F1 is lost in one fold when each sensor is. One task of a training."""
    train_rows, test = fold
    views = nested.views_of(plan, lesson.take(train_rows), measure=False)
    truth = lesson.numbers[test]
    best = macro_f1(truth, nested.opinions(views, lesson.seconds[test])[0].argmax(axis=1))
    found = {}
    for number in sensors_of(plan):
        seconds = lesson.seconds[test].copy()
        seconds[:, number * CYCLE_S : (number + 1) * CYCLE_S] = np.nan
        odds = nested.opinions(views, seconds, measure=False)[0]
        found[SENSORS[number]] = best - macro_f1(truth, odds.argmax(axis=1))
    return found


def whole(seconds: Float64) -> Bool:
    """Return which cycles have every second: only these are learned from."""
    return np.asarray(np.isfinite(seconds).all(axis=1))


def about(made: Committee, *, data: str, reference: object) -> Committee:
    """Return the committee with what a scorer wants to know of its training."""
    made.metadata = {"data": data, "reference": reference, "features_version": VERSION}
    return made


__all__ = ["KIND", "SECONDS", "Heard", "Keeper", "Taught", "about", "train", "whole"]
