"""Bring state up to where raw/ ends, from raw/ itself, where the log has not what lies between.

Rows of raw/ are no part of a snapshot, for the log gives them back. It does not once it has gone with its embedded
broker, or retention has passed the snapshot. What raw/ has of it the nodes take from there, as they would from the log.
"""

from collections.abc import Callable

from hydrodask.store.schemas import samples_of
from hydrodask.stream.context import Context


def refeed(ctx: Context, start: int, end: int, *, quiet_below: int, forget: Callable[[], None]) -> int:
    """Give the graph what raw/ has from offset `start` up to `end`; return how many samples these were.

    Below `quiet_below` outputs are out already; `forget` is called behind them, while it is quiet.
    """
    count = 0
    if not ctx.refeed:
        return count
    ctx.quiet, edge = True, min(quiet_below, end)
    for table in ctx.lake.rows_from(f"raw/sensor={ctx.sensor}", ctx.source, start, column="offset"):
        samples = samples_of(table, ctx.sensor, ctx.source)
        for low, high, quiet in ((start, edge, True), (max(start, edge), end, False)):
            part = samples.take((samples.offset >= low) & (samples.offset < high))
            if not len(part):
                continue
            if ctx.quiet and not quiet:
                forget()
            ctx.quiet = quiet
            count += len(part)
            for take in ctx.refeed:
                take(part)
    if ctx.quiet:
        forget()
    return count
