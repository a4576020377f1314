"""What an image is made of, what takes its space, and what must not be in it."""

import json
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

PACKAGES = Path("usr/local/lib/python3.11/dist-packages")
SBOM = Path("usr/share/sbom/image.cdx.json")
OURS = ("hydrodask",)
FORBIDDEN = (
    "gcc",
    "g++",
    "cc",
    "c++",
    "clang",
    "ld",
    "as",
    "make",
    "cmake",
    "cargo",
    "rustc",
    "go",
    "javac",
    "pip",
    "apt-get",
    "dpkg",
)
"""Programs that make programs, or fetch them."""
SECRET = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}")
SECRET_BYTES_MAX = 1 << 20
LARGEST = 30


def sbom(root: Path, name: str, debian: Mapping[str, str]) -> bytes:
    """Return the list of what is in an image, as CycloneDX: Debian's packages and Python's."""
    components = [_debian(file, digest) for file, digest in debian.items()]
    components += [_python(found.name, found.version) for found in distributions(path=[str(root / PACKAGES)])]
    components.sort(key=lambda one: str(one["purl"]))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "bom-ref": name}},
        "components": components,
    }
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def _debian(file: str, digest: str) -> dict[str, Any]:
    name, version, architecture = file.removesuffix(".deb").rsplit("_", 2)
    purl = f"pkg:deb/debian/{name}@{version}?arch={architecture}"
    known = {"type": "library", "name": name, "version": version.replace("%3a", ":"), "purl": purl, "bom-ref": purl}
    return known | {"hashes": [{"alg": "SHA-256", "content": digest}]}


def _python(name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}@{version}"
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


def sizes(root: Path, names: Sequence[str]) -> str:
    """Return a table of what takes the most space: libraries by their folder, all else by its first two folders."""
    found: Counter[str] = Counter()
    for name in names:
        path = root / name
        if stat.S_ISREG(path.lstat().st_mode):
            found[_what(Path(name))] += path.stat().st_size
    lines = [f"{size / 1e6:8.1f} MB  {what}" for what, size in found.most_common(LARGEST)]
    rest = sum(size for _, size in found.most_common()[LARGEST:])
    return "\n".join([*lines, f"{rest / 1e6:8.1f} MB  all else", f"{found.total() / 1e6:8.1f} MB  together"]) + "\n"


def _what(path: Path) -> str:
    if path.suffix == ".pyc":
        return "bytecode"
    if path.is_relative_to(PACKAGES):
        return path.relative_to(PACKAGES).parts[0]
    return "/".join(path.parts[:3][: len(path.parts) - 1])


def refuse(root: Path, names: Iterable[str]) -> list[str]:
    """Return what has no place in an image: what makes or fetches programs, tests, private keys, rights of others."""
    problems = []
    for name in names:
        path = root / name
        found = path.lstat()
        if path.name in FORBIDDEN and path.parent.name in {"bin", "sbin"}:
            problems.append(f"{name} makes or fetches programs")
        if stat.S_ISREG(found.st_mode) and found.st_mode & (stat.S_ISUID | stat.S_ISGID):
            problems.append(f"{name} runs with another user's rights")
        if stat.S_ISREG(found.st_mode) and found.st_size <= SECRET_BYTES_MAX and SECRET.search(path.read_bytes()):
            problems.append(f"{name} holds a private key")
        if path.name == "tests" and path.is_dir():
            problems.append(f"{name} holds tests")
    return problems


def is_ours(name: str) -> bool:
    """Say whether a file is of hydrodask, and so of the layer that changes with each commit."""
    path = Path(name)
    if path.is_relative_to(PACKAGES):
        return path != PACKAGES and path.relative_to(PACKAGES).parts[0].split("-")[0] in OURS
    return path.parent == Path("usr/local/bin") or path == SBOM


def total(root: Path, names: Iterable[str]) -> int:
    """Return how many bytes the files of an image have."""
    return sum(found.st_size for found in ((root / name).lstat() for name in names) if stat.S_ISREG(found.st_mode))
