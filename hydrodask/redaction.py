"""What may not be shown: logins in URLs, tokens, every secret value that this process knows, and what moves terminals.

Text is redacted where it leaves us (errors, logs, notes), and not by whoever writes a message: nobody can forget it.
"""

import html
import json
import logging
import re
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"

KNOWN_MIN = 4
"""Characters of a secret from which on it is hidden wherever it stands: a shorter one is part of too many words."""

_LOGIN = re.compile(
    r"""(?<=://)(?:[^\s/?#'"<>]*"""  # as a URL should be
    r"""|[^\s/?#'"<>@:]*:(?!\d{1,5}[/?#])[^\s'"<>]*)@"""  # a password with / ? or #: what is a port is none
)
_TOKEN = re.compile(
    r"""(?i)(?<=[?&;])([\w.-]*(?:token|passw(?:or)?d|pwd|secret|signature|credential|api[_-]?key|access[_-]?key)[\w.-]*"""
    r"""|sig|key)=[^&;\s'"<>#]+"""
)
_HEADER = re.compile(r"""(?i)(authorization['"]?\s*[:=]\s*['"]?(?:basic|bearer)\s+)[^\s'"<>,]+""")

_known: set[str] = set()
_any_known: list[re.Pattern[str]] = []
"""One pattern of all that is known, longest first; empty when nothing is."""


def redacted(text: str) -> str:
    """Return `text` without logins in URLs, tokens in their queries, and what is known to be secret.

    >>> redacted("mongodb://u:p@db:27017/x"), redacted("hydrodask-data/lake"), redacted("http://me:p/w@h/x")
    ('mongodb://***@db:27017/x', 'hydrodask-data/lake', 'http://***@h/x')
    >>> redacted("// comment and me@x.org"), redacted("hdfs://nn:8020/a@b"), redacted("http://h/?a=1&token=t#x")
    ('// comment and me@x.org', 'hdfs://nn:8020/a@b', 'http://h/?a=1&token=***#x')
    """
    for pattern in _any_known:
        text = pattern.sub(MASK, text)
    if "@" in text:
        text = _LOGIN.sub(f"{MASK}@", text)
    if "=" in text:
        text = _TOKEN.sub(rf"\1={MASK}", text)
    return _HEADER.sub(rf"\1{MASK}", text) if "uthorization" in text.lower() else text


def visible(text: str) -> str:
    r"""Return `text` with escapes for what would work on a terminal, or turn letters round, instead of being seen.

    >>> visible("a" + chr(27) + "[2J" + chr(0x202E) + "b" + chr(10))
    'a\\x1b[2J\\u202eb\n'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def know(*secrets: str | None) -> None:
    """Hide these values from now on in all that this process says, in each form in which a text may hold them."""
    forms = {form for secret in secrets if secret and len(secret) >= KNOWN_MIN for form in _forms(secret)}
    if forms <= _known:
        return
    _known.update(forms)
    _any_known[:] = [re.compile("|".join(re.escape(one) for one in sorted(_known, key=len, reverse=True)))]
    # A filter would not see the text of a stack trace, and handlers of our own would not be those of libraries.
    logging.Formatter.format = _format  # type: ignore[method-assign]


def guard() -> None:
    """Redact all logs of this process, which is ours, and what it prints of errors that nobody has caught."""
    logging.Formatter.format = _format  # type: ignore[method-assign]
    sys.excepthook = _complain
    threading.excepthook = lambda said: _complain(said.exc_type, said.exc_value, said.exc_traceback)
    warnings.formatwarning = _warning


def _forms(secret: str) -> set[str]:
    """Return how a text may hold a secret: as it is, in a URL or out of one, as Python, JSON or HTML write it."""
    plain = {secret, unquote(secret)}
    ways: tuple[Any, ...] = (
        str,
        quote,
        quote_plus,
        lambda t: quote(t, safe=""),
        html.escape,
        _inside_repr,
        _inside_json,
    )
    return {way(text) for text in plain for way in ways if len(text) >= KNOWN_MIN}


def _inside_repr(text: str) -> str:
    return repr(text)[1:-1]


def _inside_json(text: str) -> str:
    return json.dumps(text)[1:-1]


_plain_format = logging.Formatter.format
_plain_warning = warnings.formatwarning


def _format(self: logging.Formatter, record: logging.LogRecord) -> str:
    return visible(redacted(_plain_format(self, record)))


def _warning(*arguments: Any, **options: Any) -> str:
    return redacted(_plain_warning(*arguments, **options))


def _complain(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if not issubclass(kind, SystemExit):
        sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))
