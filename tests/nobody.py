"""A process as a container has it: another user, without a home or a name, who reads everything and writes nothing."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

_BECOMING = (
    # Reading is left to it: the interpreter of the tests may be in a folder of ours.
    "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search",
    "setpriv --inh-caps -all --bounding-set -all",  # the same user, bound by modes as everybody
    "setpriv --no-new-privs",  # who is no root is bound already
)


@cache
def becoming() -> tuple[str, ...]:
    """Return the words before a command that make it run so, the best that this machine allows."""
    for words in _BECOMING:
        asked = [*words.split(), sys.executable, "-c", "open('/etc/hydrodask-test', 'w')"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if "PermissionError" in done.stderr:
            return tuple(words.split())
    raise AssertionError("nothing makes a process that can not write into /etc")


def python_as_nobody(folder: Path, *words: str, **environ: str) -> str:
    """Return what Python prints, for such a user, with the package in `folder` and few variables."""
    done = subprocess.run(
        [*becoming(), sys.executable, "-B", *words],
        cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": str(folder), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout
