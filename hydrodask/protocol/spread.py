"""Over how many partitions our own rows are spread: as many as their topic had when rows were first put there.

A rig's rows are judged where its rig is known: its incidents, usual values and half a cycle are the state of one
partition. Partitions that are added later would take every other rig away from its state, so they stay empty. Files
beside the snapshots, one a topic; the driver keeps them, and who publishes looks there.
"""

import json
from collections.abc import Mapping

from hydrodask.errors import IntegrityError
from hydrodask.settings import Settings
from hydrodask.store import small
from hydrodask.store.files import Files

NAMES = ("analytics", "cycles")
"""The topics of ours, by short name, whose readers have a state of each rig."""

_FOLDER = "spread"
_COUNT = "partitions"


def settle(settings: Settings, files: Files, partitions: Mapping[str, int]) -> list[str]:
    """Keep how many partitions topics have unless it is known already; return what to say of those that got more."""
    notes = []
    kept = load(settings, files)
    for topic in map(settings.topic, NAMES):
        now, before = partitions.get(topic, 0), kept.get(topic, 0) or _older(files, topic)
        if now and topic not in kept:
            now, before = min(now, before or now), 0
        if now and (not before or now < before):  # fewer: it was deleted and made anew
            files.replace(f"{_FOLDER}/{topic}", small.sealed(json.dumps({_COUNT: now}).encode()))
        elif now > before:
            notes.append(
                f"{topic} has {now} partitions now; rigs stay on the {before} that it had, where their incidents are, "
                "and the others stay empty"
            )
    return notes


def _older(files: Files, topic: str) -> int:
    """Return over how many partitions a release that kept no count has spread rows: each had a snapshot."""
    folders = {path.partition("/")[0].removeprefix(f"{topic}-") for path in files.names("")}
    return 1 + max((int(number) for number in folders if number.isdigit()), default=-1)


def load(settings: Settings, files: Files) -> dict[str, int]:
    """Return over how many partitions each topic's rows go, as far as that is kept.

    None where the client decides: on an embedded broker, or by a `partitioner` that somebody has chosen. Raises
    IntegrityError for a file that can't be used.
    """
    kafka, found = settings.kafka, {}
    if kafka.embedded or "partitioner" in {**kafka.client, **kafka.producer}:
        return {}
    for topic in map(settings.topic, NAMES):
        try:
            data = files.read(f"{_FOLDER}/{topic}")
        except FileNotFoundError:
            continue
        try:
            found[topic] = _decoded(data)
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"{_FOLDER}/{topic} in {files.url} says over how many partitions rigs are spread, and can't be "
                f"used ({error}); bring it back from a backup or, if no partitions were added to the topic, take it "
                f"away with `hydrodask aside {_FOLDER}/{topic}`, and start again"
            ) from error
    return found


def _decoded(data: bytes) -> int:
    """Return a count; that of a version before checksums is a number alone."""
    return int(data) if data.isdigit() else int(json.loads(small.opened(data))[_COUNT])
