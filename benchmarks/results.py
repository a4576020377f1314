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
        "machine": machine(),
        "versions": versions(),
        **result,
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def next_round(name: str) -> int:
    """Return the number of the first round that `NAME.json` does not hold: rounds of two commands are not mixed."""
    path = RESULTS / f"{name}.json"
    runs = json.loads(path.read_text())["runs"] if path.exists() else []
    return 1 + max((run["round"] for run in runs), default=-1)


def add(name: str, line: dict[str, Any], about: dict[str, Any]) -> Path:
    """Add a line to `runs` of `benchmarks/results/NAME.json`, so that what was measured stays when a run is ended."""
    path = RESULTS / f"{name}.json"
    there = json.loads(path.read_text()) if path.exists() else {}
    engines = there.get("engines", {}) | about.get("engines", {})
    line = line | {"commit": _git("rev-parse", "--short", "HEAD")}
    return save(name, {**about, "engines": engines, "runs": [*there.get("runs", []), line]})


def machine() -> dict[str, Any]:
    """Return what is measured on."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the libraries that matter for speed."""
    return {name: version(name) for name in LIBRARIES}


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ("git", *arguments),  # noqa: S607
        cwd=RESULTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()
