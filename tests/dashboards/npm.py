"""Our programs of Node beside what they need of npm, which is kept in the user's cache by its lock."""

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

from hydrodask.services import pinned
from tests.conftest import needs

HERE = Path(__file__).parent
TOOLS_S = 600
"""A tool of npm may take so long; it takes seconds on a machine that has nothing else to do."""


def laid_out(folder: Path) -> Path:
    """Lay a folder out with our programs and what they need, installed if it is not; return the folder."""
    needs(there=shutil.which("node") is not None, what="there is no node on the PATH: apt-get install nodejs")
    needs(there=shutil.which("npm") is not None, what="there is no npm on the PATH: apt-get install npm")
    lock = (HERE / "package-lock.json").read_bytes()
    place = pinned.cache_folder() / f"dashboards-{sha256(lock).hexdigest()[:12]}"
    if not (place / "node_modules").exists():
        install(place)
    for path in (*HERE.glob("*.mjs"), *HERE.glob("*.jsx")):
        shutil.copy(path, folder)
    shutil.copy(HERE / "package.json", folder)
    (folder / "node_modules").symlink_to(place / "node_modules")
    return folder


def install(place: Path) -> None:
    """Install what the lock names."""
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}-{os.getpid()}")
    fresh.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, fresh)
    options = ["--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund"]
    run(["npm", "ci", *options], fresh)
    pinned.rename(fresh, place)


def run(argv: list[str], folder: Path, said: str = "") -> str:
    """Run a tool in a folder; return what it prints, and fail with that when it fails."""
    done = subprocess.run(argv, cwd=folder, input=said, capture_output=True, text=True, check=False, timeout=TOOLS_S)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout
