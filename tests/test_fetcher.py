"""The fetcher's client in C, and who forgets it."""

import subprocess
import sys

import pytest

MAKE = """
import ctypes, gc, logging
from hydrodask import clock
from hydrodask.ingest.fetcher import Fetcher

def make():
    settings = {"group.id": "g", "bootstrap.servers": "127.0.0.1:9", "debug": "all", "reconnect.backoff.ms": "10"}
    return Fetcher(settings, lambda code, text: None, logging.getLogger("hydrodask.kafka"))
"""


@pytest.mark.parametrize(
    "script",
    [
        "for _ in range(5): make().poll(10, 0.01)\ngc.collect()\n",  # dropped: nobody has closed it
        "kept = [make() for _ in range(5)]\n",  # the interpreter ends first
        "one = make(); one.close(); one.close()\n",
    ],
)
def test_a_client_that_is_forgotten_crashes_nothing(script: str) -> None:
    """Its threads call back into Python until it has ended, whoever has dropped it; its memory may have another use."""
    reuse = (
        "others = [ctypes.CFUNCTYPE(None, ctypes.c_int)(print) for _ in range(200)]\nclock.sleep_s(0.5)\nprint('alive')"
    )
    done = subprocess.run([sys.executable, "-c", MAKE + script + reuse], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.strip()) == (0, "alive")
