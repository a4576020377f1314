"""Which hydrodask this is: two processes that work together have to have the same, whatever its version says."""

import hashlib
import os
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
NOT_OURS = "cluster"
"""What is for other programs: pins, charts."""


@cache
def release() -> str:
    """Return a digest of all that is ours and runs; the same sources have the same, wherever they are."""
    found, paths = hashlib.sha256(), list[Path]()
    for folder, below, names in os.walk(PACKAGE, followlinks=True):  # in a checkout flows/ is a link
        below[:] = [name for name in below if name not in {"__pycache__", NOT_OURS} or folder != str(PACKAGE)]
        paths += [Path(folder, name) for name in names if name.endswith(".py")]
    for path in sorted(paths):
        found.update(path.relative_to(PACKAGE.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def version() -> str:
    """Return the version that was installed; of a folder that nobody installed it is not known."""
    try:
        return metadata.version("hydrodask")
    except metadata.PackageNotFoundError:
        return "unknown"
