"""CPU seconds and memory of this process and all that it started, from the operating system's own accounting."""

import threading
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
        if process.pid not in skipped and (one := _used(process)) is not None:
            cpu_s, memory = cpu_s + one.cpu_s, memory + one.memory_mib
    return Usage(cpu_s, memory)


def _used(process: psutil.Process) -> Usage | None:
    """Return what one process has used, None if it has ended."""
    try:
        times = process.cpu_times()
        return Usage(times.user + times.system, process.memory_info().rss / MIB)
    except psutil.NoSuchProcess:
        return None


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


class Sampler:
    """What a tree of processes has used, those that have ended included, looked at `every_s` in a thread."""

    def __init__(self, root: psutil.Process, *, every_s: float = 0.25) -> None:
        self.root = root
        self.memory_mib_max = 0.0
        self._cpu_s: dict[tuple[int, float], float] = {}
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def look(self) -> float:
        """Return the CPU seconds (user and system) that the tree has used so far."""
        memory = 0.0
        for process in _tree(self.root.pid):
            if (one := _used(process)) is not None:
                key = process.pid, process.create_time()
                if key in self._cpu_s:  # a JVM's child has all of its memory until it becomes what was to be started
                    memory += one.memory_mib
                self._cpu_s[key] = one.cpu_s
        self.memory_mib_max = max(self.memory_mib_max, memory)
        return sum(self._cpu_s.values())

    def follow(self, root: psutil.Process) -> None:
        """Look at another tree from now on; what the old one has used stays counted."""
        self.root = root

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.look()
