"""The embedded broker: librdkafka's mock cluster in a process of its own, for laptops and tests.

Takes names and partition counts of topics, gives an address that any process on this machine can
use as a Kafka broker. Loses what exceeds a partition's space: see EmbeddedBroker.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

from hydrodask.errors import FatalError
from hydrodask.ingest import broker
from hydrodask.ingest.topics import TopicSpec
from hydrodask.kafka import librdkafka

PARTITION_BYTES_MAX = 5 * 1024 * 1024
"""What a partition keeps at most, in bytes as sent; then its oldest batches go.

That is 33,000 sensor records uncompressed, and 550,000 in large lz4 batches (measured); small
batches are in between. Publishers must wait for consumers before.
"""

START_S = 30.0
"""Limit of the wait for its address; a tenth of a second on a machine that does nothing else."""
CLOSE_S = 5.0
"""How long it may take to end once it is told to."""
SAID_BYTES_MAX = 4096
"""How much of the end of what it prints is kept."""

_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
"""What it gets of our environment: passwords are in the rest."""


class EmbeddedBroker:
    """A broker beside this process, on a free port of loopback, until `close` or the process's end.

    Notes
    -----
    It knows no logins: who reaches its port reads, writes, commits, and can end it with a malformed frame. Then
    `check` says so; it is not started again, as its log and offsets would begin at 0 under a running graph.

    Nothing is kept on disk. A partition keeps `PARTITION_BYTES_MAX` bytes. Transactions are
    accepted, but neither isolated nor fenced, and offsets sent in them are not kept; offsets
    committed by a consumer are. Admin requests are not answered (they time out), so topics are made
    here; one that is not gets four partitions on first use. Clients that outlive the broker log
    loudly: close them first.

    On Linux it ends with the thread that has made it, if that is the main one, however that ends; elsewhere with the
    pipe to it, which no other process inherits.

    >>> with EmbeddedBroker([TopicSpec("hydraulic-PS1", partitions=1, replication=1)]) as running:
    ...     running.bootstrap.partition(":")[0]
    '127.0.0.1'
    """

    def __init__(self, topics: Iterable[TopicSpec] = ()) -> None:
        self._said = b""
        self._closing = False
        self._process = subprocess.Popen(  # noqa: S603  # arguments are ours, none goes through a shell
            [sys.executable, "-I", "-S", broker.__file__],
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is for us
        )
        self._listening = threading.Thread(target=self._listen, name="embedded-broker", daemon=True)
        self._listening.start()
        self.bootstrap = self._ask(topics)

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def check(self) -> None:
        """Raise FatalError if it has ended without being told to."""
        if self._closing or self._process.poll() is None:
            return
        raise FatalError(
            f"the embedded broker died ({self._how()}): records that only it held are gone, what is stored is whole; "
            "run again, and with a real broker if this was no accident (`hydrodask services up kafka`)"
        )

    def close(self) -> None:
        """Stop the broker; what it held is gone. May be called again."""
        self._closing = True
        assert self._process.stdin is not None  # noqa: S101  # it is a pipe
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(CLOSE_S)
        self._listening.join(CLOSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, topics: Iterable[TopicSpec]) -> str:
        """Say what is wanted; return the address. Raises FatalError."""
        # The system kills it when the thread that has forked it ends: only of the main one that is the process's end.
        parent = os.getpid() if threading.current_thread() is threading.main_thread() else None
        wanted = broker.BrokerRequest(
            library=librdkafka({})._name,  # noqa: SLF001  # documented: the file, wherever it lies
            topics=[(topic.name, topic.partitions) for topic in topics],
            parent=parent,
        )
        assert self._process.stdin is not None  # noqa: S101  # both are pipes
        assert self._process.stdout is not None  # noqa: S101
        limit = threading.Timer(START_S, self._process.kill)
        limit.start()
        address = ""
        with suppress(BrokenPipeError), self._process.stdout as answer:
            self._process.stdin.write(json.dumps(wanted).encode() + b"\n")
            self._process.stdin.flush()
            address = answer.readline().decode().strip()
        limit.cancel()
        if not address:
            self.close()
            raise FatalError(f"could not start the embedded broker: its process ended ({self._how()})")
        return address

    def _listen(self) -> None:
        """Keep the end of what it prints, so that it never waits for a reader and nothing grows."""
        assert self._process.stderr is not None  # noqa: S101  # it is a pipe
        with self._process.stderr as errors:
            while read := os.read(errors.fileno(), 65_536):
                self._said = (self._said + read)[-SAID_BYTES_MAX:]

    def _how(self) -> str:
        """Say how it ended: by which signal or with which code, and the last that it said."""
        self._listening.join(CLOSE_S)
        code = self._process.wait(CLOSE_S)
        ended = f"signal {-code}, {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        lines = [line.strip() for line in self._said.decode(errors="replace").splitlines() if line.strip()]
        return f"{ended}: {lines[-1][:200]}" if lines else ended
