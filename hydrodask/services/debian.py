"""Fetch programs out of Debian's packages, with apt and without installing them or being root."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from hydrodask.errors import ConfigError, UnreachableError
from hydrodask.services import pinned
from hydrodask.services.service import Say

ADVICE = (
    "Prometheus, Pushgateway and Alertmanager are pinned packages of Debian 12 for x86-64; elsewhere name the others "
    "only (kafka hdfs mongodb mlflow), or use cluster/compose.yaml"
)


def install(source: Path, folder: Path, say: Say) -> None:
    """Make `folder` hold the files of the packages that `source`/checksums.txt pins, as on a file system's root.

    The packages are verified every time; what was unpacked from verified ones is not looked at again. Raises
    UnreachableError without apt, network or this version, and IntegrityError when a package is another.
    """
    if not (source / "checksums.txt").exists():
        raise ConfigError(f"local services need a checkout of hydrodask: there is no {source / 'checksums.txt'}")
    wanted = pinned.read_checksums(source / "checksums.txt")
    packages = folder.with_name(f"{folder.name}-package")
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise UnreachableError(f"could not fetch {folder.name}: there is no `{tool}` on the PATH; {ADVICE}")
    pinned.install(packages, wanted, lambda fresh: _fetch(list(wanted), fresh, say))
    if not folder.exists():
        say("unpacking")
        _unpack(sorted(packages.iterdir()), folder)


def place(source: Path, name: str) -> Path:
    """Return the folder for a service's files: another one for other pins, so that old ones are not taken for them.

    A checkout or wheel without pins has none: `install` says so.
    """
    pins = source / "checksums.txt"
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()[:12] if pins.exists() else "none"
    return pinned.cache_folder() / f"{name}-{digest}"


def _fetch(names: list[str], into: Path, say: Say) -> None:
    wanted = ["=".join(name.removesuffix(".deb").rsplit("_", 2)[:2]) for name in names]
    pinned.run(
        ["apt-get", "download", *wanted],
        what=f"fetch Debian's packages {', '.join(wanted)} (is `apt-get update` needed? {ADVICE})",
        progress=lambda: say(f"fetching {len(wanted)} packages with apt-get"),
        cwd=into,
    )


def _unpack(packages: list[Path], folder: Path) -> None:
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for package in packages:
            pinned.run(
                ["dpkg-deb", "-x", str(package), str(fresh)], what=f"unpack {package.name}", progress=lambda: None
            )
        fresh.chmod(0o755)
        pinned.rename(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
