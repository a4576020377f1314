"""Bring a partition to its place in the log: when it is opened, and when the place is not there any more."""

import logging
from collections.abc import Iterable

from hydrodask import clock
from hydrodask.errors import FatalError, RetryableError
from hydrodask.failpoints import failpoint
from hydrodask.ingest.identity import named
from hydrodask.logs import spot
from hydrodask.protocol.incarnation import Start, same
from hydrodask.worker.opening import Opening
from hydrodask.worker.partition import Partition
from hydrodask.worker.watching import LogWatch

log = logging.getLogger(__name__)


class Places:
    """Opens the partitions of one host, and lets its reader read them."""

    def __init__(self, opening: Opening, watch: LogWatch) -> None:
        self._opening, self._watch = opening, watch
        self._kafka = opening.settings.kafka

    def open(self, partition: Partition, hosted: Iterable[Partition], *, latest: bool) -> bool:
        """Open a partition and read on where it stands; False while there is no such topic."""
        started_s, reader, ctx = clock.monotonic_s(), self._opening.reader, partition.ctx
        failpoint("open.begun")
        start = self._opening.start(ctx)
        if start is None:
            return False
        position = _begin(partition, start, latest=latest and not self._kafka.embedded)
        failpoint("open.restored")
        pinned = partition.crossed or (start.committed is None and partition.fresh)
        if position < start.low:
            self._lose(partition, start.low)
        _check_end(partition, start.high)
        if pinned:
            partition.pin(started_s)
            failpoint("open.pinned")
        if not self._watch.suits(ctx.topic, ctx.log):
            reader.renew()
            self._watch.renewed([*hosted, partition])
        reader.assign(ctx.source, partition.position, ctx.base)
        return True

    def reposition(self, partition: Partition) -> None:
        """Read a partition that is hosted and not read: on from its position, or from where the log begins now."""
        reader, ctx = self._opening.reader, partition.ctx
        low, high = (ctx.base + bound for bound in reader.bounds(ctx.source))
        if not same(self._opening.identities.of([ctx.topic]).get(ctx.topic, ""), ctx.log):
            raise RetryableError(f"topic {ctx.topic} was deleted or made anew while {partition.name} was looked at")
        _check_end(partition, high)
        if partition.position < low:
            self._lose(partition, low)
        reader.assign(ctx.source, partition.position, ctx.base)

    def _lose(self, partition: Partition, low: int) -> None:
        """Say, count and survive (or not) that the log has lost records."""
        position = partition.position
        what = f"offsets {position} to {low} are gone from the log (retention), {low - position} records lost"
        if self._kafka.on_data_loss == "fail":
            raise FatalError(f"{partition.name}: {what}; kafka.on_data_loss is fail")
        partition.lose(low)
        partition.notes.append(what)
        log.error("%s: %s", partition.name, what, extra=spot(partition.ctx.source, position, records=low - position))


def _begin(partition: Partition, start: Start, *, latest: bool) -> int:
    """Open where `start` says; return the offset to read from."""
    one = start.incarnation
    partition.ctx.log, partition.ctx.base, partition.ctx.logs = one.log, one.base, start.number
    position = partition.open(
        start.committed,
        start.begin,
        start.emitted,
        begin=start.high if latest and start.number == 1 else None,
        high=start.high,
        found=start.found,
        floor=start.floor,
        seams=start.seams,
        published=start.published,
    )
    partition.notes += start.notes
    if start.unsaid:
        partition.marked = (-1, -1)
    return position


def end(partition: Partition) -> None:
    """Store all that was taken of a log that is not there any more, and what waits for a commit, with the state.

    A state that is replayed yet is not stored: what it lacks to the commit nobody gets to see any more.
    """
    now_s = clock.monotonic_s()
    partition.roll(now_s, rows_max=1, age_s_max=0.0)
    if not partition.ctx.quiet:
        partition.pin(now_s, ended=True)


def _check_end(partition: Partition, high: int) -> None:
    if partition.position > high:
        why = "it is the same log" if named(partition.ctx.log) else "or another one, the broker gives topics no ids"
        raise FatalError(
            f"position {partition.position} of {partition.name} is past the log's end {high}, and {why}: "
            "the broker has lost records. Bring them back, or use another kafka.group and data_dir"
        )
