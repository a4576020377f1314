"""The flows: one file each, wiring and comments only.

A flow is a function `build(messages, ctx)` that wires the graph of one partition of one topic; its batches come by the
edge `messages`. `run/platform.py` gives these functions to the workers, and `worker/partition.py` calls them.
"""

from hydrodask.flow import Flow, read_by
from hydrodask.flows import alert, labels, monitor, score

__all__ = ["FLOWS", "Flow"]

FLOWS: tuple[Flow, ...] = (
    Flow("monitor", read_by("monitor"), monitor.build, ("raw", "windows", "cycles", "late"), ("analytics", "cycles")),
    Flow("labels", read_by("labels"), labels.build, ("labels",)),
    Flow("alert", read_by("alert"), alert.build, ("bands",), collections=("anomalies", "incidents")),
    Flow(
        "score",
        read_by("score"),
        score.build,
        ("scores",),
        collections=("components", "component_changes", "incidents"),
    ),
)
"""The streaming flows, and all that each writes, but for the dead letters of all."""
