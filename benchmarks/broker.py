"""A real Kafka for a benchmark: the one at an address, or one of its own in a temporary folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydrodask.services import KafkaService
from hydrodask.services.ports import free_port


@contextmanager
def broker(bootstrap: str | None) -> Iterator[tuple[str, set[int]]]:
    """Yield the broker's address and the process ids that are not to be counted."""
    if bootstrap is not None:
        yield bootstrap, set()
        return
    with tempfile.TemporaryDirectory(prefix="hydrodask-bench-kafka-") as folder:
        service = KafkaService(Path(folder), port=free_port(3), heap="1g", with_parent=True)
        service.install(print)
        service.start(print)
        try:
            pid = service.state().pid
            yield service.bootstrap, {pid} if pid else set()
        finally:
            service.stop()
