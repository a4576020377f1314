"""Each finding of the audit names the command that mends it: the command is there, and running it makes all well."""

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hydrodask.audit import mending
from hydrodask.audit.aside import set_aside
from hydrodask.audit.mending import Mend
from hydrodask.cli.main import app
from hydrodask.errors import UsageError
from hydrodask.ingest.topics import RENEWABLE
from hydrodask.settings import load

PATH = "raw/sensor=PS1/date=2026-01-01/hydraulic-PS1-0-000000000000.parquet"


def kinds() -> list[Mend]:
    """Return every kind of mend that a finding can name."""
    fixed = [one for one in vars(mending).values() if isinstance(one, Mend)]
    named = [make(PATH) for make in (mending.aside, mending.imported, mending.misplaced)]
    folders = [mending.rebuilt(PATH, folder) for folder in ("raw", "windows", "cycles", "late", "labels")]
    return [*fixed, *named, *folders, *map(mending.renewed, mending.TOPICS_OF)]


@pytest.mark.parametrize("mend", kinds(), ids=lambda mend: mend.command or mend.does)
def test_command_that_mends_is_there(mend: Mend) -> None:
    """With each of its options and arguments; where none is named the reason is."""
    if not mend.command:
        assert "no command can" in mend.does
        return
    program, *words = shlex.split(mend.command)

    result = CliRunner().invoke(app, [*words, "--help"])  # which an unknown command or option keeps from being shown

    assert program == "hydrodask"
    assert result.exit_code == 0, result.output
    assert words[:2] != ["topics", "renew"] or words[2] in RENEWABLE


def test_file_that_is_set_aside_is_kept(tmp_path: Path) -> None:
    """Out of the lake, or out of the snapshots, with its bytes; again is an error that names both places."""
    settings = load(sets=[f"data_dir={tmp_path}"], environ={})[0]
    snapshot = "hydraulic-PS1-0/000000000000.snapshot"
    for file in (tmp_path / "lake" / PATH, tmp_path / "snapshots" / snapshot):
        file.parent.mkdir(parents=True)
        file.write_bytes(file.name.encode())

    moved = set_aside(settings, [PATH, snapshot])

    for one, path, place in zip(moved, (PATH, snapshot), ("lake", "snapshots"), strict=True):
        assert one.path == path
        assert not (tmp_path / place / path).exists()
        assert (tmp_path / f"{place}-aside" / one.kept).read_bytes() == Path(path).name.encode()
    with pytest.raises(UsageError, match=r"there is no file .*lake or .*snapshots; want a path as"):
        set_aside(settings, [PATH])


@pytest.mark.parametrize("path", ["../outside", "raw/../../outside", "/etc/hosts", ""])
def test_nothing_outside_is_set_aside(tmp_path: Path, path: str) -> None:
    """Whatever the path says, and nothing else either when one of several is wrong."""
    settings = load(sets=[f"data_dir={tmp_path / 'data'}"], environ={})[0]
    (tmp_path / "outside").write_text("mine")
    inside = tmp_path / "data" / "lake" / PATH
    inside.parent.mkdir(parents=True)
    inside.write_text("ours")

    with pytest.raises(UsageError, match="there is no file"):
        set_aside(settings, [PATH, path])

    assert (tmp_path / "outside").exists()
    assert inside.exists()
