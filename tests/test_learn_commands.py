"""The commands of learning, as a user types them, and a real MLflow server in place of the embedded registry."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from hydrodask.cli import drift, import_, models, promote, score, status
from hydrodask.clock import iso, parse_iso
from hydrodask.errors import ConfigError, UsageError
from hydrodask.flows.train import moments
from hydrodask.learn import drift as measures
from hydrodask.learn.registry import Registry, Version
from hydrodask.learn.score import batch
from hydrodask.learn.score.champions import Champions
from hydrodask.learn.train.training import Request, train
from hydrodask.observe.figures import Figures
from hydrodask.observe.series import component_series
from hydrodask.observe.status import status_document
from hydrodask.records import Upsert
from hydrodask.reports import Component, Overview, PartitionReport
from hydrodask.run.datadir import DataDir
from hydrodask.services import MlflowService
from hydrodask.services.ports import free_port
from hydrodask.settings import Url
from hydrodask.store.documents import open_documents
from tests.conftest import quiet
from tests.learned import Trained, write_archive, write_text

pytestmark = pytest.mark.filterwarnings("ignore")  # libraries about each other


@pytest.fixture
def app() -> typer.Typer:
    """Return a command line with the commands."""
    one = typer.Typer()
    for command in (import_, models, promote, score, drift, status):
        command.add_to(one)
    return one


def said(app: typer.Typer, trained: Trained, *arguments: str) -> str:
    """Run a command on the trained data directory and return what it printed."""
    result = CliRunner().invoke(app, [*arguments, "--set", f"data_dir={trained.settings.data_dir}"])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_models_are_listed(app: typer.Typer, trained: Trained) -> None:
    """Two versions of each target, one of them the champion, with their figures."""
    found = json.loads(said(app, trained, "models", "--json"))

    assert len(found) == 10
    assert sum("champion" in one["aliases"] for one in found) == 5
    assert "champion" in said(app, trained, "models")


def test_promote_says_what_it_did(app: typer.Typer, trained: Trained) -> None:
    """Promoting the champion again changes nothing and says so; the registry's full name works too."""
    version = next(v for o in trained.outcomes for v in o.registered if v.target == "pump" and v.kind == "gaussian")

    text = said(app, trained, "promote", "hydrodask-pump", str(version.version))

    assert text.strip() == f"pump version {version.version} (gaussian) is the champion now"


@pytest.mark.cluster
def test_a_folder_is_scored(app: typer.Typer, trained: Trained, recording: Path, tmp_path: Path) -> None:
    """One row a cycle, a class and probabilities that sum to one for each target; labels are not needed.

    NaN is a sample that was not measured: without CE and CP the cooler of cycle 5 is unknown, and why is said.
    """
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in recording.glob("*.txt"):
        if path.name in {"CE.txt", "CP.txt"}:
            rows = np.loadtxt(path)
            rows[5] = np.nan
            write_text(bare / path.name, rows)
        elif path.name != "profile.txt":
            (bare / path.name).symlink_to(path)
    output = tmp_path / "states.parquet"
    said(app, trained, "score", str(bare), "--output", str(output))
    table = pq.read_table(output)
    labels = np.loadtxt(recording / "profile.txt").astype(int)

    assert table["cycle"].to_pylist() == list(range(10))
    assert table["valve_class"].to_pylist() == labels[:, 1].tolist()
    assert table["valve_why"].to_pylist() == [None] * 10
    cooler = [None if row == 5 else label for row, label in enumerate(labels[:, 0].tolist())]
    assert table["cooler_class"].to_pylist() == cooler
    assert table["cooler_why"][5].as_py() == "not measured: CE, CP"
    chances = [np.array(table[f"accumulator_p_{c}"]) for c in (90, 100, 115, 130)]
    assert np.allclose(np.sum(chances, axis=0), 1.0)


@pytest.mark.cluster
def test_a_promotion_meanwhile_does_not_change_what_scored(
    trained: Trained, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The versions that a batch names are those that it scored with: it asks for the champions once."""
    asked: list[dict[str, Version]] = []
    downloaded: list[Version] = []

    class Asked(Registry):
        """A registry that remembers what it was asked for."""

        def champions(self) -> dict[str, Version]:
            asked.append(super().champions())
            return asked[-1]

        def stored(self, version: Version) -> bytes:
            downloaded.append(version)
            return super().stored(version)

    monkeypatch.setattr(batch, "shelf", Asked)
    done = batch.score_folder(trained.settings, recording, tmp_path / "states.parquet")
    assert done["figures"]["valve"] == {"answered": 1.0, "macro_f1_answered": 1.0, "macro_f1_unknown_wrong": 1.0}

    assert len(asked) == 1
    assert {version.target: version.version for version in downloaded} == done["models"]
    assert len(downloaded) == len(done["models"])


def test_import_says_what_it_did(app: typer.Typer, tmp_path: Path) -> None:
    """The summary counts cycles and files; a start is in the setting's zone, and refused if it is no time."""
    folder = write_archive(tmp_path / "bench-7", cycles=2)
    arguments = ["import", str(folder), "--json", "--set", f"data_dir={tmp_path / 'data'}"]
    done = json.loads(CliRunner().invoke(app, arguments).stdout)

    assert (done["rig"], done["cycles"], done["labels"], done["files"]) == ("bench-7", 2, 2, 18)
    local = ["--start", "2026-01-01 05:30", "--set", "observe.timezone=Asia/Kolkata"]
    assert json.loads(CliRunner().invoke(app, [*arguments, *local]).stdout)["known"] == 18
    assert "noon" in str(CliRunner().invoke(app, [*arguments, "--start", "noon"]).exception)


def test_import_waits_for_no_compaction(app: typer.Typer, tmp_path: Path) -> None:
    """While somebody else changes files of the lake it is refused, and who that is is said."""
    folder = write_archive(tmp_path / "bench-7", cycles=2)
    with DataDir(tmp_path / "data", "maintenance-lock"):
        result = CliRunner().invoke(app, ["import", str(folder), "--set", f"data_dir={tmp_path / 'data'}"])

    assert isinstance(result.exception, ConfigError)
    assert f"with process id {os.getpid()}" in str(result.exception)
    assert not (tmp_path / "data" / "lake").exists()


@pytest.mark.cluster
def test_drift_of_the_training_data_is_none(app: typer.Typer, trained: Trained) -> None:
    """The days that models were trained on are within what they know, and a table of them is in MLflow."""
    days = json.loads(said(app, trained, "drift", "--json"))

    assert [day["date"] for day in days] == ["2026-01-01", "2026-01-02"]
    assert all(one["outside"] == 0 for day in days for one in day["features"])


def test_a_sensor_that_moved_away_suggests_training() -> None:
    """Half of the cycles beyond the training data show as half, and its index is the largest."""
    rng = np.random.default_rng(0)
    known = rng.normal(size=(500, len(measures.COLUMNS)))
    reference = measures.ReferenceDistribution.from_json(measures.ReferenceDistribution.of(known).as_json())
    day = measures.Day()
    day.add("2026-01-01", known[:100], reference)
    moved = known[100:200].copy()
    moved[:, 3] += 20
    day.add("2026-01-01", moved, reference)
    worst = day.measures(reference)[0]

    assert (worst.feature, worst.outside) == (measures.COLUMNS[3], 0.5)
    assert worst.index == max(one.index for one in day.measures(reference))
    day.add("2025-12-31", moved, reference)  # late: the day is over
    assert day.cycles == 200
    day.add("2026-01-02", known, reference)
    assert (day.date, day.cycles) == ("2026-01-02", 500)


def overview() -> Overview:
    """Return an overview in which a model has spoken and a feature has drifted."""
    part = PartitionReport("score", "hydraulic-cycles", 0, keys=1)
    part.components = {("rig-1", "valve"): Component(73, 0.98, 4, "2026-01-01T00:05:00Z")}
    part.unknown = [("rig-1", "pump")]
    part.drift = {"TS1.average": (1.5, 0.4)}
    return Overview("run", 0, partitions={("hydraulic-cycles", 0): part})


def test_states_are_metrics() -> None:
    """A gauge a component: state, probability, version of the model; and the drift of features."""
    figures = Figures(overview())
    values = {one.name: one.values for one in component_series(figures)}

    assert values["hydraulic_component_state"] == [(("rig-1", "valve"), 73.0)]
    assert values["hydraulic_component_unknown"] == [(("rig-1", "valve"), 0.0), (("rig-1", "pump"), 1.0)]
    assert values["hydraulic_component_model_version"] == [(("rig-1", "valve"), 4.0)]
    assert values["hydrodask_feature_drift_outside_ratio"] == [(("TS1.average",), 0.4)]


def test_status_shows_states_and_drift(app: typer.Typer, tmp_path: Path, trained: Trained) -> None:
    """`status` says what the models said last, and suggests training when data has moved away."""
    settings = trained.settings.model_copy(update={"data_dir": tmp_path})
    documents = open_documents(settings)
    documents.write([Upsert("status", "run", 1, status_document(overview(), now_us=1))])
    documents.close()
    result = CliRunner().invoke(app, ["status", "--set", f"data_dir={tmp_path}"])

    assert "valve 73 (98%)" in result.stdout
    assert "40% of today's cycles" in result.stdout
    assert "hydrodask train" in result.stdout


def test_a_schedule_gives_moments() -> None:
    """Cron's five fields, in UTC; what is none is a usage error."""
    due = moments("30 2 * * 1", parse_iso("2026-01-01T00:00:00Z"))

    assert [iso(next(due)) for _ in range(2)] == ["2026-01-05T02:30:00Z", "2026-01-12T02:30:00Z"]
    with pytest.raises(UsageError, match="want five fields"):
        moments("now and then", 0)


def test_streaming_does_not_import_what_trains() -> None:
    """Starting a worker, or asking for help, loads none of the learning libraries."""
    heavy = ("mlflow", "sklearn", "xgboost", "onnxruntime", "onnx", "matplotlib", "dask_ml", "pandas")
    code = f"import hydrodask.flows, hydrodask.cli.main, sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowService]:
    """Run an MLflow server; the first time on a machine its environment is made, which takes minutes."""
    service = MlflowService(tmp_path_factory.mktemp("mlflow"), port=free_port(), with_parent=True)
    service.install(quiet)
    service.start(quiet)
    yield service
    service.stop()


@pytest.mark.integration
@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_a_server_holds_runs_and_models(trained: Trained, server: MlflowService, tmp_path: Path) -> None:
    """With an MLflow server runs, artefacts and aliases go there, and a scorer finds its champion there."""
    learn = trained.settings.learn.model_copy(update={"mlflow": Url(server.url), "password_file": server.password_file})
    lake = trained.settings.lake.model_copy(update={"url": trained.settings.lake_url})
    settings = trained.settings.model_copy(update={"learn": learn, "lake": lake, "data_dir": tmp_path})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(settings, Request(targets=("cooler",), kinds=("gaussian",)))
    found = Champions(settings)
    found.refresh()

    assert not found.problems
    assert [(m.name, m.version, m.kind) for m in found.models.values()] == [("hydrodask-cooler", 1, "gaussian")]
    assert list(tmp_path.glob("mlflow*")) == []
