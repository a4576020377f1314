"""Try the other local services, knowing no password: read, write, delete, stop, and say that one is somebody else.

A plain script for the standard library alone; its contract is in `_stranger`.
"""

import base64
import http.client
import json
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

ANSWER_S = 10.0
UNAUTHORIZED = 401

ASKED = {
    "pushgateway": (
        ("read all metrics", "GET", "/metrics"),
        ("push metrics of a platform", "PUT", "/metrics/job/hydrodask/instance/x"),
        ("delete a platform's metrics", "DELETE", "/metrics/job/hydrodask/instance/x"),
    ),
    "alertmanager": (
        ("read alerts", "GET", "/api/v2/alerts"),
        ("silence all alerts", "POST", "/api/v2/silences"),
        ("reload its settings", "POST", "/-/reload"),
    ),
    "prometheus": (
        ("ask for metrics", "GET", "/api/v1/query?query=up"),
        ("delete series", "POST", "/api/v1/admin/tsdb/delete_series?match[]=up"),
        ("stop it", "POST", "/-/quit"),
    ),
    "mlflow": (
        ("list models", "GET", "/api/2.0/mlflow/registered-models/search"),
        ("make a version the champion", "POST", "/api/2.0/mlflow/registered-models/alias"),
        ("overwrite an artefact", "PUT", "/api/2.0/mlflow-artifacts/artifacts/x/model.onnx"),
        ("ask whether it is well", "GET", "/health"),
    ),
}
"""What is tried of each web server."""

GUESSES = ("", "password", "admin", "hydrodask")


def main(context: dict[str, Any]) -> None:
    """Try each that runs."""
    for name, address in context["services"].items():
        for attempt, outcome in attempts(name, address):
            sys.stdout.write(json.dumps({"door": name, "attempt": attempt, "outcome": outcome}) + "\n")


def attempts(name: str, address: str) -> Iterator[tuple[str, str]]:
    """Give what was tried of a service, and what came of it."""
    if name == "mongodb":
        for attempt, command in (("list databases", "listDatabases"), ("make a user", "createUser")):
            yield attempt, mongo(address, command)
        return
    if name == "hdfs":
        yield "list files as root over WebHDFS", hdfs(address)
        return
    for attempt, method, path in ASKED.get(name, ()):
        yield f"{attempt}, without a login", web(address, method, path)
    for guess in GUESSES:
        yield f"log in with {guess!r}", web(address, "GET", "/metrics" if name != "mlflow" else "/version", guess)


def web(address: str, method: str, path: str, password: str | None = None) -> str:
    """Return what a web server answers."""
    headers = {"Content-Type": "application/json"}
    if password is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(f"hydrodask:{password}".encode()).decode()
    connection = http.client.HTTPConnection(address, timeout=ANSWER_S)
    try:
        connection.request(method, path, b"{}" if method != "GET" else None, headers)
        with connection.getresponse() as answer:
            status = answer.status
    except OSError as error:
        return f"refused: {error}"
    finally:
        connection.close()
    return f"refused: {status}" if status == UNAUTHORIZED else f"open: it answers {status}"


def hdfs(address: str) -> str:
    """Return what WebHDFS answers to whoever says that he is root."""
    connection = http.client.HTTPConnection(address, timeout=ANSWER_S)
    try:
        connection.request("GET", "/webhdfs/v1/?op=LISTSTATUS&user.name=root")
        with connection.getresponse() as answer:
            status = answer.status
    except OSError as error:
        return f"refused: {error}"
    finally:
        connection.close()
    return (
        "known: without Kerberos HDFS takes everybody's word for who he is" if status == 200 else f"refused: {status}"
    )


def mongo(address: str, command: str) -> str:
    """Return what MongoDB answers to a command without a login: OP_MSG with {command: 1, $db: "admin"}."""
    host, _, port = address.rpartition(":")
    body = b"\x10" + command.encode() + b"\0" + struct.pack("<i", 1) + b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0"
    document = struct.pack("<i", len(body) + 5) + body + b"\0"
    message = struct.pack("<I", 0) + b"\0" + document
    with socket.create_connection((host, int(port)), timeout=ANSWER_S) as server:
        server.sendall(struct.pack("<iiii", 16 + len(message), 1, 0, 2013) + message)
        answer = server.recv(65_536)
    for said in (b"Unauthorized", b"requires authentication", b"not authorized"):
        if said in answer:
            return f"refused: {said.decode()}"
    return f"open: {answer[21:200]!r}"


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
