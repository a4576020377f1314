"""Whole files on any file system: the only module that imports fsspec.

A file appears under its name complete or not at all, and a name is given once: `put_if_absent` is how files commit.
"""

import logging
import os
import threading
import uuid
from pathlib import Path

import fsspec
from fsspec.core import url_to_fs

from hydrodask.errors import FatalError, RetryableError

log = logging.getLogger(__name__)

_MEMORY_LOCK = threading.Lock()


class Files:
    """Files below one URL. Paths given and returned are relative to it. Safe to use from several processes.

    Every method raises RetryableError when the file system refuses, for it may recover.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._fs, self._root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise FatalError(f"could not open file system {url!r}: {error}") from error
        self._local = "file" in _protocols(self._fs)

    @property
    def local(self) -> Path | None:
        """Return the folder on this machine's disk that the URL names, None when it is somewhere else."""
        return Path(self._root) if self._local else None

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Create `path` with `data`; return False, and change nothing, when it exists already."""
        hidden = self._write_hidden(path, data)
        try:
            return self._name(hidden, self._full(path))
        except OSError as error:
            raise RetryableError(f"could not create {path} in {self.url}: {error}") from error
        finally:
            self._discard(hidden)

    def replace(self, path: str, data: bytes) -> None:
        """Create or replace `path` with `data`."""
        hidden = self._write_hidden(path, data)
        try:
            if self._local:
                Path(hidden).replace(self._full(path))
            else:
                self._fs.mv(hidden, self._full(path), overwrite=True)
        except OSError as error:
            self._discard(hidden)
            raise RetryableError(f"could not replace {path} in {self.url}: {error}") from error

    def read(self, path: str) -> bytes:
        """Return the bytes of `path`. Raises FileNotFoundError when there is no such file."""
        try:
            return bytes(self._fs.cat_file(self._full(path)))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise RetryableError(f"could not read {path} in {self.url}: {error}") from error

    def names(self, folder: str) -> list[str]:
        """Return the paths of all files at any depth below `folder`, sorted, hidden ones left out."""
        try:
            self._fs.invalidate_cache()
            found = self._fs.find(self._full(folder))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RetryableError(f"could not list {folder} in {self.url}: {error}") from error
        skip = len(self._full("")) if self._full("") else 0
        names = sorted(name[skip:].lstrip("/") for name in found)
        return [name for name in names if not name.rsplit("/", 1)[-1].startswith(".")]

    def remove(self, path: str) -> None:
        """Delete `path`; it is no error when it is gone already."""
        try:
            self._fs.rm_file(self._full(path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise RetryableError(f"could not remove {path} in {self.url}: {error}") from error

    def unfinished(self, folder: str) -> list[str]:
        """Return hidden files that a writer left behind when it died."""
        try:
            found = self._fs.find(self._full(folder))
        except FileNotFoundError:
            return []
        return [name for name in found if name.rsplit("/", 1)[-1].startswith(".")]

    def _full(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}" if path else self._root.rstrip("/")

    def _write_hidden(self, path: str, data: bytes) -> str:
        folder, _, name = self._full(path).rpartition("/")
        hidden = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}"
        try:
            self._fs.makedirs(folder, exist_ok=True)
            if self._local:
                _write_durably(Path(hidden), data)
            else:
                self._fs.pipe_file(hidden, data)
        except OSError as error:
            self._discard(hidden)
            raise RetryableError(f"could not write {path} in {self.url}: {error}") from error
        return hidden

    def _name(self, hidden: str, final: str) -> bool:
        """Give the hidden file its name unless the name is taken."""
        try:
            if self._local:
                os.link(hidden, final)
            elif "memory" in _protocols(self._fs):
                with _MEMORY_LOCK:
                    if self._fs.exists(final):
                        return False
                    self._fs.mv(hidden, final)
            else:
                self._fs.mv(hidden, final)
        except FileExistsError:
            return False
        return True

    def _discard(self, hidden: str) -> None:
        try:
            self._fs.rm_file(hidden)
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("could not remove %s: %s", hidden, error)


def _protocols(filesystem: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _write_durably(path: Path, data: bytes) -> None:
    """Write and flush to disk: a name must never point at bytes that a power cut can take away."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
