"""How one model is trained and judged: folds of all splits as tasks of the cluster, then a last fit on everything."""

import hashlib
import importlib.metadata
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from dask_ml.model_selection import RandomizedSearchCV
from dask_ml.wrappers import ParallelPostFit

from hydrodask import clock
from hydrodask.errors import UsageError
from hydrodask.learn import drift
from hydrodask.learn.compute import run_all, shared
from hydrodask.learn.data import dataset, labelling
from hydrodask.learn.data.catalogue import Catalogue
from hydrodask.learn.features import VERSION, sensors_of
from hydrodask.learn.score.committee import SECONDS, Committee
from hydrodask.learn.score.inference import Model
from hydrodask.learn.targets import Target
from hydrodask.learn.train import boosted, committees, moments, weighing
from hydrodask.learn.train.estimators import SEED, Kind, fit_predict, usable
from hydrodask.learn.train.export import describe, export
from hydrodask.learn.train.moments import Moments
from hydrodask.learn.train.nested import Lesson
from hydrodask.learn.train.results import Data, TrainedModel, Unseen, predictions
from hydrodask.learn.train.validation import GROUPED, Fold, ValidationScores, folds, judge, macro_f1, splits_of
from hydrodask.records import Float64, Int64
from hydrodask.settings import Settings

CYCLES_MIN = 30

Say = Callable[[str], None]


class TrainingContext:
    """What the models of one training share: cluster, cycles, features that have been computed.

    `every` cycle is learned from by committees and by XGBoost, on the workers; `cycles` are those of them that are
    here, on which choices are made and figures are measured, and from which other kinds learn: see `moments`.
    """

    def __init__(self, settings: Settings, client: Any, cycles: Catalogue, search: int, say: Say) -> None:
        self.settings, self.client, self.search, self.say = settings, client, search, say
        self.every, rows = cycles, moments.sample(cycles)
        self.cycles, self.levels = cycles.take(rows), labelling.levels(cycles)[rows]
        self._features: dict[tuple[str, ...], Float64] = {}
        self._keeper: committees.Keeper | None = None
        self._read = moments.read(client, cycles, rows, say) if len(rows) < len(cycles) else None
        if self._read is not None:
            self._features = {SECONDS: self._read.seconds, drift.COLUMNS: self._read.watched}
        watched = self.features(drift.COLUMNS)
        self.reference, content = drift.ReferenceDistribution.of(watched), watched.tobytes()
        if self._read is not None:
            self.reference = self.reference.widened(self._read.lowest, self._read.highest, watched)
            content = self._read.digest.encode()
        self.data = Data.of(cycles, content, len(rows))
        self.code = code_version()

    def features(self, names: tuple[str, ...]) -> Float64:
        """Return features of all cycles, computed on the cluster once."""
        if names not in self._features:
            self._features[names] = dataset.gathered(dataset.features(self.cycles, names))
        return self._features[names]

    @cached_property
    def moments(self) -> Moments:
        """What committees learn of all cycles."""
        if self._read is not None:
            return self._read.moments
        seconds = self.features(SECONDS)
        there = committees.whole(seconds)
        shift = seconds[there].mean(axis=0) if there.any() else np.zeros(seconds.shape[1])
        return Moments(shift).take(seconds, self.cycles.labels, self.weights)

    @cached_property
    def weights(self) -> Float64:
        """What each of `every` cycle weighs in committees, shape (n,); 0: it lacks a second."""
        if self._read is not None:
            return self._read.weights
        seconds = self.features(SECONDS)
        there = committees.whole(seconds)
        weights = np.zeros(len(seconds))
        weights[there] = weighing.weights_of(seconds[there])
        return weights

    def example(self, result: TrainedModel) -> Float64:
        """Return two rows of a model's input."""
        return self.features(result.columns)[:2]

    def result(self, target: Target, kind: Kind, labels: Int64) -> TrainedModel:
        """Train and judge one model. Cycles that miss a sensor it needs are left out, and that is noted."""
        if kind.committee:
            return self._committee(target, kind, labels)
        started_s = clock.monotonic_s()
        names = kind.columns(target)
        features = self.features(names)
        there = usable(features) if not kind.distributed else np.isfinite(features).any(axis=1)
        features, labels, levels = features[there], labels[there], self.levels[there]
        _enough(kind, target, labels)
        parameters: dict[str, object] = {"features": len(names), "seed": SEED, "cycles": len(labels)}
        if kind.distributed:
            parameters |= {"cycles": len(self.every), "chosen_on": len(labels)}
        model = self._build(target, kind)
        if self.search and kind.search:
            model, found = self._search(model, kind, features, labels, levels)
            parameters |= found
        parameters |= boosted.PARAMETERS if kind.distributed else plain(model.get_params())
        figures, importances, unseen = self._judge(target, model, (features, labels, levels, names))
        fitted_s = clock.monotonic_s()
        trained = self._fit(target, kind, model, (features, labels, names))
        seconds = clock.monotonic_s() - fitted_s
        stored = export(trained, len(names), self._metadata(target, kind, names, labels))
        said = Model.load(stored, name=target.name, version=0).classify(features)
        native = self._native(kind, trained, features)
        self.say(f"{target.name} {kind.name}: {_line(figures)} ({clock.monotonic_s() - started_s:.0f} s)")
        result = TrainedModel(
            target, kind.name, kind.says, trained, names, figures, self.data, stored, int((said != native).sum()),
            importances, parameters, seconds, self.code,
            predictions(self.cycles.take(np.flatnonzero(there)), unseen, ()),
        )  # fmt: skip
        if self._read is not None and not kind.distributed:
            result.notes.append(f"it learns in memory, so from {len(labels):,} of {len(self.every):,} cycles")
        if (~there).any():
            result.notes.append(f"{int((~there).sum())} cycles without its sensors were left out")
        return result

    def _committee(self, target: Target, kind: Kind, labels: Int64) -> TrainedModel:
        """Train and judge a committee; cycles that lack a second are not learned from."""
        started_s = clock.monotonic_s()
        seconds = self.features(kind.columns(target))
        there = committees.whole(seconds)
        _enough(kind, target, labels[there])
        levels = self.levels[there]
        if self._keeper is None:
            self._keeper = committees.Keeper(self.client, seconds[there], levels, self.moments)
        lesson = Lesson(seconds[there], np.searchsorted(target.classes, labels[there]), levels)
        taught = committees.train(self.client, target, lesson, self._keeper, self.moments)
        made = committees.about(taught.made, data=self.data.fingerprint, reference=self.reference.as_json())
        stored = made.dump()
        again = Committee.load(stored, name=target.name, version=0)
        differ = int((again.odds(seconds[there])[0].argmax(1) != made.odds(seconds[there])[0].argmax(1)).sum())
        took_s = clock.monotonic_s() - started_s
        self.say(f"{target.name} {kind.name}: {_line(taught.figures)} ({took_s:.0f} s)")
        parameters = {"features": len(made.columns), "seed": SEED, "cycles": len(self.moments)} | taught.chosen
        rows, truth = np.flatnonzero(there), labels[there]
        unseen = {
            split: Unseen(
                rows[h.rows], h.sizes, truth[h.rows], made.classes[h.chances.argmax(axis=1)], h.known, h.chances
            )
            for split, h in taught.said.items()
        }
        result = TrainedModel(
            target, kind.name, kind.says, made, made.columns, taught.figures, self.data, stored, differ, taught.lost,
            parameters | {"chosen_on": int(there.sum())}, took_s, self.code,
            predictions(self.cycles, unseen, made.classes.tolist()),
        )  # fmt: skip
        if left := len(self.every) - len(self.moments):
            result.notes.append(f"{left:,} cycles that lack a second were left out")
        return result

    def _build(self, target: Target, kind: Kind) -> Any:
        return boosted.LocalBoosted(target.classes) if kind.distributed else kind.build(target)

    def _judge(
        self, target: Target, model: Any, data: tuple[Float64, Int64, Float64, tuple[str, ...]]
    ) -> tuple[dict[str, ValidationScores], dict[str, float], dict[str, Unseen]]:
        """Train and test every fold of every split, all at once on the cluster."""
        features, labels, levels, names = data
        plan = [(split, fold) for split in splits_of(target) for fold in folds(split, labels, levels) if len(fold[0])]
        if lacking := set(splits_of(target)) - {split for split, _ in plan}:
            raise UsageError(
                f"could not judge {target.name} on {', '.join(sorted(lacking))}: all cycles may be of one combination "
                "of faults, or of one level of the cooler; label cycles of others"
            )
        far, truth = shared(self.client, features), shared(self.client, labels)
        first = next(place for place, (split, _) in enumerate(plan) if split == GROUPED)
        tasks = [
            (one_fold, (model, far, truth, fold, names if place == first else ()))
            for place, (_, fold) in enumerate(plan)
        ]
        answered = run_all(self.client, tasks)
        said, importances = [a[0] for a in answered], answered[first][1]
        figures, unseen = {}, {}
        for split in splits_of(target):
            answers = [(fold[1], s) for (name, fold), s in zip(plan, said, strict=True) if name == split]
            rows, spoken = (np.concatenate(parts) for parts in zip(*answers, strict=True))
            sizes = [len(test) for test, _ in answers]
            figures[split] = judge(split, target, labels[rows], spoken, parts=sizes)
            unseen[split] = Unseen(rows, sizes, labels[rows], spoken)
        return figures, importances, unseen

    def _fit(self, target: Target, kind: Kind, model: Any, data: tuple[Float64, Int64, tuple[str, ...]]) -> Any:
        """Train on everything: forests through joblib on Dask, XGBoost by all workers together."""
        features, labels, names = data
        if kind.distributed:
            rows, numbers = dataset.chunked(features, np.searchsorted(target.classes, labels))
            if self._read is not None:  # then its features stay on the workers
                rows = dataset.features(self.every, names, dtype="float32")
                numbers = dataset.chunked(np.searchsorted(target.classes, self.every.target(target.name)))[0]
            limit_s = self.settings.learn.boosted_max
            return boosted.train(self.client, rows, numbers, target.classes, limit_s=limit_s)
        if not kind.joblib:
            return model.fit(features, labels)
        with joblib.parallel_config("dask", client=self.client):
            model.set_params(n_jobs=-1).fit(features, labels)
        return model.set_params(n_jobs=None)

    def _native(self, kind: Kind, model: Any, features: Float64) -> Int64:
        """Return what the native model says, predicted in parallel."""
        if kind.distributed:
            return np.asarray(model.predict(features))
        chunks = dataset.chunked(features)[0]
        return np.asarray(ParallelPostFit(model).predict(chunks).compute())

    def _search(
        self, model: Any, kind: Kind, features: Float64, labels: Int64, levels: Float64
    ) -> tuple[Any, dict[str, object]]:
        """Return the model with the parameters that do best on unseen combinations, of `search` random ones."""
        draws = min(self.search, *map(len, kind.search.values()))
        folds_here = folds(GROUPED, labels, levels)
        found = RandomizedSearchCV(
            model, kind.search, n_iter=draws, cv=folds_here, scoring="f1_macro", random_state=SEED
        ).fit(features, labels)
        return model.set_params(**found.best_params_), dict(found.best_params_) | {"search": draws}

    def _metadata(self, target: Target, kind: Kind, names: tuple[str, ...], labels: Int64) -> dict[str, str]:
        classes = target.classes if kind.distributed else tuple(np.unique(labels).tolist())
        return describe(
            target=target.name,
            kind=kind.name,
            classes=classes,
            columns=names,
            sensors=sensors_of(names),
            missing_allowed=kind.distributed,
            features_version=VERSION,
            data=self.data.fingerprint,
            reference=self.reference.as_json(),
        )


def one_fold(
    model: Any, features: Float64, labels: Int64, fold: Fold, names: tuple[str, ...]
) -> tuple[Int64, dict[str, float]]:
    """Return what a model says of a fold's test rows, and, given names of features, which of them it needs.

    That is the macro-F1 lost when the features of one sensor and kind are shuffled. One task of a validation.
    """
    fitted, said = fit_predict(model, features, labels, fold)
    test, truth = features[fold[1]], labels[fold[1]]
    best = macro_f1(truth, said)
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(".".join(name.split(".")[:2]), []).append(place)
    losses = {}
    for name, places in groups.items():
        changed = test.copy()
        changed[:, places] = test[np.random.default_rng(SEED).permutation(len(test))][:, places]
        losses[name] = best - macro_f1(truth, fitted.predict(changed))
    return said, losses


def _enough(kind: Kind, target: Target, labels: Int64) -> None:
    """Raise UsageError when there is too little to learn from."""
    if len(labels) < CYCLES_MIN or len(np.unique(labels)) < 2:
        raise UsageError(f"could not train {kind.name} for {target.name}: only {len(labels)} cycles have its sensors")


def code_version() -> str:
    """Return the release and a digest of the code that computes features and trains."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return f"hydrodask {importlib.metadata.version('hydrodask')}, learn {digest.hexdigest()[:12]}"


def plain(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return those of scikit-learn's parameters that are values, and not models of their own."""
    return {name: value for name, value in parameters.items() if isinstance(value, str | int | float | None)}


def _line(figures: dict[str, ValidationScores]) -> str:
    return ", ".join(f"{split} {one.macro_f1:.3f}" for split, one in figures.items())
