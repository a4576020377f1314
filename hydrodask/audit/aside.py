"""Take files out of the lake, or snapshots, without losing them: they go where no reader looks."""

import hashlib
from dataclasses import dataclass

from hydrodask.errors import UsageError
from hydrodask.settings import Settings, Url
from hydrodask.store.files import Files


@dataclass(frozen=True, slots=True)
class Moved:
    """A file that was taken out: its path below `url`, and where it is now."""

    path: str
    url: str
    kept: str


def set_aside(settings: Settings, paths: list[str]) -> list[Moved]:
    """Move files, named by their paths in the lake or among the snapshots, to a folder beside it that ends in `-aside`.

    May be repeated after it was killed: what is moved keeps the same name. Raises UsageError, before anything is moved,
    for a path that is not there, and RetryableError when the file system refuses.
    """
    places = [_place(settings, path) for path in paths]
    moved = []
    for path, url in zip(paths, places, strict=True):
        files, beside = Files(url), Files(url.beside("-aside"))
        data = files.read(path)
        kept = f"{path}.{hashlib.sha256(data).hexdigest()[:8]}"  # others may have had that name before
        beside.put_if_absent(kept, data)
        files.remove(path)
        moved.append(Moved(path, str(url), kept))
    return moved


def _place(settings: Settings, path: str) -> Url:
    """Return the URL below which a path is; only what a listing has named is taken, so nothing outside."""
    folder = path.rpartition("/")[0]
    for url in (settings.lake_url, settings.snapshots_url):
        if ".." not in folder.split("/") and path in Files(url).names(folder):
            return url
    raise UsageError(
        f"there is no file {path!r} in {settings.lake_url} or {settings.snapshots_url}; "
        "want a path as `hydrodask verify` names it"
    )
