"""Wait until each HOST:PORT takes a connection, ten minutes at most; then become the command after `--`, if any.

As an init container, or before the program in its own, which is there sooner: a container less to be made.
"""

import os
import signal
import socket
import sys
import time

signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the first process of a container has to ask for it
END_S = time.monotonic() + 600
cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
for place in sys.argv[1:cut]:
    host, _, port = place.rpartition(":")
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=3).close()
            break
        except OSError as error:
            if time.monotonic() > END_S:
                sys.exit(f"{place} took no connection for ten minutes: {error}")
            time.sleep(0.2)
command = sys.argv[cut + 1 :]
if command:
    os.execvp(command[0], command)  # noqa: S606  # the chart's
