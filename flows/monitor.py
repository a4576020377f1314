"""monitor: from a sensor's raw records to the lake, sliding windows and cycle profiles."""

from streamz import Stream

from hydrodask.stream import nodes  # noqa: F401  (registers the nodes that are named below)
from hydrodask.stream.context import Context


def build(source: Stream, ctx: Context) -> None:
    """Wire the graph of one partition of `hydraulic-<SENSOR>`. Takes Messages."""
    # Messages: {"sensor": "PS1", "cycle": 3, "sample_idx": 12, "value": 151.47, "timestamp": "2026-…", …}
    samples = source.decode(ctx)

    # Samples: columns rig, cycle, sample_idx, value, time_us, rate_hz, offset. Bad records are dead letters by now.
    samples.store(ctx, "raw", by_date=True)

    # Windows: rig, start_us, count, mean, stddev, low, high, final, revision. Final ones at once, open ones on ticks.
    windows = samples.sliding_windows(ctx)
    windows.publish(ctx, "analytics")
    windows.store(ctx, "windows")

    # Late: samples that changed no window, and how late each was.
    windows.late.store(ctx, "late")

    # Profiles: rig, cycle, and per one-second segment count, mean, m2, low, high.
    profiles = samples.cycle_profiles(ctx)
    profiles.publish(ctx, "cycles")
    profiles.store(ctx, "cycles")
