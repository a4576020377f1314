"""Over how many partitions our own rows are spread: as many as their topic had when rows were first put there.

A rig's rows are judged where its rig is known: its incidents, usual values and half a cycle are the state of one
partition. Partitions that are added later would take every other rig away from its state, so they stay empty. Files
beside the snapshots, one a topic; the driver keeps them, and who publishes looks there.
"""

from collections.abc import Mapping

from hydrodask.settings import Settings
from hydrodask.store.files import Files

NAMES = ("analytics", "cycles")
"""The topics of ours, by short name, whose readers have a state of each rig."""

_FOLDER = "spread"


def settle(settings: Settings, files: Files, partitions: Mapping[str, int]) -> list[str]:
    """Keep how many partitions topics have unless it is known already; return what to say of those that got more."""
    notes = []
    kept = load(settings, files)
    for topic in map(settings.topic, NAMES):
        now, before = partitions.get(topic, 0), kept.get(topic, 0)
        if now and (not before or now < before):  # fewer: it was deleted and made anew
            files.replace(f"{_FOLDER}/{topic}", b"%d" % now)
        elif now > before:
            notes.append(
                f"{topic} has {now} partitions now; rigs stay on the {before} that it had, where their incidents are, "
                "and the others stay empty"
            )
    return notes


def load(settings: Settings, files: Files) -> dict[str, int]:
    """Return over how many partitions each topic's rows go, as far as that is kept.

    None where the client decides: on an embedded broker, or by a `partitioner` that somebody has chosen.
    """
    kafka, found = settings.kafka, {}
    if kafka.embedded or "partitioner" in {**kafka.client, **kafka.producer}:
        return {}
    for topic in map(settings.topic, NAMES):
        try:
            found[topic] = int(files.read(f"{_FOLDER}/{topic}"))
        except (FileNotFoundError, ValueError):
            continue
    return found
