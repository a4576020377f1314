"""Which windows a partition's samples go into from which offset on: files beside its snapshots.

Nothing changes them but `hydrodask windows reset`: windows of another geometry begin when somebody has asked for them.
"""

from collections import defaultdict
from dataclasses import dataclass

from hydrodask.channels import SENSORS
from hydrodask.errors import ConfigError
from hydrodask.settings import Settings
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


def load(files: Files, source: Source) -> list[Turn]:
    """Return the turns of a partition, oldest first; none when nobody has looked yet. Raises ValueError for others."""
    found = []
    for path in files.names(snapshot.folder_of(source)):
        name = path.rsplit("/", 1)[-1]
        if name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX).isdigit():
            found.append(Turn(int(name.removesuffix(_SUFFIX)), Geometry.decoded(files.read(path))))
    return sorted(found, key=lambda turn: turn.offset)


def put(files: Files, source: Source, turn: Turn) -> None:
    """Keep a turn."""
    files.replace(f"{snapshot.folder_of(source)}/{turn.offset:012d}{_SUFFIX}", turn.geometry.encoded)


def found(files: Files, source: Source) -> list[Turn]:
    """Return the turns of a partition; without one its newest snapshot says which windows it has."""
    turns = load(files, source)
    if turns:
        return turns
    state = snapshot.newest(files, source, at_most=None)[1]
    windows = state.get("nodes", {}).get("windows")
    return [] if windows is None else [Turn(0, Geometry.stored(windows["geometry"]))]


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
        turns = load(files, source)
        if not turns and (turns := found(files, source)):
            put(files, source, turns[0])  # a large snapshot is read for this once, not at each start
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
