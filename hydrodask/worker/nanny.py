"""Loaded by the nanny of a worker whose scheduler may be replaced: `--preload-nanny hydrodask.worker.nanny`.

A worker that loses its scheduler ends, and tells its nanny to end, too. Whoever watches over both, as Kubernetes does,
then starts two Pythons anew with all that they import, though nothing is wrong with them: another scheduler will listen
at the same address. This nanny stays, and starts the next worker at once, as a fork of a process that has imported
what a worker needs; that one waits for the scheduler.

It also tells whom the kernel has killed for want of memory. Dask's own look, once a second, is too slow for a worker
that asks for all of it at once, and then nobody could say why it died.
"""

import contextlib
import signal
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import dask
from distributed.utils import get_mp_context

REPLACED = ("worker-handle-scheduler-connection-broken", "scheduler-close")
"""Why a worker ends whose scheduler is gone, or goes in order, as Dask says it; a test compares."""

ATTEMPT = "3s"
"""How long a worker's attempt to reach the scheduler takes; Dask tries less and less often within it, and then anew.
Not the nanny's own first one, after which it would end.
"""

ENDED = "worker-restart-memory"
"""The topic under which Dask's nannies tell the scheduler whom they have ended for want of memory, and at how much of
it; and this one whom the kernel has killed, at nobody knows how much.
"""

COUNTS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
"""Where a container sees how often the kernel has killed in it: cgroup v2, and v1."""


def dask_setup(nanny: Any) -> None:
    """Stay when a scheduler goes, have the next worker ready by the time there is another, and tell of OOM kills."""
    _outlive(nanny)
    _tell(nanny)


def oom_kills(files: Sequence[Path]) -> int:
    """Return how often the kernel has killed for want of memory, by the first of `files` that says so; or 0."""
    for file in files:
        with contextlib.suppress(OSError):
            counts = dict(line.split() for line in file.read_text(encoding="ascii").splitlines())
            return int(counts.get("oom_kill", 0))  # not there before Linux 4.13
    return 0


def _tell(nanny: Any) -> None:
    """Tell the scheduler of each worker that is killed while the container's count grows."""
    seen, ended = oom_kills(COUNTS), nanny._on_worker_exit_sync  # noqa: SLF001  # Dask has no other door for it

    def on_exit(exitcode: int) -> None:
        nonlocal seen
        ended(exitcode)
        before, seen = seen, oom_kills(COUNTS)
        if exitcode == -signal.SIGKILL and seen > before and nanny.worker_address is not None:
            nanny.log_event(ENDED, {"worker": nanny.worker_address})

    nanny._on_worker_exit_sync = on_exit  # noqa: SLF001


def _outlive(nanny: Any) -> None:
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    nanny.config = deepcopy(nanny.config)  # Dask's copy shares what is below with this process's own
    dask.config.set({"distributed.comm.timeouts.connect": ATTEMPT}, config=nanny.config)
    get_mp_context().set_forkserver_preload(["distributed", "hydrodask.worker.forked"])
    end = nanny.handlers["close_gracefully"]

    def close_gracefully(reason: str = "") -> None:
        if reason in REPLACED:
            nanny.process.worker_address = None  # there is nobody with whom it could be signed off
        else:
            end(reason=reason)

    nanny.handlers["close_gracefully"] = close_gracefully
