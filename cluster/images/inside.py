"""Run by an image's own Python in its own file system: bytecode of what is imported, and the compiled kernels.

Its text goes through standard input, so it is not in the image; the Containerfile removes it.
"""

import importlib
import json
import pkgutil
import py_compile
import re
import sys
from pathlib import Path

SOURCES = Path("/tmp/sources.json")  # noqa: S108  # the image's own, and gone when it is made
ADDRESS = re.compile(rb"(?<= at 0x)[0-9a-f]+(?=>)")
PLATFORM = ["dask.__main__", "distributed.cli.dask_scheduler", "distributed.cli.dask_worker", "distributed.nanny"]
PLATFORM += ["hydrodask."]


def sources(wanted: list[str]) -> dict[str, list[str]]:
    """Return the files of all modules that importing `wanted` brings, in order, and those that lack a library."""
    names = [name for name in wanted if not name.endswith(".")]
    for package in (name.removesuffix(".") for name in wanted if name.endswith(".")):
        path = importlib.import_module(package).__path__
        names += [module.name for module in pkgutil.walk_packages(path, f"{package}.")]
    lacking = []
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            lacking.append(f"{name}: {error}")
    specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
    found = {spec.origin for spec in specs if spec is not None and spec.origin and spec.origin.endswith(".py")}
    return {"sources": sorted(path for path in found if Path(path).is_file()), "lacking": lacking}


def compile_all(paths: list[str]) -> None:
    """Write bytecode that is never compared with its source: an image does not change, and its files have no times."""
    for path in paths:
        py_compile.compile(path, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


def forget_addresses(folder: Path) -> None:
    """Take out of compiled kernels where functions were in memory: numba keeps notes on their sources that say so."""
    for path in folder.glob("kernels-*/*.nbc"):
        path.write_bytes(ADDRESS.sub(lambda found: b"0" * len(found[0]), path.read_bytes()))


def main() -> None:
    """Do one of three tasks, each in a process of its own, so that what it makes does not depend on the others."""
    task, *names = sys.argv[1:]
    if task == "sources":
        SOURCES.write_text(json.dumps(sources(names or PLATFORM)), encoding="utf-8")
    elif task == "bytecode":
        compile_all(json.loads(SOURCES.read_text(encoding="utf-8"))["sources"])
    elif task == "kernels":
        importlib.import_module("hydrodask.worker.warm").warm_up()
        forget_addresses(Path(importlib.import_module("hydrodask").__path__[0]) / "__pycache__")


main()
