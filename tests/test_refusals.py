"""A web server that refuses: each of our clients closes the connection, whoever keeps the error."""

import contextlib
import urllib.error
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hydrodask.console.firing import Firing
from hydrodask.doctor import reach
from hydrodask.errors import FatalError, RetryableError
from hydrodask.learn.rest import Rest
from hydrodask.notify.senders.web import WebhookSender
from hydrodask.observe.metrics import Metrics
from hydrodask.reports import Overview
from hydrodask.settings import load
from hydrodask.settings.hidden import Url
from hydrodask.settings.model import Observe
from hydrodask.settings.notify import Webhook
from hydrodask.worker.spans import Exporter, Span
from tests.serving import serving


class Refusing(BaseHTTPRequestHandler):
    """Refuses all, and says why."""

    def do_GET(self) -> None:
        said = b"not you " * 1000
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        with contextlib.suppress(OSError):  # it may be gone already
            self.wfile.write(said)

    do_POST = do_PUT = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Give the address of a server that refuses."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Refusing)) as address:
        yield address


def alerts(address: str) -> None:
    """Ask an Alertmanager what fires."""
    with contextlib.closing(Firing(Observe.model_validate({"alertmanager": address}))) as firing:
        assert firing.look().trouble == "it answers 403: is observe.alertmanager_password_file right?"


def doctor(address: str) -> None:
    """Look whether MLflow answers."""
    assert reach.mlflow(load(sets=[f"learn.mlflow={address}"], environ={})[0]).state == "fail"


def push(address: str) -> None:
    """Push metrics once."""
    made = Observe.model_validate({"metrics": "127.0.0.1:0", "pushgateway": address})
    pusher = Metrics(lambda: Overview("r", 0), load(environ={})[0].model_copy(update={"observe": made}))._pusher
    assert pusher is not None
    pusher.push()
    assert pusher.failures == 1


def spans(address: str) -> None:
    """Send a span."""
    span = Span("window", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 0, {}, 5)
    with pytest.raises(urllib.error.HTTPError):
        Exporter(address)._post([span])


def models(address: str) -> None:
    """Ask an MLflow server for its champions."""
    with pytest.raises(FatalError, match="403"):
        Rest(Url(address)).champions()


def message(address: str) -> None:
    """Post a message to a webhook."""
    channel = Webhook.model_validate({"kind": "webhook", "url": address})
    with pytest.raises(RetryableError, match=r"403 \(not you"):
        WebhookSender(channel, "notify.channels.desk", 60).send({"id": "1"})


@pytest.mark.parametrize("ask", [alerts, doctor, push, spans, models, message])
def test_a_refusal_keeps_no_connection_open(
    ask: Callable[[str], None], server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nor does its error, which a log or a caller may keep: urllib leaves the closing to whoever catches it."""
    kept: list[Any] = []
    make = urllib.error.HTTPError.__init__

    def made(error: urllib.error.HTTPError, *arguments: Any) -> None:
        kept.append(error)
        make(error, *arguments)

    monkeypatch.setattr(urllib.error.HTTPError, "__init__", made)
    monkeypatch.chdir(tmp_path)
    ask(server)

    assert kept, "it was not refused"
    assert [error.fp.isclosed() for error in kept] == [True] * len(kept)
