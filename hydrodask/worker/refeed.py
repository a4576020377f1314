"""Bring state on without the log: up to where raw/ ends, from raw/ itself, and over into the next log of the name.

Rows of raw/ are no part of a snapshot, for the log gives them back. It does not once it has gone with its embedded
broker, or retention has passed the snapshot. What raw/ has of it the nodes take from there, as they would from the log.
"""

import logging
from collections.abc import Callable, Sequence
from itertools import pairwise

from hydrodask.channels import SENSORS
from hydrodask.logs import spot
from hydrodask.nodes.context import Context
from hydrodask.protocol.incarnation import Seam
from hydrodask.store.schemas import samples_of

log = logging.getLogger(__name__)


def reach(ctx: Context, start: int, low: int, *, over: bool, whole: bool) -> int:
    """Return up to where the lake gives back what the log had from `start` and before `low`; `start` if nothing.

    That is where raw/ ends, or labels/ of labels. A flow from outside has no such files of its own: it takes them from
    the platform's, or is told what it does not get. The lake does not have window rows and profiles by their offsets.
    `over`: see `Partition`. `whole`: the run before ended in order.
    """
    ends = [output.position for output in ctx.files.values() if not output.keep]
    if not ends and not ctx.owns:
        if ctx.sensor != "labels" and ctx.sensor not in SENSORS:
            if over and not whole:
                _miss(ctx, start, None)
            return start
        folder = ctx.sensor if ctx.sensor == "labels" else f"raw/sensor={ctx.sensor}"
        ends = [ctx.lake.end_before(folder, ctx.source, low) if over else ctx.lake.end(folder, ctx.source)]
    end = min([low, *ends])
    if end > start and not ctx.owns and not ctx.refeeding:
        if over:
            _miss(ctx, start, end)
        return start
    return max(start, end)


def _miss(ctx: Context, start: int, end: int | None) -> None:
    """Say that a flow does not get what an earlier log had from `start` to `end`: it takes no samples from raw/.

    None: nothing says where that log ended.
    """
    if end is None:
        records = 0
        said = (
            f"what the broker of an earlier run had from offset {start} on went with it before this flow had taken it, "
            "and is lost for it; how many records is not known. A Kafka of your own keeps them: kafka.embedded=false"
        )
    else:
        records = end - start
        ctx.totals["lost"] += records
        said = (
            f"{records} records from offset {start} to {end} went with the broker of an earlier run before this "
            "flow had taken them, and are lost for it: they are in the lake, from which only flows that begin with "
            "Decode take"
        )
    ctx.notes.append(said)
    log.warning("%s-%s: %s", *ctx.source, said, extra=spot(ctx.source, start, flow=ctx.flow, records=records))


def refeed(ctx: Context, start: int, end: int, emitted: int, committed: int, *, forget: Callable[[], None]) -> int:
    """Give the graph what raw/ has from offset `start` up to `end`; return how many samples these were.

    Below `committed` outputs are out already, and below `emitted` open windows, too: `forget` is called there. Of what
    comes behind both, what raw/ does not have is counted as lost, for a record that was to be a dead letter is nowhere
    else.
    """
    count = loud = 0
    if not ctx.refeeding:
        return count
    borders = [min(max(border, start), end) for border in (start, emitted, committed, end)]
    ctx.quiet, forgotten = True, False
    for table in ctx.lake.rows_from(f"raw/sensor={ctx.sensor}", ctx.source, start, column="offset"):
        samples = samples_of(table, ctx.sensor, ctx.source)
        for (low, high), quiet in zip(pairwise(borders), (True, True, False), strict=True):
            part = samples.take((samples.offset >= low) & (samples.offset < high))
            if not len(part):
                continue
            if low >= borders[1] and not forgotten:
                forget()
                forgotten = True
            ctx.quiet = quiet
            count += len(part)
            loud += 0 if quiet else len(part)
            for step in ctx.refeeding:
                step.again(part)
    if not forgotten:
        forget()
    if lost := end - borders[2] - loud:
        ctx.totals["lost"] += lost
        ctx.notes.append(f"{lost} of the offsets below {end} went with the log, and are not in raw/: dead letters, say")
    return count


def cross(ctx: Context, seams: Sequence[Seam], at: int, *, quiet: bool) -> int:
    """Bring the state of offset `at` over seams into the log that is read; return the offset where it stands then.

    What ends with a log goes to the outputs, unless it is `quiet`, for then that was published when it ended.
    """
    for seam in seams:
        ctx.quiet = quiet or seam is not seams[-1]
        if not seam.keeps:
            raw = [f.position for f in ctx.files.values() if not f.keep]
            ctx.totals["lost"] += max(0, seam.end - min([seam.end, *raw]))
            for step in ctx.crossing:
                step.cross(seam.base, seam.whole and seam.end == at)
        for output in ctx.files.values():
            output.pass_over(seam.begin)
        at = ctx.counted = seam.begin
    return at
