"""Results as JSON: what was measured, on which machine, from which commit, with which versions."""

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from hydrodask import clock

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("dask", "distributed", "streamz", "confluent-kafka", "pyarrow", "msgspec", "numba", "numpy")


def save(name: str, result: dict[str, Any]) -> Path:
    """Write `result` with its surroundings to `benchmarks/results/NAME.json` and return the path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {
        "benchmark": name,
        "measured_at": clock.iso(clock.now_us() // 10**6 * 10**6),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain", "hydrodask") else ""),
        "machine": {
            "cores": psutil.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
        },
        "versions": {name: version(name) for name in LIBRARIES},
        **result,
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ("git", *arguments),  # noqa: S607
        cwd=RESULTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()
