"""Fake stores in memory: files whose names are given once, and documents with a revision that only grows.

`exclusive`, `synced` and `atomic` of the disk, `guarded` and `remembers` (what was removed) of the documents take these
promises away, so that a test can show that something notices.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from hydrodask.failpoints import failpoint
from hydrodask.records import Change, Upsert
from hydrodask.settings import Url
from hydrodask.store.documents.base import Document, by_collection, check_collection
from hydrodask.store.files import Files
from hydrodask.testing.simulation.world import World

T = TypeVar("T")


class FakeDisk:
    """A file system. `at` gives its files below a URL, as `Files` does.

    What processes see is `data`. A power cut leaves of it what was synced: of a name that was given or taken since its
    folder was synced either is there, and of bytes that were not synced a part. `synced` takes away that a disk keeps
    what it acknowledged, `atomic` that a file is replaced in one step.
    """

    def __init__(self, world: World, *, exclusive: bool = True, synced: bool = True, atomic: bool = True) -> None:
        self.world, self.exclusive, self.synced, self.atomic = world, exclusive, synced, atomic
        self.data: dict[str, bytes] = {}
        self.history: dict[str, list[tuple[float, bytes | None]]] = {}
        """Each path's bytes since when, None: it was gone; for who brings back what was."""
        self._safe: dict[str, bytes] = {}
        self._named: dict[str, set[str]] = {}
        """By folder the names that were given or taken since it was synced."""
        self._torn: set[str] = set()
        """Whose bytes are not synced."""

    def at(self, url: Url | str) -> Files:
        """Return the files below `url`."""
        return FakeFiles(self, url)

    def put(self, path: str, data: bytes | None, *, torn: bool = False) -> None:
        """Give or take a name, at once for all who look."""
        if data is None:
            if self.data.pop(path, None) is None:
                return
        else:
            self.data[path] = data
        (self._torn.add if torn else self._torn.discard)(path)
        self._named.setdefault(path.rpartition("/")[0], set()).add(path)
        if not _hidden(path):
            self.history.setdefault(path, []).append((self.world.loop.now_s, data))

    def sync(self, path: str) -> None:
        """Put a file's bytes on disk."""
        if self.synced:
            self._torn.discard(path)

    def sync_folder(self, folder: str) -> None:
        """Put the names in a folder on disk."""
        for path in self._named.pop(folder, ()) if self.synced else ():
            if path in self.data:
                self._safe[path] = self._whole(path)
            else:
                self._safe.pop(path, None)

    def link(self, hidden: str, full: str) -> bool:
        """Give a file its name, unless that is taken."""
        if full in self.data and self.exclusive:
            return False
        self.put(full, self.data[hidden], torn=hidden in self._torn)
        return True

    def rename(self, hidden: str, full: str) -> None:
        """Give a file its name in place of the one that may have it."""
        self.put(full, self.data[hidden], torn=hidden in self._torn)
        self.put(hidden, None)

    def settle(self) -> None:
        """Put everything on disk that there is."""
        self._named.clear()
        self._torn.clear()
        self._safe = dict(self.data)

    def cut_power(self) -> None:
        """Leave what is on disk, and of the rest what happens to be there."""
        random = self.world.random
        left = dict(self._safe)
        for path in sorted(path for paths in self._named.values() for path in paths):
            if random.random() < 0.5:
                if path in self.data:
                    left[path] = self._whole(path)
                else:
                    left.pop(path, None)
        gone = [path for path in self.data if path not in left]
        for path, data in (*left.items(), *((path, None) for path in gone)):
            if self.data.get(path) != data:
                self.put(path, data)
        self.settle()

    def _whole(self, path: str) -> bytes:
        data = self.data[path]
        return data[: self.world.random.randrange(len(data) + 1)] if path in self._torn else data

    def before(self, path: str, when_s: float) -> bytes | None:
        """Return what a path held at a time, None when there was none."""
        return next((data for since_s, data in reversed(self.history.get(path, [])) if since_s <= when_s), None)


class FakeFiles(Files):
    """Files below a URL of a `FakeDisk`, with the steps that `LocalDisk` takes."""

    def __init__(self, disk: FakeDisk, url: Url | str) -> None:
        self.url = url if isinstance(url, Url) else Url(url)
        self._disk = disk

    def put_if_absent(self, path: str, data: bytes) -> bool:
        full = self._full(path)
        hidden = self._write_hidden(path, data)
        failpoint("file.written")
        try:
            try:
                named = self._call("files.link", lambda: self._disk.link(hidden, full))
            finally:
                self._sync_folder(full)
            failpoint("file.named")
            return named
        finally:
            self._disk.world.check()  # the dead tidy nothing up
            self._disk.put(hidden, None)

    def replace(self, path: str, data: bytes) -> None:
        full = self._full(path)
        if not self._disk.atomic:
            self._call("files.write", lambda: self._disk.put(full, data[: len(data) // 2]))
            self._call("files.replace", lambda: self._disk.put(full, data))
            return
        hidden = self._write_hidden(path, data)
        self._call("files.replace", lambda: self._disk.rename(hidden, full))
        self._sync_folder(full)

    def read(self, path: str) -> bytes:
        def found() -> bytes:
            try:
                return self._disk.data[self._full(path)]
            except KeyError as error:
                raise FileNotFoundError(path) from error

        return self._call("files.read", found)

    def names(self, folder: str) -> list[str]:
        return [name for name in self._below("files.list", folder) if not _hidden(name)]

    def remove(self, path: str) -> None:
        self._call("files.remove", lambda: self._disk.put(self._full(path), None))

    def unfinished(self, folder: str) -> list[str]:
        return [name for name in self._below("files.list", folder) if _hidden(name)]

    def _full(self, path: str) -> str:
        return f"{self.url.plain()}/{path}" if path else self.url.plain()

    def _below(self, name: str, folder: str) -> list[str]:
        prefix, skip = f"{self._full(folder)}/", len(self.url.plain()) + 1
        return self._call(name, lambda: sorted(n[skip:] for n in self._disk.data if n.startswith(prefix)))

    def _write_hidden(self, path: str, data: bytes) -> str:
        folder, _, name = self._full(path).rpartition("/")
        hidden = f"{folder}/.{name}.{self._disk.world.random.randrange(16**8):08x}"
        self._call("files.write", lambda: self._disk.put(hidden, data, torn=True))
        self._call("files.sync", lambda: self._disk.sync(hidden))
        return hidden

    def _sync_folder(self, path: str) -> None:
        self._call("files.folder", lambda: self._disk.sync_folder(path.rpartition("/")[0]))

    def _call(self, name: str, effect: Callable[[], T]) -> T:
        return self._disk.world.call(name, effect)


def _hidden(path: str) -> bool:
    return path.rsplit("/", 1)[-1].startswith(".")


class FakeDocuments:
    """Documents in memory, the same for all who hold it."""

    def __init__(self, world: World, *, guarded: bool = True, remembers: bool = True) -> None:
        self._world, self._guarded, self._remembers = world, guarded, remembers
        self.closed = False
        self.collections: dict[str, dict[str, tuple[int, dict[str, Any] | None]]] = {}

    def write(self, changes: Sequence[Change]) -> None:
        def apply() -> None:
            for collection, group in by_collection(changes).items():
                for change in group:
                    self._apply(self.collections.setdefault(collection, {}), change)

        self._world.call("documents.write", apply)

    def find(
        self, collection: str, where: Mapping[str, object], *, limit: int, newest_first: str | None = None
    ) -> list[Document]:
        check_collection(collection)
        found = [
            {"_id": name, **body, "revision": revision}
            for name, (revision, body) in sorted(self.collections.get(collection, {}).items())
            if body is not None and all(body.get(k) == v for k, v in where.items())
        ]
        if newest_first is not None:
            found.sort(key=lambda d: d.get(newest_first) or "", reverse=True)
        return found[:limit]

    def close(self) -> None:
        self.closed = True

    def _apply(self, stored: dict[str, tuple[int, dict[str, Any] | None]], change: Change) -> None:
        if self._guarded and change.id in stored and stored[change.id][0] >= change.revision:
            return
        if isinstance(change, Upsert):
            stored[change.id] = change.revision, dict(change.body)
        elif self._remembers:
            stored[change.id] = change.revision, None
        else:
            stored.pop(change.id, None)
