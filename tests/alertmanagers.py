"""A server that answers as an Alertmanager does, or as none should."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hydrodask.services.ports import LOOPBACK

ALERTS = [
    {
        "labels": {"alertname": "HydrodaskSlow", "severity": "warning", "instance": "a"},
        "annotations": {"summary": "a: slow", "runbook_url": "docs/runbook.md#hydrodaskslow"},
        "startsAt": "2026-11-29T01:00:00.123456789Z",
        "status": {"state": "active"},
    },
    {
        "labels": {"alertname": "HydraulicSensorCritical", "severity": "critical", "rig": "rig-1"},
        "annotations": {"summary": "rig-1: CE has health 80", "runbook_url": "https://docs.test/#x"},
        "startsAt": "2026-11-29T00:59:00.000Z",
    },
    {
        "labels": {"alertname": "oil_warm", "severity": "critical", "cause": "oil_warm/x", "job": "hydrodask"},
        "startsAt": "2026-11-29T01:00:00Z",
    },
    {
        "labels": {"alertname": "Odd"},
        "annotations": {"runbook_url": "javascript:x()"},
        "startsAt": "2026-11-29T01:00:00+01:00",
    },
]


class Manager(BaseHTTPRequestHandler):
    """Answers as its server's `answer` says: a code, and bytes or a thing to be sent as JSON."""

    def do_GET(self) -> None:  # the library's name
        self.server.asked.append((self.path, self.headers.get("Authorization")))  # type: ignore[attr-defined]
        code, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            for at in range(0, len(data), self.server.piece):  # type: ignore[attr-defined]
                self.wfile.write(data[at : at + self.server.piece])  # type: ignore[attr-defined]
                self.server.pause.wait(self.server.pause_s)  # type: ignore[attr-defined]
        except OSError:
            return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing."""


@contextmanager
def managing() -> Iterator[Any]:
    """Run a server that answers as it is told to."""
    with ThreadingHTTPServer((LOOPBACK, 0), Manager) as server:
        said: Any = server
        said.asked, said.answer, said.piece, said.pause_s, said.pause = (
            [],
            (200, ALERTS),
            1 << 20,
            0.0,
            threading.Event(),
        )
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield said
        said.pause.set()
        server.shutdown()
        thread.join()
