"""A real Kafka for a benchmark: the one at an address, or one of its own, in a temporary folder or one that stays."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from hydrodask import clock
from hydrodask.kafka import AdminClient
from hydrodask.services import KafkaService
from hydrodask.services.ports import free_port
from hydrodask.settings.model import Kafka

TIMEOUT_S = 30.0


class OpenKafka(KafkaService):
    """A broker without logins, while a benchmark lasts: other engines are told its address alone."""

    def guards(self) -> dict[str, str]:
        return {
            **super().guards(),
            "listener.security.protocol.map": "INTERNAL:PLAINTEXT,EXTERNAL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "INTERNAL",
            "super.users": "User:ANONYMOUS",
        }

    def login(self, role: str = "") -> Kafka:  # noqa: ARG002  # everybody is the administrator
        return Kafka(embedded=False, bootstrap=self.bootstrap)

    def first_login(self) -> Kafka:
        return self.login()


@contextmanager
def broker(bootstrap: str | None, kept: Path | None = None) -> Iterator[tuple[str, set[int]]]:
    """Yield the broker's address and the process ids that are not to be counted."""
    if bootstrap is not None:
        yield bootstrap, set()
        return
    temporary = tempfile.TemporaryDirectory(prefix="hydrodask-bench-kafka-")
    with temporary if kept is None else nullcontext(str(kept)) as folder:
        service = OpenKafka(Path(folder), port=free_port(3), heap="1g", with_parent=True)
        service.install(print)
        service.start(print)
        try:
            pid = service.state().pid
            yield service.bootstrap, {pid} if pid else set()
        finally:
            service.stop()


def delete(client: AdminClient, which: Callable[[str], bool]) -> None:
    """Delete topics, and wait until the broker has forgotten them, which is a moment after it says so."""
    mine = [topic for topic in client.list_topics(timeout=TIMEOUT_S).topics if which(topic)]
    for future in (client.delete_topics(mine, operation_timeout=TIMEOUT_S) if mine else {}).values():
        future.result(TIMEOUT_S)
    end_s = clock.monotonic_s() + TIMEOUT_S
    while any(which(topic) for topic in client.list_topics(timeout=TIMEOUT_S).topics):
        if clock.monotonic_s() > end_s:
            raise SystemExit(f"the broker still has some of {', '.join(mine)} after it has deleted them")
        clock.sleep_s(0.1)
