"""`anomalies` and `incidents` show what the store holds."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hydrodask.cli import anomalies, components, incidents
from hydrodask.detect import Detector, load_rules
from hydrodask.records import Upsert, WindowRecord
from hydrodask.settings.model import Baseline
from hydrodask.store.documents.sqlite import SqliteDocuments


@pytest.fixture
def app() -> typer.Typer:
    """Return a command line with the commands."""
    one = typer.Typer()
    anomalies.add_to(one)
    components.add_to(one)
    incidents.add_to(one)
    return one


def window(rig: str, minute: int, value: float) -> WindowRecord:
    """Return a full window of CE with this mean."""
    times = (f"2026-01-01T00:{minute:02d}:00Z", f"2026-01-01T00:{minute + 1:02d}:00Z")
    return WindowRecord(rig, "CE", *times, value, value, value, 1.0, 1.0, 60, True, 0)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return a data folder with one resolved and one open incident."""
    rows = [window("r1", 0, 30), window("r1", 1, 45), window("r2", 2, 35)]
    detector = Detector(load_rules("rules.yaml"), baseline=Baseline(), coverage_min=0.9, window_s=60.0)
    documents = SqliteDocuments(tmp_path / "documents.sqlite", timeout_s=1.0)
    for revision, row in enumerate(rows):
        documents.write(detector.update(row, revision))
    documents.close()
    return tmp_path


def test_incidents_as_json(app: typer.Typer, data_dir: Path) -> None:
    """JSON holds whole documents, newest first."""
    result = CliRunner().invoke(app, ["incidents", "--json", "--set", f"data_dir={data_dir}"])
    found = json.loads(result.stdout)

    assert [(one["rig"], one["status"]) for one in found] == [("r2", "open"), ("r1", "resolved")]
    assert found[0]["_id"] == "r2/CE/cooler_degraded/2026-01-01T00:02:00Z"


@pytest.mark.parametrize(
    ("options", "rigs"),
    [
        (["--open"], ["r2"]),
        (["--rig", "r1"], ["r1"]),
        (["--sensor", "TS1"], []),
        (["--limit", "1"], ["r2"]),
    ],
)
def test_incidents_are_filtered(app: typer.Typer, data_dir: Path, options: list[str], rigs: list[str]) -> None:
    """Each option narrows the list."""
    arguments = ["incidents", "--json", "--set", f"data_dir={data_dir}", *options]
    result = CliRunner().invoke(app, arguments)

    assert [one["rig"] for one in json.loads(result.stdout)] == rigs


@pytest.mark.parametrize("command", ["anomalies", "incidents"])
def test_tables_name_rig_and_rule(app: typer.Typer, data_dir: Path, command: str) -> None:
    """Without --json people get a table."""
    result = CliRunner().invoke(app, [command, "--set", f"data_dir={data_dir}"])

    assert result.exit_code == 0
    assert "r1" in result.stdout
    assert "warning" in result.stdout


def test_markup_in_names_is_text(app: typer.Typer, tmp_path: Path) -> None:
    """A rig called [/] is shown as it is."""
    detector = Detector(load_rules("rules.yaml"), baseline=Baseline(), coverage_min=0.9, window_s=60.0)
    documents = SqliteDocuments(tmp_path / "documents.sqlite", timeout_s=1.0)
    documents.write(detector.update(window("[/]", 0, 30), 0))
    documents.close()
    for command in ("anomalies", "incidents"):
        result = CliRunner().invoke(app, [command, "--set", f"data_dir={tmp_path}"])

        assert "[/]" in result.stdout


@pytest.mark.parametrize("options", [[], ["--json"], ["--csv"], ["--since", "8h"]])
@pytest.mark.parametrize("command", ["anomalies", "incidents", "components"])
def test_where_nothing_ran_nothing_is_well(app: typer.Typer, tmp_path: Path, command: str, options: list[str]) -> None:
    """In the wrong folder one hears that nothing has run there, as from `status`, and where; no file is made."""
    result = CliRunner().invoke(app, [command, *options, "--set", f"data_dir={tmp_path / 'none'}"])

    assert result.exit_code == 1
    assert f"nothing has ever run here: no status in sqlite:///{tmp_path}/none/documents.sqlite" in result.stderr
    assert "No " not in result.stdout
    assert "--profile" in result.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("command", ["anomalies", "incidents", "components"])
def test_a_run_without_findings_is_no_error(app: typer.Typer, tmp_path: Path, command: str) -> None:
    """Where something ran, none is the answer, and where that is."""
    documents = SqliteDocuments(tmp_path / "documents.sqlite", timeout_s=1.0)
    documents.write([Upsert("status", "run-1", 1, {"group": "g", "updated_us": 1})])
    documents.close()
    result = CliRunner().invoke(app, [command, "--set", f"data_dir={tmp_path}"])

    assert result.exit_code == 0
    assert f"No {command} in sqlite:///{tmp_path}/documents.sqlite" in result.stdout
