"""Try every door as somebody else: another user of this machine, who knows where things listen and can read no file.

Each other file of this folder whose name does not begin with `_` is one try. It is a plain script for the standard
library alone, run by `python -I` in another folder, as user 65534, without our environment. Its only argument is the
context, a JSON object: what anybody can find out.

    ports        [{"port", "process"}]: all that the platform listens on; process is driver, worker, broker or kafka
    dask         ports of driver and workers that are none of those below
    dashboard    host:port     metrics     host:port
    broker       host:port of the embedded broker, if there is one
    kafka        {"INTERNAL": host:port, …}: listeners of the local Kafka, if there is one
    topic, group, roles        names on the brokers
    services     {name: address} of other local services that run
    data_dir     the platform's folder     pids    [ids of its processes]
    same_user    true if we could not become another user: then what files and processes show proves nothing

It prints a JSON object a line: {"door", "attempt", "outcome"}. An outcome is one of `VERDICTS`, a colon, and why.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
UID = 65534
TRY_S = 180.0
"""Limit of one script."""

LAST = "broker"
"""It ends the broker, and with it the run."""

VERDICTS = {
    "refused": "as it should be",
    "public": "meant for everybody on this machine",
    "known": "a weakness that docs/security.md names",
    "skipped": "could not be tried here",
    "open": "a hole",
}

PATH = "/usr/local/bin:/usr/bin:/bin"

Row = dict[str, str]


def names() -> list[str]:
    """Return the scripts in the order in which they are run."""
    found = [path.stem for path in sorted(FOLDER.glob("[!_]*.py"))]
    return sorted(found, key=lambda name: (name == LAST, name))


def try_all(context: Mapping[str, Any]) -> list[Row]:
    """Run each script; return all of their rows. A script that fails is an AssertionError with what it said."""
    return [row for name in names() for row in tried(name, context)]


def tried(name: str, context: Mapping[str, Any]) -> list[Row]:
    """Run one script as the stranger."""
    given = json.dumps({**context, "same_user": not other_user()})
    done = _as_stranger(python(), (FOLDER / f"{name}.py").read_text(), given)
    assert done.returncode == 0, f"tests/doors/{name}.py failed:\n{done.stdout}\n{done.stderr}"
    rows: list[Row] = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    for row in rows:
        assert set(row) == {"door", "attempt", "outcome"}, f"tests/doors/{name}.py: {row}"
        assert row["outcome"].partition(":")[0] in VERDICTS, f"tests/doors/{name}.py: {row}"
    return rows


def other_user() -> bool:
    """Say whether we can become another user."""
    return os.geteuid() == 0


@functools.cache
def python() -> str:
    """Return an interpreter that the stranger can run: ours, but not by way of our environment's folder."""
    candidates = [os.path.realpath(sys.executable), shutil.which("python3", path=PATH)]
    for found in filter(None, candidates):
        if _works(found):
            return found
    raise AssertionError(f"user {UID} can run none of {candidates}")


def _works(interpreter: str) -> bool:
    try:
        return _as_stranger(interpreter, "import json, socket, ssl", "").returncode == 0
    except OSError:
        return False


def _as_stranger(interpreter: str, script: str, argument: str) -> "subprocess.CompletedProcess[str]":
    become: dict[str, Any] = {"user": UID, "group": UID, "extra_groups": []} if other_user() else {}
    command = [interpreter, "-I", "-", argument]
    return subprocess.run(
        command,
        input=script,
        cwd="/",
        env={"PATH": PATH},
        capture_output=True,
        text=True,
        timeout=TRY_S,
        check=False,
        **become,
    )


def table(rows: Sequence[Row]) -> str:
    """Return rows for people."""
    columns = ("door", "attempt", "outcome")
    widths = [max(len(column), *(len(row[column]) for row in rows)) for column in columns]
    lines = [columns, *(tuple(row[column] for column in columns) for row in rows)]
    return "\n".join("  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def holes(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that say what must not be."""
    return [row for row in rows if row["outcome"].startswith("open")]
