"""Fetch jars with Maven, and accept them only when each is what was pinned."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from hydrodask import clock
from hydrodask.errors import IntegrityError, UnreachableError
from hydrodask.services.contract import Say

MAVEN_S = 900.0
POLL_S = 0.5
OUTPUT_LINES = 5
"""Lines of Maven's output that an error quotes."""


def cache_folder() -> Path:
    """Return the user's cache folder, `$XDG_CACHE_HOME/hydrodask` or `~/.cache/hydrodask`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "hydrodask"


def install(source: Path, folder: Path, say: Say) -> None:
    """Make `folder` hold exactly the jars of `source`/checksums.txt; fetch them if it is missing.

    `source` also holds the pom.xml that pins the versions. Raises UnreachableError without Maven or
    network, and IntegrityError when a jar differs, is missing, or is one too many.
    """
    wanted = read_checksums(source / "checksums.txt")
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _fetch(source / "pom.xml", fresh, len(wanted), say)
            verify(fresh, wanted)
            _rename(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    verify(folder, wanted)


def read_checksums(path: Path) -> dict[str, str]:
    """Return the SHA-256 of each file name in a list as `sha256sum` writes it."""
    pairs = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {name: digest for digest, name in pairs}


def verify(folder: Path, wanted: dict[str, str]) -> None:
    """Raise IntegrityError unless `folder` holds exactly the files `wanted`, with these SHA-256."""
    found = {path.name: path for path in sorted(folder.iterdir())}
    problems = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    problems += [f"{name} is not on the list" for name in sorted(found.keys() - wanted.keys())]
    for name in sorted(wanted.keys() & found.keys()):
        digest = hashlib.sha256(found[name].read_bytes()).hexdigest()
        if digest != wanted[name]:
            problems.append(f"{name} has SHA-256 {digest}, want {wanted[name]}")
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise IntegrityError(
            f"the jars in {folder} are not the pinned ones: {'; '.join(problems[:3])}{more}; "
            "delete the folder and try again, and if that does not help do not run them"
        )


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
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)  # noqa: S603  # ours
        try:
            code = _wait(child, into, count, say)
        finally:
            child.kill()
            child.wait()
        if code != 0:
            output.seek(0)
            lines = [line.strip() for line in output if line.startswith("[ERROR]")][:OUTPUT_LINES]
            raise UnreachableError(f"could not fetch jars: mvn ended with {code}: {' '.join(lines) or 'no message'}")


def _wait(child: "subprocess.Popen[bytes]", into: Path, count: int, say: Say) -> int:
    end_s = clock.monotonic_s() + MAVEN_S
    while clock.monotonic_s() < end_s:
        say(f"fetching {len(list(into.iterdir()))} of {count} jars with Maven")
        try:
            return child.wait(POLL_S)
        except subprocess.TimeoutExpired:
            continue
    raise UnreachableError(f"could not fetch jars: mvn did not end within {MAVEN_S:g} s; is the network there?")


def _rename(fresh: Path, folder: Path) -> None:
    """Give the complete folder its name, unless another command was faster."""
    try:
        fresh.rename(folder)
    except OSError:
        if not folder.exists():
            raise
