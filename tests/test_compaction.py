"""Small files become large ones: readers see each row once at any time, and a kill at any step is harmless."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from hydrodask import clock
from hydrodask.audit.compaction import GRACE_S, STAGING, Compaction
from hydrodask.errors import FatalError, RetryableError
from hydrodask.store.lake import Lake
from hydrodask.store.listing import current, named
from tests.audited import Stored, fine, wrong
from tests.delivery import ROOT

pytestmark = pytest.mark.integration

STEPS = ("staged", "checked", "exchanged", "carried over", "removed")

KILLED = """
import os, signal, sys
from hydrodask.audit.compaction import Compaction
from hydrodask.settings import load

data_dir, step, in_place = sys.argv[1:]
seen = []

def die(done):
    seen.append(done)
    if done == step and seen.count(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

settings = load(sets=[f"data_dir={data_dir}"])[0]
Compaction(settings, rows_max=10**6, in_place=in_place == "True", grace_s=0.0, step=die).run()
"""


def compaction(
    stored: Stored,
    step: Callable[[str], None] = lambda _done: None,
    *,
    in_place: bool = False,
    grace_s: float = 0.0,
) -> Compaction:
    """Return a compaction of a lake."""
    return Compaction(stored.settings, rows_max=10**6, in_place=in_place, grace_s=grace_s, step=step)


FEW = ("PS1", "PS2", "FS1", "CE")


def few(leftover: Stored, folder: Path) -> Stored:
    """Return a copy with the files of a few sensors alone: all that a compaction meets, in a quarter of the time."""
    copy = leftover.copy(folder)
    for path in copy.lake.glob("*/sensor=*"):
        if path.name.removeprefix("sensor=") not in FEW:
            shutil.rmtree(path)
    return copy


def rows(stored: Stored, folder: str = "raw") -> pa.Table:
    """Return what a reader that just lists folders sees, in order of sensor and offset."""
    table = ds.dataset(stored.lake / folder, partitioning="hive").to_table()
    order = [("sensor", "ascending"), ("offset" if folder == "raw" else "revision", "ascending")]
    return table.sort_by(order).combine_chunks()


def sums(stored: Stored) -> tuple[int, int, float]:
    """Return what no row can be missing from or twice in without being seen, quicker than all rows."""
    table = Lake(stored.settings.lake_url).table("raw", ["offset", "value"])
    return table.num_rows, pc.sum(table["offset"]).as_py(), round(pc.sum(table["value"]).as_py(), 3)


def test_rows_stay_and_files_become_few(leftover: Stored, tmp_path: Path) -> None:
    """The same rows to the last bit, a chain that `verify` accepts, the newest file untouched; then nothing more."""
    copy = leftover.copy(tmp_path)
    before, count = rows(copy), len(copy.files("raw"))
    newest = copy.files("raw/sensor=PS1")[-1]

    done = compaction(copy).run()
    again = compaction(copy).run()

    assert rows(copy).equals(before)
    assert len(copy.files("raw")) < count / 2
    assert done.small > done.large > 0
    assert (again.small, again.tidied) == (0, [])
    assert copy.files("raw/sensor=PS1")[-1] == newest
    assert Lake(copy.settings.lake_url).end("raw/sensor=PS1", ("hydraulic-PS1", 0)) == Lake(
        leftover.settings.lake_url
    ).end("raw/sensor=PS1", ("hydraulic-PS1", 0))
    assert not (copy.lake / STAGING).exists()
    assert fine(copy.audit())


def test_readers_see_every_row_once_at_any_time(leftover: Stored, tmp_path: Path) -> None:
    """One that lists and reads in a loop meanwhile: no row is there twice or missing."""
    copy = few(leftover, tmp_path)
    wanted = sums(copy)
    stop, reads, again, bad = threading.Event(), [0], [0], []

    def read() -> None:
        while not stop.is_set():
            try:
                found = sums(copy)
            except RetryableError:
                again[0] += 1
                continue
            reads[0] += 1
            if found != wanted:
                bad.append(found)

    def pause(done: str) -> None:
        if done in ("checked", "exchanged"):
            seen = reads[0] + again[0]
            end_s = clock.monotonic_s() + 60
            while reads[0] + again[0] < seen + 1 and clock.monotonic_s() < end_s:
                clock.sleep_s(0.001)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        compaction(copy, pause, grace_s=GRACE_S).run()
    finally:
        stop.set()
        thread.join(120)

    assert bad == []
    assert reads[0] > 1


def test_reader_that_is_slow_lists_the_whole_old_folder(leftover: Stored, tmp_path: Path) -> None:
    """It has opened a folder before its exchange, and reads the list when the next folder has been exchanged."""
    copy = few(leftover, tmp_path)
    steps: list[str] = []
    with contextlib.ExitStack() as opened:
        listing: list[Iterator[os.DirEntry[str]]] = []
        small: set[str] = set()

        def look(done: str) -> None:
            steps.append(done)
            if steps.count("checked") == 1 and done == "checked":
                made = next((copy.lake / STAGING).rglob("*.parquet")).parent
                folder = copy.lake / made.relative_to(copy.lake / STAGING)
                small.update(path.name for path in folder.iterdir())
                listing.append(opened.enter_context(os.scandir(folder)))
            if steps.count("exchanged") == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            compaction(copy, look, grace_s=GRACE_S).run()

        assert {entry.name for entry in listing[0]} == small


@pytest.mark.parametrize("step", STEPS)
def test_kill_at_any_step_is_harmless(leftover: Stored, tmp_path: Path, step: str) -> None:
    """Kill -9 after each step: readers see each row once at once, and the next compaction finishes the work."""
    copy = few(leftover, tmp_path)
    before = rows(copy)

    kill(copy, step, in_place=False)
    left = rows(copy)
    compaction(copy).run()

    assert left.equals(before)
    assert rows(copy).equals(before)
    assert not (copy.lake / STAGING).exists()
    assert compaction(copy).plan() == {}


@pytest.mark.parametrize("step", ["staged", "checked", "removed"])
def test_kill_in_place_is_mended(leftover: Stored, tmp_path: Path, step: str) -> None:
    """Where folders can't be exchanged, readers that go by names see each row once, and the next compaction tidies."""
    copy = leftover.copy(tmp_path)
    before = rows(copy)

    kill(copy, step, in_place=True)
    chosen = [one for sensor in sensors(copy) for one in current(copy.files(f"raw/sensor={sensor}"))[0]]
    seen = sum(ds.dataset(copy.path(one)).count_rows() for one in chosen)
    doubled = wrong(copy.audit()).get("files", [])
    done = compaction(copy, in_place=True).run()

    assert seen == before.num_rows
    assert all("rows are twice in the lake" in said for said in doubled)
    assert bool(done.tidied) == bool(doubled)
    assert rows(copy).equals(before)
    assert fine(copy.audit())


def kill(stored: Stored, step: str, *, in_place: bool) -> None:
    """Compact in a process of its own, which is killed the third time that it has done `step`."""
    command = [sys.executable, "-c", KILLED, str(stored.settings.data_dir), step, str(in_place)]
    done = subprocess.run(command, cwd=ROOT, check=False, timeout=240)
    assert done.returncode == -signal.SIGKILL


def sensors(stored: Stored) -> set[str]:
    """Return the sensors that have raw files."""
    return {file.parts["sensor"] for file in stored.files("raw")}


@pytest.mark.parametrize("killed", [False, True])
def test_file_of_a_writer_in_the_instant_of_the_exchange_is_carried_over(
    leftover: Stored, tmp_path: Path, *, killed: bool
) -> None:
    """It is put into the folder that has just become the old one, and is in the lake all the same, at once or later."""
    copy = leftover.copy(tmp_path)
    before = rows(copy)
    newest = copy.files("raw/sensor=PS1")[-1]
    held = tmp_path / "held"
    shutil.move(copy.path(newest), held)

    def write(done: str) -> None:
        staged = copy.lake / STAGING / newest.path
        if done == "exchanged" and staged.parent.exists() and held.exists():
            shutil.move(held, staged)
            if killed:
                raise KeyboardInterrupt

    work = compaction(copy, write)
    if killed:
        with pytest.raises(KeyboardInterrupt):
            work.run()
        work = compaction(copy)
    work.run()

    assert newest.path in work.done.tidied
    assert rows(copy).equals(before)
    assert fine(copy.audit())


@pytest.mark.parametrize("when", ["checked", "carried over"])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("import-0123456789ab-0-000000000000.parquet", id="of an import"),
        pytest.param("other-PS1-0-000000000000.parquet", id="of another prefix"),
        pytest.param("hydraulic-PS1-0-999999999999.parquet", id="with a gap before it"),
        pytest.param("notes.txt", id="of somebody else"),
    ],
)
def test_files_of_any_writer_are_carried_over(leftover: Stored, tmp_path: Path, name: str, when: str) -> None:
    """Put into a folder after it was listed, or into the old one after the first look: they are in the lake after."""
    copy = few(leftover, tmp_path)
    put: list[str] = []

    def write(done: str) -> None:
        if done == when and not put:
            staged = next((copy.lake / STAGING).rglob("*.parquet")).parent
            folder = staged.relative_to(copy.lake / STAGING)
            ((copy.lake / folder if done == "checked" else staged) / name).write_text("stored")
            put.append(f"{folder}/{name}")

    done = compaction(copy, write).run()

    assert (copy.lake / put[0]).read_text() == "stored"
    assert put[0] in done.tidied
    assert not (copy.lake / STAGING).exists()


def test_old_folder_stays_with_what_cannot_be_put_back(
    leftover: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, its folder is left alone, and the next compaction that can puts the file back."""
    copy = few(leftover, tmp_path)
    folder = next(iter(compaction(copy).plan()))
    lost = copy.lake / STAGING / folder / "import-0123456789ab-0-000000000000.parquet"
    lost.parent.mkdir(parents=True)
    lost.write_text("stored")
    count = len(list((copy.lake / folder).iterdir()))
    link = Path.hardlink_to

    def refuse(path: Path, target: Path) -> None:
        if path.name == lost.name:
            raise PermissionError
        link(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "hardlink_to", refuse)
        done = compaction(copy).run()

    assert lost.read_text() == "stored"
    assert any(said.startswith(str(lost.parent)) and lost.name in said for said in done.left)
    assert len(list((copy.lake / folder).iterdir())) == count
    assert done.folders > 0
    assert compaction(copy).run().tidied == [f"{folder}/{lost.name}"]
    assert not (copy.lake / STAGING).exists()


def test_what_is_in_a_large_file_is_nobody_s_to_put_back(leftover: Stored, tmp_path: Path) -> None:
    """A compaction of another prefix tidies up after one that was killed: no row is twice in the lake."""
    copy = few(leftover, tmp_path)
    before = rows(copy)
    kill(copy, "exchanged", in_place=False)
    topics = copy.settings.topics.model_copy(update={"prefix": "other-"})
    other = Stored(copy.settings.model_copy(update={"topics": topics}))

    compaction(other).run()

    assert rows(copy).equals(before)
    assert not (copy.lake / STAGING).exists()


def test_folders_that_changed_just_now_are_left_alone(leftover: Stored, tmp_path: Path) -> None:
    """A writer may be at work there."""
    copy = few(leftover, tmp_path)
    for file in copy.files("raw/sensor=PS1"):
        copy.path(file).touch()
    folder = copy.path(copy.files("raw/sensor=PS1")[0]).parent
    (folder / ".writing").touch()

    done = compaction(copy).run(settled_s=3600)

    assert any(said.startswith("raw/sensor=PS1") for said in done.left)
    assert done.large == 0


def test_damaged_files_are_left_alone(leftover: Stored, tmp_path: Path) -> None:
    """What can't be read can't be copied: it stays where `verify` finds it, and the others go on."""
    copy = few(leftover, tmp_path)
    damaged = copy.files("raw/sensor=PS1")[2]
    copy.path(damaged).write_bytes(copy.path(damaged).read_bytes()[:-9])

    done = compaction(copy).run()

    assert any(said.startswith(damaged.path) for said in done.left)
    assert copy.path(damaged).exists()
    assert done.large > 0


def test_memory_has_no_folders_to_exchange(leftover: Stored) -> None:
    """So that it has to be told that readers may see rows twice for a moment."""
    lake = leftover.settings.lake.model_copy(update={"url": "memory://compaction"})
    settings = leftover.settings.model_copy(update={"lake": lake})

    with pytest.raises(FatalError, match="--in-place"):
        Compaction(settings, rows_max=1000, in_place=False).run()


def test_names_of_large_files_are_no_others_names() -> None:
    """A topic whose name ends like a partition does not make one."""
    large = named("raw/sensor=x/a-0-000000000000-000000000007.parquet")
    odd = named("raw/sensor=x/a-0-0-000000000000.parquet")

    assert large is not None
    assert odd is not None
    assert (large.source, large.first, large.end) == (("a", 0), 0, 7)
    assert (odd.source, odd.first, odd.end) == (("a-0", 0), 0, None)
