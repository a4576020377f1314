"""What an installation takes, and how long a streaming worker imports: `python -m benchmarks.footprint`.

Sizes are of what is installed here, by what each distribution says of its files: those that `pip install hydrodask`
would bring without extras, and with each of them. Import is the CPU time of a fresh interpreter that loads what a
worker's first step needs, beside one that loads Dask's own worker alone; the median of some turns. `--before DIR` is
another checkout, whose modules are imported in the same turns with the same libraries.
"""

import argparse
import statistics
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.results import save

EXTRAS = ("", "dashboard", "frame", "hdfs", "kubernetes", "learn", "mongo", "s3", "services", "all")
MIB = 2**20
DASK = "import distributed.cli.dask_worker, distributed.worker"
WORKER = f"{DASK}\nimport hydrodask.worker.step, hydrodask.worker.host, hydrodask.flows.monitor, hydrodask.flows.alert"
BEFORE = f"{DASK}\nimport hydrodask.stream.step, hydrodask.stream.host, flows.monitor, flows.alert"
CLOCKED = "import time\nbegan_s = time.process_time()\n{}\nprint(time.process_time() - began_s)"


def needed(extra: str) -> set[str]:
    """Return the distributions that an installation with an extra has, hydrodask's own among them."""
    found: set[tuple[str, str]] = set()
    waiting = [("hydrodask", extra)]
    while waiting:
        name, of = waiting.pop()
        if (name, of) in found:
            continue
        found.add((name, of))
        for text in metadata.requires(name) or ():
            one = Requirement(text)
            if one.marker is None or any(one.marker.evaluate({"extra": part}) for part in {"", of}):
                waiting += [(canonicalize_name(one.name), part) for part in ("", *one.extras)]
    return {name for name, _ in found}


@cache  # most are in every extra
def size_mib(name: str) -> float:
    """Return what the files of a distribution take, compiled modules left out."""
    files = metadata.files(name) or []
    paths = [Path(str(file.locate())) for file in files if not str(file).endswith(".pyc")]
    return sum(path.stat().st_size for path in paths if path.is_file()) / MIB


def import_s(code: str, folder: Path) -> float:
    """Return the CPU seconds of imports in a fresh interpreter that runs in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", CLOCKED.format(code)], cwd=folder, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    """Print and store both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout")
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    sizes = {}
    for extra in EXTRAS:
        names = needed(extra)
        sizes[extra or "none"] = {"distributions": len(names), "mib": round(sum(map(size_mib, names)))}
        mib = sizes[extra or "none"]["mib"]
        print(f"{extra or 'no extra':12} {len(names):4} distributions {mib:6,} MiB", flush=True)
    ways = {"dask": (DASK, Path.cwd()), "worker": (WORKER, Path.cwd())}
    if options.before:
        ways["before"] = (BEFORE, options.before.resolve())
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.turns):
        for name, (code, folder) in ways.items():
            taken[name].append(import_s(code, folder))
    imports = {name: round(statistics.median(some), 2) for name, some in taken.items()}
    print(f"CPU s to import: {imports}")
    save("footprint", {"sizes": sizes, "import_cpu_s": imports, "turns": options.turns})


if __name__ == "__main__":
    main()
