"""Ports on loopback: a free one, whether one is taken, and what a web server on one says."""

import http.client
import random
import socket

from hydrodask.doors.trust import basic
from hydrodask.errors import UnreachableError

LOOPBACK = "127.0.0.1"
EPHEMERAL = 32_768
"""From here on Linux takes ports for connections, if nobody has told it otherwise."""

TRIES_MAX = 100
CONNECT_S = 1.0
HTTP_OK = 200


def free_port(span: int = 1) -> int:
    """Return a TCP port of loopback that nobody uses now, nor the `span` − 1 after it.

    >>> 1024 <= free_port() <= 65535
    True
    """
    for _ in range(TRIES_MAX):
        # Below those that the system gives to connections: one of these may be taken before a server gets to it.
        # From the system: processes whose `random` begins with the same seed must not find the same port.
        port = random.SystemRandom().randrange(10_000, EPHEMERAL - span)
        if all(can_bind(port + place) for place in range(span)):
            return port
    raise UnreachableError(f"could not find {span} free ports of {LOOPBACK} in a row in {TRIES_MAX} tries")


def can_bind(port: int, host: str = LOOPBACK) -> bool:
    """Say whether a server could listen on `port` now; connections that linger do not count."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def answers(port: int, host: str = LOOPBACK) -> bool:
    """Say whether somebody accepts connections on `port`."""
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S):
            return True
    except OSError:
        return False


def port_of(address: str) -> int:
    """Return the port of `host:port`.

    >>> port_of("127.0.0.1:9092")
    9092
    """
    return int(address.rpartition(":")[2])


def open_at(address: str) -> bool:
    """Say whether somebody accepts connections at `host:port`."""
    return answers(port_of(address), address.rpartition(":")[0])


def http_get(address: str, path: str, *, timeout_s: float, login: tuple[str, str] | None = None) -> bytes | None:
    """Return the body at `path` of the web server at `host:port`; None without one, or when it refuses.

    `login` is a user and a password.
    """
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request("GET", path, headers=basic(*login) if login else {})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if response.status == HTTP_OK else None
