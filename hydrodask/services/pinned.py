"""Files that are fetched once into the user's cache, and accepted only when each is what was pinned."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hydrodask import clock, durable
from hydrodask.errors import IntegrityError, UnreachableError
from hydrodask.settings.hidden import PREFIX

SOURCE = Path(__file__).resolve().parents[1] / "cluster" / "local"
"""The committed pins, a folder a service; the wheel brings them along, too."""

FETCH_S = 900.0
POLL_S = 0.5
OUTPUT_LINES = 5
"""Lines of a tool's output that an error quotes."""


def cache_folder() -> Path:
    """Return the user's cache folder, `$XDG_CACHE_HOME/hydrodask` or `~/.cache/hydrodask`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "hydrodask"


def install(folder: Path, wanted: Mapping[str, str], fetch: Callable[[Path], None]) -> None:
    """Make `folder` hold exactly the files `wanted` (name → SHA-256); `fetch` fills it if it is missing.

    Raises what `fetch` raises, and IntegrityError when a file differs, is missing, or is one too
    many. Two commands may do this at once.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            fetch(fresh)
            verify(fresh, wanted)
            rename(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    verify(folder, wanted)


def read_checksums(path: Path) -> dict[str, str]:
    """Return the SHA-256 of each file name in a list as `sha256sum` writes it."""
    pairs = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {name: digest for digest, name in pairs}


def verify(folder: Path, wanted: Mapping[str, str]) -> None:
    """Raise IntegrityError unless `folder` holds exactly the files `wanted`, with these SHA-256."""
    found = {path.name: path for path in sorted(folder.iterdir())}
    problems = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    problems += [f"{name} is not on the list" for name in sorted(found.keys() - wanted.keys())]
    for name in sorted(wanted.keys() & found.keys()):
        digest = sha256(found[name])
        if digest != wanted[name]:
            problems.append(f"{name} has SHA-256 {digest}, want {wanted[name]}")
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise IntegrityError(
            f"the files in {folder} are not the pinned ones: {'; '.join(problems[:3])}{more}; "
            "delete the folder and try again, and if that does not help do not run them"
        )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(argv: Sequence[str], *, what: str, progress: Callable[[], None], cwd: Path | None = None) -> None:
    """Run a tool that fetches; call `progress` now and then. Raises UnreachableError naming `what`."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        child = subprocess.Popen(  # noqa: S603  # arguments are ours, none goes through a shell
            argv, cwd=cwd, env=_without_ours(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            code = _wait(child, what, progress)
        finally:
            child.kill()
            child.wait()
        if code != 0:
            output.seek(0)
            lines = [line.strip() for line in output if line.strip()]
            wrong = [line for line in lines if "ERROR" in line][:OUTPUT_LINES] or lines[-OUTPUT_LINES:]
            raise UnreachableError(f"could not {what}: {argv[0]} ended with {code}: {' '.join(wrong) or 'no message'}")


def _without_ours() -> dict[str, str]:
    """Return the environment without our settings, which may be passwords: tools that fetch run what others wrote."""
    return {name: value for name, value in os.environ.items() if not name.upper().lstrip("_").startswith(PREFIX)}


def _wait(child: "subprocess.Popen[bytes]", what: str, progress: Callable[[], None]) -> int:
    end_s = clock.monotonic_s() + FETCH_S
    while clock.monotonic_s() < end_s:
        progress()
        try:
            return child.wait(POLL_S)
        except subprocess.TimeoutExpired:
            continue
    raise UnreachableError(f"could not {what}: no end within {FETCH_S:g} s; is the network there?")


def rename(fresh: Path, folder: Path) -> None:
    """Give the complete folder its name, unless another command was faster."""
    os.sync()  # thousands of files: one by one would take longer
    try:
        durable.rename(fresh, folder)
    except OSError:
        if not folder.exists():
            raise
