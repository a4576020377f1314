"""Other windows in a running installation: one sentence, one command, and an audit that knows both."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from hydrodask.audit.compaction import Compaction
from hydrodask.audit.finding import Results
from hydrodask.audit.verify import verify
from hydrodask.audit.windows import reset
from hydrodask.errors import ConfigError
from hydrodask.protocol import geometries
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka, Window
from hydrodask.store.files import Files
from hydrodask.window.geometry import METADATA, Geometry
from tests.audited import fine, wrong
from tests.delivery import ROOT, Driver, publish, sets_of, settings_of, shorten
from tests.running import Life
from tests.test_partition import cut

OLD = Window()
OTHERS = [Window(slide=5), Window(length=30), Window(lateness=0), Window(lateness=25), Window(slide=20, lateness=3)]


def settings_with(folder: Path, window: Window) -> Settings:
    """Return settings of a platform in a folder."""
    return Settings(data_dir=folder, window=window)


def lived(folder: Path, *windows: tuple[int, Window]) -> Life:
    """Let a partition live, with other windows up to each offset, and reset in between."""
    life = Life(settings_with(folder, windows[0][1]), url=str(folder))
    start = 0
    for end, window in windows:
        settings = settings_with(folder, window)
        reset(settings)
        life.settings = settings
        life.restart()
        life.feed(cut(start, end))
        life.end()
        start = end
    return life


def rows(life: Life, low: int, high: int) -> pa.Table:
    """Return the windows that became final with these offsets."""
    table = life.table("windows")
    revision = table.column("revision")
    return table.filter(pc.and_(pc.greater_equal(revision, low), pc.less(revision, high)))


def audited(life: Life) -> Results:
    """Return what `verify` finds."""
    return verify(life.settings)


@pytest.mark.parametrize("new", OTHERS, ids=lambda window: str(Geometry.of(window)))
def test_windows_after_a_reset_are_whole(tmp_path: Path, new: Window) -> None:
    """With the same length and slide or not, they are those of a life that has never had others; the old ones stay."""
    life = lived(tmp_path / "turned", (1500, OLD), (3000, new))
    before = lived(tmp_path / "before", (3000, OLD))
    after = lived(tmp_path / "after", (3000, new))

    assert rows(life, 0, 1500).equals(rows(before, 0, 1500))
    shared = rows(life, 1500, 3000)
    if new.lateness == OLD.lateness:
        assert shared.equals(rows(after, 1500, 3000))
    starts = {(row["window_start"], row["window_end"]): row for row in rows(after, 0, 3000).to_pylist()}
    for row in shared.to_pylist():
        same = starts[row["window_start"], row["window_end"]]
        assert {k: v for k, v in row.items() if k != "revision"} == {k: v for k, v in same.items() if k != "revision"}
    assert fine(audited(life))
    assert life.table("cycles").column("complete").to_pylist() == [True] * 5


def test_only_lateness_leaves_no_window_out(tmp_path: Path) -> None:
    """Each is there once, whichever lateness made it final."""
    once = lived(tmp_path / "once", (3000, OLD))
    life = lived(tmp_path / "turned", (1000, OLD), (2000, Window(lateness=0)), (3000, OLD))

    starts = life.table("windows").column("window_start").to_pylist()
    assert starts == once.table("windows").column("window_start").to_pylist()
    assert fine(audited(life))


def test_files_say_which_windows_they_hold(tmp_path: Path) -> None:
    """Also once `compact` has made large ones; a file that says otherwise is named."""
    life = lived(tmp_path, (700, OLD), (1000, OLD), (1500, Window(slide=5)), (2000, Window(slide=5)), (2500, OLD))
    Compaction(life.settings, rows_max=10**6, in_place=True).run()

    said = {path: said_by(tmp_path / "lake" / path) for path in life.lake.files.names("windows")}
    wanted = (OLD, OLD, Window(slide=5), OLD)  # the first windows are of the day before
    assert [said[path] for path in sorted(said)] == [Geometry.of(window).encoded for window in wanted]
    assert fine(audited(life))

    geometries.put(life.snapshots, ("hydraulic-FS1", 0), geometries.GeometryChange(1000, Geometry.of(Window(slide=2))))
    assert any("its windows are" in finding for finding in wrong(audited(life))["windows"])


def said_by(path: Path) -> bytes:
    """Return what a file says of its windows."""
    return bytes(pq.read_metadata(path).metadata[METADATA])


def test_one_sentence_for_all_partitions(tmp_path: Path) -> None:
    """With what there is, what is configured, and the command; nothing has changed."""
    for topic in ("hydraulic-FS1", "hydraulic-FS2"):
        life = Life(settings_with(tmp_path, OLD), topic=topic, url=str(tmp_path))
        life.feed(cut(0, 10))
        life.end()
    files = Files(str(tmp_path / "snapshots"))
    geometries.check(settings_with(tmp_path, OLD), files)

    with pytest.raises(ConfigError) as raised:
        geometries.check(settings_with(tmp_path, Window(slide=5)), files)

    assert "2 partitions have windows of 60 s every 10 s, lateness 10 s" in str(raised.value)
    assert "60 s every 5 s" in str(raised.value)
    assert "`hydrodask windows reset`" in str(raised.value)


def test_reset_wants_a_clean_stop(tmp_path: Path) -> None:
    """Rows that have no file yet are of the old windows: with those the platform has to end first."""
    life = Life(settings_with(tmp_path, OLD), url=str(tmp_path))
    life.feed(cut(0, 1500))
    life.commit()
    life.save()
    with pytest.raises(ConfigError, match="not stopped cleanly"):
        reset(settings_with(tmp_path, Window(slide=5)))

    life.roll()  # as a stop does; the snapshot is of this offset already
    assert reset(settings_with(tmp_path, Window(slide=5))) == [("hydraulic-FS1", 0)]
    assert not reset(settings_with(tmp_path, Window(slide=5)))


def test_reset_wants_state_to_be_where_files_end(tmp_path: Path) -> None:
    """Who died after its files, before the commit, and was stopped on the way back: files hold rows of the old windows.

    And that way back is no damage.
    """
    life = Life(settings_with(tmp_path, OLD), url=str(tmp_path))
    life.feed(cut(0, 1500))
    life.commit()
    life.roll()
    life.save()
    life.feed(cut(1500, 4000))
    life.roll()
    life.restart()  # killed here
    life.feed(cut(1500, 2000))
    life.end()

    assert fine(audited(life))
    with pytest.raises(ConfigError, match="not stopped cleanly"):
        reset(settings_with(tmp_path, Window(slide=5)))
    life.feed(cut(2000, 4000))
    life.end()
    assert reset(settings_with(tmp_path, Window(slide=5))) == [("hydraulic-FS1", 0)]
    assert fine(audited(life))


def test_reset_that_was_killed_is_done_again(tmp_path: Path) -> None:
    """Between the new state and the change that makes it count."""
    life = lived(tmp_path, (1500, OLD))
    new = settings_with(tmp_path, Window(slide=5))
    reset(new)
    life.snapshots.remove("hydraulic-FS1-0/000000001500.windows")

    assert reset(new) == [("hydraulic-FS1", 0)]
    life.settings = new
    life.restart()
    life.feed(cut(1500, 3000))
    life.end()
    assert fine(audited(life))


@pytest.mark.integration
@pytest.mark.cluster
def test_real_platform_changes_its_windows(kafka: Kafka, recording: Path, tmp_path: Path) -> None:
    """Refused in one sentence with exit code 3; after `windows reset` it goes on, and the audit is green."""
    sets: Any = sets_of(kafka, tmp_path / "data", "geometry")
    settings = settings_of(kafka, tmp_path / "data", "geometry")
    folder = shorten(recording, tmp_path, 2)
    publish(settings, folder)
    with Driver(sets, tmp_path / "log", "--until-idle") as driver:
        assert driver.wait() == 0, driver.output
    other = [*sets, "window.slide=5s"]
    with Driver(other, tmp_path / "log2", "--until-idle") as driver:
        assert driver.wait() == 3
        assert driver.output.count("`hydrodask windows reset`") == 1
        assert "17 partitions" in driver.output

    command = [sys.executable, "-m", "hydrodask", "windows", "reset"]
    command += [part for one in other for part in ("--set", one)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "17 partitions go on with windows of 60 s every 5 s" in done.stdout
    with Driver(other, tmp_path / "log3", "--until-idle") as driver:
        assert driver.wait() == 0, driver.output

    assert fine(verify(settings_of(kafka, tmp_path / "data", "geometry", "window.slide=5s")))
