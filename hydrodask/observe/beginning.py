"""What a run does while there is nothing to count yet. Pure."""

from hydrodask.reports import Overview


def beginning(overview: Overview, kernels: tuple[int, int] | None) -> str:
    """Return what workers do before they have opened a partition; nothing as soon as they have.

    `kernels`: how many they have compiled, and of how many; None if that is no business of this run.

    >>> beginning(Overview("r", 0, "running", {"tcp://1": 0}), (17, 43))
    'starting: 1 worker, compiling kernels (17 of 43)'
    >>> beginning(Overview("r", 0, "running", {"tcp://1": 0, "tcp://2": 1}, steps=2), (17, 43))
    'starting: 2 workers, opening partitions'
    """
    if overview.state not in ("starting", "running") or overview.partitions:
        return ""
    if not overview.workers:
        return "starting: no worker yet"
    count = len(overview.workers)
    far = f" ({kernels[0]} of {kernels[1]})" if kernels and kernels[0] else ""
    doing = "opening partitions" if overview.steps else f"compiling kernels{far}" if kernels else "getting ready"
    return f"starting: {count} worker{'' if count == 1 else 's'}, {doing}"
