"""Wait until each HOST:PORT of the arguments takes a connection, ten minutes at most: for init containers."""

import socket
import sys
import time

END_S = time.monotonic() + 600
for place in sys.argv[1:]:
    host, _, port = place.rpartition(":")
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=3).close()
            break
        except OSError as error:
            if time.monotonic() > END_S:
                sys.exit(f"{place} took no connection for ten minutes: {error}")
            time.sleep(0.5)
