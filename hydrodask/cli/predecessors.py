"""The slots that earlier runs of a group may have used: they are fenced before a run begins."""

from concurrent.futures import ThreadPoolExecutor

from hydrodask.settings import Settings
from hydrodask.store.documents import Documents
from hydrodask.store.topics import fence
from hydrodask.stream.ownership import Ownership

FENCED_MIN = 8
"""Slots that are fenced at a start at least: the status of a run with another document store is not known here."""

RUNS_MAX = 1000
"""Earlier runs of a group whose status is looked at."""


def fence_all(settings: Settings, documents: Documents, ownership: Ownership) -> None:
    """Fence every slot that is known, and a few that are not. Call it once the group is claimed, see `ownership`."""
    known = documents.find("status", {"group": settings.kafka.group}, limit=RUNS_MAX)
    used = [int(d.get("slots", 0)) for d in known]
    slots = max([FENCED_MIN, settings.cluster.workers, *used, *(slot + 1 for slot in ownership.slots())])
    with ThreadPoolExecutor(FENCED_MIN) as pool:
        list(pool.map(lambda slot: fence(settings.kafka, slot), range(slots)))
