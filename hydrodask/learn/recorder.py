"""Record trainings in MLflow: runs with their figures and pictures, models with schema, example, ONNX form and card."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydrodask.learn.registry import PREFIX, Registry, Version, folder, reachable

import mlflow  # isort: skip  (after the registry's settings of it)
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from hydrodask.learn import pictures
from hydrodask.learn.boosted import BoostedForest
from hydrodask.learn.card import card
from hydrodask.learn.results import Result, check_registrable
from hydrodask.learn.targets import Target
from hydrodask.records import Float64
from hydrodask.settings import Settings

_TRUSTED = ["sklearn.tree._tree.Tree"]


class Recorder:
    """Writes runs and models. Methods raise UnreachableError when the server does not answer."""

    def __init__(self, settings: Settings) -> None:
        self.registry = Registry(settings)
        self.uri = self.registry.uri
        self._experiment = settings.learn.experiment
        self._artifacts = (settings.data_dir / "mlflow-artifacts").absolute() if settings.learn.mlflow is None else None
        mlflow.set_tracking_uri(self.uri.plain())

    @contextmanager
    def training(self, parameters: Mapping[str, object]) -> Iterator[str]:
        """Open the run that a training's models belong to; give its id."""
        with reachable(self.uri):
            mlflow.set_experiment(experiment_id=self._experiment_id())  # else nested runs go to MLflow's default one
        with reachable(self.uri), mlflow.start_run(run_name="train") as run:
            mlflow.log_params(dict(parameters))
            yield str(run.info.run_id)

    def log(self, result: Result) -> None:
        """Record a result as a run below the current one; its id is noted in the result."""
        name = f"{result.target.name} {result.kind}"
        with reachable(self.uri), mlflow.start_run(run_name=name, nested=True) as run:
            result.run_id = str(run.info.run_id)
            mlflow.log_params(dict(result.parameters) | {"target": result.target.name, "kind": result.kind})
            mlflow.log_metrics({key.replace(" ", "_"): value for key, value in result.metrics().items()})
            mlflow.set_tags(_tags(result) | {"code": result.code, "data": result.data.fingerprint})
            mlflow.log_dict({s: f.as_json() for s, f in result.figures.items()}, "figures.json")
            mlflow.log_dict(result.importances, "importances.json")
            with folder() as here:
                (here / "confusion.png").write_bytes(pictures.confusion(result.target, result.kind, result.figures))
                shown = pictures.importances(result.target, result.kind, result.importances)
                (here / "importances.png").write_bytes(shown)
                mlflow.log_artifacts(str(here))

    def compare(self, target: Target, results: Sequence[Result]) -> None:
        """Record a picture of a target's models side by side, in the current run."""
        with reachable(self.uri), folder() as here:
            shown = pictures.comparison(target, {r.kind: r.figures for r in results})
            (here / f"{target.name}.png").write_bytes(shown)
            mlflow.log_artifacts(str(here), "splits")

    def register(self, result: Result, example: Float64) -> Version:
        """Store the model, native and as ONNX, with its card, as a new version. Raises FatalError, see `results`."""
        check_registrable(result)
        self.registry.digests.keep(PREFIX + result.target.name, result.run_id, result.onnx)
        with reachable(self.uri), mlflow.start_run(run_id=result.run_id, nested=True), folder() as here:
            (here / "model.onnx").write_bytes(result.onnx)
            mlflow.log_artifacts(str(here), "onnx")
            mlflow.log_text(card(result), "model-card.md")
            source, model_id = self._log_native(result, example)
        name = PREFIX + result.target.name
        with reachable(self.uri):
            if not any(m.name == name for m in self.registry.models()):
                self.registry.client.create_registered_model(name, description=result.target.meaning)
            made = self.registry.client.create_model_version(
                name, source, result.run_id, tags=_tags(result), model_id=model_id
            )
            self.registry.client.update_model_version(name, made.version, description=card(result))
        return self.registry.version(made)

    def log_table(self, name: str, columns: Mapping[str, Sequence[object]]) -> str:
        """Record a table in a run of its own and return the run's id."""
        with reachable(self.uri), mlflow.start_run(experiment_id=self._experiment_id(), run_name=name) as run:
            mlflow.log_table({key: list(values) for key, values in columns.items()}, f"{name}.json")
            return str(run.info.run_id)

    def _log_native(self, result: Result, example: Float64) -> tuple[str, str]:
        """Store the native model with schema and example; return where it is, and its id."""
        inputs = Schema([ColSpec("double", name) for name in result.columns])
        options: dict[str, Any] = {
            "name": "model",
            "signature": ModelSignature(inputs, Schema([ColSpec("long")])),
            "pip_requirements": ["scikit-learn", "xgboost-cpu"],
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(result.model, BoostedForest):
                info = mlflow.xgboost.log_model(result.model.booster, **options)
            else:
                info = mlflow.sklearn.log_model(
                    result.model, serialization_format="skops", skops_trusted_types=_TRUSTED, **options
                )
        rows = {"columns": list(result.columns), "data": example.tolist()}
        mlflow.log_dict(rows, "example.json")
        return str(info.model_uri), str(info.model_id)

    def _experiment_id(self) -> str:
        found = self.registry.client.get_experiment_by_name(self._experiment)
        if found is not None:
            return str(found.experiment_id)
        location = None if self._artifacts is None else self._artifacts.as_uri()
        return str(self.registry.client.create_experiment(self._experiment, artifact_location=location))


def _tags(result: Result) -> dict[str, str]:
    return {"kind": result.kind, "figures": json.dumps(result.metrics())}
