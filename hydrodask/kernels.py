"""Compiled kernels and where their machine code is kept: only what was compiled from these very sources is ever used.

numba looks at the file of the function that is called: after a change of a helper in another file it would go on with
the old code, and two workers could differ. Here a digest of all sources names the folder. That is one of the package if
it can be written, else one of the user's; a cache that came with a package which can't be written is copied there.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import config
from numba.core.caching import CacheImpl

from hydrodask import clock

PACKAGE = Path(__file__).parent
SOURCES = ("kernels.py", "keys.py", "decode/*.py", "ingest/gather.py", "window/*.py")
"""Files that hold kernels, or what kernels use; a test compares."""

KEPT_S = 30 * 86400
"""Machine code of other sources goes after this long."""

_LOCK = threading.Lock()


def njit(*, cache: bool, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return numba's decorator, with its `options`; with `cache` machine code is kept, if there is a place for it."""

    def decorate(function: Callable[..., Any]) -> Any:
        if not cache or folder() is None:
            return numba.njit(**options)(function)
        with _locating():
            return numba.njit(cache=True, **options)(function)

    return decorate


class Locator:
    """Tells numba where the machine code of one of our functions is, and that it is fresh: see the folder's name."""

    def __init__(self, place: Path, name: str) -> None:
        self._place, self._name = place, name

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "Locator | None":
        """Return the locator of a function of ours, None for anybody else's."""
        place = folder()
        if place is None or not Path(py_file).is_relative_to(PACKAGE):
            return None
        module = Path(py_file).relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "-")
        return cls(place, f"{module}-{py_func.__code__.co_firstlineno}")

    def ensure_cache_path(self) -> None:
        """Make the folder again if somebody has removed it."""
        self._place.mkdir(parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        return str(self._place)

    def get_source_stamp(self) -> str:
        return digest()

    def get_disambiguator(self) -> str:
        return self._name


@cache
def digest() -> str:
    """Return the digest of all sources of kernels; what else machine code depends on is in numba's own keys."""
    found = hashlib.sha256()
    for path in sorted(path for pattern in SOURCES for path in PACKAGE.glob(pattern)):
        found.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


@cache
def folder() -> Path | None:
    """Return the folder that holds the machine code, None when there is none that we can write."""
    name = f"kernels-{digest()}"
    brought = PACKAGE / "__pycache__" / name
    for place in _places():
        found = place / name
        with contextlib.suppress(OSError):
            if not found.exists():
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
                _remove_old(place)
                if brought.is_dir():
                    shutil.copytree(brought, found, dirs_exist_ok=True, copy_function=shutil.copyfile)
            found.mkdir(exist_ok=True)
            tempfile.TemporaryFile(dir=found).close()
            return found
    return None


def _places() -> Iterator[Path]:
    """Give the folders that may hold ours, best first. Machine code is run, so none that others can write."""
    if config.CACHE_DIR:
        yield Path(config.CACHE_DIR)
    yield PACKAGE / "__pycache__"
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hydrodask"
    with contextlib.suppress(OSError):
        mine = Path(tempfile.gettempdir()) / f"hydrodask-{os.getuid()}"
        mine.mkdir(mode=0o700, exist_ok=True)
        made = mine.lstat()
        if made.st_uid == os.getuid() and not made.st_mode & 0o077:
            yield mine


def _remove_old(place: Path) -> None:
    """Remove what other sources have left long ago."""
    for old in place.glob("kernels-*"):
        if clock.now_us() / 1e6 - old.stat().st_mtime > KEPT_S:
            shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _locating() -> Iterator[None]:
    """Let numba ask our locator first, as its NUMBA_CACHE_LOCATOR_CLASSES does; other libraries' functions find theirs.

    In the environment it would reach processes that do not know us.
    """
    with _LOCK:
        before = config.CACHE_LOCATOR_CLASSES
        theirs = before or ",".join(known.__name__ for known in CacheImpl._locator_classes)  # noqa: SLF001
        config.CACHE_LOCATOR_CLASSES = f"{__name__}.{Locator.__name__},{theirs}"
        try:
            yield
        finally:
            config.CACHE_LOCATOR_CLASSES = before
