"""Which windows a partition's samples go into from which offset on: files beside its snapshots.

Nothing changes them but `hydrodask windows reset`: windows of another geometry begin when somebody has asked for them.
"""

from collections import defaultdict
from dataclasses import dataclass

from hydrodask.channels import SENSORS
from hydrodask.errors import ConfigError
from hydrodask.protocol import snapshot
from hydrodask.records import PartitionId
from hydrodask.settings import Settings
from hydrodask.store import small
from hydrodask.store.files import Files
from hydrodask.window.geometry import Geometry

_SUFFIX = ".windows"


@dataclass(frozen=True, slots=True)
class GeometryChange:
    """From `offset` on samples go into windows of this geometry."""

    offset: int
    geometry: Geometry


def load(files: Files, source: PartitionId) -> tuple[list[GeometryChange], list[int]]:
    """Return a partition's changes of geometry, oldest first, and the offsets of those whose files can't be used."""
    there, damaged = list[GeometryChange](), list[int]()
    for path in files.names(snapshot.folder_of(source)):
        name = path.rsplit("/", 1)[-1]
        if name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX).isdigit():
            offset = int(name.removesuffix(_SUFFIX))
            try:
                there.append(GeometryChange(offset, Geometry.decoded(small.opened(files.read(path)))))
            except ValueError:
                damaged.append(offset)
    return sorted(there, key=lambda change: change.offset), damaged


def put(files: Files, source: PartitionId, change: GeometryChange) -> None:
    """Keep a change."""
    files.replace(f"{snapshot.folder_of(source)}/{change.offset:012d}{_SUFFIX}", small.sealed(change.geometry.encoded))


def found(files: Files, source: PartitionId) -> list[GeometryChange]:
    """Return a partition's changes; if the newest is damaged, or there is none, its newest snapshot says it."""
    changes, damaged = load(files, source)
    newest = max(damaged, default=0)
    if changes and changes[-1].offset >= newest:
        return changes
    state = snapshot.newest(files, source, at_most=None)[1]
    windows = state.get("nodes", {}).get("windows")
    return changes if windows is None else [*changes, GeometryChange(newest, Geometry.stored(windows["geometry"]))]


def sources_of(settings: Settings, files: Files) -> list[PartitionId]:
    """Return the sensors' partitions that have snapshots."""
    topics = {settings.topic(sensor) for sensor in SENSORS}
    folders = {path.partition("/")[0] for path in files.names("")}
    split = (folder.rpartition("-") for folder in folders)
    return sorted((topic, int(number)) for topic, _, number in split if topic in topics and number.isdigit())


def check(settings: Settings, files: Files) -> None:
    """Raise ConfigError, one for all, when partitions have windows of another geometry than is configured."""
    wanted = Geometry.of(settings.window)
    others: dict[Geometry, list[PartitionId]] = defaultdict(list)
    for source in sources_of(settings, files):
        kept, _damaged = load(files, source)
        changes = found(files, source)
        if len(changes) > len(kept):
            put(files, source, changes[-1])  # a large snapshot is read for this once, not at each start
        if changes and changes[-1].geometry != wanted:
            others[changes[-1].geometry].append(source)
    if others:
        raise ConfigError(
            f"window.length, slide and lateness say {wanted}, but {_said(others)}; put the settings back, or begin "
            "the new windows with `hydrodask windows reset` and the same settings (stored rows stay as they are)"
        )


def _said(others: dict[Geometry, list[PartitionId]]) -> str:
    """Return what there is instead."""
    return ", ".join(f"{len(sources)} partitions have windows of {one}" for one, sources in others.items())
