"""monitor: from a sensor's raw records to the lake, sliding windows and cycle profiles."""

from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Edge
from hydrodask.nodes.sensors import CycleProfiles, Decode, Publish, SlidingWindows, Store
from hydrodask.records import Messages


def build(messages: Edge[Messages], ctx: Context) -> None:
    """Wire the graph of one partition of `hydraulic-<SENSOR>`."""
    # Messages: {"sensor": "PS1", "cycle": 3, "sample_idx": 12, "value": 151.47, "timestamp": "2026-…", …}
    samples = messages.through(Decode(ctx))

    # Samples: columns rig, cycle, sample_idx, value, time_us, rate_hz, offset. Bad records are dead letters by now.
    samples.through(Store(ctx, "raw", by_date=True))

    # Windows: rig, start_us, count, mean, stddev, low, high, final, revision. Final ones at once, open ones on ticks.
    sliding = SlidingWindows(ctx)
    windows = samples.through(sliding)
    windows.through(Publish(ctx, "analytics"))
    windows.through(Store(ctx, "windows"))

    # Late: samples that changed no window, and how late each was.
    sliding.late.through(Store(ctx, "late"))

    # Profiles: rig, cycle, and per one-second segment count, mean, m2, low, high.
    profiles = samples.through(CycleProfiles(ctx))
    profiles.through(Publish(ctx, "cycles"))
    profiles.through(Store(ctx, "cycles"))
