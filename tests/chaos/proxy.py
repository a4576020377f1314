"""A TCP proxy on loopback that can be slow or cut: a bad network, without touching the machine's."""

import contextlib
import socket
import threading
from typing import Self

from hydrodask import clock

CHUNK = 65_536


class Proxy:
    """Forwards connections to `port`. `delay_s` holds each piece back; `cut` drops connections and refuses new ones."""

    def __init__(self, port: int) -> None:
        self.delay_s = 0.0
        self.cut = False
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()

    @property
    def port(self) -> int:
        """The port to connect to."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.partition()
        self._listener.close()

    def partition(self) -> None:
        """Cut all connections, and refuse new ones until `heal`."""
        self.cut = True
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        """Let connections through again."""
        self.cut = False

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                if self.cut:
                    client.close()
                    continue
                try:
                    server = socket.create_connection(self._target, timeout=10)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        self._open.add(source)
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                clock.sleep_s(self.delay_s)
                sink.sendall(data)
        self._open.discard(source)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        source.close()
