"""What a host reaches the outside world through: one seam, so that a simulation of the whole engine can stand in."""

from collections.abc import Callable
from dataclasses import dataclass

from hydrodask import kafka
from hydrodask.ingest.identity import Identities, Ids
from hydrodask.ingest.reader import AnyFetcher, Reader, fetcher
from hydrodask.protocol import spread
from hydrodask.settings import Settings, Url
from hydrodask.settings.model import Kafka
from hydrodask.store.documents import Documents, open_documents
from hydrodask.store.files import Files
from hydrodask.store.transactions import Transactions


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Makers of clients, as the modules that own their libraries give them. Time is in `hydrodask.clock`."""

    consumer: Callable[..., kafka.Consumer] = kafka.consumer
    fetcher: Callable[[Kafka], AnyFetcher] = fetcher
    producer: Callable[..., kafka.Producer] = kafka.producer
    files: Callable[[Url | str], Files] = Files
    documents: Callable[[Settings], Documents] = open_documents
    identities: Callable[[Kafka], Ids] = Identities

    def reader(self, kafka: Kafka) -> Reader:
        """Return a reader of the group's partitions."""
        return Reader(kafka, connect=self.consumer, fetch=self.fetcher)

    def transactions(self, settings: Settings, slot: int, snapshots: Files) -> Transactions:
        """Return the producer of a slot, which spreads rigs as the files beside the snapshots say."""
        kept = spread.load(settings, snapshots)
        return Transactions(settings.kafka, slot, connect=self.producer, spread=kept)


REAL = Surroundings()
"""Kafka, file systems and document stores as the settings name them."""
