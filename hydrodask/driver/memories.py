"""What is known of the memory of Dask's workers, also of those that are gone."""

from collections.abc import Mapping, Sequence
from typing import Any

_FULL = 0.9
"""A worker that had so much of its memory when it was last heard of died of it."""

_GONE_MAX = 1000
"""Workers of which it is remembered how much memory they had."""


class Memories:
    """Status, memory and its limit, in bytes, of each worker when it was last heard of."""

    def __init__(self) -> None:
        self._there: list[str] = []
        self._seen: dict[str, tuple[str, int, int]] = {}

    def see(self, workers: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Keep what the scheduler says of its workers, and return their addresses."""
        for address, one in workers.items():
            self._seen[address] = one["status"], int(one["metrics"].get("memory", 0)), int(one["memory_limit"] or 0)
        while len(self._seen) > _GONE_MAX + len(workers):
            del self._seen[next(iter(self._seen))]
        self._there = sorted(workers)
        return self._there

    def paused(self) -> Mapping[str, str]:
        """Return who of those that are there starts no step, and what to do about it."""
        return {worker: _pause(*self._seen[worker][1:]) for worker in self._there if self._seen[worker][0] == "paused"}

    def of(self, worker: str, ended: Sequence[Mapping[str, Any]]) -> str:
        """Say what is wrong with a worker's memory; nothing if all is well. `ended` is what nannies have told."""
        status, used, limit = self._seen.get(worker, ("", 0, 0))
        for event in reversed(ended):
            if event["worker"] == worker:
                known = f", its limit is {_mib(limit)}" if limit else ""
                if "rss" not in event:
                    return f"the kernel killed it, as its container was out of memory (OOM kill){known}"
                return f"Dask ended it at {_mib(event['rss'])} of memory{known}"
        if status == "paused":
            return _pause(used, limit)
        return f"it had {_mib(used)} of memory, its limit is {_mib(limit)}" if limit and used > _FULL * limit else ""


def _pause(used: int, limit: int) -> str:
    return (
        f"Dask has paused it at {_mib(used)} of memory, its limit is {_mib(limit)}: no step starts there; give it "
        "more, start it with --preload hydrodask.worker.preload, or set distributed.worker.memory.pause to false there"
    )


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
