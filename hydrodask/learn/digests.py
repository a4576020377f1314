"""Digests of the models that were registered, beside the snapshots: what the registry gives later must be just that.

Whoever can write to the registry, or to its artefacts, could let every scorer load what he likes. So nothing is loaded
of which no digest is kept here, or another one. A digest is kept when a model is trained, or when a person promotes it.
"""

import hashlib
import json
import re

from hydrodask.errors import FatalError, IntegrityError
from hydrodask.settings import Settings
from hydrodask.store import small
from hydrodask.store.files import Files

FOLDER = "models"


class Digests:
    """The digests by model and run. Methods raise RetryableError when the file system refuses."""

    def __init__(self, settings: Settings) -> None:
        self._files = Files(settings.snapshots_url)

    def keep(self, name: str, run_id: str, onnx: bytes) -> None:
        """Keep the digest of a model. Raises IntegrityError when there is another one of that run."""
        path, digest = _path(name, run_id), _digest(onnx)
        if not self._files.put_if_absent(path, digest) and (kept := self._files.read(path)) != digest:
            raise IntegrityError(f"refused {name} of run {run_id}: {_other(kept, digest)}")

    def check(self, name: str, run_id: str, version: int, onnx: bytes) -> None:
        """Return if these are the bytes that were registered. Raises IntegrityError, or FatalError if nobody knows."""
        try:
            kept = self._files.read(_path(name, run_id))
        except FileNotFoundError as error:
            raise FatalError(
                f"refused {name} version {version}: no digest of it is kept in {self._files.url}/{FOLDER}, so it was "
                "registered by somebody else, or before digests were kept; if you know it, take it as it is with "
                f"`hydrodask promote {name.removeprefix('hydrodask-')} {version}`"
            ) from error
        if kept != (digest := _digest(onnx)):
            raise IntegrityError(f"refused {name} version {version}: {_other(kept, digest)}")


def _path(name: str, run_id: str) -> str:
    if not re.fullmatch(r"[0-9a-zA-Z]{1,64}", run_id):
        raise FatalError(f"refused {name}: its run has the id {run_id[:80]!r}, which is none of MLflow's")
    return f"{FOLDER}/{name}-{run_id}"


def _digest(onnx: bytes) -> bytes:
    return small.sealed(json.dumps({"sha256": hashlib.sha256(onnx).hexdigest()}).encode())


def _other(kept: bytes, digest: bytes) -> str:
    was, now = (re.sub(rb"[^0-9a-f]", b"", one.partition(b":")[2])[:12].decode() for one in (kept, digest))
    return (
        f"its bytes are not those that were registered (SHA-256 {now}…, want {was}…): somebody has changed them in the "
        "registry; promote another version, or train again"
    )
