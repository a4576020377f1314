"""Try the embedded broker's port: it knows no logins, as docs/security.md says; what ends it must not end us.

A plain script for the standard library alone; its contract is in `_stranger`. Last of all: it ends the broker.
"""

import json
import socket
import struct
import sys

CLIENT = b"stranger"
ANSWER_S = 20.0
"""A broker that lives answers or closes at once; one whose machine is busy is given time."""

JOIN_CUT = bytes.fromhex(
    "000b0005000000040008737472616e676572000167"  # its header, and the group `g`
    "0000afc8000493e00000ffff0008636f6e73756d6572000000020005"
)
"""A JoinGroup that ends within its list: the mock cluster frees part of it twice."""

HEADER_CUT = bytes.fromhex("001a00010000000700077264")
"""A header whose client id is longer than the frame: an assertion fails."""


def malformed() -> list[bytes]:
    """Return frames that no client sends: some end the broker at once, some at the second time."""
    sizes = [struct.pack(">i", size) for size in (-1, 0, 1, 2**31 - 1)]
    cut = [struct.pack(">i", len(body)) + body for body in (JOIN_CUT, JOIN_CUT[:-2], HEADER_CUT)]
    return [*sizes, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + bytes(60), *cut * 4]


def send(host: str, port: int, data: bytes, *, wait: bool = False) -> bytes:
    """Return what is answered to `data`; nothing if the connection closes. Raises OSError when nobody listens.

    Without `wait` the other side sees our end at once, and closes.
    """
    with socket.create_connection((host, port), timeout=ANSWER_S) as connection:
        connection.settimeout(ANSWER_S)
        try:
            connection.sendall(data)
            if not wait:
                connection.shutdown(socket.SHUT_WR)
            return connection.recv(65_536)
        except OSError:
            return b""


def metadata() -> bytes:
    """Return the request for all topics (Metadata, version 1)."""
    body = struct.pack(">hhih", 3, 1, 1, len(CLIENT)) + CLIENT + struct.pack(">i", -1)
    return struct.pack(">i", len(body)) + body


def main(context: dict[str, str]) -> None:
    """Ask as anybody, then send what is malformed until nobody listens."""
    if "broker" not in context:
        return
    host, _, port = context["broker"].rpartition(":")
    answered = send(host, int(port), metadata(), wait=True)
    say("read the list of topics", "known: it has no logins" if answered else "refused: the connection closes")
    sent = 0
    try:
        for sent, frame in enumerate(malformed()):  # noqa: B007  # the number is what is told
            send(host, int(port), frame)
    except OSError:
        say("malformed frames", f"known: it ended after {sent} of them, and with it the run")
    else:
        say("malformed frames", "refused: it lives")


def say(attempt: str, outcome: str) -> None:
    """Print one row."""
    row = {"door": "embedded broker", "attempt": attempt, "outcome": outcome}
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
