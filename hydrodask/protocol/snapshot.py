"""Snapshots: the state of a partition's nodes at an offset, as a file. Only a cache: the log can rebuild any of them.

A file is a checksum and a MessagePack document: plain values, and arrays as dtype, shape and bytes. No code in it.
"""

import hashlib
import logging
from typing import Any

import msgspec
import numpy as np

from hydrodask.errors import ConfigError, IntegrityError, RetryableError
from hydrodask.failpoints import failpoint
from hydrodask.records import PartitionId
from hydrodask.store.files import Files
from hydrodask.store.keyring import Keyring

log = logging.getLogger(__name__)

VERSION = 1
"""Raise it when the layout of a node's state changes: older snapshots are then ignored, and said so."""

KEPT = 3
"""Snapshots of a partition that stay: so many up to the one that was written last, and so many of all."""

_MAGIC = b"hydrodask snapshot\n"
_ARRAY = 1


def encode(state: dict[str, Any], keyring: Keyring | None = None, place: str = "") -> bytes:
    """Return `state` as bytes; equal states give equal bytes. With a `keyring` they are sealed for that place."""
    document: dict[str, Any] = {"version": VERSION, "state": state}
    body = msgspec.msgpack.encode(document, enc_hook=_array_out)
    if keyring is not None:
        name = keyring.newest
        document |= {"key": name, "seal": keyring.seal(name, place, body)}
        body = msgspec.msgpack.encode(document, enc_hook=_array_out)
    return _MAGIC + hashlib.sha256(body).digest() + body


def decode(data: bytes) -> dict[str, Any]:
    """Return the state in `data`. Raises ValueError when it is cut short, damaged, or of another version."""
    return _document(data)["state"]  # type: ignore[no-any-return]


def key_of(data: bytes) -> str | None:
    """Return the name of the key that a snapshot is sealed by. Raises ValueError as `decode`."""
    return _document(data).get("key")


def holds(data: bytes, keyring: Keyring, place: str) -> bool | None:
    """Say whether a snapshot has the seal of that place; None when its key is not known. Raises as `decode`."""
    document = _document(data)
    name, seal = (str(document.pop(part, "")) for part in ("key", "seal"))
    return keyring.holds(name, place, msgspec.msgpack.encode(document, enc_hook=_array_out), seal)


def save(
    files: Files, source: PartitionId, offset: int, state: dict[str, Any], *, keyring: Keyring | None = None
) -> int:
    """Store a snapshot, drop old ones, and return its size in bytes. Raises RetryableError when it can't be."""
    folder = folder_of(source)
    path = f"{folder}/{offset:012d}.snapshot"
    try:
        data = encode(state, keyring, path)
    except ConfigError as error:  # the platform runs: somebody may be at exchanging the keys
        raise RetryableError(f"could not seal {path} in {files.url}: {error}") from error
    failpoint("snapshot.begun")
    files.replace(path, data)
    failpoint("snapshot.stored")
    for path in _old(_paths(files, folder), offset):
        files.remove(path)
    failpoint("snapshot.pruned")
    return len(data)


def newest(
    files: Files, source: PartitionId, *, at_most: int | None, keyring: Keyring | None = None
) -> tuple[int, dict[str, Any], list[str]]:
    """Return (offset, state, notes) of the newest usable snapshot at or below `at_most`; offset 0 and {} without one.

    `notes` says which were ignored and why. With a `keyring` those with a false seal are; IntegrityError is raised for
    one that is not sealed by any key that is known, for it may be ours, of before the key.
    """
    folder = folder_of(source)
    notes = [f"ignored unfinished file {path}" for path in files.unfinished(folder)]
    for path in reversed(_paths(files, folder)):
        offset = offset_of(path)
        if at_most is not None and offset > at_most:
            continue
        try:
            data = files.read(path)
            if keyring is not None:
                _check_seal(data, keyring, files, path)
            return offset, decode(data), notes
        except (ValueError, FileNotFoundError) as error:
            notes.append(f"ignored snapshot {path}: {error}")
    return 0, {}, notes


def folder_of(source: PartitionId) -> str:
    """Return the folder of a source's snapshots."""
    return f"{source[0]}-{source[1]}"


def offset_of(path: str) -> int:
    """Return the offset of a snapshot by its name."""
    return int(path.rsplit("/", 1)[-1].removesuffix(".snapshot"))


def _check_seal(data: bytes, keyring: Keyring, files: Files, path: str) -> None:
    """Raise ValueError when a snapshot has a false seal, IntegrityError when it has none that can be checked."""
    try:
        held = holds(data, keyring, path)
    except ConfigError as error:  # as in `save`
        raise RetryableError(f"could not check the seal of {path} in {files.url}: {error}") from error
    if held is None:
        name = key_of(data)
        how = f"sealed by key {name!r}, which is not in lake.key_file; put it back" if name else "not sealed by any key"
        raise IntegrityError(
            f"{path} in {files.url} is {how}. `hydrodask verify` and then `hydrodask seal` take what is ours as it is; "
            f"what is not, `hydrodask aside {path}` takes away"
        )
    if not held:
        raise ValueError("its seal is not by our key, or of another place")


def _document(data: bytes) -> dict[str, Any]:
    start = len(_MAGIC) + 32
    if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(data[start:]).digest() != data[len(_MAGIC) : start]:
        raise ValueError("it is damaged or unfinished")
    try:
        document = msgspec.msgpack.decode(data[start:], ext_hook=_array_in)
    except msgspec.DecodeError as error:
        raise ValueError(f"it can't be decoded: {error}") from error
    if document.get("version") != VERSION:
        raise ValueError(f"it has version {document.get('version')}, want {VERSION}")
    return document  # type: ignore[no-any-return]


def _paths(files: Files, folder: str) -> list[str]:
    """Return the paths of snapshots by offset; names alone sort up to 12 digits only."""
    offsets = {path.rsplit("/", 1)[-1].removesuffix(".snapshot"): path for path in files.names(folder)}
    return [offsets[name] for name in sorted((n for n in offsets if n.isdigit()), key=int)]


def _old(paths: list[str], offset: int) -> list[str]:
    """Return which of `paths`, by offset, may go when that at `offset` has been written.

    One that is written later may have a smaller offset: the group was set back, or a worker that was given up has woken
    up. Neither may lose its newest snapshots to the other's, whichever of the two goes on.
    """
    written = next(place for place, path in enumerate(paths, 1) if offset_of(path) == offset)
    kept = {*paths[:written][-KEPT:], *paths[-KEPT:]}
    return [path for path in paths if path not in kept]


def _array_out(value: object) -> object:
    if isinstance(value, np.ndarray):
        parts = (value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes())
        return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(parts))
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    raise NotImplementedError(f"a snapshot can't hold a {type(value).__name__}")


def _array_in(code: int, data: memoryview) -> object:
    if code != _ARRAY:
        raise ValueError(f"there is no extension {code}")
    dtype, shape, raw = msgspec.msgpack.decode(data, type=tuple[str, tuple[int, ...], bytes])
    return np.frombuffer(raw, np.dtype(dtype)).reshape(shape).copy()
