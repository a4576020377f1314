"""Which windows a partition's samples go into from which offset on: files beside its snapshots.

Nothing changes them but `hydrodask windows reset`: windows of another geometry begin when somebody has asked for them.
"""

from collections import defaultdict
from dataclasses import dataclass

from hydrodask.channels import SENSORS
from hydrodask.errors import ConfigError
from hydrodask.settings import Settings
from hydrodask.store import small
from hydrodask.store.files import Files
from hydrodask.stream import snapshot
from hydrodask.window.geometry import Geometry

_SUFFIX = ".windows"

Source = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Turn:
    """From `offset` on samples go into windows of this geometry."""

    offset: int
    geometry: Geometry


def load(files: Files, source: Source) -> tuple[list[Turn], list[int]]:
    """Return the turns of a partition, oldest first, and the offsets of those whose files can't be used.

    None when nobody has looked yet.
    """
    there, damaged = list[Turn](), list[int]()
    for path in files.names(snapshot.folder_of(source)):
        name = path.rsplit("/", 1)[-1]
        if name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX).isdigit():
            offset = int(name.removesuffix(_SUFFIX))
            try:
                there.append(Turn(offset, Geometry.decoded(small.opened(files.read(path)))))
            except ValueError:
                damaged.append(offset)
    return sorted(there, key=lambda turn: turn.offset), damaged


def put(files: Files, source: Source, turn: Turn) -> None:
    """Keep a turn."""
    files.replace(f"{snapshot.folder_of(source)}/{turn.offset:012d}{_SUFFIX}", small.sealed(turn.geometry.encoded))


def found(files: Files, source: Source) -> list[Turn]:
    """Return the turns of a partition; if the newest is damaged, or there is none, its newest snapshot says it."""
    turns, damaged = load(files, source)
    newest = max(damaged, default=0)
    if turns and turns[-1].offset >= newest:
        return turns
    state = snapshot.newest(files, source, at_most=None)[1]
    windows = state.get("nodes", {}).get("windows")
    return turns if windows is None else [*turns, Turn(newest, Geometry.stored(windows["geometry"]))]


def sources_of(settings: Settings, files: Files) -> list[Source]:
    """Return the sensors' partitions that have snapshots."""
    topics = {settings.topic(sensor) for sensor in SENSORS}
    folders = {path.partition("/")[0] for path in files.names("")}
    split = (folder.rpartition("-") for folder in folders)
    return sorted((topic, int(number)) for topic, _, number in split if topic in topics and number.isdigit())


def check(settings: Settings, files: Files) -> None:
    """Raise ConfigError, one for all, when partitions have windows of another geometry than is configured."""
    wanted = Geometry.of(settings.window)
    others: dict[Geometry, list[Source]] = defaultdict(list)
    for source in sources_of(settings, files):
        kept, _damaged = load(files, source)
        turns = found(files, source)
        if len(turns) > len(kept):
            put(files, source, turns[-1])  # a large snapshot is read for this once, not at each start
        if turns and turns[-1].geometry != wanted:
            others[turns[-1].geometry].append(source)
    if others:
        raise ConfigError(
            f"window.length, slide and lateness say {wanted}, but {_said(others)}; put the settings back, or begin "
            "the new windows with `hydrodask windows reset` and the same settings (stored rows stay as they are)"
        )


def _said(others: dict[Geometry, list[Source]]) -> str:
    """Return what there is instead."""
    return ", ".join(f"{len(sources)} partitions have windows of {one}" for one, sources in others.items())
