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
        """Keep the digest of a model. Raises IntegrityError when there is another one of that run, or a damaged one."""
        path, digest = _path(name, run_id), hashlib.sha256(onnx).hexdigest()
        if not self._files.put_if_absent(path, small.sealed(json.dumps({"sha256": digest}).encode())):
            self._compare(f"{name} of run {run_id}", path, digest)

    def check(self, name: str, run_id: str, version: int, onnx: bytes) -> None:
        """Return if these are the bytes that were registered. Raises IntegrityError, or FatalError if nobody knows."""
        try:
            self._compare(f"{name} version {version}", _path(name, run_id), hashlib.sha256(onnx).hexdigest())
        except FileNotFoundError as error:
            raise FatalError(
                f"refused {name} version {version}: no digest of it is kept in {self._files.url}/{FOLDER}, so it was "
                "registered by somebody else, or before digests were kept; if you know it, take it as it is with "
                f"`hydrodask promote {name.removeprefix('hydrodask-')} {version}`"
            ) from error

    def _compare(self, model: str, path: str, digest: str) -> None:
        """Return if that digest is kept. Raises IntegrityError if not, FileNotFoundError if none is."""
        try:
            kept = json.loads(small.opened(self._files.read(path)))["sha256"]
        except (ValueError, LookupError, TypeError) as error:
            raise IntegrityError(
                f"refused {model}: what says which model was registered, {path} in {self._files.url}, is damaged; if "
                f"you know the model, `hydrodask aside {path}`, then promote it again"
            ) from error
        if kept != digest:
            raise IntegrityError(
                f"refused {model}: its bytes are not those that were registered (SHA-256 {digest[:12]}…, want "
                f"{str(kept)[:12]}…): somebody has changed them in the registry; promote another version, or train "
                "again"
            )


def _path(name: str, run_id: str) -> str:
    if not re.fullmatch(r"[0-9a-zA-Z]{1,64}", run_id):
        raise FatalError(f"refused {name}: its run has the id {run_id[:80]!r}, which is none of MLflow's")
    return f"{FOLDER}/{name}-{run_id}"
