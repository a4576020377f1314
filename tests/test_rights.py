"""What a user has no rights on: one exit code, whichever command it is and whichever folder."""

import os
import subprocess
import sys
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
    "an answer": "incidents ack rig-1",
}


@pytest.mark.parametrize("what", COMMANDS)
def test_a_folder_without_rights_is_one_exit_code(tmp_path: Path, what: str) -> None:
    """3, with a sentence, and no word of a mistake in hydrodask."""
    closed, mine = tmp_path / "closed", tmp_path / "open"
    mine.mkdir()
    settings = load(sets=[f"data_dir={closed}"], environ={})[0]
    documents = open_documents(settings)
    documents.write([Upsert("status", "run-1", 1, {"group": "hydrodask", "updated_us": 1})])
    documents.close()
    Lake(settings.lake_url).files.put_if_absent("raw/sensor=CE/x", b"")
    for path in (mine, tmp_path):
        path.chmod(0o777)
    for path in (closed, *closed.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    words = COMMANDS[what].format(open=mine).split()
    sets = ["--set", f"data_dir={closed}"] if "data_dir=" not in COMMANDS[what] else []
    done = subprocess.run(
        [*becoming(), sys.executable, "-B", "-m", "hydrodask", *words, *sets],
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

    assert done.returncode == 3, done.stdout + done.stderr
    assert "mistake in hydrodask" not in done.stderr
