"""A small web server for pages that programs fetch, guarded as the dashboard is: by name, page and path."""

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from hydrodask.hosts import HEADERS, Hosts

WAIT_S = 10.0
"""Who sends no request for so long is let go."""

AT_ONCE_MAX = 16
"""Requests that are answered at a time; others are turned away, so that nobody fills the process with threads."""

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class PageServer:
    """Serves pages, by path, from a thread; `url` is that of the first. Raises OSError if the address can't be had."""

    def __init__(self, host: str, port: int, pages: Mapping[str, Application], hosts: Hosts) -> None:
        kind, first = _ServerV6 if ":" in host else _Server, next(iter(pages))
        self._server = kind((host, port), _Handler)
        self._server.set_app(guarded(pages, hosts))
        self._thread = threading.Thread(target=self._server.serve_forever, name=f"pages {first}", daemon=True)
        self._thread.start()
        bound = f"[{host}]" if ":" in host else host
        self.url = f"http://{bound}:{self._server.server_port}{first}"

    @property
    def alive(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT_S)


def guarded(pages: Mapping[str, Application], hosts: Hosts) -> Application:
    """Return an application that gives `pages` to who asks for them by our name, and nothing else to anybody."""

    def application(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        def start_headed(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start(status, [*headers, *HEADERS.items()], *more)

        refused = hosts.refusal(request.get("HTTP_HOST", ""), request.get("HTTP_ORIGIN"))
        if refused is None and request["REQUEST_METHOD"] not in ("GET", "HEAD"):
            refused = 405, "only GET"
        page = pages.get(request["PATH_INFO"])
        if refused is None and page is not None:
            return page(request, start_headed)
        refused = refused or (404, f"there is only {', '.join(pages)}")
        code, text = refused
        start_headed(f"{code} Refused", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]

    return application


class _Handler(WSGIRequestHandler):
    """Says nothing of requests, and does not wait for ever."""

    timeout = WAIT_S
    server_version = "hydrodask"
    sys_version = ""

    def log_message(self, format: str, *_arguments: Any) -> None:  # noqa: A002  # the library's name
        """Say nothing: what is asked for here is no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self._room = threading.Semaphore(AT_ONCE_MAX)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there are not too many."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, then make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, *_arguments: Any) -> None:
        """Say nothing: who breaks a connection off is no trouble of ours."""


class _ServerV6(_Server):
    address_family = socket.AF_INET6
