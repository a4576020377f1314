"""Train and judge models on the lake's labelled cycles, record all of it, register the best and the runner-up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hydrodask.errors import UsageError
from hydrodask.learn.catalogue import Catalogue, catalogue
from hydrodask.learn.cluster import training_cluster
from hydrodask.learn.models import KINDS
from hydrodask.learn.recorder import Recorder
from hydrodask.learn.registry import CHAMPION, Registry, Version, shortfall
from hydrodask.learn.results import Result
from hydrodask.learn.school import CYCLES_MIN, Say, School
from hydrodask.learn.targets import TARGETS, Target
from hydrodask.learn.validation import SPLITS, worst
from hydrodask.settings import Settings

_SAME = 0.0005
"""Macro-F1 closer than this is the same, and the simpler model is better."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to train. `since_us`: cycles from then on; `search`: draws of a randomised search, 0 for none."""

    targets: tuple[str, ...] = tuple(TARGETS)
    kinds: tuple[str, ...] = tuple(KINDS)
    since_us: int | None = None
    search: int = 0


@dataclass(slots=True)
class Outcome:
    """What came of one target: all results, and the versions that were registered."""

    target: Target
    results: list[Result]
    best: Result
    registered: list[Version] = field(default_factory=list)
    promoted: bool = False
    says: str = ""


def train(settings: Settings, request: Request, *, say: Say = lambda _text: None) -> list[Outcome]:
    """Train what is asked for and return an outcome a target. Raises UsageError when there is not enough to learn from.

    Runs, pictures and models are in MLflow when this returns; a new champion is one that is at least as good on both
    honest splits as the one before.
    """
    cycles = _labelled(settings, request)
    recorder = Recorder(settings)
    parameters = {"targets": ", ".join(request.targets), "kinds": ", ".join(request.kinds), "cycles": len(cycles)}
    with training_cluster(settings) as client, recorder.training(parameters):
        school = School(settings, client, cycles, request.search, say)
        return [_of_target(school, recorder, TARGETS[name], request.kinds) for name in request.targets]


def _labelled(settings: Settings, request: Request) -> Catalogue:
    cycles = catalogue(settings.lake_url)
    cycles = cycles.take(cycles.labelled & (cycles.start_us >= (request.since_us or np.iinfo(np.int64).min)))
    if len(cycles) < CYCLES_MIN:
        raise UsageError(
            f"there are {len(cycles)} labelled cycles in {settings.lake_url}; want {CYCLES_MIN} or more: run the "
            "platform for longer, or `hydrodask import DIR`"
        )
    return cycles


def _of_target(school: School, recorder: Recorder, target: Target, kinds: Sequence[str]) -> Outcome:
    labels = school.cycles.target(target.name)
    unknown = sorted(set(np.unique(labels).tolist()) - set(target.classes))
    if unknown or len(np.unique(labels)) < 2:
        raise UsageError(
            f"could not train {target.name}: its labels are {np.unique(labels).tolist()}; want at least two of "
            f"{list(target.classes)}"
        )
    results = []
    for name in kinds:
        result = school.result(target, KINDS[name], labels)
        recorder.log(result)
        results.append(result)
    recorder.compare(target, results)
    ranked = rank(results)
    outcome = Outcome(target, results, ranked[0])
    outcome.registered = [recorder.register(r, school.example(r)) for r in ranked[:2]]
    _crown(recorder.registry, outcome)
    return outcome


def rank(results: Sequence[Result]) -> list[Result]:
    """Return results, best first: by the worse of the two honest splits, then by how small the model is."""
    return sorted(results, key=lambda r: (-round(worst(r.figures) / _SAME), len(r.onnx)))


def _crown(registry: Registry, outcome: Outcome) -> None:
    """Make the best the champion unless the one before is better on one of the honest splits."""
    best = outcome.registered[0]
    before = registry.champions().get(outcome.target.name)
    if before is not None and (worse := shortfall(outcome.best.metrics(), before.figures)):
        outcome.says = f"version {before.version} stays {CHAMPION}: macro-F1 on {worse}"
        registry.challenge(best)
        return
    registry.promote(best.target, best.version)
    outcome.promoted = True
    for other in outcome.registered[1:]:
        registry.challenge(other)


def table(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, ...]]:
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
