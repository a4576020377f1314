"""Names and places may hold what people put into them: groups, folders, URLs, and terminals that know few letters."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrodask.errors import ConfigError
from hydrodask.protocol.ownership import Ownership, folder_of
from hydrodask.records import Upsert
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Kafka
from hydrodask.store.documents import open_documents
from hydrodask.store.files import Files
from hydrodask.store.transactions import transactional_id
from tests.delivery import ROOT
from tests.running import Life
from tests.test_partition import cut

GROUPS = ["team", "team/a", "..", "../team", ".", ".hidden", "a b", "team=2Fa", "Ä", "x" * 200, "x" * 199 + "/", "a\\b"]
PLACES = ["a::b", "100%", "a#b", "a b", "50%20", "a?b", "ä", "a&b;c", "'q'", "file"]


def test_groups_have_folders_of_their_own(tmp_path: Path) -> None:
    """Whatever their names hold: none leaves the folder, and none sees another's runs."""
    files = Files(str(tmp_path / "snapshots"))
    claims = [Ownership(files, group).claim("run") for group in GROUPS]

    assert claims == [1] * len(GROUPS)
    assert [path.name for path in tmp_path.iterdir()] == ["snapshots"]
    assert len(files.names("owners")) == len(GROUPS)
    assert all(path.count("/") == 2 for path in files.names("owners"))


@given(st.lists(st.text(min_size=1, max_size=200), unique=True))
def test_no_two_groups_share_a_folder(groups: list[str]) -> None:
    """And each folder is one name that a file system takes."""
    groups = [group for group in groups if group.isprintable()]
    folders = [folder_of(group) for group in groups]

    assert len(set(folders)) == len(groups)
    assert all(1 <= len(folder) <= 255 and "/" not in folder and folder not in (".", "..") for folder in folders)


@given(st.lists(st.tuples(st.sampled_from(["a", "a-1", "a-1-0", "a-"]), st.integers(0, 12)), unique=True))
def test_no_two_slots_share_a_transactional_id(slots: list[tuple[str, int]]) -> None:
    """`a-1` and its slot 0 are not `a` and a slot of it."""
    ids = [transactional_id(Kafka(group=group), slot) for group, slot in slots]

    assert all(one != other for one, other in pairwise(sorted(ids)))


@pytest.mark.parametrize("key", ["kafka.group=''", "topics.prefix='a/b'", "topics.prefix='ä-'"])
def test_names_that_kafka_refuses_are_refused_before(key: str) -> None:
    """With the key."""
    with pytest.raises(ConfigError, match=key.partition("=")[0]):
        load(sets=[key], environ={})


@pytest.mark.parametrize("name", PLACES)
def test_everything_finds_its_place(tmp_path: Path, name: str) -> None:
    """Lake, snapshots, documents and models, below a folder of this name and nowhere else."""
    settings = Settings(data_dir=tmp_path / name / "data")
    life = Life(settings, url=str(settings.data_dir))
    life.feed(cut(0, 1500))
    life.end()
    documents = open_documents(settings)
    documents.write([Upsert("anomalies", "x", 1, {"sensor": "CE"})])
    documents.close()

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert {path.name for path in settings.data_dir.iterdir()} == {"lake", "snapshots", "documents.sqlite"}
    assert Files(settings.lake_url).names("raw")
    again = open_documents(settings)
    assert [one["_id"] for one in again.find("anomalies", {}, limit=9)] == ["x"]
    again.close()


COMMANDS = [["incidents"], ["anomalies"], ["status"], ["incidents", "--json"], ["config", "show"], ["--help"]]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:strict"])
@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_terminal_that_knows_few_letters(tmp_path: Path, encoding: str, command: list[str]) -> None:
    """What it can't show is a question mark, and never a traceback."""
    settings = Settings(data_dir=tmp_path)
    incident: dict[str, object] = {
        "rig": "Prüfstand-Ω", "sensor": "TS1", "rule": "oil_hot", "severity": "critical", "status": "open",
        "opened_at": "2026-01-01T00:00:00Z", "resolved_at": None, "provisional": False, "message": "50 °C, µs → ✓",
        "window_start": "2026-01-01T00:00:00Z", "statistic": "avg", "value": 1.0, "threshold": 1.0, "windows": 1,
    }  # fmt: skip
    documents = open_documents(settings)
    documents.write([Upsert("incidents", "x", 1, incident), Upsert("anomalies", "y", 1, incident)])
    documents.close()
    done = hydrodask(
        *command,
        *([] if command == ["--help"] else ["--set", f"data_dir={tmp_path}"]),
        env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )

    assert "Traceback" not in done.stderr
    assert done.returncode == (1 if command == ["status"] else 0), done.stderr
    if command == ["incidents"]:
        assert "TS1 oil_hot" in done.stdout


def hydrodask(*arguments: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a command."""
    return subprocess.run(
        [sys.executable, "-m", "hydrodask", *arguments],
        cwd=ROOT,
        capture_output=True,
        check=False,
        encoding="latin-1",
        env=os.environ | env,
    )
