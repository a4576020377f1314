"""Take back what a broker that went away has left undecided, before anything is read or published again.

A broker that leaves while nobody else can lead its partitions may call a transaction committed that it has told none
of them (KAFKA-20734, seen with 4.4.0). Its offsets and records then stay undecided until the end of whatever
transaction of the same id comes to a partition next: some of it would be committed, and some aborted. So nothing is
committed on top of what may be undecided, no snapshot goes on from a commit that was not seen decided, and all of it is
aborted together.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from hydrodask.channels import SENSORS
from hydrodask.errors import FencedError, RetryableError
from hydrodask.ingest.commits import Commits
from hydrodask.ingest.topics import outputs
from hydrodask.ingest.undecided import undecided
from hydrodask.kafka import Consumer, Producer, TopicPartition, consumer, producer
from hydrodask.settings import Settings
from hydrodask.store.transactions import Transactions

AT_ONCE = 8
"""Slots that are taken at the same time."""

TRIES_MAX = 5
"""So often a slot is fenced that somebody takes meanwhile."""


class Settling:
    """Settles offsets of a slot that stay undecided, and with them the records that were published together with them.

    Where offsets are decided, so are the records, with one exception: somebody may have begun a transaction after the
    broker was back, whose end decided the offsets alone. Only who was there when the broker went can know, see `after`.
    """

    def __init__(self, settings: Settings, transactions: Transactions, connect: Callable[..., Consumer]) -> None:
        self._settings, self._transactions, self._connect = settings, transactions, connect

    def __call__(self, offsets: Sequence[TopicPartition], groups: Sequence[Consumer]) -> None:
        """Abort what is undecided of offsets, of all in the groups if there is one, and of our own records.

        Raises RetryableError.
        """
        left = undecided(self._settings.kafka, outputs(self._settings), connect=self._connect)
        if offsets or left:
            self._transactions.settle(offsets, groups, left)

    def after(self, groups: Sequence[Consumer], *, lost: bool) -> None:
        """Do so for who has `lost` every broker: of what he has committed last nothing may have been decided."""
        if lost:
            self([TopicPartition(outputs(self._settings)[0], 0, 0)], groups)


def fence(
    settings: Settings,
    *slots: int,
    connect: Callable[..., Producer] = producer,
    consume: Callable[..., Consumer] = consumer,
) -> None:
    """Make sure that nobody who had these slots can commit any more, and that nothing of theirs stays undecided.

    Aborts the transactions that they had open. Raises RetryableError.
    """

    def take(slot: int) -> None:
        Transactions(settings.kafka, slot, connect=connect).close()

    if len(slots) > 1:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(take, slots))
    else:
        list(map(take, slots))
    if settings.kafka.embedded:
        return  # that broker goes with its run
    commits = Commits(settings.kafka, connect=consume)
    try:
        read = [settings.topic(name) for name in (*SENSORS, "labels", "analytics", "cycles")]
        if offsets := commits.undecided(read):
            for slot in slots:
                make = partial(Transactions, settings.kafka, slot, connect=connect)
                _settle(make, lambda one: Settling(settings, one, consume)(offsets[:1], commits.groups))
    finally:
        commits.close()


def _settle(make: Callable[[], Transactions], settle: Callable[[Transactions], None]) -> None:
    """Settle as the owner of a slot; one that was given up, and does not know it yet, may come in between."""
    for attempt in range(TRIES_MAX):
        transactions = make()
        try:
            settle(transactions)
        except FencedError as error:
            if attempt + 1 == TRIES_MAX:
                raise RetryableError(f"a slot is taken again each time it is fenced: {error}") from error
        else:
            return
        finally:
            transactions.close()
