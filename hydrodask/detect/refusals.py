"""Whose samples can't be used: a rig of which most come late or are dead letters, one incident for all its sensors."""

from hydrodask.clock import US_PER_S, parse_iso
from hydrodask.detect import standing
from hydrodask.detect.arrivals import Arrival
from hydrodask.detect.ofrigs import OfRigs, Open
from hydrodask.detect.standing import Body
from hydrodask.records import Change, RefusedRecord
from hydrodask.reports import WHOLE_RIG

UNUSABLE = "unusable_samples"
LIMIT = 0.5
"""Share of a minute's samples."""

_MINUTE_US = 60 * US_PER_S


class Refusals(OfRigs):
    """What one partition of window rows says about whose samples are refused. Not safe for threads."""

    RULE = UNUSABLE

    def take(self, one: Arrival) -> list[Change]:
        """Take a record in; only those that say that samples were refused, or no more, change something."""
        row = one.row
        if not isinstance(row, RefusedRecord):
            return []
        rig = self._rigs.get(row.rig)
        if row.over_half:
            return self._refused(row, rig, one.offset)
        if rig is None or row.sensor not in rig.sensors:
            return []
        return self._well(row.rig, row.sensor, parse_iso(row.window_start), one.offset)

    def sensors(self) -> list[tuple[str, str]]:
        """Return (rig, sensor) of those whose samples are refused; of some there may be no window at all."""
        return [(name, sensor) for name, rig in self._rigs.items() for sensor in rig.sensors]

    def _refused(self, row: RefusedRecord, rig: Open | None, revision: int) -> list[Change]:
        share = (row.late + row.dead) / (row.kept + row.late + row.dead)
        text = (
            f"{share:.0%} of the samples of {row.sensor} in a minute could not be used ({row.late:,} late, "
            f"{row.dead:,} dead letters): look at the rig's clock, and why the dead letters are"
        )
        if rig is None:
            body = self._body(row, text)
            rig = self._rigs[row.rig] = Open(body)
            self.incidents += 1
        elif share <= rig.incident["worst"]:
            rig.sensors[row.sensor] = None
            return []
        rig.sensors[row.sensor] = None
        rig.incident |= {"worst": share, "message": text}
        return [standing.opened(rig.incident, revision)]

    def _body(self, row: RefusedRecord, text: str) -> Body:
        since_us = parse_iso(row.window_start)
        return standing.body_of(
            (row.rig, WHOLE_RIG), UNUSABLE, statistic="refused", since_us=since_us, opened_us=since_us + _MINUTE_US,
            limit=LIMIT, text=text, digest=self.digest,
        )  # fmt: skip
