"""Loaded by each worker process that we start, before it works, and by others' (`dask worker --preload …`).

Ctrl-C in a terminal reaches the whole process group. The driver stops the workers cleanly; they must not stop before.
What a step needs is imported and compiled in a thread meanwhile: the first order then finds it there, and a worker that
has to compile everything is not late to say that it is there.

A worker that ends in order (SIGTERM at its nanny, a retirement, a smaller cluster) hands over what it holds before.
"""

import asyncio
import contextlib
import logging
import signal
import sys
import threading
from importlib import import_module
from typing import Any

from hydrodask import heap, logs, redaction

LEAVE_S = 20.0
"""Limit of that; a nanny kills after 4 to 8 s by itself, and Kubernetes after 30."""


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C, and errors of steps with all their traces, to the driver, and a closed terminal to the nanny.

    A worker that is short of memory goes on: what a step needs is not Dask's to spill, and a paused one would start no
    step and say nothing. Its nanny ends it before the system does, and so does its container.
    """
    redaction.guard()
    logs.begin_in_worker()
    memory = worker.memory_manager
    memory.memory_target_fraction = memory.memory_spill_fraction = memory.memory_pause_fraction = False
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if worker.nanny:  # which it does not outlive
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.getLogger("distributed.worker").addFilter(_worth_saying)
    threading.Thread(target=_prepare, name="prepare", daemon=True).start()


def _worth_saying(record: logging.LogRecord) -> bool:
    """Say whether Dask's message is news; where a connection has gone away its sentence is, and no trace of it."""
    if record.exc_info and isinstance(record.exc_info[1], OSError):
        record.exc_info = record.exc_text = None
    return not record.getMessage().startswith("Compute Fail")


async def dask_teardown(_worker: object) -> None:
    """Hand over what this worker holds, while the scheduler still knows it."""
    hand_over = getattr(sys.modules.get("hydrodask.worker.step"), "leave", None)
    if hand_over is None:
        return  # not imported, or not to its end: there was no step
    loop, left = asyncio.get_running_loop(), asyncio.Event()

    def leave() -> None:
        hand_over()
        with contextlib.suppress(RuntimeError):  # the process was faster
            loop.call_soon_threadsafe(left.set)

    threading.Thread(target=leave, name="leave", daemon=True).start()  # nobody waits for one that hangs
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(left.wait(), LEAVE_S)


def _prepare() -> None:
    heap.settle()
    import_module("hydrodask.worker.step")
    heap.settle()
    import_module("hydrodask.worker.warm").warm_up()
    heap.settle()
