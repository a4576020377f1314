"""Loaded by each worker process that we start, before it works.

Ctrl-C in a terminal reaches the whole process group. The driver stops the workers cleanly; they must not stop before.
"""

import logging
import signal


def dask_setup(_worker: object) -> None:
    """Leave SIGINT to the driver, and so the errors of steps, which Dask would print with all of their traces."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("distributed.worker").addFilter(lambda record: not record.getMessage().startswith("Compute Fail"))
