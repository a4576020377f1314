"""Record trainings in MLflow: runs with their figures and pictures, models with schema, example, ONNX form and card."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version as version_of_package
from pathlib import Path
from typing import Any

from hydrodask.learn.registry import ONNX, PLAIN, PREFIX, Registry, Version, folder, reachable

import mlflow  # isort: skip  (after the registry's settings of it)
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import Array

from hydrodask.learn.score.inference import OWN
from hydrodask.learn.targets import Target
from hydrodask.learn.train import pictures
from hydrodask.learn.train.boosted import BoostedForest
from hydrodask.learn.train.card import card
from hydrodask.learn.train.results import TrainedModel, check_registrable
from hydrodask.records import Float64
from hydrodask.settings import Settings

OUT_OF_FOLD = "out-of-fold.json"
"""The table of what was said of each cycle by models that had not seen it."""

PROFILES = ModelSignature(
    Schema([
        ColSpec("string", "rig"), ColSpec("string", "sensor"), ColSpec("long", "cycle"),
        ColSpec("string", "cycle_start"), ColSpec(Array("long"), "n"),
        *(ColSpec(Array("double"), name) for name in ("mean", "min", "max")),
        ColSpec("double", "sampling_rate_hz", required=False),
    ]),
    Schema([
        ColSpec("string", "rig"), ColSpec("long", "cycle"), ColSpec("string", "cycle_start"),
        ColSpec("long", "state", required=False), ColSpec("double", "probability"), ColSpec("string", "why"),
        ColSpec(Array("string"), "because"),
    ]),
)  # fmt: skip
"""What a model of ours takes and gives in MLflow: see `hydrodask.learn.score.pyfunc`."""

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

    def log(self, result: TrainedModel) -> None:
        """Record a result as a run below the current one; its id is noted in the result."""
        name = f"{result.target.name} {result.kind}"
        with reachable(self.uri), mlflow.start_run(run_name=name, nested=True) as run:
            result.run_id = str(run.info.run_id)
            mlflow.log_params(dict(result.parameters) | {"target": result.target.name, "kind": result.kind})
            mlflow.log_metrics({key.replace(" ", "_"): value for key, value in result.metrics().items()})
            mlflow.set_tags(_tags(result) | {"code": result.code, "data": result.data.fingerprint})
            mlflow.log_dict({s: f.as_json() for s, f in result.figures.items()}, "figures.json")
            mlflow.log_dict(result.importances, "importances.json")
            mlflow.log_dict({one.name: asdict(one) for one in result.origins}, "labels.json")
            mlflow.log_input(_dataset(result), context="training")
            mlflow.set_tag("mlflow.note.content", card(result))
            if result.predictions:
                mlflow.log_table(dict(result.predictions), OUT_OF_FOLD)
            with folder() as here:
                (here / "confusion.png").write_bytes(pictures.confusion(result.target, result.kind, result.figures))
                shown = pictures.importances(result.target, result.kind, result.importances)
                (here / "importances.png").write_bytes(shown)
                mlflow.log_artifacts(str(here))

    def out_of_fold(self, version: Version) -> Mapping[str, Sequence[Any]] | None:
        """Return the columns of what a version said of cycles that it had not seen; None where no table is stored."""
        client = self.registry.client
        with reachable(self.uri), folder() as here:
            if OUT_OF_FOLD not in {artifact.path for artifact in client.list_artifacts(version.run_id)}:
                return None
            path = client.download_artifacts(version.run_id, OUT_OF_FOLD, str(here))
            table = json.loads(Path(path).read_text(encoding="utf-8"))
        return dict(zip(table["columns"], zip(*table["data"], strict=True), strict=True))

    def compare(self, target: Target, results: Sequence[TrainedModel]) -> None:
        """Record a picture of a target's models side by side, in the current run."""
        with reachable(self.uri), folder() as here:
            shown = pictures.comparison(target, {r.kind: r.figures for r in results})
            (here / f"{target.name}.png").write_bytes(shown)
            mlflow.log_artifacts(str(here), "splits")

    def register(self, result: TrainedModel, example: Float64) -> Version:
        """Store the model, as what takes profiles and natively, with its card, as a new version.

        Raises FatalError, see `results`.
        """
        check_registrable(result)
        self.registry.digests.keep(PREFIX + result.target.name, result.run_id, result.stored)
        with reachable(self.uri), mlflow.start_run(run_id=result.run_id, nested=True), folder() as here:
            stored = PLAIN if result.plain else ONNX
            (here / Path(stored).name).write_bytes(result.stored)
            mlflow.log_artifacts(str(here), str(Path(stored).parent))
            mlflow.log_text(card(result), "model-card.md")
            logged = self._log_models(result, here / Path(stored).name)
            mlflow.log_dict({"columns": list(result.columns), "data": example.tolist()}, "example.json")
        return self._version(result.target, logged, result.run_id, _tags(result), card(result))

    def register_own(self, target: Target, name: str, stored: bytes, figures: Mapping[str, float]) -> Version:
        """Store a model that somebody else trained as a new version; it scores once it is promoted."""
        says = (
            f"{name}: a model of one's own, added and not trained here. How well it tells combinations of faults that "
            f"it has not seen is not known here; on cycles of this lake: {dict(figures)}."
        )
        with reachable(self.uri), mlflow.start_run(experiment_id=self._experiment_id(), run_name=f"add {name}") as run:
            run_id = str(run.info.run_id)
            self.registry.digests.keep(PREFIX + target.name, run_id, stored)
            with folder() as here:
                (here / Path(ONNX).name).write_bytes(stored)
                mlflow.log_artifacts(str(here), str(Path(ONNX).parent))
                mlflow.log_params({"target": target.name, "kind": OWN, "file": name})
                mlflow.log_metrics(dict(figures))
                mlflow.set_tag("mlflow.note.content", says)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    info = log_profiled(here / Path(ONNX).name)
        tags = {"kind": OWN, "figures": json.dumps(dict(figures)), "stored": ONNX, "judged_on": ""}
        return self._version(target, (str(info.model_uri), str(info.model_id)), run_id, tags, says)

    def _version(
        self, target: Target, logged: tuple[str, str], run_id: str, tags: dict[str, str], says: str
    ) -> Version:
        """Register a version of a target's model, described in words."""
        name = PREFIX + target.name
        with reachable(self.uri):
            if not any(m.name == name for m in self.registry.models()):
                self.registry.client.create_registered_model(name, description=target.meaning)
            made = self.registry.client.create_model_version(name, logged[0], run_id, tags=tags, model_id=logged[1])
            self.registry.client.update_model_version(name, made.version, description=says)
        return self.registry.version(made)

    def log_table(self, name: str, columns: Mapping[str, Sequence[object]]) -> str:
        """Record a table in a run of its own and return the run's id."""
        with reachable(self.uri), mlflow.start_run(experiment_id=self._experiment_id(), run_name=name) as run:
            mlflow.log_table({key: list(values) for key, values in columns.items()}, f"{name}.json")
            return str(run.info.run_id)

    def _log_models(self, result: TrainedModel, stored: Path) -> tuple[str, str]:
        """Store what takes profiles, and the native model beside it; return where the first is, and its id."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            info = log_profiled(stored)
            if not result.plain:
                self._log_native(result)
        return str(info.model_uri), str(info.model_id)

    def _log_native(self, result: TrainedModel) -> None:
        """Store the native model, whose input are its features by name."""
        inputs = Schema([ColSpec("double", name) for name in result.columns])
        options: dict[str, Any] = {"name": "native", "signature": ModelSignature(inputs, Schema([ColSpec("long")]))}
        if isinstance(result.model, BoostedForest):
            needs = pinned("numpy", "xgboost-cpu")
            mlflow.xgboost.log_model(result.model.booster, pip_requirements=needs, **options)
            return
        mlflow.sklearn.log_model(
            result.model, serialization_format="skops", skops_trusted_types=_TRUSTED,
            pip_requirements=pinned("numpy", "scikit-learn", "skops"), **options,
        )  # fmt: skip

    def _experiment_id(self) -> str:
        found = self.registry.client.get_experiment_by_name(self._experiment)
        if found is not None:
            return str(found.experiment_id)
        location = None if self._artifacts is None else self._artifacts.as_uri()
        return str(self.registry.client.create_experiment(self._experiment, artifact_location=location))


def log_profiled(stored: Path) -> Any:
    """Log a stored model, in the current run, as one that takes profiles, and return what MLflow says of it."""
    runtime = () if stored.suffix == Path(PLAIN).suffix else ("onnxruntime",)
    return mlflow.pyfunc.log_model(
        name="model", loader_module="hydrodask.learn.score.pyfunc", data_path=str(stored), signature=PROFILES,
        pip_requirements=pinned("hydrodask", "mlflow", "numpy", "pandas", *runtime),
    )  # fmt: skip


def pinned(*names: str) -> list[str]:
    """Return requirements: these packages in the versions that are here."""
    return [f"{name}=={version_of_package(name)}" for name in names]


def _dataset(result: TrainedModel) -> MetaDataset:
    """Return the cycles that were learned from as MLflow knows data: where they are, and their digest."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is told of every kind of source that it could also be
        source = resolve_dataset_source(result.data.source)
    return MetaDataset(source, name="cycles", digest=result.data.fingerprint)


def _tags(result: TrainedModel) -> dict[str, str]:
    return {
        "kind": result.kind,
        "figures": json.dumps(result.metrics()),
        "stored": PLAIN if result.plain else ONNX,
        "judged_on": result.data.fingerprint,
    }
