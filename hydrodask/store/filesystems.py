"""How each file system writes whole files and gives a name once: the only module that imports fsspec.

A name that is given once is how files commit, and each file system has another way to do that. One
without a way that is proved by the tests is refused.
"""

import getpass
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs

from hydrodask import clock, durable, extras
from hydrodask.background import in_time
from hydrodask.errors import ConfigError, FatalError, sentence
from hydrodask.store.contract import FileSystem
from hydrodask.store.s3 import S3, S3_OPTIONS

HDFS_OPTIONS = {
    # With the defaults a call to a name node that is down blocks for three minutes; with these for 2 to 3 s.
    "dfs.client.failover.max.attempts": "3",
    "dfs.client.failover.sleep.base.millis": "200",
    "dfs.client.failover.sleep.max.millis": "1000",
    "dfs.client.socket-timeout": "10000",
    # Go on with the data nodes that are left: the name node makes up for the missing copies.
    "dfs.client.block.write.replace-datanode-on-failure.best-effort": "true",
}
"""Settings of the HDFS client, and why they differ from its defaults."""

WEB_TIMEOUT_S = 20.0
"""Limit of the wait for each answer of a web server; without one it would be unlimited."""

HDFS_WAIT_S = 30.0
"""Limit of each call to HDFS: a name node that is stopped, and not dead, would be waited for without end."""

READ_AGAIN_S = (0.02, 0.04, 0.08, 0.16, 0.32)

_MEMORY_LOCK = threading.Lock()


class LocalDisk(FileSystem):
    """The disk of this machine, or a share that is mounted on it and has hard links."""

    def make_folder(self, path: str) -> None:
        durable.make_folder(Path(path))

    def write(self, path: str, data: bytes) -> None:
        """Write and flush to disk: a name must never point at bytes that a power cut can take away."""
        durable.write(Path(path), data)

    def find(self, folder: str) -> list[str]:
        """Return the files at any depth below `folder`, none when it is not there.

        By names alone: whoever looks at each file after listing, as fsspec and Arrow do, leaves out those that
        `compact` has replaced in between.
        """
        found: list[str] = []
        for root, _folders, names in os.walk(folder, onerror=_unless_gone):
            found += [f"{root}/{name}" for name in names]
        return found

    def name(self, hidden: str, final: str) -> None:
        """Link: the system refuses a name that is taken. The hidden name goes when the caller discards it.

        Whoever is refused counts on the other's file, so that it has to be there after a power cut, too.
        """
        try:
            os.link(hidden, final)
        finally:
            durable.sync_folder(Path(final).parent)

    def replace(self, hidden: str, final: str) -> None:
        durable.rename(Path(hidden), Path(final))


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


class Memory(FileSystem):
    """Files in this process's memory, for tests."""

    def name(self, hidden: str, final: str) -> None:
        with _MEMORY_LOCK:
            if self.fs.exists(final):
                raise FileExistsError(final)
            self.fs.mv(hidden, final)


class Hdfs(FileSystem):
    """HDFS through its own protocol. The name node renames in one step, and refuses a name that is taken."""

    def __init__(self, fs: fsspec.AbstractFileSystem) -> None:
        super().__init__(_Limited(fs))

    def name(self, hidden: str, final: str) -> None:
        self.fs.mv(hidden, final, overwrite=False)

    def read(self, path: str) -> bytes:
        return _read_replaced(super().read, self.fs, path)


class WebHdfs(FileSystem):
    """HDFS through HTTP, for where nothing else gets through.

    fsspec's own `mv` does not look at the answer, so a rename that was refused would pass for done; its `open` appends
    to an empty file and its reads take a data node's error for data. So each is one request here, checked.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem) -> None:
        super().__init__(fs)
        self.fs.session.request = partial(self.fs.session.request, timeout=WEB_TIMEOUT_S)

    def write(self, path: str, data: bytes) -> None:
        asked = self.fs._call("CREATE", "PUT", path, redirect=False, overwrite="false")  # noqa: SLF001  # the only way
        headers = {"content-type": "application/octet-stream"}
        self.fs.session.put(asked.headers["Location"], data=data, headers=headers).raise_for_status()

    def name(self, hidden: str, final: str) -> None:
        self._rename(hidden, final, "NONE")

    def replace(self, hidden: str, final: str) -> None:
        self._rename(hidden, final, "OVERWRITE")

    def read(self, path: str) -> bytes:
        return _read_replaced(self._open, self.fs, path)

    def _open(self, path: str) -> bytes:
        return bytes(self.fs._call("OPEN", path=path).content)  # noqa: SLF001  # see above

    def _rename(self, hidden: str, final: str, option: str) -> None:
        """Rename with `option`: then the name node says what is wrong, and does not just answer false."""
        try:
            self.fs._call("RENAME", "PUT", hidden, destination=final, renameoptions=option)  # noqa: SLF001  # see above
        except RuntimeError as error:
            if "already exists" in str(error):
                raise FileExistsError(final) from error
            raise


class _Limited:
    """A client whose calls are given up after `HDFS_WAIT_S`.

    One that was given up may still be carried out, as anything that was sent before a connection broke.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem) -> None:
        self._fs = fs

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._fs, name)
        return partial(self._call, attribute) if callable(attribute) else attribute

    def pipe_file(self, path: str, data: bytes) -> None:
        """Write a file, in our own way."""
        self._call(_write_to, self._fs, path, data)

    def _call(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return in_time(partial(call, *arguments, **options), HDFS_WAIT_S)


def _write_to(fs: Any, path: str, data: bytes) -> None:
    """Write a file and close it, once.

    Python closes a file again when it collects it, which with this client asks the name node: if that stands still,
    whatever thread happens to collect what a failed write has left would stand still for ever.
    """
    file = fs.open(path, "wb")
    try:
        file.write(data)
        file.close()
    finally:
        file.close = _nothing


def _read_replaced(read: Callable[[str], bytes], fs: Any, path: str) -> bytes:
    """Return a file's bytes, read again when there are none but should be.

    A file that has just replaced another has no bytes for some 15 ms, now and then (54 of 78,168 reads beside a
    writer): the name node leaves out a last block that it does not call complete, in a file that it calls closed.
    """
    for wait_s in READ_AGAIN_S:
        if (data := read(path)) or not fs.info(path)["size"]:
            return data
        clock.sleep_s(wait_s)
    raise OSError(f"{path} was read {len(READ_AGAIN_S)} times and had no bytes, but has some by its name node")


def _nothing() -> None:
    """Do nothing."""


def open_file_system(url: str) -> tuple[FileSystem, str]:
    """Return the file system of `url`, and the path on it. Raises FatalError for one that can't commit files."""
    options: dict[str, Any] = {}
    kind = url.partition("://")[0] if "://" in url else "file"
    if kind == "file":  # a path as it stands: fsspec would take `::` in it for two file systems, one in the other
        bare = url.removeprefix("file://") if url.startswith("file://") else url.removeprefix("file:")
        path = os.path.expanduser(bare)  # noqa: PTH111 - a Path would cut what it holds
        return LocalDisk(fsspec.filesystem("file")), os.path.abspath(path)  # noqa: PTH100 - see above
    if kind == "hdfs":
        options = HDFS_OPTIONS
    elif kind == "s3":
        options = S3_OPTIONS
    elif kind == "webhdfs" and "@" not in url:
        options = {"user": os.environ.get("HADOOP_USER_NAME") or getpass.getuser()}
    if lacking := extras.lacking(extras.FILE_SYSTEMS.get(kind, "fsspec")):
        raise ConfigError(f"could not open file system {url!r}: {lacking}")
    try:
        fs, root = url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise FatalError(f"could not open file system {url!r}: {sentence(error)}") from error
    if kind == "s3" and "/" not in root:
        raise FatalError(
            f"{url!r} is a bucket: name a folder in it, as {url.rstrip('/')}/lake, and it gets a neighbour"
        )
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
    for known, opened in _KNOWN.items():
        if known in protocols:
            return opened(fs), root
    raise FatalError(f"could not open file system {url!r}: only {', '.join(_KNOWN)} are known to give a name once")


_KNOWN: dict[str, type[FileSystem]] = {
    "file": LocalDisk,
    "memory": Memory,
    "hdfs": Hdfs,
    "webhdfs": WebHdfs,
    "s3": S3,
}
