"""The embedded broker: librdkafka's mock cluster, for laptops and tests.

Takes names and partition counts of topics, gives an address that any process on this machine can
use as a Kafka broker. Loses what exceeds a partition's space: see EmbeddedBroker.
"""

import ctypes
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from hydrodask.errors import FatalError
from hydrodask.ingest.topics import TopicSpec
from hydrodask.kafka import Signatures, librdkafka

PARTITION_BYTES_MAX = 5 * 1024 * 1024
"""What a partition keeps at most, in bytes as sent; then its oldest batches go.

That is 33,000 sensor records uncompressed, and 550,000 in large lz4 batches (measured); small
batches are in between. Publishers must wait for consumers before.
"""

_PRODUCER = 0
"""RD_KAFKA_PRODUCER: the mock cluster hangs on a client, which itself never sends anything."""


class EmbeddedBroker:
    """A broker inside this process, on a free port of loopback, until `close` or the process's end.

    Notes
    -----
    Nothing is kept on disk. A partition keeps `PARTITION_BYTES_MAX` bytes. Transactions are
    accepted, but neither isolated nor fenced, and offsets sent in them are not kept; offsets
    committed by a consumer are. Admin requests are not answered (they time out), so topics are made
    here; one that is not gets four partitions on first use. Clients that outlive the broker log
    loudly: close them first.

    >>> with EmbeddedBroker([TopicSpec("hydraulic-PS1", partitions=1, replication=1)]) as broker:
    ...     broker.bootstrap.partition(":")[0]
    '127.0.0.1'
    """

    def __init__(self, topics: Iterable[TopicSpec] = ()) -> None:
        self._library = librdkafka(_SIGNATURES)
        self._client = self._library.rd_kafka_new(_PRODUCER, _configuration(self._library), _Reason(), 0)
        if not self._client:
            raise FatalError("could not start the embedded broker: librdkafka made no client")
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            self.close()
            raise FatalError("could not start the embedded broker: librdkafka made no mock cluster")
        self.bootstrap: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        with _awake(self.bootstrap):
            for topic in topics:
                self._create(topic)

    def close(self) -> None:
        """Stop the broker; what it held is gone. May be called again."""
        cluster, self._cluster = getattr(self, "_cluster", None), None
        client, self._client = self._client, None
        if cluster:
            with _awake(self.bootstrap):
                self._library.rd_kafka_mock_cluster_destroy(cluster)
        if client:
            self._library.rd_kafka_destroy(client)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _create(self, topic: TopicSpec) -> None:
        code = self._library.rd_kafka_mock_topic_create(self._cluster, topic.name.encode(), topic.partitions, 1)
        if code:
            raise FatalError(
                f"could not make topic {topic.name} with {topic.partitions} partitions"
                f" on the embedded broker: librdkafka error {code}"
            )


@contextmanager
def _awake(bootstrap: str) -> Iterator[None]:
    """Keep the broker's thread awake: it can miss a call's bell, and then looks after a second.

    With 21 topics that adds up to 10 s of start-up on a busy machine. A connection wakes it too.
    """
    done = threading.Event()
    host, _, port = bootstrap.partition(":")

    def knock() -> None:
        # The first wait is for the usual case: the bell was heard, and there is nothing to do.
        while not done.wait(0.01):
            with suppress(OSError):
                socket.create_connection((host, int(port)), timeout=0.1).close()

    thread = threading.Thread(target=knock, name="embedded-broker-awake", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


_Pointer = ctypes.c_void_p
_Reason = ctypes.c_char_p


_SIGNATURES: Signatures = {
    "rd_kafka_conf_new": (_Pointer, []),
    "rd_kafka_conf_set": (
        ctypes.c_int,
        [_Pointer, ctypes.c_char_p, ctypes.c_char_p, _Reason, ctypes.c_size_t],
    ),
    "rd_kafka_new": (_Pointer, [ctypes.c_int, _Pointer, _Reason, ctypes.c_size_t]),
    "rd_kafka_destroy": (None, [_Pointer]),
    "rd_kafka_mock_cluster_new": (_Pointer, [_Pointer, ctypes.c_int]),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, [_Pointer]),
    "rd_kafka_mock_cluster_destroy": (None, [_Pointer]),
    "rd_kafka_mock_topic_create": (
        ctypes.c_int,
        [_Pointer, ctypes.c_char_p, ctypes.c_int, ctypes.c_int],
    ),
}
"""The calls that are used."""


def _configuration(library: ctypes.CDLL) -> int | None:
    configuration: int | None = library.rd_kafka_conf_new()
    # Without this the client says on stderr that it has no brokers, which is so by design.
    library.rd_kafka_conf_set(configuration, b"log_level", b"3", None, 0)
    return configuration
