"""How one model is trained and judged: folds of all splits as tasks of the cluster, then a last fit on everything."""

import hashlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from dask_ml.model_selection import RandomizedSearchCV
from dask_ml.wrappers import ParallelPostFit

from hydrodask import clock
from hydrodask.errors import UsageError
from hydrodask.learn import boosted, dataset, drift
from hydrodask.learn.catalogue import Catalogue
from hydrodask.learn.cluster import run_all, scattered
from hydrodask.learn.export import describe, export
from hydrodask.learn.features import VERSION, sensors_of
from hydrodask.learn.models import SEED, Kind, fit_predict, usable
from hydrodask.learn.results import Data, Result
from hydrodask.learn.scoring import Model
from hydrodask.learn.targets import Target
from hydrodask.learn.validation import GROUPED, Figures, Fold, folds, judge, macro_f1, splits_of
from hydrodask.records import Float64, Int64
from hydrodask.settings import Settings

CYCLES_MIN = 30

Say = Callable[[str], None]


class School:
    """What the models of one training share: cluster, cycles, features that have been computed."""

    def __init__(self, settings: Settings, client: Any, cycles: Catalogue, search: int, say: Say) -> None:
        self.settings, self.client, self.cycles, self.search, self.say = settings, client, cycles, search, say
        self._features: dict[tuple[str, ...], Float64] = {}
        watched = self.features(drift.COLUMNS)
        self.reference = drift.Reference.of(watched)
        self.data = _data(cycles, watched)
        self.code = code_version()

    def features(self, names: tuple[str, ...]) -> Float64:
        """Return features of all cycles, computed on the cluster once."""
        if names not in self._features:
            self._features[names] = dataset.gathered(dataset.features(self.cycles, names))
        return self._features[names]

    def example(self, result: Result) -> Float64:
        """Return two rows of a model's input."""
        return self.features(result.columns)[:2]

    def result(self, target: Target, kind: Kind, labels: Int64) -> Result:
        """Train and judge one model. Cycles that miss a sensor it needs are left out, and that is noted."""
        started_s = clock.monotonic_s()
        names = kind.columns(target)
        features = self.features(names)
        there = usable(features) if not kind.distributed else np.isfinite(features).any(axis=1)
        features, labels, levels = features[there], labels[there], self.cycles.labels[there, :4]
        if len(labels) < CYCLES_MIN or len(np.unique(labels)) < 2:
            raise UsageError(
                f"could not train {kind.name} for {target.name}: only {len(labels)} cycles have its sensors"
            )
        parameters: dict[str, object] = {"features": len(names), "seed": SEED, "cycles": len(labels)}
        model = self._build(target, kind)
        if self.search and kind.search:
            model, found = self._search(model, kind, features, labels, levels)
            parameters |= found
        figures, importances = self._judge(target, model, (features, labels, levels, names))
        fitted_s = clock.monotonic_s()
        trained = self._fit(target, kind, model, features, labels)
        seconds = clock.monotonic_s() - fitted_s
        onnx = export(trained, len(names), self._metadata(target, kind, names, labels))
        said = Model.load(onnx, name=target.name, version=0).classify(features)
        native = self._native(kind, trained, features)
        self.say(f"{target.name} {kind.name}: {_line(figures)} ({clock.monotonic_s() - started_s:.0f} s)")
        result = Result(
            target, kind.name, kind.says, trained, names, figures, self.data, onnx, int((said != native).sum()),
            importances, parameters, seconds, self.code,
        )  # fmt: skip
        if (~there).any():
            result.notes.append(f"{int((~there).sum())} cycles without its sensors were left out")
        return result

    def _build(self, target: Target, kind: Kind) -> Any:
        return boosted.LocalBoosted(target.classes) if kind.distributed else kind.build(target)

    def _judge(
        self, target: Target, model: Any, data: tuple[Float64, Int64, Float64, tuple[str, ...]]
    ) -> tuple[dict[str, Figures], dict[str, float]]:
        """Train and test every fold of every split, all at once on the cluster."""
        features, labels, levels, names = data
        plan = [(split, fold) for split in splits_of(target) for fold in folds(split, labels, levels)]
        far, truth = scattered(self.client, features), scattered(self.client, labels)
        first = next(place for place, (split, _) in enumerate(plan) if split == GROUPED)
        tasks = [
            (one_fold, (model, far, truth, fold, names if place == first else ()))
            for place, (_, fold) in enumerate(plan)
        ]
        answered = run_all(self.client, tasks)
        said, importances = [a[0] for a in answered], answered[first][1]
        figures = {}
        for split in splits_of(target):
            answers = [(fold[1], s) for (name, fold), s in zip(plan, said, strict=True) if name == split]
            rows, spoken = (np.concatenate(parts) for parts in zip(*answers, strict=True))
            figures[split] = judge(split, target, labels[rows], spoken)
        return figures, importances

    def _fit(self, target: Target, kind: Kind, model: Any, features: Float64, labels: Int64) -> Any:
        """Train on everything: forests through joblib on Dask, XGBoost by all workers together."""
        if kind.distributed:
            rows, numbers = dataset.chunked(features, np.searchsorted(target.classes, labels))
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


def code_version() -> str:
    """Return the release and a digest of the code that computes features and trains."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return f"hydrodask {importlib.metadata.version('hydrodask')}, learn {digest.hexdigest()[:12]}"


def _data(cycles: Catalogue, features: Float64) -> Data:
    digest = hashlib.sha256()
    for part in (cycles.cycle, cycles.start_us, cycles.labels, features):
        digest.update(np.ascontiguousarray(part).tobytes())
    return Data(
        digest.hexdigest()[:16],
        len(cycles),
        sorted(set(cycles.rig.tolist())),
        clock.iso(int(cycles.start_us.min())),
        clock.iso(int(cycles.start_us.max())),
        len(np.unique(cycles.labels[:, :4], axis=0)),
    )


def _line(figures: dict[str, Figures]) -> str:
    return ", ".join(f"{split} {one.macro_f1:.3f}" for split, one in figures.items())
