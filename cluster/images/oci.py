"""Write OCI image archives: files belong to root and have no times, so the same files are the same image."""

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Image:
    """What a container is started with; `name` with its tag is what pods ask for."""

    name: str
    machine: str = "x86_64"
    user: str = "10001:10001"
    workdir: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def config(self, layers: Sequence[str]) -> dict[str, Any]:
        """Return the configuration with the digests of its layers."""
        run = {
            "User": self.user,
            "WorkingDir": self.workdir,
            "Env": [f"{key}={value}" for key, value in self.environment.items()],
            "Cmd": list(self.command),
            "Labels": dict(self.labels),
        }
        return {
            "architecture": ARCHITECTURES[self.machine],
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {key: value for key, value in run.items() if value},
            "rootfs": {"type": "layers", "diff_ids": list(layers)},
        }


def paths(root: Path) -> list[str]:
    """Return every path below `root`, folders too, relative and in order; device files are left out."""
    found = []
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                found.append(path.relative_to(root).as_posix())
    return sorted(found)


def pack(root: Path, names: Iterable[str], into: Path) -> str:
    """Write the files `names` of `root` as a layer; return its digest."""
    with tarfile.open(into, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            _add(archive, root, name)
    return _digest(into)


def _add(archive: tarfile.TarFile, root: Path, name: str) -> None:
    path = root / name
    found = path.lstat()
    member = tarfile.TarInfo(name)
    if stat.S_ISLNK(found.st_mode):
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
        archive.addfile(member)
    elif stat.S_ISDIR(found.st_mode):
        # /tmp alone may be written by everybody; nothing is setuid, and whoever built with another umask gets the same.
        member.type, member.mode = tarfile.DIRTYPE, 0o1777 if found.st_mode & stat.S_ISVTX else 0o755
        archive.addfile(member)
    else:
        member.size, member.mode = found.st_size, 0o755 if found.st_mode & stat.S_IXUSR else 0o644
        with path.open("rb") as file:
            archive.addfile(member, file)


def write(archive: Path, image: Image, layers: Sequence[Path]) -> str:
    """Write `image` with its layers, lowest first, as one file that can be imported; return the manifest's digest."""
    blobs: dict[str, Path | bytes] = {}
    described = []
    for layer in layers:
        digest = _digest(layer)
        blobs[digest] = layer
        described.append({"mediaType": LAYER, "digest": digest, "size": layer.stat().st_size})
    config = _described(blobs, image.config([str(layer["digest"]) for layer in described]), CONFIG)
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": described}
    top = _described(blobs, manifest, MANIFEST)
    names = {
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": image.name.rpartition(":")[2],
    }
    platform = {"architecture": ARCHITECTURES[image.machine], "os": "linux"}
    index = {"schemaVersion": 2, "manifests": [top | {"platform": platform, "annotations": names}]}
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as file:
        _put(file, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _put(file, "index.json", _json(index))
        for digest, blob in sorted(blobs.items()):
            _put(file, f"blobs/sha256/{digest.removeprefix('sha256:')}", blob)
    return str(top["digest"])


def digest(archive: Path) -> str:
    """Return the digest of the image that `write` has put into an archive."""
    with tarfile.open(archive) as file:
        index = file.extractfile("index.json")
        assert index is not None  # noqa: S101  # it is a file
        return str(json.load(index)["manifests"][0]["digest"])


def _described(blobs: dict[str, Path | bytes], document: Mapping[str, Any], media_type: str) -> dict[str, Any]:
    blob = _json(document)
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    blobs[digest] = blob
    return {"mediaType": media_type, "digest": digest, "size": len(blob)}


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _put(archive: tarfile.TarFile, name: str, blob: Path | bytes) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o644
    if isinstance(blob, bytes):
        member.size = len(blob)
        archive.addfile(member, io.BytesIO(blob))
    else:
        member.size = blob.stat().st_size
        with blob.open("rb") as file:
            archive.addfile(member, file)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
