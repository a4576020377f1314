"""Folders of the lake that `compact` has replaced: what writers have put there meanwhile goes back, the rest goes."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hydrodask.store.listing import LakeFile, named


class Replaced:
    """Old folders below `staging`, each with the path that its successor has in the lake, on this machine's disk."""

    def __init__(self, lake: Path, staging: Path) -> None:
        self.lake = lake
        self.staging = staging

    def folders(self) -> Iterator[str]:
        """Yield all that are there, those inside of others first."""
        for root, _folders, _names in os.walk(self.staging, topdown=False):
            yield Path(root).relative_to(self.staging).as_posix()

    def is_there(self, folder: str) -> bool:
        """Say whether there is an old folder of that path."""
        return (self.staging / folder).exists()

    def carry_over(self, folder: str) -> list[str]:
        """Put back what a writer has left in an old folder; return the paths. What can't be put back stays."""
        carried = []
        live = self.lake / folder
        for old in self._missing(folder, self._files(folder)):
            # A name for the same file, not a copy: it is there whole or not, and never in place of another.
            with suppress(OSError):
                live.mkdir(parents=True, exist_ok=True)
                (live / old.name).hardlink_to(old)
                carried.append(f"{folder}/{old.name}")
        return carried

    def delete(self, folder: str) -> list[str]:
        """Delete an old folder except for files that the lake does not have; say which, if there are any.

        File by file and the folder last: what a writer adds meanwhile keeps it from going.
        """
        found = self._files(folder)
        missing = self._missing(folder, found)
        for old in found:
            if old not in missing:
                with suppress(OSError):
                    old.unlink()
        with suppress(OSError):
            (self.staging / folder).rmdir()
        left = ", ".join(old.name for old in self._files(folder))
        return [f"{self.staging / folder}: {left} could not be put back into {folder}, or deleted"] if left else []

    def prune(self) -> None:
        """Delete folders in which nothing is left."""
        for folder in self.folders():
            with suppress(OSError):
                (self.staging / folder).rmdir()

    def _files(self, folder: str) -> list[Path]:
        old = self.staging / folder
        return sorted(path for path in old.iterdir() if not path.is_dir()) if old.exists() else []

    def _missing(self, folder: str, found: list[Path]) -> list[Path]:
        """Return which files of an old folder the lake should have and has not.

        Whoever's they are and whatever is in them: their writers were told that they are there. Hidden files have no
        name yet. A large file that the lake has not is one of a `compact` that was killed: no writer makes any.
        """
        live = self.lake / folder
        names = {path.name for path in live.iterdir()} if live.exists() else set()
        there = [file for name in names if (file := named(f"{folder}/{name}")) is not None]
        missing = []
        for old in found:
            file = named(f"{folder}/{old.name}")
            inside = file is not None and (file.end is not None or any(covers(large, file) for large in there))
            if not (inside or old.name.startswith(".") or old.name in names):
                missing.append(old)
        return missing


def covers(large: LakeFile, file: LakeFile) -> bool:
    """Say whether a file is of the rows that `compact` has put into a large one."""
    same = large.source == file.source and large.folder == file.folder
    return same and large.end is not None and large.first <= file.first < large.end and (file.end or 0) < large.end
