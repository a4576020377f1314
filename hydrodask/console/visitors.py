"""Who may come in: names, roles and tokens; and what every answer of the server says to browsers.

On loopback without a token file everybody may look and answer, as everybody who can reach it is on this machine. Beyond
it there is no page without tokens and TLS. A token is exchanged for a cookie once; programs send it with each request.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hydrodask import clock
from hydrodask.errors import ConfigError
from hydrodask.hosts import HEADERS, is_loopback
from hydrodask.redaction import know
from hydrodask.settings.model import Console

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""What a browser may do with a page of ours: nothing that is not ours, and nothing that stands in data."""

SAID = {**HEADERS, "Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
"""The headers of every answer."""

ROLES = ("look", "answer")
COOKIE = "hydrodask_console"
SESSION_S = 12 * 3600.0
SESSIONS_MAX = 1_000
TOKEN_CHARACTERS_MIN = 16
"""What keeps guessers out. Tries have no limit: whoever used it up would lock out those who have a right one."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: a name, nothing where nobody has to log in, and whether he may answer."""

    name: str
    role: str

    @property
    def may_answer(self) -> bool:
        """Whether he may acknowledge, note and mute."""
        return self.role == "answer"


NOBODY_ELSE = Visitor("", "answer")
"""Whoever reaches a loopback address where there are no tokens."""


class Access:
    """Knows visitors by token or cookie. Used from one thread."""

    def __init__(self, tokens: Mapping[bytes, Visitor]) -> None:
        self._tokens = dict(tokens)
        self._sessions: OrderedDict[str, tuple[float, Visitor]] = OrderedDict()

    @classmethod
    def of(cls, settings: Console, data_dir: Path) -> "Access":
        """Return what the settings say. Raises ConfigError for an open door, and for a token file that is none."""
        host = str(settings.address).rpartition(":")[0].strip("[]")
        for name in ("token_file", "cert_file", "key_file"):
            if getattr(settings, name) is None and not is_loopback(host):
                raise ConfigError(
                    f"console.address has value {settings.address!r}, which other machines reach: want console.{name} "
                    "too, or 127.0.0.1 with `ssh -L` or a proxy before it"
                )
        if settings.token_file is None:
            return cls({})
        return cls(_read(data_dir / settings.token_file))

    @property
    def locked(self) -> bool:
        """Whether one has to log in."""
        return bool(self._tokens)

    def visitor(self, authorization: str, cookie: str) -> Visitor | None:
        """Return who asks by what a request brings along; None: he has to log in first."""
        if not self.locked:
            return NOBODY_ELSE
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return self._by_token(token.strip())
        until_s, visitor = self._sessions.get(cookie, (0.0, None))
        return visitor if clock.monotonic_s() < until_s else None

    def login(self, token: str) -> tuple[str, Visitor] | None:
        """Return a cookie for a token, None for a wrong one."""
        visitor = self._by_token(token)
        if visitor is None:
            return None
        cookie = secrets.token_urlsafe(32)
        self._sessions[cookie] = (clock.monotonic_s() + SESSION_S, visitor)
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return cookie, visitor

    def logout(self, cookie: str) -> None:
        """Forget a cookie."""
        self._sessions.pop(cookie, None)

    def _by_token(self, token: str) -> Visitor | None:
        given, found = _digest(token), None
        for digest, visitor in self._tokens.items():  # all of them, so that time says nothing
            found = visitor if hmac.compare_digest(digest, given) else found
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _read(path: Path) -> dict[bytes, Visitor]:
    """Return the visitors of a token file. Raises ConfigError."""
    want = "want lines of `NAME ROLE TOKEN`"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"console.token_file has value {str(path)!r}, which can't be read: {error}; {want}"
        ) from error
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"console.token_file {path} can be read by other users; chmod 600 {path}")
    found = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 3 or words[1] not in ROLES or len(words[2]) < TOKEN_CHARACTERS_MIN:
            raise ConfigError(
                f"{path}, line {number}: {want}; roles are {' and '.join(ROLES)}, a token has "
                f"{TOKEN_CHARACTERS_MIN} characters or more"
            )
        know(words[2])
        found[_digest(words[2])] = Visitor(words[0], words[1])
    if not found:
        raise ConfigError(f"{path} names nobody; {want}")
    return found
