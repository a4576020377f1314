"""A web server of a test, in a thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer

END_S = 60.0


@contextmanager
def serving(server: HTTPServer) -> Iterator[str]:
    """Serve until the block ends; give the address, on loopback."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(END_S)
