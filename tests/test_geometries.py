"""The small files that say which windows a partition has: which of them count, and what takes their place."""

from pathlib import Path

import pytest

from hydrodask.errors import ConfigError
from hydrodask.protocol import geometries, snapshot
from hydrodask.protocol.geometries import GeometryChange
from hydrodask.settings import Settings
from hydrodask.settings.model import Window
from hydrodask.store.files import Files
from hydrodask.window.geometry import Geometry

SOURCE = ("hydraulic-PS1", 0)
OLD, NEW, NEWEST = (Geometry.of(Window(slide=slide)) for slide in (10, 5, 2))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Return a folder for snapshots."""
    return Files(str(tmp_path))


def put(files: Files, offset: int, geometry: Geometry) -> GeometryChange:
    """Keep a change, and return it."""
    change = GeometryChange(offset, geometry)
    geometries.put(files, SOURCE, change)
    return change


def damage(files: Files, offset: int) -> None:
    """Let a change's file be one that can't be used."""
    files.replace(f"hydraulic-PS1-0/{offset:012d}.windows", b"{")


def inode(path: Path) -> int:
    """Return what is another one when a file was written again."""
    return path.stat().st_ino


def snap(files: Files, geometry: Geometry, source: tuple[str, int] = SOURCE) -> None:
    """Store a snapshot with windows of a geometry."""
    state = [geometry.slide_us, geometry.length_us // geometry.slide_us, geometry.lateness_us]
    snapshot.save(files, source, 700, {"nodes": {"windows": {"geometry": state}}})


def test_changes_come_in_the_order_of_their_offsets(files: Files) -> None:
    """Also where an offset has more digits than names are padded to; what only looks like a change is none."""
    changes = [put(files, offset, one) for offset, one in ((10**12, NEWEST), (7, OLD), (99, NEW))]
    for name in ("x.windows", ".windows", "12.window", "000000000005.rules"):
        files.replace(f"hydraulic-PS1-0/{name}", b"{")
    files.replace("hydraulic-PS1-1/000000000001.windows", b"{")

    assert geometries.load(files, SOURCE) == ([changes[1], changes[2], changes[0]], [])
    assert geometries.found(files, SOURCE) == [changes[1], changes[2], changes[0]]


def test_damage_counts_where_it_is_the_newest(files: Files) -> None:
    """An older one changes nothing any more. In place of the newest the snapshot says it, from that offset on."""
    old = put(files, 100, OLD)
    for offset in (40, 60):
        damage(files, offset)
    snap(files, NEW)
    assert geometries.load(files, SOURCE) == ([old], [40, 60])
    assert geometries.found(files, SOURCE) == [old]

    damage(files, 300)
    damage(files, 200)
    assert geometries.found(files, SOURCE) == [old, GeometryChange(300, NEW)]


def test_a_change_from_the_first_record_on_is_one(files: Files) -> None:
    """The snapshot, which is of later windows, has nothing to say."""
    first = put(files, 0, OLD)
    snap(files, NEW)

    assert geometries.found(files, SOURCE) == [first]


def test_without_a_snapshot_what_is_known_stays(files: Files) -> None:
    """And of a partition without windows in its snapshot nothing is made up."""
    old = put(files, 100, OLD)
    damage(files, 300)
    assert geometries.found(files, SOURCE) == [old]
    snapshot.save(files, SOURCE, 700, {"nodes": {"decode": {}}})
    assert geometries.found(files, SOURCE) == [old]
    assert geometries.found(files, ("hydraulic-PS2", 0)) == []


def test_partitions_are_those_of_sensors_by_number(tmp_path: Path, files: Files) -> None:
    """Folders of other topics, and names that no partition has, are none."""
    for folder in ("hydraulic-PS1-10", "hydraulic-PS1-2", "hydraulic-CE-0", "hydraulic-analytics-0", "hydraulic-PS1-x"):
        files.replace(f"{folder}/000000000000.snapshot", b"")
    files.replace("elsewhere-PS1-0/000000000000.snapshot", b"")

    found = geometries.sources_of(Settings(data_dir=tmp_path), files)

    assert found == [("hydraulic-CE", 0), ("hydraulic-PS1", 2), ("hydraulic-PS1", 10)]


def test_a_snapshot_is_read_for_it_once(tmp_path: Path, files: Files) -> None:
    """What it said is kept beside it; a partition that has its change, or no windows, is left as it is."""
    snap(files, OLD)
    kept = put(files, 5, OLD)
    snapshot.save(files, ("hydraulic-PS3", 0), 700, {"nodes": {}})
    snap(files, OLD, ("hydraulic-PS2", 0))
    before = {path: (files.read(path), inode(tmp_path / path)) for path in files.names("")}

    geometries.check(Settings(data_dir=tmp_path, window=Window(slide=10)), files)

    made = {path: files.read(path) for path in files.names("") if path not in before}
    assert list(made) == ["hydraulic-PS2-0/000000000000.windows"]
    assert geometries.load(files, ("hydraulic-PS2", 0)) == ([GeometryChange(0, OLD)], [])
    assert geometries.load(files, SOURCE) == ([kept], [])
    assert {path: (files.read(path), inode(tmp_path / path)) for path in before} == before


def test_the_newest_change_is_held_against_the_settings(tmp_path: Path, files: Files) -> None:
    """Each other geometry is counted by itself."""
    put(files, 5, OLD)
    put(files, 50, NEW)
    for number, geometry in enumerate((OLD, NEWEST, NEWEST)):
        snap(files, geometry, ("hydraulic-PS2", number))
    settings = Settings(data_dir=tmp_path, window=Window(slide=10))

    with pytest.raises(ConfigError) as raised:
        geometries.check(settings, files)

    said = str(raised.value)
    assert "say 60 s every 10 s, lateness 10 s, but" in said
    assert "1 partitions have windows of 60 s every 5 s" in said
    assert "2 partitions have windows of 60 s every 2 s" in said
    assert "every 10 s, lateness 10 s, 1 part" not in said
    geometries.put(files, SOURCE, GeometryChange(70, OLD))
    for number in (1, 2):
        geometries.put(files, ("hydraulic-PS2", number), GeometryChange(70, OLD))
    geometries.check(settings, files)
