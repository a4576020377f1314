"""alert: from window rows to anomalies and incidents."""

from streamz import Stream

from hydrodask.stream import judging  # noqa: F401  (registers the nodes that are named below)
from hydrodask.stream.context import Context


def build(source: Stream, ctx: Context) -> None:
    """Wire the graph of one partition of `hydraulic-analytics`. Takes Messages."""
    # Messages: {"rig": "rig-1", "sensor": "CE", "window_start": "2026-…", "avg_value": 46.1, …, "final": true}
    rows = source.decode_rows(ctx)

    # Arrivals: offset, broker's time, WindowRecord (None: only the time) → Upsert and Remove of documents
    changes = rows.detect(ctx)

    # Written before the transaction that commits the rows' offsets: a crash between the two repeats them, harmlessly.
    changes.documents(ctx)
