"""Names on this machine's disk that a power cut does not take back.

A file's bytes are safe once the file is synced, its name once the folder is that holds it: a file that was linked or
renamed is complete or not there, but without the second it may be gone although others count on it.
"""

import errno
import os
from pathlib import Path

_CAN_NOT = (errno.EINVAL, errno.EBADF, errno.ENOTSUP)
"""What file systems say that can't sync folders: some shares, and disks of virtual machines' hosts."""


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk, where there is a way to. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CAN_NOT:
            raise
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each with its name on disk; one that is there is fine. Raises OSError."""
    missing = [folder]
    while not missing[-1].exists():
        missing.append(missing[-1].parent)
    folder.mkdir(parents=True, exist_ok=True)
    for there in missing[1:]:
        sync_folder(there)


def write(path: Path, data: bytes) -> None:
    """Write a file that nobody else writes, its bytes on disk and its name not yet. Raises OSError."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def rename(hidden: Path, final: Path) -> None:
    """Give a file or folder its name in one step, in place of the file that may have it. Raises OSError."""
    hidden.replace(final)
    sync_folder(final.parent)


def replace(path: Path, data: bytes) -> None:
    """Put a file with `data` in place of the one that may be there, whole or not at all. Raises OSError."""
    hidden = path.with_name(f".{path.name}.new")
    write(hidden, data)
    rename(hidden, path)
