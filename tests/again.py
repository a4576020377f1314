"""The few tests that failed while others ran, once more and alone: `python -m tests.again EXIT_CODE`, from `make test`.

A test that fails again is red. One that passes alone hangs on time, on a machine or on another test: that is a fault
of the test or a race of the product, and it is named last, where it is seen. It does not hold up what all others show.
More than a few are no chance: they are red at once.
"""

import json
import subprocess
import sys
from pathlib import Path

FEW = 3
TESTS_FAILED = 1
"""pytest's exit code; with any other one it was ended, or could not begin."""

FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main(code: int) -> int:
    """Return pytest's exit code, or 0 where each of the failed tests passes alone."""
    failed = sorted(json.loads(FAILED.read_text())) if code == TESTS_FAILED and FAILED.exists() else []
    if not 0 < len(failed) <= FEW:
        return code
    say(f"{len(failed)} failed: once more, alone", failed)
    alone = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:randomly", *failed], check=False).returncode
    if not alone:
        say("failed beside others and passed alone: a fault that hangs on time, to be mended", failed)
    return alone


def say(what: str, tests: list[str]) -> None:
    """Say it behind pytest's own lines."""
    sys.stdout.write("\n".join([what, *(f"  {test}" for test in tests), ""]))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
