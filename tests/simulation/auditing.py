"""`verify` in a simulated world: the real audit of what a life has left, against the fakes of broker and stores."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hydrodask.audit import log as auditing
from hydrodask.audit import verify as verifying
from hydrodask.audit.finding import Results
from hydrodask.audit.log import BrokerLog
from hydrodask.audit.verify import Audit
from hydrodask.ingest.commits import Commits
from hydrodask.kafka import KafkaError
from hydrodask.records import PartitionId
from hydrodask.store import files
from hydrodask.store.contract import FileSystem
from hydrodask.testing.simulation.fakebroker import FakeConsumer
from hydrodask.testing.simulation.fakelogs import Entry
from hydrodask.testing.simulation.fakestores import FakeDisk

if TYPE_CHECKING:
    from tests.simulation.platform import Platform


@dataclass(frozen=True, slots=True)
class FakeMessage:
    """A record as confluent-kafka gives it; without an entry the end of a partition."""

    of_topic: str
    of_partition: int
    at: int
    entry: Entry | None

    def topic(self) -> str:
        return self.of_topic

    def partition(self) -> int:
        return self.of_partition

    def offset(self) -> int:
        return self.at

    def error(self) -> KafkaError | None:
        return KafkaError(KafkaError._PARTITION_EOF) if self.entry is None else None

    def value(self) -> bytes | None:
        return self.entry.value if self.entry else None

    def key(self) -> bytes | None:
        return self.entry.key if self.entry else None

    def headers(self) -> list[tuple[str, Any]]:
        return self.entry.headers if self.entry else []

    def timestamp(self) -> tuple[int, int]:
        return 1, self.entry.stamp_ms if self.entry else 0


class Seen(FileSystem):
    """A fake disk as `Files` of the product see it, to read and to mend; no call goes wrong, and all is synced."""

    def __init__(self, disk: FakeDisk) -> None:
        self._disk = disk

    def make_folder(self, path: str) -> None:
        """Do nothing: folders are names."""

    def write(self, path: str, data: bytes) -> None:
        self._disk.put(path, data)
        self._disk.sync(path)

    def name(self, hidden: str, final: str) -> None:
        if final in self._disk.data:
            raise FileExistsError(final)
        self._disk.link(hidden, final)
        self._disk.sync_folder(final.rpartition("/")[0])

    def replace(self, hidden: str, final: str) -> None:
        self._disk.rename(hidden, final)
        self._disk.sync_folder(final.rpartition("/")[0])

    def read(self, path: str) -> bytes:
        if path not in self._disk.data:
            raise FileNotFoundError(path)
        return self._disk.data[path]

    def find(self, folder: str) -> list[str]:
        return sorted(name for name in self._disk.data if name.startswith(f"{folder}/"))

    def exists(self, path: str) -> bool:
        return any(name == path or name.startswith(f"{path}/") for name in self._disk.data)

    def remove(self, path: str) -> None:
        self._disk.put(path, None)


class Auditor(FakeConsumer):
    """A consumer that also reads, one partition at a time, what read-committed readers see."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._source: PartitionId = ("", 0)
        self._position = 0

    def assign(self, places: list[Any]) -> None:
        self._source, self._position = (places[0].topic, places[0].partition), places[0].offset

    def unassign(self) -> None:
        self._source = ("", 0)

    def consume(self, _count: int, _timeout: float) -> list[FakeMessage]:
        log = self._broker.logs[self._source]
        found = [FakeMessage(*self._source, i, e) for i, e in log.committed() if i >= max(self._position, log.low)]
        self._position = log.stable
        return [*found, FakeMessage(*self._source, log.stable, None)]


@contextlib.contextmanager
def visible(platform: "Platform") -> Iterator[None]:
    """Let commands of the product see the world of a platform in place of the machine's."""
    broker = platform.broker

    def connect(kafka: Any, **_overrides: object) -> Any:
        return Auditor(broker, kafka.group)

    with (
        patch.object(files, "open_file_system", lambda url: (Seen(platform.disk), url)),
        patch.object(auditing, "consumer", connect),
        patch.object(auditing, "Commits", lambda kafka, **_ours: Commits(kafka, connect=connect)),
        patch.object(auditing, "Identities", broker.identities),
        patch.object(verifying, "open_documents", lambda _settings: platform.documents),
    ):
        yield


def audit(platform: "Platform") -> Results:
    """Return what `verify` finds in a life that has ended. Raises what it raises."""
    with visible(platform):
        return Audit(platform.settings, BrokerLog(platform.settings.kafka), lambda _said: None).run()


def wrong(results: Results) -> list[str]:
    """Return all that was found, each with its check."""
    return [f"{result.check}: {finding}" for result in results for finding in result.findings]
