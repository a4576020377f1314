"""The process of the embedded broker: librdkafka's mock cluster, and nothing of ours.

Takes one line of JSON on stdin (`BrokerRequest`), prints its address as a line, and serves until stdin ends or, on
Linux, its parent does. `embedded` runs this file by its path, with the standard library alone: so it starts in a tenth
of a second, holds no secret and no file of ours, and what a malformed frame ends is this process.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypedDict

with suppress(ImportError):  # Windows has none, and no core files
    import resource


class BrokerRequest(TypedDict):
    """What the parent says."""

    library: str
    """The file through which librdkafka's functions are found."""

    topics: list[tuple[str, int]]
    """Names and numbers of partitions."""

    parent: int | None
    """The process not to outlive; None if only the end of stdin tells: a thread has forked us that may end before."""


_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_PRODUCER = 0  # RD_KAFKA_PRODUCER: the mock cluster hangs on a client, which itself never sends anything
_Pointer = ctypes.c_void_p
_Text = ctypes.c_char_p

_SIGNATURES: dict[str, tuple[object, list[object]]] = {
    "rd_kafka_conf_new": (_Pointer, []),
    "rd_kafka_conf_set": (ctypes.c_int, [_Pointer, _Text, _Text, _Text, ctypes.c_size_t]),
    "rd_kafka_new": (_Pointer, [ctypes.c_int, _Pointer, _Text, ctypes.c_size_t]),
    "rd_kafka_mock_cluster_new": (_Pointer, [_Pointer, ctypes.c_int]),
    "rd_kafka_mock_cluster_bootstraps": (_Text, [_Pointer]),
    "rd_kafka_mock_topic_create": (ctypes.c_int, [_Pointer, _Text, ctypes.c_int, ctypes.c_int]),
}
"""The calls that are used, with result and arguments: an undeclared one would cut pointers to 32 bits."""


def main() -> None:
    """Serve until there is nobody to serve. What can't be done is a sentence on stderr, and exit code 1."""
    # Ctrl-C, `timeout` and service managers tell the whole group or tree: our end is the driver's to choose.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if "resource" in globals():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # all that it holds would be in the file
    wanted: BrokerRequest = json.loads(sys.stdin.buffer.readline())
    _not_outlive(wanted["parent"])
    sys.stdout.write(f"{_serve(wanted)}\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    os._exit(0)  # there is nothing to keep, and destroying the cluster waits for its thread


def _not_outlive(parent: int | None) -> None:
    """Have the system kill us when the thread that has forked us ends."""
    if parent is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, int(signal.SIGKILL))
    if os.getppid() != parent:  # it ended before we could say so
        os._exit(0)


def _serve(wanted: BrokerRequest) -> str:
    """Start the broker with its topics; return its address."""
    library = ctypes.CDLL(wanted["library"])
    for name, (result, arguments) in _SIGNATURES.items():
        call = getattr(library, name)
        call.restype, call.argtypes = result, arguments
    settings = library.rd_kafka_conf_new()
    # It would say that it has no brokers, which is so by design, and a line for each bad frame.
    library.rd_kafka_conf_set(settings, b"log_level", b"0", None, 0)
    client = library.rd_kafka_new(_PRODUCER, settings, None, 0)
    cluster = library.rd_kafka_mock_cluster_new(client, 1) if client else None
    if not cluster:
        sys.exit("librdkafka made no mock cluster")
    address = str(library.rd_kafka_mock_cluster_bootstraps(cluster).decode())
    with _awake(address):
        for topic, partitions in wanted["topics"]:
            code = library.rd_kafka_mock_topic_create(cluster, topic.encode(), partitions, 1)
            if code:
                sys.exit(f"topic {topic} with {partitions} partitions: librdkafka error {code}")
    return address


@contextmanager
def _awake(address: str) -> Iterator[None]:
    """Keep the broker's thread awake: it can miss a call's bell, and then looks after a second.

    With 21 topics that adds up to 10 s of start-up on a busy machine. A connection wakes it too.
    """
    done = threading.Event()
    host, _, port = address.partition(":")

    def knock() -> None:
        # The first wait is for the usual case: the bell was heard, and there is nothing to do.
        while not done.wait(0.01):
            with suppress(OSError):
                socket.create_connection((host, int(port)), timeout=0.1).close()

    thread = threading.Thread(target=knock, name="awake", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    main()
