"""Whom our clients of web servers believe, and how they say who they are."""

import base64
import ssl
from pathlib import Path

from hydrodask.errors import ConfigError


def trust(file: Path | None, key: str) -> ssl.SSLContext:
    """Return how a server's certificate is checked: by the authority in `file` alone, if there is one.

    Raises ConfigError, naming the setting `key`, for a file that can't be that.
    """
    try:
        return ssl.create_default_context(cafile=None if file is None else str(file))
    except ssl.SSLError as error:
        raise ConfigError(f"{key} has value {str(file)!r}, which has no certificate") from error
    except OSError as error:
        raise ConfigError(f"{key} has value {str(file)!r}, which can't be read: {error.strerror}") from error


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header that says who asks.

    >>> basic("hydrodask", "x")
    {'Authorization': 'Basic aHlkcm9kYXNrOng='}
    """
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
