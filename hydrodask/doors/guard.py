"""A guard in front of Dask's web server: who asks by our name, from no other page, for pages that people look at.

Dask's own routes for programs go: a GET of `/eventstream` puts a traceback into the log at every task for ever, one of
`/sitemap.json` one, and `/json`, `/info`, `/proxy`, `/api` and `/metrics` nobody here needs.
"""

from collections.abc import Callable, Iterable
from typing import Any

from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPServerConnectionDelegate, ResponseStartLine
from tornado.web import Application

from hydrodask.hosts import HEADERS, Hosts

OPEN = {"", "health", "static", "statics"}
"""What is served besides pages: the way to the first page, whether we are there, scripts and styles."""

Refuse = Callable[[str, HTTPHeaders], tuple[int, str] | None]


class Guard(HTTPServerConnectionDelegate):
    """Lets a request through to `application`, or answers it itself.

    `pages` are paths of pages; what is below one belongs to it. Without `hosts` any name will do: of a scheduler of
    others it is not known by which names it is reached.
    """

    def __init__(self, application: Application, pages: Iterable[str], hosts: Hosts | None) -> None:
        self._application = application
        self._open = OPEN | {page.strip("/") for page in pages}
        self._hosts = hosts

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        """Begin a request; what is answered to it has our headers."""
        guarded = _Headed(request_conn)
        return _Request(self._application.start_request(server_conn, guarded), guarded, self._refusal)  # type: ignore[arg-type]

    def _refusal(self, path: str, headers: HTTPHeaders) -> tuple[int, str] | None:
        origin = headers.get("Origin")
        if self._hosts is not None and (told := self._hosts.refusal(headers.get("Host", ""), origin)):
            return told
        place = path.partition("?")[0]
        if not place.startswith("/") or place.split("/")[1] not in self._open:
            return 404, "there is no such page"
        return None


class _Request(HTTPMessageDelegate):
    """One request: goes on to the application's delegate, unless it is refused."""

    def __init__(self, to: HTTPMessageDelegate, connection: "_Headed", refuse: Refuse) -> None:
        self._to: HTTPMessageDelegate | None = to
        self._connection = connection
        self._refuse = refuse

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Any:
        refused = self._refuse(start_line.path, headers)
        if refused is None:
            assert self._to is not None  # noqa: S101  # headers come once
            return self._to.headers_received(start_line, headers)
        self._to = None
        code, text = refused
        body = f"{text}\n".encode()
        told = HTTPHeaders({"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))})
        self._connection.write_headers(ResponseStartLine("HTTP/1.1", code, "Refused"), told, body)
        self._connection.finish()
        return None

    def data_received(self, chunk: bytes) -> Any:
        return None if self._to is None else self._to.data_received(chunk)

    def finish(self) -> None:
        if self._to is not None:
            self._to.finish()

    def on_connection_close(self) -> None:
        if self._to is not None:
            self._to.on_connection_close()


class _Headed:
    """A connection whose answers have our headers; all else is the connection's own."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def write_headers(self, start_line: Any, headers: HTTPHeaders, chunk: bytes | None = None) -> Any:
        for name, value in HEADERS.items():
            headers[name] = value
        headers.pop("Server", None)  # a version helps nobody but who looks for old ones
        return self._connection.write_headers(start_line, headers, chunk)
