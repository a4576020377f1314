"""labels: what was true of a rig in each cycle, kept for training."""

from streamz import Stream

from hydrodask.records import LabelRecord
from hydrodask.stream import judging  # noqa: F401  (registers the nodes that are named below)
from hydrodask.stream.context import Context


def build(source: Stream, ctx: Context) -> None:
    """Wire the graph of one partition of `hydraulic-labels`. Takes Messages."""
    # Messages: {"rig": "rig-1", "cycle": 3, "timestamp": "2026-…", "cooler": 100, "valve": 100, "pump": 0, …}
    rows = source.decode_json(ctx, LabelRecord)

    # Rows: pairs of offset and LabelRecord.
    rows.store_labels(ctx)
