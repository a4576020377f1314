"""Serve the page from a thread of its own: the only module that imports uvicorn."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hydrodask.background import Aside
from hydrodask.clock import Zone
from hydrodask.console.ahead import REST, REST_IN_RUN, Ahead
from hydrodask.console.app import Rooms, made
from hydrodask.console.curves import CurveReader
from hydrodask.console.firing import Firing
from hydrodask.console.live import FromRun, Live
from hydrodask.console.sight import Sight
from hydrodask.console.tail import FromTopic
from hydrodask.console.visitors import Access
from hydrodask.detect.rules import load_rules
from hydrodask.errors import ConfigError
from hydrodask.hosts import Hosts
from hydrodask.reports import Overview
from hydrodask.settings import Settings
from hydrodask.store.documents import open_documents
from hydrodask.store.history import History
from hydrodask.store.lake import Lake

Source = Ahead | Firing | FromRun | FromTopic
"""What works beside the page."""

STOP_S_MAX = 5.0
CONNECTIONS_MAX = 256
"""Connections at a time; others are turned away with 503."""

ASK_S = 5.0
"""A connection that has not asked anything whole by then is closed: uvicorn would keep it for ever."""


class Asked(H11Protocol):
    """HTTP/1.1 for who asks within `ASK_S`: whoever sends nothing, or no HTTP, must not take a place of others."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._await()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await()

    def _await(self) -> None:
        if self._idle():
            self.loop.call_later(ASK_S, self._give_up, self.cycle)

    def _give_up(self, before: object) -> None:
        if self.cycle is before and self._idle() and not self.transport.is_closing():
            self.transport.close()

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete


class Console:
    """The page of one platform, from when it is made until `close`. `url` is where it is.

    With `overview` live values are those of the run in this process; without, those of the topic of window rows, unless
    the broker is an embedded one, which nobody else reaches. Raises ConfigError for an address, token file or
    certificate that can't be used.
    """

    def __init__(self, settings: Settings, overview: Callable[[], Overview] | None = None) -> None:
        chosen, data_dir = settings.console, settings.data_dir
        host, port = _parts(str(chosen.address))
        access = Access.of(chosen, data_dir)
        tls = [data_dir / file for file in (chosen.cert_file, chosen.key_file) if file is not None]
        _check_tls(tls)
        self._socket = _bound(host, port, str(chosen.address))
        self._documents = open_documents(settings)
        live, watch = Live(settings.window.length, slide_s=settings.window.slide), settings.observe
        firing = None if watch.alertmanager is None else Firing(watch)
        fires = None if firing is None else lambda: firing.now
        sight = Sight(
            self._documents, History(Lake(settings.lake_url)), live, watch.health, fires, Zone(watch.timezone)
        )
        self._curves = CurveReader(sight, settings, load_rules(settings.detect.rules))
        rooms = Rooms(sight, self._curves, access, Hosts(host, watch.hosts), secure=bool(tls))
        beside: list[Source] = [] if firing is None else [firing]
        ahead = Ahead(sight.history, REST if overview is None else REST_IN_RUN, lambda: self._curves.drawing)
        self._sources = [*beside, ahead, *_sources(live, settings, overview)]
        self._server = uvicorn.Server(
            uvicorn.Config(
                made(rooms),
                loop="asyncio",
                http=Asked,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=CONNECTIONS_MAX,
                timeout_graceful_shutdown=1,
                ssl_certfile=str(tls[0]) if tls else None,
                ssl_keyfile=str(tls[1]) if tls else None,
            )
        )
        self.port = int(self._socket.getsockname()[1])
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{shown}:{self.port}/"
        stop = threading.Event()
        self.thread = Aside("operator's page", lambda: self._server.run(sockets=[self._socket]), stop)
        self._stop = stop
        self.thread.start()

    @property
    def threads(self) -> list[Aside]:
        """What works beside a run."""
        return [self.thread, *(source.thread for source in self._sources)]

    def close(self) -> None:
        """Stop serving and let go of everything. May be called twice."""
        self._stop.set()
        self._server.should_exit = True
        for source in self._sources:
            source.close()
        self.thread.join(STOP_S_MAX)
        with contextlib.suppress(OSError):
            self._socket.close()
        self._curves.close()
        self._documents.close()


def _sources(live: Live, settings: Settings, overview: Callable[[], Overview] | None) -> list[Source]:
    if overview is not None:
        return [FromRun(live, overview, settings.topics.prefix)]
    return [] if settings.kafka.embedded else [FromTopic(live, settings)]


def _parts(address: str) -> tuple[str, int]:
    """Return host and port. Raises ConfigError.

    >>> _parts("[::1]:8780")
    ('::1', 8780)
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(f"console.address has value {address!r}; want HOST:PORT, or null for no page")
    return host.strip("[]"), int(port)


def _bound(host: str, port: int, address: str) -> socket.socket:
    """Return a socket that listens. Raises ConfigError when the address can't be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made_ = socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"could not serve the page at console.address {address!r}: {error}; "
            "set console.address to a free HOST:PORT, or null"
        ) from error
    made_.setblocking(False)
    return made_


def _check_tls(files: Sequence[object]) -> None:
    """Raise ConfigError unless there are both files, or none, and OpenSSL takes them."""
    if len(files) == 1:
        raise ConfigError("console.cert_file and console.key_file are only good together; want both, or none")
    if files:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(str(files[0]), str(files[1]))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"console.cert_file {files[0]} with console.key_file can't be used: {error}") from error
