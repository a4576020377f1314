"""Whom our clients of web servers believe, and how they say who they are."""

import base64
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler

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


class NoRedirect(HTTPRedirectHandler):
    """Follows nothing: what is sent, and the password or token with it, is for the address that was configured."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


@contextmanager
def refusals_closed() -> Iterator[None]:
    """Close the connection of a refusal that is raised: urllib keeps it open until the error is collected as garbage.

    What the server says of it has to be read inside.
    """
    try:
        yield
    except HTTPError as error:
        error.close()
        raise
