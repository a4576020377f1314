"""What a user has no rights on: one exit code, whichever command it is and whichever folder."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydrodask.records import Upsert
from hydrodask.settings import load
from hydrodask.store.documents import open_documents
from hydrodask.store.lake import Lake
from tests.nobody import becoming

ROOT = Path(__file__).resolve().parents[1]

COMMANDS = {
    "run in a data_dir": "run --for 1s",
    "an answer": "incidents ack one",
}

INCIDENT = Upsert(
    "incidents",
    "one",
    1,
    {
        "rig": "rig-1",
        "sensor": "TS1",
        "rule": "oil_hot",
        "status": "open",
        "severity": "warning",
        "message": "warm",
        "opened_at": "2026-01-01T00:00:00Z",
    },
)


def as_nobody(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as a user who may read everything and write nothing."""
    return subprocess.run(
        [*becoming(), sys.executable, "-B", "-m", "hydrodask", *words],
        cwd=ROOT,
        env={
            "PATH": os.defpath,
            "HYDRODASK_OBSERVE__METRICS": "127.0.0.1:0",
            "HYDRODASK_CLUSTER__DASHBOARD": "127.0.0.1:0",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def close(folder: Path) -> None:
    """Let nobody write there any more."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


@pytest.mark.parametrize("what", COMMANDS)
def test_a_folder_without_rights_is_one_exit_code(tmp_path: Path, what: str) -> None:
    """3, with a sentence, and no word of a mistake in hydrodask."""
    closed, mine = tmp_path / "closed", tmp_path / "open"
    mine.mkdir()
    settings = load(sets=[f"data_dir={closed}"], environ={})[0]
    documents = open_documents(settings)
    documents.write([Upsert("status", "run-1", 1, {"group": "hydrodask", "updated_us": 1}), INCIDENT])
    documents.close()
    Lake(settings.lake_url).files.put_if_absent("raw/sensor=CE/x", b"")
    for path in (mine, tmp_path):
        path.chmod(0o777)
    close(closed)
    words = COMMANDS[what].format(open=mine).split()
    sets = ["--set", f"data_dir={closed}"] if "data_dir=" not in COMMANDS[what] else []
    done = as_nobody(*words, *sets)

    assert done.returncode == 3, done.stdout + done.stderr
    assert "mistake in hydrodask" not in done.stderr


@pytest.fixture
def searched() -> Iterator[Path]:
    """Return a folder that everybody may go through: pytest's own are for its user alone, and SQLite asks for that."""
    with tempfile.TemporaryDirectory(prefix="hydrodask-rights-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("open_elsewhere", [True, False], ids=["while a run has it open", "after a run"])
def test_who_may_only_read_reads_documents(searched: Path, open_elsewhere: bool) -> None:
    """An auditor needs no right to write: SQLite would write beside the file even to read it."""
    closed = searched / "closed"
    documents = open_documents(load(sets=[f"data_dir={closed}"], environ={})[0])
    documents.write([INCIDENT])
    assert documents.find("incidents", {}, limit=1)  # as a run does all the time
    if not open_elsewhere:
        documents.close()
    close(closed)

    done = as_nobody("incidents", "--json", "--set", f"data_dir={closed}")

    documents.close()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one["rule"] for one in json.loads(done.stdout)] == ["oil_hot"]


def test_to_look_at_models_makes_no_registry(tmp_path: Path) -> None:
    """MLflow would try to make its file for two minutes, and end with an error of SQLite."""
    closed = tmp_path / "closed"
    closed.mkdir()
    tmp_path.chmod(0o777)
    close(closed)

    done = as_nobody("models", "--set", f"data_dir={closed}")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "No models" in done.stdout


def test_a_registry_that_can_not_be_made_is_said_at_once(tmp_path: Path) -> None:
    """Who promotes has to write, and no such version is there."""
    closed = tmp_path / "closed"
    closed.mkdir()
    tmp_path.chmod(0o777)
    close(closed)

    done = as_nobody("promote", "valve", "1", "--set", f"data_dir={closed}")

    assert done.returncode == 3, done.stdout + done.stderr
    assert "could not make the registry of models" in done.stderr
