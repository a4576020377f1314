"""Checksums of whole files, held inside them: a flipped bit anywhere shows, whatever library reads the file.

A writer leaves room for the checksum in the file's metadata; `sealed` fills it in, `intact` takes it out again to
check.
"""

import hashlib

KEY = b"hydrodask.sha256"
"""The metadata's key, which is in front of the checksum in the file."""

ROOM = b"0" * 64
"""What a writer puts under `KEY`: as long as the checksum."""


def sealed(data: bytes) -> bytes:
    """Return `data` with the checksum of all its bytes in the room that was left for it.

    >>> intact(sealed(b"rows " + KEY + ROOM + b" end")), intact(sealed(b"rows " + KEY + ROOM + b" end")[:-1])
    (True, False)
    """
    start = data.index(ROOM, data.rindex(KEY))
    digest = hashlib.sha256(data).hexdigest().encode()
    return data[:start] + digest + data[start + len(ROOM) :]


def intact(data: bytes) -> bool | None:
    """Say whether `data` is what was sealed; None when there is no seal in it."""
    found = data.rfind(KEY)
    if found < 0:
        return None
    # Between key and checksum there are a few bytes of the file format's own, and none of them are such digits.
    for start in range(found + len(KEY), min(found + len(KEY) + 16, len(data) - len(ROOM))):
        digest = data[start : start + len(ROOM)]
        if digest.isalnum():
            blank = data[:start] + ROOM + data[start + len(ROOM) :]
            return hashlib.sha256(blank).hexdigest().encode() == digest
    return False
