"""alert: from window rows to anomalies and incidents."""

from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Edge
from hydrodask.nodes.judging import DecodeRows, Detect, StoreBands, WriteDocuments
from hydrodask.records import Messages


def build(messages: Edge[Messages], ctx: Context) -> None:
    """Wire the graph of one partition of `hydraulic-analytics`."""
    # Messages: {"rig": "rig-1", "sensor": "CE", "window_start": "2026-…", "avg_value": 46.1, …, "final": true}
    rows = messages.through(DecodeRows(ctx))

    # Arrivals: offset, broker's time, WindowRecord (None: only the time) → Upsert and Remove of documents
    detector = Detect(ctx)
    changes = rows.through(detector)

    # Bands: what each baseline said was usual when it judged, once a minute → Parquet
    detector.bands.through(StoreBands(ctx))

    # Written before the transaction that commits the rows' offsets: a crash between the two repeats them, harmlessly.
    changes.through(WriteDocuments(ctx))
