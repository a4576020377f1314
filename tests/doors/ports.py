"""Try each port of the platform from another address of this machine: all of them are for loopback.

A plain script for the standard library alone; its contract is in `_stranger`.
"""

import json
import socket
import sys
from typing import Any

CONNECT_S = 3.0


def address() -> str | None:
    """Return an address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # of documentation's network; nothing is sent
        except OSError:
            return None
        found = str(probe.getsockname()[0])
        return None if found.startswith("127.") else found


def attempt(host: str | None, port: int) -> str:
    """Return what comes of a connection."""
    if host is None:
        return "skipped: this machine has no other address"
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S):
            return "open: it listens beyond loopback"
    except OSError as error:
        return f"refused: {error}"


def main(context: dict[str, Any]) -> None:
    """Try each."""
    host = address()
    for one in context["ports"]:
        row = {"door": f"port of {one['process']}", "attempt": "connect from another address"}
        sys.stdout.write(json.dumps({**row, "outcome": attempt(host, one["port"])}) + "\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
