"""Keys that only we have, for seals that others can't forge: HMAC-SHA256 beside the plain checksum.

A file of mode 0600 with one key a line, a name and at least 32 hexadecimal digits. The first key seals, all check, so a
new one goes on top and an old one goes when nothing is sealed with it any more. An object here holds the file's path
alone: the keys are read where they are needed and never kept, so no order, log or message has them.
"""

import hashlib
import hmac
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from hydrodask.errors import ConfigError
from hydrodask.settings import Settings

DIGITS_MIN = 32
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys in a file. Methods raise ConfigError when it can't be read, is open to others, or is no such file."""

    path: Path

    @classmethod
    def of(cls, settings: Settings) -> "Keyring | None":
        """Return the keys that the settings name."""
        return None if settings.lake.key_file is None else cls(settings.lake.key_file)

    @property
    def newest(self) -> str:
        """The name of the key that seals."""
        return next(iter(self._keys()))

    @property
    def names(self) -> list[str]:
        """The names of all keys, the newest first."""
        return list(self._keys())

    def seal(self, name: str, place: str, data: bytes) -> str:
        """Return the seal of `data` that stands at `place`, by the key of that name."""
        return _seal(self._keys()[name], place, data)

    def holds(self, name: str, place: str, data: bytes, seal: str) -> bool | None:
        """Say whether it is the seal of what stands at that place; None when the key is not known."""
        key = self._keys().get(name)
        return None if key is None else hmac.compare_digest(_seal(key, place, data), seal)

    def _keys(self) -> dict[str, bytes]:
        try:
            mode = self.path.stat().st_mode
            lines = self.path.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            # Not what a decoder says: it quotes the bytes.
            why = error.strerror if isinstance(error, OSError) else "it is no text of ASCII"
            raise ConfigError(f"lake.key_file has value {str(self.path)!r}, which can't be read: {why}") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                f"lake.key_file {str(self.path)!r} is open to others (mode {stat.S_IMODE(mode):04o}); "
                f"run `chmod 600 {self.path}`, and make a new key if somebody may have read this one"
            )
        return self._parsed([line.split() for line in lines if line.strip() and not line.startswith("#")])

    def _parsed(self, lines: list[list[str]]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for number, parts in enumerate(lines, 1):
            key = _key(parts[1]) if len(parts) == 2 and _NAME.fullmatch(parts[0]) else None
            if key is None or parts[0] in found:
                raise ConfigError(
                    f"key {number} of lake.key_file {str(self.path)!r} can't be used; want a name of its own, a space, "
                    f"and at least {DIGITS_MIN} hexadecimal digits, as `openssl rand -hex 32` makes them"
                )
            found[parts[0]] = key
        if not found:
            raise ConfigError(f"lake.key_file {str(self.path)!r} holds no key; want lines of a name and a key")
        return found


def _key(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text) if len(text) >= DIGITS_MIN else None
    except ValueError:
        return None


def _seal(key: bytes, place: str, data: bytes) -> str:
    made = hmac.new(key, b"%d:%s" % (len(place.encode()), place.encode()), hashlib.sha256)
    made.update(data)
    return made.hexdigest()
