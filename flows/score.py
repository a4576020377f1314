"""score: from cycle profiles to the state of each component, by the registered champions."""

from streamz import Stream

from hydrodask.records import CycleRecord
from hydrodask.stream import scoring  # noqa: F401  (registers the nodes that are named below)
from hydrodask.stream.context import Context


def build(source: Stream, ctx: Context) -> None:
    """Wire the graph of one partition of `hydraulic-cycles`. Takes Messages."""
    # Messages: {"rig": "rig-1", "sensor": "PS2", "cycle": 3, "cycle_start": "2026-…", "mean": [148.9, …], …}
    rows = source.decode_json(ctx, CycleRecord)

    # (offset, cycle of one rig with its 17 sensors), or with those that came before the next cycle was complete.
    cycles = rows.join_sensors(ctx)

    # Upserts of `components` (state, probability, model version) and of `incidents` when a state has changed.
    changes = cycles.score(ctx)

    # Written before the transaction that commits the profiles' offsets: a crash between the two repeats them.
    changes.documents(ctx)
