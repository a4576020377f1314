"""Loaded by each worker process that we start, before it works.

Ctrl-C in a terminal reaches the whole process group. The driver stops the workers cleanly; they must not stop before.
"""

import signal


def dask_setup(_worker: object) -> None:
    """Leave SIGINT to the driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
