"""Run a module's processes as one engine: `PYTHON -m benchmarks.peers.together MODULE ORDER…`.

Runs in an engine's environment, and imports nothing of this project.
"""

import os
import subprocess
import sys


def main(module: str, orders: list[str]) -> None:
    """Start a process for each order, which is to run until it is killed; when one ends, end the others."""
    processes = [subprocess.Popen([sys.executable, "-m", module, order]) for order in orders]
    os.wait()
    for process in processes:
        process.terminate()
    sys.exit(f"one of {len(processes)} processes of {module} has ended")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
