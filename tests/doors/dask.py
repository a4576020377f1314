"""Ask Dask's ports who they are, and have them run code: in the clear, by TLS without and with a certificate of mine.

A plain script for the standard library alone; its contract is in `_stranger`. It speaks Dask's own protocol. An answer
is what counts: with TLS 1.3 who has no login seems to be connected until he reads.
"""

import http.client
import json
import os
import pickle
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

WAIT_S = 10.0
HOST = "127.0.0.1"
GREETING = {"compression": None, "python": list(sys.version_info[:3]), "pickle-protocol": 4}
WHO = {"op": "identity", "reply": True}
RUN = {"op": "run", "function": pickle.dumps(os.getuid), "reply": True}
"""What a worker and a nanny do for whoever may ask."""

RUN_IN_DRIVER = {**RUN, "op": "run_function"}
MINE = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hydrodask run"]
"""What makes a certificate that names whom it likes."""

Connect = Callable[[int], socket.socket]


def plain(port: int) -> socket.socket:
    """Connect in the clear."""
    return socket.create_connection((HOST, port), WAIT_S)


def by_tls(port: int, certificate: Path | None = None) -> socket.socket:
    """Connect by TLS, with or without a certificate of our own."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context.wrap_socket(plain(port), server_hostname=HOST)


def asked(port: int, connect: Connect, question: dict[str, Any]) -> bytes:
    """Return what comes after the greetings, or all that comes."""
    with connect(port) as dask:
        dask.sendall(message(GREETING) + message(question))
        greeting = received(dask)
        return received(dask) or greeting


def received(dask: socket.socket) -> bytes:
    """Return the next message, or as much of it as comes."""
    size = exactly(dask, 8)
    return exactly(dask, min(65_536, *struct.unpack("<Q", size))) if len(size) == 8 else size


def exactly(dask: socket.socket, size: int) -> bytes:
    """Return so many bytes, fewer at the end."""
    data = b""
    while len(data) < size and (more := dask.recv(size - len(data))):
        data += more
    return data


def message(value: dict[str, Any]) -> bytes:
    """Return one message as Dask sends it: a length, then one frame with its own."""
    frame = packed(value)
    return struct.pack("<QQQ", 16 + len(frame), 1, len(frame)) + frame


def packed(value: Any) -> bytes:
    """Return a value as MessagePack."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return struct.pack(">BI", 0xCE, value)
    if isinstance(value, str):
        return struct.pack(">BH", 0xDA, len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return struct.pack(">BH", 0xC5, len(value)) + value
    if isinstance(value, list):
        return struct.pack(">BH", 0xDC, len(value)) + b"".join(map(packed, value))
    return struct.pack(">BH", 0xDE, len(value)) + b"".join(packed(key) + packed(one) for key, one in value.items())


def page(port: int) -> bytes:
    """Return what a web browser gets."""
    connection = http.client.HTTPConnection(HOST, port, timeout=WAIT_S)
    try:
        connection.request("GET", "/info/main/workers.html")
        return connection.getresponse().read()
    finally:
        connection.close()


def certificate(folder: str) -> Path | None:
    """Return a file with a key of ours and its certificate, signed by nobody else; None if there is no OpenSSL here."""
    parts = [Path(folder) / "key.pem", Path(folder) / "certificate.pem"]
    try:
        options = ["-keyout", str(parts[0]), "-out", str(parts[1])]
        subprocess.run(["openssl", *MINE, *options], capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    both = Path(folder) / "both.pem"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    return both


def attempts(mine: Path | None) -> Iterator[tuple[str, Callable[[int], bytes] | None]]:
    """Give each attempt; None for one that can't be made."""
    yield "who are you, in the clear", partial(asked, connect=plain, question=WHO)
    yield "run code, in the clear", partial(asked, connect=plain, question=RUN)
    yield "run code in the driver, in the clear", partial(asked, connect=plain, question=RUN_IN_DRIVER)
    yield "run code, by TLS without a certificate", partial(asked, connect=by_tls, question=RUN)
    for name, question in (("who are you", WHO), ("run code", RUN), ("run code in the driver", RUN_IN_DRIVER)):
        with_mine = partial(asked, connect=partial(by_tls, certificate=mine), question=question)
        yield f"{name}, by TLS with a certificate of mine", None if mine is None else with_mine
    yield "a page, by HTTP", page


def outcome(attempt: Callable[[int], bytes] | None, port: int) -> str:
    """Return what comes of an attempt. Who does not answer at all may be slow: that is an error, and no refusal."""
    if attempt is None:
        return "skipped: there is no openssl here, to make a certificate"
    plain(port).close()
    try:
        answer = attempt(port)
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException) as error:
        return f"refused: {type(error).__name__}: {' '.join(str(error).split())[:100]}"
    return f"open: {answer[:100]!r}" if answer else "refused: the connection was closed without an answer"


def main(context: dict[str, Any]) -> None:
    """Try each port."""
    with tempfile.TemporaryDirectory() as folder:
        mine = certificate(folder)
        for port in context["dask"]:
            for name, attempt in attempts(mine):
                row = {"door": f"Dask, port {port}", "attempt": name, "outcome": outcome(attempt, port)}
                sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
