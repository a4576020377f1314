"""Which criteria judge the rows of a partition from which offset on: files beside its snapshots, one an edition.

Rows that were in the log when criteria changed are judged by the older ones, for their documents may be written
already; so the state stays a function of rows and editions, and an audit can judge each document by what made it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydrodask.clock import US_PER_S, parse_iso
from hydrodask.detect import Criteria, Detector
from hydrodask.detect.arrivals import Arrival
from hydrodask.detect.refusals import Refusals
from hydrodask.detect.silence import Silence
from hydrodask.detect.splits import Splits
from hydrodask.detect.thin import CoverageWatch
from hydrodask.health import BEST, less
from hydrodask.keys import Attendance
from hydrodask.protocol.snapshot import folder_of
from hydrodask.records import Change, PartitionId, WindowRecord
from hydrodask.reports import Band
from hydrodask.store import small
from hydrodask.store.files import Files

_SUFFIX = ".rules"
_NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Edition:
    """Criteria and the offset from which on they judge; None: this release can't judge by them, or they are damaged."""

    offset: int
    criteria: Criteria | None


def load(files: Files, source: PartitionId) -> list[Edition]:
    """Return the editions of a partition, oldest first."""
    found = []
    for path in files.names(folder_of(source)):
        name = path.rsplit("/", 1)[-1]
        if name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX).isdigit():
            found.append(Edition(int(name.removesuffix(_SUFFIX)), _decoded(files.read(path))))
    return sorted(found, key=lambda edition: edition.offset)


def settle(files: Files, source: PartitionId, criteria: Criteria, *, at: int) -> tuple[list[Edition], list[str]]:
    """Return the editions, ending with `criteria`, and what to say; nobody has judged a row from `at` on yet."""
    editions = load(files, source)
    newest = editions[-1].criteria if editions else None
    if newest is not None and newest.digest == criteria.digest:
        return editions, []
    files.replace(f"{folder_of(source)}/{at:012d}{_SUFFIX}", small.sealed(criteria.encoded))
    kept = [edition for edition in editions if edition.offset != at]
    before = "; no record here says which ones have judged those before, if any did"
    if newest is not None:
        before = f", those of digest {newest.digest} the ones before"
    notes = [f"rules of digest {criteria.digest} judge the rows from offset {at} on{before}"] if at else []
    return [*kept, Edition(at, criteria)], notes


def digests(editions: Sequence[Edition]) -> set[str]:
    """Return the digests of all criteria that are known."""
    return {edition.criteria.digest for edition in editions if edition.criteria is not None}


def known_from(editions: Sequence[Edition]) -> int:
    """Return the offset from which on all criteria are known; there is an edition, and the newest is known."""
    first = next((i + 1 for i in reversed(range(len(editions))) if editions[i].criteria is None), 0)
    return editions[first].offset if first < len(editions) else _NEVER


class Judging:
    """A detector that goes over to the next edition at its offset. The last edition has to be known.

    Where criteria are not known, those of the next known edition stand in for them.
    """

    def __init__(self, editions: Sequence[Edition], *, since: int = -1) -> None:
        """Begin with the edition of offset `since`; -1: from before the first."""
        self._left = [edition for edition in editions if edition.offset > since]
        begun = [edition for edition in editions if edition.offset == since] + self._left
        criteria = next(e.criteria for e in begun if e.criteria is not None)
        self.detector, self.silence = Detector.by(criteria, since=since), Silence(criteria)
        self.refusals = Refusals(criteria.digest)
        self.splits = Splits(criteria.digest, length_s=criteria.window_s)
        self.thin = CoverageWatch(criteria)
        # A turn later than those who publish: the last windows of a rig that left them are judged before it is gone.
        self.attendance = Attendance(_silence_us(criteria), grace=1)
        self.bands: list[Band] = []
        """The baselines that the newest row was judged by, if they are to be kept."""
        self.gone: list[str] = []
        """Rigs that were forgotten with the newest row."""

    def take(self, one: Arrival) -> list[Change]:
        """Take a row, or the time, in by the edition of its offset, and return what changes."""
        dropped = self._turn(one.offset) if self._left and one.offset >= self._left[0].offset else []
        row, parting, self.bands = one.row, False, []
        if isinstance(row, WindowRecord):
            whole, split = self.splits.take(row, one.offset)
            changes = self.detector.update(row, one.offset, whole=whole) + split
            self.bands = self.detector.bands
            changes += self.thin.take(row, self.detector.coverage, one.offset)
            parting = self._parting(row)
        else:
            changes = self.refusals.take(one)
        changes += self.silence.take(one._replace(row=None) if parting else one)
        changes += self._forget(one, parting=parting)
        if dropped:  # of one revision only one change of a document counts: what the row itself says
            said = {(change.collection, change.id) for change in changes}
            changes += [change for change in dropped if (change.collection, change.id) not in said]
        return changes

    def health(self) -> dict[tuple[str, str], float]:
        """Return the health of every sensor that has been seen, 0..100."""
        worth = dict.fromkeys(self.refusals.sensors(), BEST) | self.detector.health()
        others = (self.silence, self.refusals, self.splits, self.thin)
        rigs = {rig for one in others for rig, _sensor, _rule in one.alarms()}
        for key in [key for key in worth if key[0] in rigs]:  # of thousands there are few
            worth[key] = less(worth[key], [s for one in others for s in one.severities(*key)])
        return worth

    def alarms(self) -> list[tuple[str, str, str]]:
        """Return (rig, sensor, rule) of what is broken now, in order."""
        every = (self.detector, self.silence, self.refusals, self.splits, self.thin)
        return sorted(alarm for one in every for alarm in one.alarms())

    def totals(self) -> dict[str, int]:
        """Return how many anomalies and incidents there were."""
        found = dict(self.detector.totals)
        found["incidents"] += (
            self.silence.incidents + self.refusals.incidents + self.splits.incidents + self.thin.incidents
        )
        return found

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values; equal records, equal bytes."""
        thin = self.thin.snapshot()  # of who is well there is none, as before
        return ({"thin": thin} if any(thin.values()) else {}) | {
            "detector": self.detector.snapshot(),
            "silence": self.silence.snapshot(),
            "refusals": self.refusals.snapshot(),
            "splits": self.splits.snapshot(),
            "attendance": self.attendance.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot of a detector by the same edition; older ones say nothing of who is silent."""
        self.detector.restore(state["detector"])
        others: dict[str, Any] = {
            "silence": self.silence,
            "refusals": self.refusals,
            "splits": self.splits,
            "thin": self.thin,
        }
        for name, part in others.items():
            if name in state:
                part.restore(state[name])
        if "attendance" in state:
            self.attendance.restore(state["attendance"])
        else:
            self.attendance.seed(dict.fromkeys(rig for rig, _ in self.detector.health()))

    def _parting(self, row: WindowRecord) -> bool:
        """Say whether a window is final only because its rig is forgotten: the rig has sent nothing for that."""
        away = row.final and self.silence.away(row.rig)
        return away and self.attendance.over(parse_iso(row.window_start))

    def _forget(self, one: Arrival, *, parting: bool) -> list[Change]:
        """Forget the rigs of which nothing came for long; the others' windows are the time."""
        row, changes = one.row, list[Change]()
        self.gone = []
        if row is not None and not (parting and row.rig in self.attendance):
            window = isinstance(row, WindowRecord)  # the other kind goes by the broker's clock
            self.gone = self.attendance.hear(row.rig, parse_iso(row.window_start) if window else None)
        for rig in self.gone:
            for each in (self.silence, self.refusals, self.splits, self.thin):
                changes += each.leave(rig, one.offset)
            changes += self.detector.forget(rig, one.offset)
        return changes

    def _turn(self, offset: int) -> list[Change]:
        due = [edition for edition in self._left if edition.offset <= offset]
        del self._left[: len(due)]
        criteria = due[-1].criteria or next((e.criteria for e in self._left if e.criteria is not None), None)
        criteria = criteria or self.detector.criteria
        dropped = self.detector.adopt(criteria, since=due[-1].offset, revision=offset)
        self.refusals.digest = self.splits.digest = criteria.digest
        self.attendance.comply(_silence_us(criteria))
        return dropped + self.silence.adopt(criteria, offset) + self.thin.adopt(criteria, offset)


def _silence_us(criteria: Criteria) -> int:
    return round((criteria.forgotten_after_s or 0) * US_PER_S)


def _decoded(data: bytes) -> Criteria | None:
    try:
        return Criteria.decoded(small.opened(data))
    except ValueError:
        return None
