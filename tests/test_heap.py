"""A worker's heap keeps what was freed: a batch costs no page faults that the one before has paid for."""

import gc
import os
import subprocess
import sys

from hydrodask import heap

BATCHES = """
import resource, sys
import numpy as np
from hydrodask import heap
if sys.argv[1] == "kept":
    assert heap.keep()
def batch():
    for _ in range(8):
        np.full(1 << 17, 1.0)  # 1 MiB: 256 pages
batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_a_batch_takes_its_memory_from_the_one_before() -> None:
    """A worker as Dask starts it asks the system for each array anew; one of ours does so once."""
    environ = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    faults = {
        which: int(subprocess.check_output([sys.executable, "-c", BATCHES, which], env=environ))
        for which in ("kept", "as it is")
    }

    assert faults["as it is"] > 80 * 256
    assert faults["kept"] < 256


def test_what_is_settled_is_no_garbage() -> None:
    """A look for garbage passes over all that was imported before."""
    try:
        heap.settle()

        assert len(gc.get_objects()) < gc.get_freeze_count() / 10
    finally:
        gc.unfreeze()
