"""What was named stays named after a power cut: the folder that holds the name is synced, and after the naming."""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hydrodask.protocol import incarnation, snapshot
from hydrodask.protocol.incarnation import Incarnation
from hydrodask.protocol.ownership import Ownership
from hydrodask.run.datadir import DataDir
from hydrodask.services.processes import Process, save
from hydrodask.services.security import write_secret
from hydrodask.store.exchange import exchange
from hydrodask.store.files import Files


@dataclass
class Disk:
    """What would be gone after a power cut: names that were given and whose folder was not synced since."""

    named: set[Path] = field(default_factory=set)
    synced: set[Path] = field(default_factory=set)

    def name(self, path: Any) -> None:
        """Take note of a new name."""
        self.named.add(Path(os.path.realpath(path)))

    def sync(self, handle: Any) -> None:
        """Take note of a sync, of a file's bytes or of a folder's names."""
        path = Path(f"/proc/self/fd/{handle if isinstance(handle, int) else handle.fileno()}").readlink()
        self.synced.add(path)
        self.named = {one for one in self.named if one.parent != path}

    @property
    def lost(self) -> list[str]:
        """Names that a power cut would take back; those that are gone already don't count, nor hidden ones."""
        return sorted(str(path) for path in self.named if path.exists() and not path.name.startswith("."))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Disk]:
    """Watch the system's calls from when there is a folder for the test."""
    assert tmp_path.exists()
    seen = Disk()

    def watch(name: str, note: Callable[..., None]) -> None:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            result = real(*arguments, **options)
            note(*arguments)
            return result

        monkeypatch.setattr(os, name, call)

    watch("fsync", seen.sync)
    watch("mkdir", lambda path, *_mode: seen.name(path))
    for name in ("link", "rename", "replace"):
        watch(name, lambda _old, new: seen.name(new))
    yield seen
    monkeypatch.undo()


def put(folder: Path) -> None:
    """Give names to files in a folder that is not there yet, one of them twice."""
    files = Files(str(folder / "lake"))
    assert files.put_if_absent("raw/sensor=PS1/a.parquet", b"x")
    assert not files.put_if_absent("raw/sensor=PS1/a.parquet", b"y")
    files.replace("windows/b.parquet", b"z")


def remember(folder: Path) -> None:
    """Store a snapshot and the claims of a run."""
    files = Files(str(folder))
    snapshot.save(files, ("hydraulic-PS1", 0), 10, {})
    ownership = Ownership(files, "group")
    ownership.give_up(ownership.claim("a"), 1)
    ownership.use(0)


def lock(folder: Path) -> None:
    """Make a data directory, and put a log on record in it."""
    with DataDir(folder / "data"):
        assert incarnation.put(Files(str(folder / "data")), ("hydraulic-PS1", 0), 0, Incarnation(log="c/t"))


def serve(folder: Path) -> None:
    """Write what services keep."""
    save(Process(1, 2, "boot", ""), folder / "kafka.json")
    write_secret(folder / "secret", b"x")


@pytest.mark.parametrize("act", [put, remember, lock, serve], ids=lambda act: act.__name__)
def test_no_name_is_lost(disk: Disk, tmp_path: Path, act: Callable[[Path], None]) -> None:
    """Whatever counts on a name may count on it after a power cut."""
    act(tmp_path)

    assert disk.synced
    assert disk.lost == []


def test_folders_that_were_exchanged_stay_so(disk: Disk, tmp_path: Path) -> None:
    """The old one is deleted next: its rows must be under the other name for good."""
    one, other = tmp_path / "a" / "x", tmp_path / "b" / "x"
    for folder in (one, other):
        folder.mkdir(parents=True)
    disk.synced.clear()
    exchange(one, other)

    assert disk.synced == {one, other, one.parent, other.parent}


def test_a_file_system_that_can_not_sync_folders_is_used_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a share: its files are there, and no call is refused for ever."""
    sync = os.fsync

    def refusing(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):  # noqa: PTH112 - a link to it
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(os, "fsync", refusing)

    assert Files(str(tmp_path / "new")).put_if_absent("a", b"1")


def test_a_file_url_without_slashes_is_a_path(tmp_path: Path) -> None:
    """As it has always been."""
    Files(f"file:{tmp_path}").replace("a", b"1")

    assert (tmp_path / "a").read_bytes() == b"1"
