"""Train and judge models on the lake's labelled cycles, record all of it, register the best and the runner-up."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from hydrodask.errors import UsageError
from hydrodask.learn.compute import training_cluster
from hydrodask.learn.data.catalogue import catalogue
from hydrodask.learn.data.labelling import NONE, LabelledCycles, filled, told
from hydrodask.learn.registry import CHAMPION, Version
from hydrodask.learn.targets import TARGETS, Target
from hydrodask.learn.told import answers, trusted
from hydrodask.learn.train import contest
from hydrodask.learn.train.estimators import KINDS
from hydrodask.learn.train.fitting import CYCLES_MIN, Say, TrainingContext
from hydrodask.learn.train.recorder import Recorder
from hydrodask.learn.train.results import TrainedModel
from hydrodask.learn.train.validation import SPLITS, worst
from hydrodask.settings import Settings
from hydrodask.store.documents import open_documents

_SAME = 0.0005
"""Macro-F1 closer than this is the same, and the simpler model is better."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """What to train. `since_us`: cycles from then on; `search`: draws of a randomised search, 0 for none.

    `without`: labels of these origins, or of `by=NAME`, do not count; see `told.trusted`.
    """

    targets: tuple[str, ...] = tuple(TARGETS)
    kinds: tuple[str, ...] = tuple(KINDS)
    since_us: int | None = None
    search: int = 0
    without: tuple[str, ...] = ()


@dataclass(slots=True)
class TrainingOutcome:
    """What came of one target: all results, and the versions that were registered."""

    target: Target
    results: list[TrainedModel]
    best: TrainedModel
    registered: list[Version] = field(default_factory=list)
    promoted: bool = False
    says: str = ""


def train(settings: Settings, request: Request, *, say: Say = lambda _text: None) -> list[TrainingOutcome]:
    """Train what is asked for and return an outcome a target; those without enough labels are said and left out.

    Raises UsageError when there is not enough to learn from for any.
    Runs, pictures and models are in MLflow when this returns; a new champion is one that is at least as good on both
    honest splits as the one before, see `contest`.
    """
    say("reading labelled cycles")
    known = _labelled(settings, request)
    cycles, says = filled(known.cycles), known.says()
    say(f"{len(cycles):,} cycles; starting Dask and MLflow")
    recorder = Recorder(settings)
    parameters = {"targets": ", ".join(request.targets), "kinds": ", ".join(request.kinds), "cycles": len(cycles)}
    if says != NONE:
        say(f"labels of people: {says}")
    parameters |= {"labels_of_people": says, "without": ", ".join(request.without) or NONE}
    with training_cluster(settings) as client, recorder.training(parameters):
        contexts: dict[bytes, TrainingContext] = {}

        def one(name: str) -> TrainingOutcome:
            there = cycles.target(name) >= 0
            if there.sum() < CYCLES_MIN:
                raise UsageError(f"only {there.sum()} cycles say anything of {name}; want {CYCLES_MIN} or more")
            if there.tobytes() not in contexts:  # of which people said nothing but of some targets, others have more
                contexts[there.tobytes()] = TrainingContext(settings, client, cycles.take(there), request.search, say)
            context = contexts[there.tobytes()]
            return _of_target(context, recorder, TARGETS[name], request.kinds, known.take(there))

        return each_of(request.targets, one, say)


def each_of(names: Sequence[str], one: Callable[[str], T], say: Say) -> list[T]:
    """Return what came of each target; of those that are refused it is said why, unless that is all there is."""
    found, refusals = [], []
    for name in names:
        try:
            found.append(one(name))
        except UsageError as refused:
            if len(names) == 1:
                raise
            refusals.append(str(refused))
            say(f"{name} is not trained: {refused}")
    if not found:
        raise UsageError(f"no target was trained: {'; '.join(refusals)}")
    return found


def _labelled(settings: Settings, request: Request) -> LabelledCycles:
    documents = open_documents(settings)
    try:
        known = told(catalogue(settings.lake_url), trusted(answers(documents), request.without))
    finally:
        documents.close()
    recent = known.cycles.start_us >= (request.since_us or np.iinfo(np.int64).min)
    known = known.take(np.isfinite(known.cycles.labels).any(axis=1) & recent)
    if len(known.cycles) < CYCLES_MIN:
        raise UsageError(
            f"there are {len(known.cycles)} labelled cycles in {settings.lake_url}; want {CYCLES_MIN} or more: run the "
            "platform for longer, or `hydrodask import DIR`"
        )
    return known


def _of_target(
    context: TrainingContext, recorder: Recorder, target: Target, kinds: Sequence[str], known: LabelledCycles
) -> TrainingOutcome:
    """Train all kinds for a target; `known` says who gave its labels."""
    people = known.says([target.name])
    labels = context.cycles.target(target.name)
    unknown = sorted(set(np.unique(labels).tolist()) - set(target.classes))
    if unknown or len(np.unique(labels)) < 2:
        raise UsageError(
            f"could not train {target.name}: its labels are {np.unique(labels).tolist()}; want at least two of "
            f"{list(target.classes)}"
        )
    results: list[TrainedModel] = []
    for name in kinds:
        try:
            result = context.result(target, KINDS[name], labels)
        except UsageError as refused:  # others may do with less
            if name == kinds[-1] and not results:
                raise
            context.say(str(refused))
            continue
        result.parameters = {**result.parameters, "labels_of_people": people}
        if people != NONE:
            result.notes.append(f"labels of people: {people}")
        result.origins = known.origins([target.name], context.weights if KINDS[name].committee else None)
        recorder.log(result)
        results.append(result)
    recorder.compare(target, results)
    ranked = rank(results)
    outcome = TrainingOutcome(target, results, ranked[0])
    outcome.registered = [recorder.register(r, context.example(r)) for r in ranked[:2]]
    _choose_champion(recorder, outcome, context.say)
    return outcome


def rank(results: Sequence[TrainedModel]) -> list[TrainedModel]:
    """Return results, best first: those that chose inside the folds, then by the worse of the two honest splits.

    Others were made with an eye on the folds, so that their figures flatter. Of two that are equally good the smaller.
    """
    return sorted(results, key=lambda r: (not KINDS[r.kind].committee, -round(worst(r.figures) / _SAME), len(r.stored)))


def _choose_champion(recorder: Recorder, outcome: TrainingOutcome, say: Say) -> None:
    """Make the best the champion, or the challenger when the champion stays: then it is said why."""
    best, registry = outcome.registered[0], recorder.registry
    before = registry.champions().get(outcome.target.name)
    outcome.says = contest.refused(outcome.best, best.version, before, recorder.out_of_fold)
    if outcome.says:
        say(f"{outcome.target.name}: {outcome.says}")
        registry.make_challenger(best)
        return
    registry.make_champion(best)
    outcome.promoted = True
    for other in outcome.registered[1:]:
        registry.make_challenger(other)


def table(outcomes: Sequence[TrainingOutcome]) -> Iterator[tuple[str, ...]]:
    """Give a row a model, for people: target, kind, the three figures, seconds, what became of it."""
    for outcome in outcomes:
        names = {v.kind: v for v in outcome.registered}
        for result in outcome.results:
            shown = [f"{result.figures[s].macro_f1:.3f}" if s in result.figures else "–" for s in SPLITS]
            version = names.get(result.kind)
            became = "" if version is None else str(version.version)
            if result is outcome.best:
                became += f" {CHAMPION}" if outcome.promoted else f"; {outcome.says}"
            yield outcome.target.name, result.kind, *shown, f"{result.seconds:.1f}", became
