"""What the engines in Python have in common: an environment of their own, with what their locks pin."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hydrodask.services import pinned
from hydrodask.services.service import Say


def venv(folder: Path) -> Path:
    """Return the environment of the engine in a folder."""
    return folder / ".work" / "venv"


def python(folder: Path) -> str:
    """Return the command that starts its Python."""
    return str(venv(folder) / "bin" / "python")


def install(
    folder: Path, names: Iterable[str], say: Say, *, locks: Sequence[str] = ("requirements.lock",), options: str = ""
) -> Mapping[str, str]:
    """Make the environment unless it is there; return the versions of the named packages.

    `locks` are installed one after the other, with pip's `options`.
    """
    texts = [(folder / lock).read_text(encoding="utf-8") for lock in locks]
    made = venv(folder) / "installed.lock"
    if not made.exists() or made.read_text(encoding="utf-8") != "".join(texts):
        say(f"fetching {', '.join(names)} with pip (a minute)")
        pinned.run((sys.executable, "-m", "venv", "--clear", str(venv(folder))), what="make it", progress=_nothing)
        pip = (python(folder), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *options.split())
        for lock in locks:
            argv = (*pip, "--require-hashes", "--requirement", str(folder / lock))
            pinned.run(argv, what=f"install {lock}", progress=_nothing)
        made.write_text("".join(texts), encoding="utf-8")
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", "".join(texts), re.MULTILINE))
    return {name: locked[name] for name in names}


def _nothing() -> None:
    """Say nothing more."""
