"""What a stranger tries at Dask's ports: `python -m tests.doors.dask ADDRESS …`, a JSON line for each attempt.

An address is `host:port` or what Dask prints. Nothing of hydrodask is imported: a stranger has only distributed. What
counts is an answer: with TLS 1.3 who has no login seems to be connected until he reads. Exit code 1 if a door is open.
"""

import sys

sys.path[:] = [folder for folder in sys.path if not folder.endswith("doors")]  # else `dask` is this file

import asyncio
import http.client
import json
import os
import pickle
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

from distributed.comm import connect
from distributed.security import Security

WAIT_S = 5.0
REFUSALS = (OSError, RuntimeError, ValueError, TypeError, http.client.HTTPException, EOFError)
"""What distributed, TLS and HTTP say when nobody answers."""


def attempts(address: str) -> Iterator[dict[str, str]]:
    """Try everything at one port, and give what came of it: `refused: …` or `OPEN: …`."""
    place = address.rpartition("://")[2]
    for name, attempt in ATTEMPTS.items():
        yield {"door": f"dask {place}", "attempt": name, "outcome": outcome(attempt, place)}


def outcome(attempt: Callable[[str], Any], place: str) -> str:
    """Return what an attempt came to; one that finds nobody there proves nothing."""
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), WAIT_S).close()
    except OSError as error:
        return f"NOBODY THERE: {error}"
    try:
        answer = attempt(place)
    except TimeoutError:
        return "NO ANSWER: which may be a slow machine, and proves nothing"
    except REFUSALS as error:
        return f"refused: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
    return f"OPEN: {str(answer)[:120]}"


def ask(place: str, protocol: str, question: dict[str, Any], login: Security) -> Any:
    """Return Dask's answer to a question."""

    async def go() -> Any:
        arguments = login.get_connection_args("client")
        comm = await connect(f"{protocol}://{place}", timeout=WAIT_S, **arguments)
        try:
            await comm.write(question)
            return await comm.read()
        finally:
            comm.abort()

    return asyncio.run(asyncio.wait_for(go(), 2 * WAIT_S))


def without_login(place: str) -> bytes:
    """Speak TLS without a certificate, and wait for an answer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, _, port = place.rpartition(":")
    with (
        socket.create_connection((host, int(port)), WAIT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as encrypted,
    ):
        encrypted.sendall(b"\0" * 64)
        return answered(encrypted.recv(64))


def by_http(place: str) -> bytes:
    """Ask for a page."""
    connection = http.client.HTTPConnection(place, timeout=WAIT_S)
    try:
        connection.request("GET", "/sitemap.json")
        return answered(connection.getresponse().read())
    finally:
        connection.close()


def answered(data: bytes) -> bytes:
    """Return an answer; the end of a connection is none."""
    if not data:
        raise EOFError("the connection was closed")
    return data


WHO = {"op": "identity", "reply": True}
RUN = {"op": "run", "function": pickle.dumps(os.getuid), "reply": True}
"""What a worker and a nanny do for whoever asks."""

RUN_IN_DRIVER = {**RUN, "op": "run_function"}
ATTEMPTS: dict[str, Callable[[str], Any]] = {
    "plain: who are you": lambda place: ask(place, "tcp", WHO, Security(require_encryption=False)),
    "plain: run code": lambda place: ask(place, "tcp", RUN, Security(require_encryption=False)),
    "plain: run code in the driver": lambda place: ask(place, "tcp", RUN_IN_DRIVER, Security(require_encryption=False)),
    "TLS without a certificate": without_login,
    "TLS, a certificate of my own: who are you": lambda place: ask(place, "tls", WHO, Security.temporary()),
    "TLS, a certificate of my own: run code": lambda place: ask(place, "tls", RUN, Security.temporary()),
    "HTTP": by_http,
}


def main() -> None:
    """Try every address that is named."""
    lines = [line for address in sys.argv[1:] for line in attempts(address)]
    for line in lines:
        print(json.dumps(line), flush=True)
    sys.exit(0 if lines and all(line["outcome"].startswith("refused") for line in lines) else 1)


if __name__ == "__main__":
    main()
