"""labels: what was true of a rig in each cycle, kept for training."""

from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Edge
from hydrodask.nodes.labelled import DecodeLabels, StoreLabels
from hydrodask.records import Messages


def build(messages: Edge[Messages], ctx: Context) -> None:
    """Wire the graph of one partition of `hydraulic-labels`."""
    # Messages: {"rig": "rig-1", "cycle": 3, "timestamp": "2026-…", "cooler": 100, "valve": 100, "pump": 0, …}
    rows = messages.through(DecodeLabels(ctx))

    # Rows: pairs of offset and LabelRecord.
    rows.through(StoreLabels(ctx))
