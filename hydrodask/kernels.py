"""Compiled kernels and where their machine code is kept: only what was compiled from these very sources is ever used.

numba looks at the file of the function that is called: after a change of a helper in another file it would go on with
the old code, and two workers could differ. Here a digest of all sources names the folder. That is one of the package if
it can be written, else one of the user's, else a temporary one; a cache that came with a package which can't be written
is copied there, or used where it is. What can't be loaded is compiled; what can't be kept stops nobody.
"""

import contextlib
import hashlib
import os
import re
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
SOURCES = ("kernels.py", "keys.py", "decode/*.py", "ingest/gather.py", "store/mixing.py", "window/*.py")
"""Files that hold kernels, or what kernels use; a test compares."""

KEPT_S = 30 * 86400
"""Machine code of other sources goes after this long."""

_KERNEL = re.compile(r"^@njit\((?!.*(inline|for traces alone))", re.MULTILINE)
"""Functions that have machine code of their own after a warm-up."""

_LOCK = threading.Lock()


def njit(*, cache: bool, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return numba's decorator, with its `options`; with `cache` machine code is kept, if there is a place for it."""

    def decorate(function: Callable[..., Any]) -> Any:
        if not cache or folder() is None:
            return numba.njit(**options)(function)
        with _locating():
            compiled = numba.njit(cache=True, **options)(function)
        _pardon(compiled._cache)  # noqa: SLF001 - numba has no other door to it
        return compiled

    return decorate


def _pardon(kept: Any) -> None:
    """Let a function's cache fail without consequences: a file that a crash has cut, a full or read-only disk."""
    load, save = kept.load_overload, kept.save_overload

    def try_load(*arguments: Any) -> Any:
        try:
            return load(*arguments)
        except Exception:  # whatever unpickling something broken gives
            with contextlib.suppress(OSError):
                kept.flush()
            return None

    def try_save(*arguments: Any) -> None:
        with contextlib.suppress(OSError):
            save(*arguments)

    kept.load_overload, kept.save_overload = try_load, try_save


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
    """Return the folder that holds the machine code: one to write, else one that can but be read; None without both."""
    name, places = f"kernels-{digest()}", list(_places())
    brought = next((place / name for place in places if _trusted(place / name)), None)
    for place in places:
        found = place / name
        with contextlib.suppress(OSError):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _ours(place) and not found.exists():
                _remove_old(place)
                _make(found, brought)
            if _trusted(found):
                tempfile.TemporaryFile(dir=found).close()
                return found
    return brought


def kept() -> bool:
    """Say whether machine code of these sources is there already: the first start compiles it, or what is missing."""
    done, wanted = progress()
    return done == wanted


def progress() -> tuple[int, int]:
    """Return of how many kernels there is machine code, and how many a warm-up compiles."""
    place = folder()
    found = 0 if place is None else sum(1 for _ in place.glob("*.nbi"))
    return min(found, _count()), _count()


@cache
def _count() -> int:
    texts = (path.read_text(encoding="utf-8") for pattern in SOURCES for path in PACKAGE.glob(pattern))
    return sum(len(_KERNEL.findall(text)) for text in texts)


def _make(found: Path, brought: Path | None) -> None:
    """Make a folder, with what another one holds: all at once, because other processes start meanwhile."""
    fresh = Path(tempfile.mkdtemp(prefix=f"{found.name}-", dir=found.parent))
    try:
        for path in brought.iterdir() if brought else ():
            shutil.copyfile(path, fresh / path.name)
        if found.parent.parent == PACKAGE:
            fresh.chmod(0o755)  # as the package, which others may read
        with contextlib.suppress(OSError):  # somebody was faster
            fresh.rename(found)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _places() -> Iterator[Path]:
    """Give the folders that may hold ours, best first."""
    if config.CACHE_DIR:
        yield Path(config.CACHE_DIR)
    yield PACKAGE / "__pycache__"
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hydrodask"
    with contextlib.suppress(OSError):  # a container without /tmp
        yield Path(tempfile.gettempdir()) / f"hydrodask-{os.getuid()}"


def _trusted(found: Path) -> bool:
    """Say whether a folder is there that no stranger can have filled: what machine code says is done.

    The one that it is in may be a volume of Kubernetes: root's, where everybody makes folders. None of those is ours.
    """
    if found.parent.parent == PACKAGE:
        return found.is_dir()
    return _ours(found.parent) and _ours(found) and found.is_dir() and not found.lstat().st_mode & 0o022


def _ours(path: Path) -> bool:
    """Say whether it belongs to us, to root, or to the package's owner, whose code we run anyway."""
    try:
        return path.lstat().st_uid in {os.getuid(), 0, PACKAGE.stat().st_uid}
    except OSError:
        return False


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
