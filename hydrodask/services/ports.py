"""Ports on loopback: a free one, whether one is taken, and what a web server on one says."""

import http.client
import socket

LOOPBACK = "127.0.0.1"
CONNECT_S = 1.0
HTTP_OK = 200


def free_port() -> int:
    """Return a TCP port of loopback that nobody uses now.

    >>> 1024 <= free_port() <= 65535
    True
    """
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def can_bind(port: int, host: str = LOOPBACK) -> bool:
    """Say whether a server could listen on `port` now; connections that linger do not count."""
    with socket.socket() as probe:
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


def http_get(address: str, path: str, *, timeout_s: float) -> bytes | None:
    """Return the body at `path` of the web server at `host:port`; None without one, or when it refuses."""
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if response.status == HTTP_OK else None
