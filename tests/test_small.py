"""Small files beside the snapshots: a damaged one is no other answer, it is said, and made up for where it can be."""

import uuid
from collections.abc import Callable

import pytest

from hydrodask.detect import Criteria
from hydrodask.errors import ConfigError, IntegrityError
from hydrodask.nodes import editions
from hydrodask.protocol import geometries, incarnation, snapshot, spread
from hydrodask.protocol.geometries import GeometryChange
from hydrodask.protocol.incarnation import Incarnation
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka, Window
from hydrodask.store import small
from hydrodask.store.files import Files
from hydrodask.window.geometry import Geometry

SOURCE = ("hydraulic-PS1", 0)
SETTINGS = Settings(kafka=Kafka(embedded=False))


@pytest.fixture
def files() -> Files:
    """Return storage in memory."""
    return Files(f"memory://{uuid.uuid4().hex}")


def _log(files: Files) -> object:
    return incarnation.read(files, SOURCE)[0]


def _rules(files: Files) -> object:
    return [one.criteria for one in editions.load(files, SOURCE) if one.criteria is not None]


def _windows(files: Files) -> object:
    return geometries.load(files, SOURCE)[0]


def _spread(files: Files) -> object:
    if small.damaged(files):
        with pytest.raises(IntegrityError, match="hydrodask aside spread/hydraulic-analytics"):
            spread.load(SETTINGS, files)
        return {}
    return spread.load(SETTINGS, files)


KINDS: dict[str, tuple[Callable[[Files], object], Callable[[Files], object]]] = {
    "log": (lambda files: incarnation.put(files, SOURCE, 0, Incarnation(log="c/t", base=10**9, first=7)), _log),
    "rules": (lambda files: editions.settle(files, SOURCE, Criteria.of(SETTINGS), at=12), _rules),
    "windows": (
        lambda files: geometries.put(files, SOURCE, GeometryChange(12, Geometry.of(SETTINGS.window))),
        _windows,
    ),
    "spread": (lambda files: spread.settle(SETTINGS, files, {"hydraulic-analytics": 12}), _spread),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_flipped_bit_and_no_cut_is_another_answer(files: Files, kind: str) -> None:
    """Whatever bit of it flips, and wherever it is cut short: it says what it said, or can't be used."""
    put, read = KINDS[kind]
    put(files)
    [path] = files.names("")
    data, said = files.read(path), read(files)
    assert said
    assert small.damaged(files) == []

    flips = (data[:p] + bytes([data[p] ^ (1 << p % 8)]) + data[p + 1 :] for p in range(len(data)))
    cuts = (data[:end] for end in range(0, len(data), 7))
    for number, wrong in enumerate([*flips, *cuts]):
        files.replace(path, wrong)
        assert read(files) in (said, [], {}), f"{number}: {wrong!r}"
        assert small.damaged(files) == [path] or read(files) == said


def test_windows_in_use_are_told_by_the_newest_state_if_their_file_is_damaged(files: Files) -> None:
    """It is written anew, other windows are refused as ever, and nobody is told that they have changed."""
    now = Geometry.of(SETTINGS.window)
    state = {"nodes": {"windows": {"geometry": [now.slide_us, now.length_us // now.slide_us, now.lateness_us]}}}
    snapshot.save(files, SOURCE, 40, state)
    geometries.put(files, SOURCE, GeometryChange(12, now))
    files.replace("hydraulic-PS1-0/000000000012.windows", b"{")

    geometries.check(SETTINGS, files)
    assert geometries.load(files, SOURCE) == ([GeometryChange(12, now)], [])
    with pytest.raises(ConfigError, match="windows reset"):
        geometries.check(SETTINGS.model_copy(update={"window": Window(length=30.0, slide=10.0)}), files)


def test_files_of_before_checksums_are_read(files: Files) -> None:
    """They say what they said."""
    files.put_if_absent("hydraulic-PS1-0/log-000000", b'{"log":"c/t","base":1000000000}')
    files.put_if_absent("spread/hydraulic-analytics", b"3")

    assert incarnation.read(files, SOURCE)[0] == [Incarnation(log="c/t", base=10**9)]
    assert spread.load(SETTINGS, files) == {"hydraulic-analytics": 3}
    assert small.damaged(files) == []
