"""What lies in the lake, or among the snapshots, and is nobody's: a reader, or the next run, would take it."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hydrodask.audit.finding import Result
from hydrodask.audit.mending import aside
from hydrodask.channels import SENSORS
from hydrodask.detect.criteria import JUDGING, Criteria
from hydrodask.ingest.topics import OUTPUTS
from hydrodask.protocol.incarnation import Incarnation
from hydrodask.records import PartitionId
from hydrodask.settings import Settings
from hydrodask.store.files import Files
from hydrodask.store.listing import LakeFile
from hydrodask.store.merge import IMPORTED
from hydrodask.store.schemas import FLAT
from hydrodask.store.small import FOLDERS, opened
from hydrodask.window.geometry import Geometry

_OF_IMPORTS = ("cycles", "labels")
"""Folders into which an import puts files."""

_TOPIC_OF = {"labels": "labels", "bands": "analytics", "scores": "cycles"}
"""Of which topic the rows of a folder are that is not cut by sensor."""

_NAMES = (*SENSORS, *OUTPUTS)
"""The short names of a platform's topics, whatever their prefix."""


def strange(file: LakeFile, ours: Iterable[str], prefix: str, others: Iterable[str]) -> str:
    """Return why a file whose name is like ours is nobody's, nothing if it is somebody's.

    `ours` are the topics of this platform, `others` those that other platforms beside it have snapshots of.
    """
    sensor = file.parts.get("sensor")
    if file.folder not in FLAT and sensor not in SENSORS:
        return f"it is in the folder of sensor {sensor!r}, and there is none of that name"
    if file.topic.startswith(IMPORTED):
        return "" if file.folder in _OF_IMPORTS else f"no import puts anything into {file.folder}/"
    if file.topic in ours:
        name = file.topic.removeprefix(prefix)
        of = _TOPIC_OF.get(file.folder)
        fits = name == of if of else name not in _TOPIC_OF.values()
        return "" if fits else f"{file.folder}/ has no rows of its topic"
    if file.topic not in others or not file.topic.endswith(sensor or _TOPIC_OF[file.folder]):
        return f"its topic {file.topic!r} is none of this platform, nor of another whose snapshots lie beside"
    return ""


def partitions_of(files: Files) -> Iterator[tuple[str, PartitionId | None]]:
    """Give each path among the snapshots, and the partition whose folder it is in, None if it is in none."""
    for path in files.names(""):
        topic, dash, number = path.partition("/")[0].rpartition("-")
        yield path, (topic, int(number)) if dash and number.isdigit() and "/" in path else None


def check_beside(settings: Settings, files: Files, ours: Iterable[str], result: Result) -> None:
    """Look at every file among the snapshots: it has a name that somebody reads it by, and can be read."""
    for path, source in partitions_of(files):
        why = _odd_of_partition(files, path) if source else _odd_beside(settings, files, path)
        if not why and source and source[0] not in ours and not source[0].endswith(_NAMES):
            why = f"{source[0]!r} is no topic of ours, nor of another platform"
        if why:
            result.found(path, why, mend=aside(path))


def _odd_of_partition(files: Files, path: str) -> str:
    """Return why a file in a partition's folder is no snapshot, log, geometry or edition."""
    name = path.rpartition("/")[2]
    stem, _, suffix = name.rpartition(".")
    if name.startswith("log-") and name[4:].isdigit():
        return _unreadable(files, path, lambda data: msgspec.json.decode(data, type=Incarnation))
    if not stem.isdigit() or suffix not in ("snapshot", "windows", "rules"):
        return "" if name.isdigit() else "its name is not that of a file of ours"
    if suffix == "windows":
        return _unreadable(files, path, Geometry.decoded)
    if suffix == "rules":
        return _unreadable(files, path, _criteria)
    return ""


def _odd_beside(settings: Settings, files: Files, path: str) -> str:
    """Return why a file outside of partitions' folders is no claim, and no number of partitions."""
    folder, _, name = path.rpartition("/")
    if folder == "spread":
        return _unreadable(files, path, _spread)
    if folder.startswith("owners/"):
        kind, _, number = name.rpartition("-")
        known = kind in ("run", "slot") or (kind.startswith("given-up-") and kind[9:].isdigit())
        return "" if known and number.isdigit() else "it is no claim of ours"
    if folder.startswith(".") or folder in FOLDERS:
        return ""
    return f"nothing of ours lies there, beside {settings.topics.prefix}…"


def _criteria(data: bytes) -> None:
    """Raise ValueError for what are no criteria; those of another release are."""
    tree = json.loads(data)
    if not isinstance(tree, dict) or "judging" not in tree:
        raise ValueError("want criteria")
    if tree["judging"] == JUDGING:
        Criteria.decoded(data)


def _spread(data: bytes) -> None:
    """Raise ValueError for what is no number of partitions; older releases wrote the number alone."""
    said = json.loads(data)
    count = said.get("partitions") if isinstance(said, dict) else said
    if not isinstance(count, int) or count < 1:
        raise ValueError("want a number of partitions from 1 on")


def _unreadable(files: Files, path: str, decode: Any) -> str:
    try:
        data = opened(files.read(path))
    except (FileNotFoundError, ValueError):
        return ""  # gone meanwhile, or damaged, which is said of all small files
    try:
        decode(data)
    except (ValueError, msgspec.MsgspecError) as error:
        return f"it can't be read: {str(error)[:100]}"
    return ""


def topics_of(files: Files) -> set[str]:
    """Return the topics of which there are snapshots, whoever's they are."""
    return {source[0] for path, source in partitions_of(files) if source and path.endswith(".snapshot")}
