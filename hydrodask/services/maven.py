"""Fetch the jars that a pom.xml pins, with Maven."""

import shutil
from pathlib import Path

from hydrodask.errors import UnreachableError
from hydrodask.services import pinned
from hydrodask.services.service import Say


def install(source: Path, folder: Path, say: Say) -> None:
    """Make `folder` hold exactly the jars of `source`/checksums.txt; fetch them if it is missing.

    `source` also holds the pom.xml that pins the versions. Raises UnreachableError without Maven or
    network, and IntegrityError when a jar differs, is missing, or is one too many.
    """
    wanted = pinned.read_checksums(source / "checksums.txt")
    pinned.install(folder, wanted, lambda fresh: _fetch(source / "pom.xml", fresh, len(wanted), say))


def _fetch(pom: Path, into: Path, count: int, say: Say) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise UnreachableError(
            "could not fetch jars: there is no `mvn` on the PATH; install Maven (Debian, Ubuntu: apt-get install maven)"
        )
    argv = [
        *(maven, "--batch-mode", "--no-transfer-progress", "--file", str(pom)),
        *("dependency:copy-dependencies", f"-DoutputDirectory={into}"),
    ]
    told: set[int] = set()

    def progress() -> None:
        there = len(list(into.iterdir()))
        if there not in told:  # Maven plans for a while before the first jar comes
            told.add(there)
            say(f"fetching {there} of {count} jars with Maven")

    pinned.run(argv, what="fetch jars", progress=progress)
