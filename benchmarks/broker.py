"""A real Kafka for a benchmark: the one at an address, or one of its own, in a temporary folder or one that stays."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from hydrodask.services import KafkaService
from hydrodask.services.ports import free_port


@contextmanager
def broker(bootstrap: str | None, kept: Path | None = None) -> Iterator[tuple[str, set[int]]]:
    """Yield the broker's address and the process ids that are not to be counted."""
    if bootstrap is not None:
        yield bootstrap, set()
        return
    temporary = tempfile.TemporaryDirectory(prefix="hydrodask-bench-kafka-")
    with temporary if kept is None else nullcontext(str(kept)) as folder:
        service = KafkaService(Path(folder), port=free_port(3), heap="1g", with_parent=True)
        service.install(print)
        service.start(print)
        try:
            pid = service.state().pid
            yield service.bootstrap, {pid} if pid else set()
        finally:
            service.stop()
