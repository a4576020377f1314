"""A run's hold on its group: whoever had it before commits no more, and what it gives up commits no more either."""

from collections.abc import Sequence

from hydrodask.protocol.ownership import Ownership
from hydrodask.protocol.settling import fence
from hydrodask.settings import Settings
from hydrodask.store.documents import Documents
from hydrodask.store.files import Files

FENCED_MIN = 8
"""Slots that are fenced at a start at least: the status of a run with another document store is not known here."""

RUNS_MAX = 1000
"""Earlier runs of a group whose status is looked at."""


class Tenure:
    """A group that one run has from here on: the `number`-th that has claimed it.

    An earlier run may be dead, or still be there: every slot that it may have used is fenced. An embedded broker fences
    nobody, and nobody was there before; its workers look at the claim before each commit.
    """

    def __init__(self, settings: Settings, run_id: str, *, used: Sequence[int] = ()) -> None:
        """Claim it; `used` says how many slots earlier runs had. Raises RetryableError when somebody refuses."""
        self._settings = settings
        self._ownership = Ownership(Files(settings.snapshots_url), settings.kafka.group)
        self.number = self._ownership.claim(run_id)  # first, see `ownership`
        if not settings.kafka.embedded:
            slots = max([FENCED_MIN, settings.cluster.workers, *used, *(slot + 1 for slot in self._ownership.slots())])
            fence(settings, *range(slots))

    def give_up(self, slot: int, generation: int) -> None:
        """Take a slot from one of the run's own generations for good."""
        self._ownership.give_up(self.number, generation)
        fence(self._settings, slot)

    def outdone(self) -> bool:
        """Say whether a later run has claimed the group."""
        return self._ownership.newest() > self.number


def slots_of(settings: Settings, documents: Documents) -> list[int]:
    """Return how many slots earlier runs of the group had, as their status says."""
    known = documents.find("status", {"group": settings.kafka.group}, limit=RUNS_MAX)
    return [int(d.get("slots", 0)) for d in known]
