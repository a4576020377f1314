"""Try to read what the platform has stored, and what its processes hold: its folder, its environment, its arguments.

A plain script for the standard library alone; its contract is in `_stranger`.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

SECRET = re.compile(r"(?i)(password|secret|token)(?!_file)[^ ]*=[^ ]|://[^/ ]*:[^/ ]*@")
"""What must be in no process list."""


def main(context: dict[str, Any]) -> None:
    """Try each."""
    for door, attempt, outcome in (*folder(Path(context["data_dir"])), *processes(context["pids"])):
        if context["same_user"] and outcome.startswith("open"):
            outcome = "skipped: we are the platform's own user"  # noqa: PLW2901 - it proves nothing then
        sys.stdout.write(json.dumps({"door": door, "attempt": attempt, "outcome": outcome}) + "\n")


def folder(data_dir: Path) -> Iterator[tuple[str, str, str]]:
    """Try the data directory, and files in it by the names that everybody knows."""
    yield "data_dir", "list it", tried(partial(listed, data_dir))
    for name in ("documents.sqlite", "lock", "lake", "snapshots", "services", "mlflow.db"):
        yield "data_dir", f"look at {name}", tried((data_dir / name).stat)
    yield "data_dir", "write a file", tried((data_dir / "stranger").touch)
    yield "data_dir", "read the documents", tried((data_dir / "documents.sqlite").read_bytes)


def processes(pids: list[int]) -> Iterator[tuple[str, str, str]]:
    """Try what the system shows of processes, and to end them."""
    for pid in pids:
        proc = Path(f"/proc/{pid}")
        yield f"process {pid}", "read its environment", tried((proc / "environ").read_bytes)
        yield f"process {pid}", "read its memory", tried((proc / "maps").read_bytes)
        yield f"process {pid}", "list its files", tried(partial(listed, proc / "fd"))
        yield f"process {pid}", "send it a signal", tried(partial(os.kill, pid, 0))
        try:
            said = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError as error:
            yield f"process {pid}", "read its arguments", f"refused: {error.strerror}"
            continue
        held = SECRET.search(said)
        yield f"process {pid}", "read its arguments", f"open: {held[0]}" if held else "public: no secret is in them"


def listed(path: Path) -> list[Path]:
    """Return what is in a folder."""
    return list(path.iterdir())


def tried(act: Callable[[], object]) -> str:
    """Return what comes of it; a process or file that is gone can't be tried."""
    try:
        act()
    except PermissionError as error:
        return f"refused: {error.strerror}"
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError) as error:
        return f"skipped: {error.strerror}"
    return "open: nobody has refused it"


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
