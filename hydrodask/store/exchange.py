"""Exchange two folders of this machine's disk in one step, as only Linux can: whoever lists sees one or the other."""

import ctypes
import errno
import os
from functools import cache
from pathlib import Path

from hydrodask.durable import sync_folder
from hydrodask.errors import FatalError, RetryableError

_AT_FDCWD = -100
_EXCHANGE = 2
_NEVER = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def exchange(one: Path, other: Path) -> None:
    """Give each of two folders the other's name, for good. Raises FatalError where system or disk can't do that."""
    rename = _renameat2()
    if rename is None:
        raise FatalError("this system can't exchange two folders in one step (renameat2)")
    _sync(one, other)
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE) == 0:
        _sync(one.parent, other.parent)
        return
    code = ctypes.get_errno()
    what = f"could not exchange {one} and {other}: {os.strerror(code)}"
    raise FatalError(what) if code in _NEVER else RetryableError(what)


def _sync(*folders: Path) -> None:
    try:
        for folder in folders:
            sync_folder(folder)
    except OSError as error:
        raise RetryableError(f"could not put {folder} on disk: {error}") from error


def can_exchange(folder: Path) -> bool:
    """Say whether folders below `folder` can be exchanged, by trying it."""
    one, other = (folder / f".exchange-{os.getpid()}-{name}" for name in "ab")
    try:
        for path in (one, other):
            path.mkdir()
        exchange(one, other)
    except (FatalError, RetryableError):
        return False
    finally:
        for path in (one, other):
            if path.exists():
                path.rmdir()
    return True


@cache
def _renameat2() -> "ctypes._NamedFuncPointer | None":
    """Return the system's function, None when there is none."""
    try:
        return ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return None
