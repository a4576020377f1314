"""Fake stores in memory: files whose names are given once, and documents with a revision that only grows.

`exclusive`, `guarded` and `remembers` (what was removed) take these promises away, so that a test can show that
something notices.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from hydrodask.failpoints import failpoint
from hydrodask.records import Change, Upsert
from hydrodask.settings import Url
from hydrodask.store.documents.contract import Document, by_collection, check_collection
from hydrodask.store.files import Files
from tests.simulation.world import World

T = TypeVar("T")


class FakeDisk:
    """A file system. `at` gives its files below a URL, as `Files` does."""

    def __init__(self, world: World, *, exclusive: bool = True) -> None:
        self.world, self.exclusive = world, exclusive
        self.data: dict[str, bytes] = {}

    def at(self, url: Url | str) -> Files:
        """Return the files below `url`."""
        return FakeFiles(self, url)


class FakeFiles(Files):
    """Files below a URL of a `FakeDisk`."""

    def __init__(self, disk: FakeDisk, url: Url | str) -> None:
        self.url = url if isinstance(url, Url) else Url(url)
        self._disk = disk

    def put_if_absent(self, path: str, data: bytes) -> bool:
        full = self._full(path)
        folder, _, name = full.rpartition("/")
        hidden = f"{folder}/.{name}.{self._disk.world.random.randrange(16**8):08x}"

        def link() -> bool:
            if full in self._disk.data and self._disk.exclusive:
                return False
            self._disk.data[full] = self._disk.data[hidden]
            return True

        self._write("files.write", hidden, data)
        failpoint("file.written")
        try:
            named = self._call("files.link", link)
            failpoint("file.named")
            return named
        finally:
            self._disk.world.check()  # the dead tidy nothing up
            self._disk.data.pop(hidden, None)

    def replace(self, path: str, data: bytes) -> None:
        self._write("files.replace", self._full(path), data)

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
        self._call("files.remove", lambda: self._disk.data.pop(self._full(path), None))

    def unfinished(self, folder: str) -> list[str]:
        return [name for name in self._below("files.list", folder) if _hidden(name)]

    def _full(self, path: str) -> str:
        return f"{self.url.plain()}/{path}"

    def _below(self, name: str, folder: str) -> list[str]:
        prefix, skip = f"{self._full(folder)}/", len(self.url.plain()) + 1
        return self._call(name, lambda: sorted(n[skip:] for n in self._disk.data if n.startswith(prefix)))

    def _write(self, name: str, path: str, data: bytes) -> None:
        def put() -> None:
            self._disk.data[path] = data

        self._call(name, put)

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
