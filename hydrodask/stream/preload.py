"""Loaded by each worker process that we start, before it works, and by others' (`dask worker --preload …`).

Ctrl-C in a terminal reaches the whole process group. The driver stops the workers cleanly; they must not stop before.
What a step needs is imported and compiled in a thread meanwhile: the first order then finds it there, and a worker that
has to compile everything is not late to say that it is there.
"""

import logging
import signal
import threading
from importlib import import_module
from typing import Any

from hydrodask import redaction


def dask_setup(worker: Any) -> None:
    """Leave SIGINT to the driver, and so the errors of steps, which Dask would print with all of their traces.

    A worker that is short of memory goes on: what a step needs is not Dask's to spill, and a paused one would start no
    step and say nothing. Its nanny ends it before the system does, and so does its container.
    """
    redaction.guard()
    memory = worker.memory_manager
    memory.memory_target_fraction = memory.memory_spill_fraction = memory.memory_pause_fraction = False
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("distributed.worker").addFilter(lambda record: not record.getMessage().startswith("Compute Fail"))
    threading.Thread(target=_prepare, name="prepare", daemon=True).start()


def _prepare() -> None:
    import_module("hydrodask.stream.step")
    import_module("hydrodask.stream.warm").warm_up()
