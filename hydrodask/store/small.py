"""Small files beside the snapshots: JSON, with the checksum of what it says as the last line.

They say which log is read, which windows and rules are in force, over how many partitions rigs are spread, which models
were registered. A flipped bit in one of them would be another answer and no error. One without a checksum, of a version
before there were any, is taken as it is: what is left of a file that was cut short is no JSON.
"""

import hashlib
import json

from hydrodask.store.files import Files

_SEAL = b"\nsha256 "

KINDS = (".rules", ".windows")
"""How the names of those that a partition has end; others begin with `log-`, or lie in one of `FOLDERS`."""

FOLDERS = ("spread", "models")


def sealed(text: bytes) -> bytes:
    """Return `text`, which is JSON, with its checksum.

    >>> opened(sealed(b"{}")), opened(b"{}")
    (b'{}', b'{}')
    """
    return text + _SEAL + hashlib.sha256(text).hexdigest().encode() + b"\n"


def opened(data: bytes) -> bytes:
    """Return what was sealed. Raises ValueError when it is damaged.

    >>> opened(sealed(b"[1]").replace(b"1]", b"2]", 1))
    Traceback (most recent call last):
    ValueError: it is damaged
    """
    text, found, _digest = data.rpartition(_SEAL)
    if not found:
        text = data
    elif sealed(text) != data:
        raise ValueError("it is damaged")
    try:
        json.loads(text)
    except ValueError as error:
        raise ValueError("it is damaged or unfinished") from error
    return text


def damaged(files: Files) -> list[str]:
    """Return the paths of those below a URL that can't be used."""
    found = []
    for path in files.names(""):
        folder, _, name = path.rpartition("/")
        if name.endswith(KINDS) or name.startswith("log-") or folder in FOLDERS:
            try:
                opened(files.read(path))
            except FileNotFoundError:
                continue
            except ValueError:
                found.append(path)
    return found
