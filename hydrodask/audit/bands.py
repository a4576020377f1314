"""Hold bands/ against the baselines that the log of window rows gives."""

from dataclasses import dataclass, field

from hydrodask.audit.differences import Comparison, from_on, nonempty
from hydrodask.audit.finding import Result
from hydrodask.audit.mending import RECORDS
from hydrodask.audit.part import Part
from hydrodask.audit.replay import KEYS
from hydrodask.reports import Band
from hydrodask.store.schemas import bands_table

BATCH = 20_000
"""Bands that are compared at a time."""

NOT_THERE = "bands/: the window rows that they follow from are not on their topic any more"


@dataclass
class Bands:
    """Takes bands as a replay finds them, and compares them with a partition's stored ones.

    What comes before `begin`, where the first file or snapshot does, an older release has not kept. One whose rows had
    others before them is not the first: it is held against all.
    """

    part: Part
    result: Result
    _waiting: list[Band] = field(default_factory=list)

    def __post_init__(self) -> None:
        part, folder = self.part, "bands"
        kept = folder in part.chains or any(folder in taken.state.get("files", {}) for taken in part.snapshots)
        self._begin = (part.first_of(folder) or 0) if kept else 1 << 62
        limit = min(part.stored_to(folder), part.committed or 0) if kept else 0
        stored = ((path, from_on(rows, "revision", self._begin)) for path, rows in part.stored(folder, limit))
        self._comparison = Comparison(nonempty(stored), KEYS[folder], limit)

    def take(self, bands: list[Band]) -> None:
        """Take the next bands."""
        self._waiting += bands
        if len(self._waiting) >= BATCH:
            self._compare()

    def finish(self) -> None:
        """Say what differs."""
        self._compare()
        found = self._comparison.finish()
        self.result.count(rows=found.equal, waiting=found.waiting)
        if found.wrong:
            mend = self.part.mend_of("bands", found.at, RECORDS)
            what = f"bands/ is not what the window rows give: {found.what}"
            self.result.found(self.part.name, what, found.first, mend=mend)

    def _compare(self) -> None:
        table = bands_table(self._waiting, partition=self.part.source[1])
        self._waiting = []
        self._comparison.expect(from_on(table, "revision", self._begin))
