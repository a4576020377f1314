"""A TCP proxy on loopback that can be slow or cut: a bad network, without touching the machine's."""

import contextlib
import socket
import threading
from typing import Self

from hydrodask import clock

CHUNK = 65_536


class Proxy:
    """Forwards connections to `target_port`. `delay_s` holds each piece back.

    `partition` drops connections and refuses new ones, `hold` lets nothing through, until `heal`.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.delay_s = 0.0
        self._cut = False
        self._flowing = threading.Event()
        self._flowing.set()
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
        self._flowing.set()
        self._listener.close()

    def partition(self) -> None:
        """Cut all connections, and refuse new ones."""
        self._cut = True
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Keep all connections, and let nothing through: what is sent arrives late."""
        self._flowing.clear()

    def heal(self) -> None:
        """Let connections, and what goes through them, pass again."""
        self._cut = False
        self._flowing.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                if self._cut:
                    client.close()
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self.target_port), timeout=10)
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
                self._flowing.wait()
                sink.sendall(data)
        self._open.discard(source)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        source.close()
