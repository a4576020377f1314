"""Settings that may not be shown, nor sent: their text is redacted, and whoever unpickles them looks for the secret.

A secret comes from the environment or from a file. What is pickled (an order, a task) holds the name of the setting or
the path of the file; workers on other machines need that variable, or that file, of their own.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import quote, unquote

from pydantic import Secret, SecretStr

from hydrodask.errors import ConfigError
from hydrodask.redaction import know, redacted

PREFIX = "HYDRODASK_"

USER = "hydrodask"
"""Who we are to local services that ask for a user."""

_LENT = "_HYDRODASK_LENT_"
"""First part of the name of a variable that holds a secret which came from elsewhere."""

_PARTS = re.compile(r"""([a-z][a-z0-9+.-]*://)(?:([^\s/?#'"<>]*)@)?(.*)""", re.DOTALL)
_UNESCAPED = re.compile(r"""[a-z][a-z0-9+.-]*://[^\s/?#'"<>@:]*:(?!\d{1,5}[/?#])[^@]*[/?#\s][^@]*@""")

_sources: dict[str, tuple[str, int]] = {}
"""Of a secret that the environment holds the setting, and its place among the secrets in there."""


class Password(SecretStr):
    """A secret that is one as a whole."""

    def plain(self) -> str:
        """Return the secret itself."""
        return self.get_secret_value()

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _password, (_source_of(self.plain()),)

    def __deepcopy__(self, _memo: object) -> "Password":
        return self


class Url(Secret[str]):
    """A URL, or a path: its text has no login and no token, `plain` has."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        if _UNESCAPED.match(text):
            raise ValueError("its password has a character that must be escaped: / is %2F, ? is %3F, # is %23")
        know(*self.secrets())

    def plain(self) -> str:
        """Return the URL with all that it holds."""
        return self.get_secret_value()

    def __fspath__(self) -> str:
        """Return a path that is no URL as one."""
        return str(self)

    def secrets(self) -> list[str]:
        """Return what of it is secret, as it stands there: a password, tokens in its query."""
        query = self.plain().partition("?")[2].partition("#")[0]
        tokens = [one.partition("=")[2] for one in re.split("[&;]", query) if redacted(f"?{one}&") != f"?{one}&"]
        return [secret for secret in (self.login()[1], *tokens) if secret]

    def login(self) -> tuple[str, str]:
        """Return user and password as they stand in the URL, escaped; empty where there is none."""
        found = _PARTS.fullmatch(self.plain())
        user, _, password = ((found and found[2]) or "").partition(":")
        return user, password

    def beside(self, suffix: str) -> "Url":
        """Return the URL of the folder beside this one, whose name has `suffix` in addition."""
        return Url(self.plain().rstrip("/") + suffix)

    def bare(self) -> str:
        """Return the URL without user and password."""
        found = _PARTS.fullmatch(self.plain())
        return f"{found[1]}{found[3]}" if found else self.plain()

    def with_login(self, user: str, password: str) -> "Url":
        """Return the URL with a login in place of the one that it may have."""
        return Url(self.bare().replace("://", f"://{quote(user, safe='')}:{quote(password, safe='')}@", 1))

    def _display(self) -> str:
        return redacted(self.plain())

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        text, sources = self.plain(), []
        for place, secret in enumerate(self.secrets()):
            sources.append(_source_of(secret))
            text = text.replace(secret, f"\0{place}\0")
        return _url, (text, tuple(sources))

    def __deepcopy__(self, _memo: object) -> "Url":
        return self


def secret_of(path: Path, key: str) -> str:
    """Return the secret in a file, which is hidden from now on. Raises ConfigError, naming the setting `key`."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{key} has value {str(path)!r}, which can't be read: {error}; local services make theirs when they start"
        ) from error
    know(secret)
    return secret


def with_password(url: Url, path: Path | None, key: str) -> Url:
    """Return the URL of a server with the password in the file `path`, for the user that it names, or `USER`."""
    if path is None or not url.plain().startswith("http") or url.login()[1]:
        return url
    return url.with_login(unquote(url.login()[0]) or USER, secret_of(path, key))


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a library with the secrets among them as it needs them."""
    return {key: value.plain() if isinstance(value, Password) else value for key, value in values.items()}


def hide(values: dict[str, Any]) -> dict[str, Any]:
    """Return settings of a library with those that are secret by their name as such."""
    return {k: Password(v) if isinstance(v, str) and secret_by_name(k) else v for k, v in values.items()}


def secret_by_name(key: str) -> bool:
    """Say whether a setting is a secret as a whole, by its dotted name.

    >>> secret_by_name("kafka.client.ssl.key.password"), secret_by_name("kafka.password_file")
    (True, False)
    """
    words = ("password", "passphrase", "secret", "key.pem", "sasl.oauthbearer.config")
    return not key.endswith("_file") and any(word in key for word in words)


def secrets_in(key: str, value: object) -> list[str]:
    """Return what of a setting is secret, and hide it from now on: all of it, or a login or token in a URL.

    Raises ConfigError for a URL of which nobody can say where its password ends.
    """
    if not isinstance(value, str) or not value:
        return []
    try:
        secrets = [value] if secret_by_name(key) else Url(value).secrets() if "://" in value else []
    except ValueError as error:
        know(value)
        raise ConfigError(f"{key} holds a URL that can't be used: {error}") from None
    know(*secrets)
    return secrets


def variable(key: str) -> str:
    """Return the name of the variable that sets a setting.

    >>> variable("lake.url"), variable("kafka.client.sasl.password")
    ('HYDRODASK_LAKE__URL', 'HYDRODASK_KAFKA__CLIENT')
    """
    parts = key.split(".")
    return PREFIX + "__".join(parts[:2]).upper()


def learn(environment: Mapping[str, object]) -> None:
    """Hide what the environment's settings, by dotted key, hold; and remember where each secret is."""
    for key, value in environment.items():
        for place, secret in enumerate(secrets_in(key, value)):
            _sources[secret] = key, place


def lend(secrets: Sequence[str]) -> None:
    """Put secrets that came from elsewhere into the environment, where the workers that we start find them."""
    for secret in secrets:
        if secret not in _sources:
            name = f"{_LENT}{token_hex(8)}"
            os.environ[name] = secret
            _sources[secret] = name, 0


def _source_of(secret: str) -> tuple[str, int]:
    if secret not in _sources:
        raise ConfigError(
            "a secret that is in no variable of the environment can't be sent to workers: set it there, as "
            "HYDRODASK_KAFKA__PASSWORD, or name its file"
        )
    return _sources[secret]


def _secret(source: tuple[str, int]) -> str:
    """Return a secret out of the environment of this process. Raises ConfigError."""
    from hydrodask.settings.load import from_environment  # noqa: PLC0415 - which imports what imports this

    key, place = source
    if key.startswith(_LENT):
        return _lent(key)
    held = from_environment(os.environ)
    try:
        secret = secrets_in(key, held.get(key))[place]
    except IndexError:
        raise ConfigError(
            f"{variable(key)} is not in the environment of a worker, and secrets are not sent to workers: start them "
            "with it, or name a file that they can read"
        ) from None
    _sources[secret] = source
    return secret


def _lent(name: str) -> str:
    """Return a secret that our driver was given on its command line. Raises ConfigError."""
    if name not in os.environ:
        raise ConfigError(
            "a URL with a password was given to the driver by --set or a profile, and secrets are not sent to workers: "
            "give it to driver and workers as a variable (HYDRODASK_LAKE__URL=…)"
        )
    know(os.environ[name])
    _sources[os.environ[name]] = name, 0
    return os.environ[name]


def _password(source: tuple[str, int]) -> Password:
    return Password(_secret(source))


def _url(text: str, sources: tuple[tuple[str, int], ...]) -> Url:
    for place, source in enumerate(sources):
        text = text.replace(f"\0{place}\0", _secret(source))
    return Url(text)
