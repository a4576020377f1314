"""CPU seconds and memory of this process and all that it started, from the operating system's own accounting."""

from dataclasses import dataclass

import psutil

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds used so far (user and system), and resident memory now, MiB, of a process tree."""

    cpu_s: float
    memory_mib: float


def usage(*, without: set[int] = frozenset()) -> Usage:  # type: ignore[assignment]
    """Return the usage of this process and its children at any depth, `without` the trees of some process ids."""
    cpu_s = memory = 0.0
    me = psutil.Process()
    skipped = {child.pid for pid in without for child in _tree(pid)}
    for process in [me, *me.children(recursive=True)]:
        if process.pid in skipped:
            continue
        try:
            times = process.cpu_times()
            cpu_s += times.user + times.system
            memory += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return Usage(cpu_s, memory / MIB)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
