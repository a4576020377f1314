"""How far today's cycles are from the training data, of all partitions. Pure."""

from collections.abc import Iterable

from hydrodask.reports import PartitionReport


def furthest(parts: Iterable[PartitionReport]) -> dict[str, tuple[float, float]]:
    """Return index and share outside by feature, each of the partition that is furthest."""
    found: dict[str, tuple[float, float]] = {}
    for name, (index, outside) in (one for part in parts for one in part.drift.items()):
        before = found.get(name, (index, outside))
        found[name] = max(before[0], index), max(before[1], outside)
    return found
