"""Each finding of the audit names the command that mends it: the command is there, and running it makes all well."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from hydrodask.audit import mending
from hydrodask.audit.aside import set_aside
from hydrodask.audit.links import parse
from hydrodask.audit.mending import Mend
from hydrodask.cli.main import app
from hydrodask.errors import UsageError
from hydrodask.ingest.topics import RENEWABLE
from hydrodask.protocol import snapshot
from hydrodask.settings import load
from hydrodask.store.lake import encode_range
from tests.audited import Stored, mended, with_value

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


ONE = "(SELECT id FROM anomalies WHERE json_extract(body, '$.provisional') = 0 LIMIT 1)"


def change_state(copy: Stored, source: str, node: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a node's state in the newest snapshot of a partition, and leave it whole."""
    path = max((copy.settings.data_dir / "snapshots" / source).glob("*.snapshot"))
    state = snapshot.decode(path.read_bytes())
    change(state["nodes"][node])
    path.write_bytes(snapshot.encode(state))


@pytest.mark.integration
@pytest.mark.cluster
def test_what_is_named_is_mended_without_a_log(leftover: Stored, tmp_path: Path) -> None:
    """Derived files, foreign ones, copies, snapshots, documents: doing what `verify` says makes it find nothing."""
    copy = leftover.copy(tmp_path)
    files = {sensor: copy.files(f"windows/sensor={sensor}") for sensor in ("PS1", "PS2", "PS3", "PS4")}
    copy.path(files["PS1"][0]).unlink()
    damaged = copy.path(files["PS2"][1])
    damaged.write_bytes(damaged.read_bytes()[:-30])
    copy.rewrite(files["PS3"][1], lambda table: with_value(table, "avg_value", 0, 77))
    table, metadata = parse(copy.path(files["PS4"][1]).read_bytes())
    first, end = (int(metadata[name]) for name in (b"hydrodask.first", b"hydrodask.end"))
    copy.path(files["PS4"][1]).write_bytes(encode_range(table, first, end, {b"hydrodask.windows": b"60/30/10"}))
    (copy.lake / "cycles/sensor=PS5/notes.parquet").write_bytes(b"notes")
    # A file of one row would be followed by one of that very name.
    several = (file for file in copy.files("raw/sensor=PS6")[1:-1] if len(parse(copy.path(file).read_bytes())[0]) > 1)
    one, two = copy.files("raw/sensor=PS5")[1], next(several)
    later = two.path.replace(f"{two.first:012d}", f"{two.first + 1:012d}")
    for file, path in ((one, one.path.replace("-01-01/", "-01-02/")), (two, later)):
        (copy.lake / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(copy.path(file), copy.lake / path)
    cut = min((copy.settings.data_dir / "snapshots/hydraulic-FS1-0").glob("*.snapshot"))
    cut.write_bytes(cut.read_bytes()[:-10])
    change_state(copy, "hydraulic-VS1-0", "windows", lambda state: state.update(kept=state["kept"] + 1))
    copy.sql("DELETE FROM incidents WHERE id LIKE '%/cooler_failing/%'")
    copy.sql(f"UPDATE anomalies SET body = json_set(body, '$.value', 77.5) WHERE id = {ONE}")  # noqa: S608
    copy.sql(
        f"CREATE TEMP TABLE twin AS SELECT * FROM anomalies WHERE id = {ONE}",  # noqa: S608
        "UPDATE twin SET id = 'invented'",
        "INSERT INTO anomalies SELECT * FROM twin",
    )

    done = mended(copy)

    asides = [command for command in done if " aside " in command]
    assert len(asides) == len({*asides}) == 5
    assert {*done} - {*asides} == {"hydrodask backfill --write", "hydrodask backfill --documents --write"}


@pytest.mark.integration
@pytest.mark.cluster
def test_what_is_named_is_mended_from_the_log(stored: Stored, tmp_path: Path) -> None:
    """Raw rows and labels that are gone, damaged or changed come from the log; what is ahead of the commits goes.

    Topics stay as they are: what wrong raw rows give is no reason to make one anew, nor is it published.
    """
    copy = stored.copy(tmp_path)
    before = {path.relative_to(copy.lake): path.read_bytes() for path in copy.lake.rglob("*.parquet")}
    raw = {sensor: copy.files(f"raw/sensor={sensor}") for sensor in ("PS1", "PS2", "PS3", "PS4")}
    copy.path(raw["PS1"][1]).unlink()
    copy.path(raw["PS2"][1]).write_bytes(copy.path(raw["PS2"][1]).read_bytes()[:-30])
    copy.rewrite(raw["PS3"][1], lambda table: with_value(table, "value", 0, 77))
    for file in (raw["PS4"][0], copy.files("windows/sensor=PS4")[-1]):
        copy.path(file).unlink()
    copy.rewrite(copy.files("labels")[0], lambda table: with_value(table, "valve", 0, 77))
    folder = copy.settings.data_dir / "snapshots" / f"{copy.settings.topic('PS5')}-0"
    newest = max(folder.glob("*.snapshot"))
    newest.rename(folder / f"{int(newest.stem) + 500:012d}.snapshot")
    copy.sql(f"UPDATE anomalies SET revision = 1000000 WHERE id = {ONE}")  # noqa: S608

    done = mended(copy)

    assert {"hydrodask backfill --records --write", "hydrodask backfill --documents --write"} <= set(done)
    assert not [command for command in done if "topics" in command]
    assert {path.relative_to(copy.lake): path.read_bytes() for path in copy.lake.rglob("*.parquet")} == before


BANDS: dict[str, Callable[[Stored, Path], object]] = {
    "gone": lambda copy, _path: shutil.rmtree(copy.lake / "bands"),
    "first gone": lambda copy, _path: copy.path(copy.files("bands")[0]).unlink(),
    "damaged": lambda _copy, path: path.write_bytes(path.read_bytes()[:-30]),
    "changed": lambda copy, _path: copy.rewrite(copy.files("bands")[-1], lambda t: with_value(t, "centre", 0, 77)),
}


@pytest.mark.integration
@pytest.mark.cluster
@pytest.mark.parametrize("damage", BANDS)
def test_bands_are_mended_from_the_log(stored: Stored, tmp_path: Path, damage: str) -> None:
    """They follow from the window rows alone, so files come back with the same bytes, and no snapshot has to go."""
    copy = stored.copy(tmp_path)
    before = {file.path: copy.path(file).read_bytes() for file in copy.two_files("bands")}
    BANDS[damage](copy, copy.path(copy.files("bands")[-1]))

    assert mended(copy) == ["hydrodask backfill --records --write"]

    after = {file.path: copy.path(file).read_bytes() for file in copy.files("bands")}
    rows = [pa.concat_tables([parse(data)[0] for data in files.values()]) for files in (before, after)]
    assert rows[1].equals(rows[0])
    assert after == before or damage == "gone"  # one file comes back for several
