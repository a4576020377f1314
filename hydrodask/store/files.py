"""Whole files on any file system.

A file appears under its name complete or not at all, and a name is given once: `put_if_absent` is how files commit.
"""

import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydrodask.errors import SENTENCE_MAX, RetryableError, sentence
from hydrodask.failpoints import failpoint
from hydrodask.settings import Url
from hydrodask.store.filesystems import LocalDisk, open_file_system

log = logging.getLogger(__name__)

_SERVER_ERROR = re.compile(r'RPCError\("(?:[\w$]+\.)*([\w$]+)", "(.*?)(?:\\n|"\))', re.DOTALL)


class Files:
    """Files below one URL. Paths given and returned are relative to it. Safe to use from several processes.

    Every method raises RetryableError when the file system refuses, for it may recover. A server that is down is
    waited for a few seconds, not more.
    """

    def __init__(self, url: Url | str) -> None:
        self.url = url if isinstance(url, Url) else Url(url)
        self._system, self._root = open_file_system(self.url.plain())

    @property
    def local(self) -> Path | None:
        """Return the folder on this machine's disk that the URL names, None when it is somewhere else."""
        return Path(self._root) if isinstance(self._system, LocalDisk) else None

    def system(self) -> tuple[Any, str]:
        """Return fsspec's file system and the path on it, for a reader that has its own way of reading."""
        return self._system.fs, self._root

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Create `path` with `data`; return False, and change nothing, when it exists already.

        When it raises, the file may be there all the same: then the next attempt returns False, as if another had
        been faster.
        """
        hidden = self._write_hidden(path, data)
        failpoint("file.written")
        try:
            with self._translated(f"create {path} in", but=FileExistsError):
                self._system.name(hidden, self._full(path))
            failpoint("file.named")
        except FileExistsError:
            return False
        finally:
            self._discard(hidden)
        return True

    def replace(self, path: str, data: bytes) -> None:
        """Create or replace `path` with `data`."""
        hidden = self._write_hidden(path, data)
        try:
            with self._translated(f"replace {path} in"):
                self._system.replace(hidden, self._full(path))
        except RetryableError:
            self._discard(hidden)
            raise

    def read(self, path: str) -> bytes:
        """Return the bytes of `path`. Raises FileNotFoundError when there is no such file."""
        with self._translated(f"read {path} in", but=FileNotFoundError):
            return self._system.read(self._full(path))

    def names(self, folder: str) -> list[str]:
        """Return the paths of all files at any depth below `folder`, sorted, hidden ones left out."""
        skip = len(self._full(""))
        names = sorted(name[skip:].lstrip("/") for name in self._find(folder))
        return [name for name in names if not _is_hidden(name)]

    def remove(self, path: str) -> None:
        """Delete `path`; it is no error when it is gone already."""
        try:
            with self._translated(f"remove {path} in", but=FileNotFoundError):
                self._system.remove(self._full(path))
        except FileNotFoundError:
            return

    def exists(self) -> bool:
        """Say whether there is a folder at the URL."""
        with self._translated("look for"):
            return self._system.exists(self._full(""))

    def unfinished(self, folder: str) -> list[str]:
        """Return hidden files that a writer left behind when it died."""
        return [name for name in self._find(folder) if _is_hidden(name)]

    def _find(self, folder: str) -> list[str]:
        try:
            with self._translated(f"list {folder} in", but=FileNotFoundError):
                return self._system.find(self._full(folder))
        except FileNotFoundError:
            return []

    def _full(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}" if path else self._root.rstrip("/")

    def _write_hidden(self, path: str, data: bytes) -> str:
        """Write `data` under a name that is not used again: on HDFS an attempt that failed may hold on to it."""
        folder, _, name = self._full(path).rpartition("/")
        hidden = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}"
        try:
            with self._translated(f"write {path} in"):
                self._system.make_folder(folder)
                self._system.write(hidden, data)
        except RetryableError:
            self._discard(hidden)
            raise
        return hidden

    def _discard(self, hidden: str) -> None:
        try:
            self._system.remove(hidden)
        except FileNotFoundError:
            return
        except (OSError, RuntimeError) as error:
            log.warning("could not remove %s: %s", hidden, _first_line(error))

    @contextmanager
    def _translated(self, what: str, *, but: type[OSError] | None = None) -> Iterator[None]:
        """Raise RetryableError for what a file system raises, `but` one that is an answer."""
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            if but and isinstance(error, but):
                raise but(_first_line(error)) from error
            raise RetryableError(f"could not {what} {self.url}: {_first_line(error)}") from error


def _is_hidden(path: str) -> bool:
    return path.rsplit("/", 1)[-1].startswith(".")


def _first_line(error: Exception) -> str:
    r"""Return what an error says, without the stack trace of a server that comes with it.

    >>> _first_line(RuntimeError(r'RPCError("org.apache.x.SafeModeException", "no\n\tat y")'))
    'SafeModeException: no'
    """
    said = _SERVER_ERROR.search(str(error))
    return f"{said[1]}: {said[2]}"[:SENTENCE_MAX] if said else sentence(error)
