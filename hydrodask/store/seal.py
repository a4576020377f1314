"""Checksums of whole files, held inside them: a flipped bit anywhere shows, whatever library reads the file.

A writer leaves room for the checksum in the file's metadata; `sealed` fills it in, `intact` takes it out again to
check. Beside it there may be a seal by a key that only we have (`keyring`), against people: it is of the file's place,
too, so that no file can stand for another.
"""

import hashlib

from hydrodask.store.keyring import Keyring

KEY = b"hydrodask.sha256"
"""The metadata's key, which is in front of the checksum in the file."""

KEYED = b"hydrodask.hmac"
"""The same for the seal by a key, whose name is under `NAME`."""

NAME = b"hydrodask.key"

ROOM = b"0" * 64
"""What a writer puts under `KEY` and `KEYED`: as long as the checksum, and as the seal."""

_APART = 16
"""A checksum begins so near behind its key: between the two there are a few bytes of the file format's own."""


def room(keyring: Keyring | None = None) -> dict[bytes, bytes]:
    """Return the metadata that leaves room for the checksum, and with keys for a seal."""
    keyed = {} if keyring is None else {KEYED: ROOM, NAME: keyring.newest.encode()}
    return {**keyed, KEY: ROOM}


def sealed(data: bytes, keyring: Keyring | None = None, name: str = "", place: str = "") -> bytes:
    """Return `data` with the checksum of all its bytes in the room that was left for it, and with keys the seal, too.

    >>> intact(sealed(b"rows " + KEY + ROOM + b" end")), intact(sealed(b"rows " + KEY + ROOM + b" end")[:-1])
    (True, False)
    """
    if keyring is not None:
        start = data.index(ROOM, data.rindex(KEYED))
        data = _filled(data, start, keyring.seal(name, place, data).encode())
    start = data.index(ROOM, data.rindex(KEY))
    return _filled(data, start, hashlib.sha256(data).hexdigest().encode())


def intact(data: bytes) -> bool | None:
    """Say whether `data` is what was sealed; None when there is no checksum in it."""
    starts = _starts(data, KEY)
    if starts is None:
        return None
    for start in starts:
        blank = _filled(data, start, ROOM)
        if hashlib.sha256(blank).hexdigest().encode() == data[start : start + len(ROOM)]:
            return True
    return False


def holds(data: bytes, keyring: Keyring, name: str, place: str) -> bool | None:
    """Say whether an intact file has the seal of `place` by that key; None when the key is not known."""
    starts = _starts(data, KEYED) or []
    plain = [_filled(data, start, ROOM) for start in _starts(data, KEY) or []]
    for blank in plain:
        for start in starts:
            seal = data[start : start + len(ROOM)].decode()
            if (said := keyring.holds(name, place, _filled(blank, start, ROOM), seal)) is not False:
                return said
    return False


def _filled(data: bytes, start: int, what: bytes) -> bytes:
    return data[:start] + what + data[start + len(ROOM) :]


def _starts(data: bytes, key: bytes) -> list[int] | None:
    """Return where a checksum may begin: none of the bytes between it and its key are such digits."""
    found = data.rfind(key)
    if found < 0:
        return None
    first = found + len(key)
    last = min(first + _APART, len(data) - len(ROOM))
    return [start for start in range(first, last) if data[start : start + len(ROOM)].isalnum()]
