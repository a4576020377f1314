"""What a broker has called committed and marked nowhere is taken back as a whole, by whoever has its slot."""

from collections.abc import Callable
from typing import Any

import pytest

from hydrodask.errors import FencedError, RetryableError
from hydrodask.ingest.commits import Commits
from hydrodask.ingest.topics import outputs
from hydrodask.kafka import TopicPartition
from hydrodask.protocol.settling import TRIES_MAX, Settling, fence
from hydrodask.records import Outgoing
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from hydrodask.store.transactions import Transactions
from hydrodask.testing.simulation.fakebroker import FakeBroker
from tests.delivery import until

SETTINGS = Settings(kafka=Kafka(embedded=False))
SOURCE = ("hydraulic-PS1", 0)
ROWS = (SETTINGS.topic("analytics"), 0)
ROW = Outgoing(ROWS[0], b"rig-1", b"{}")
OFFSET = TopicPartition(*SOURCE, 5)


class Still:
    """A world in which nothing takes time or goes wrong."""

    class loop:  # noqa: N801  (it is called so)
        """Of which only the time is asked."""

        now_s = 0.0

    def call(self, _name: str, effect: Callable[[], Any]) -> Any:
        """Have the effect."""
        return effect()


@pytest.fixture
def broker() -> FakeBroker:
    """Return a broker with all topics of ours."""
    still: Any = Still()
    one = FakeBroker(still)
    for topic in {SOURCE[0], *outputs(SETTINGS)}:
        one.create(topic, 1)
    return one


def slot(broker: FakeBroker, number: int = 0) -> Transactions:
    """Take a slot."""
    return Transactions(SETTINGS.kafka, number, connect=broker.producer)


def leave_undecided(broker: FakeBroker, *rows: Outgoing, offsets: tuple[TopicPartition, ...] = (OFFSET,)) -> None:
    """Commit while the broker goes away, and tells nobody."""
    broker.leaving = True
    slot(broker).commit(rows, offsets, *Commits(SETTINGS.kafka, connect=broker.consumer).groups)


def undecided(broker: FakeBroker) -> tuple[bool, bool]:
    """Say whether offsets are undecided, and whether rows are."""
    groups = SETTINGS.kafka.group, f"{SETTINGS.kafka.group}.marks"
    log = broker.logs[ROWS]
    return any(broker.pending(group, SOURCE) for group in groups), log.stable < len(log.entries)


@pytest.mark.parametrize("slots", [(0,), (0, 1, 2)])
def test_who_is_fenced_commits_nothing_any_more(broker: FakeBroker, slots: tuple[int, ...]) -> None:
    """Also of several slots that are taken at once; all clients of it are let go of."""
    before = [slot(broker, number) for number in slots]

    fence(SETTINGS, *slots, connect=broker.producer, consume=broker.consumer)

    ours = broker.clients[len(slots) :]
    for one in before:
        with pytest.raises(FencedError):
            one.commit([ROW], [])
    assert broker.logs[ROWS].committed() == []
    until(lambda: all(client.closed for client in ours), "they are closed")


def test_what_stays_undecided_goes_with_the_fence(broker: FakeBroker) -> None:
    """Offsets of both groups and rows together; nothing of it is ever seen. What is decided stays."""
    slot(broker).commit([ROW], [])
    leave_undecided(broker, ROW)
    assert undecided(broker) == (True, True)

    fence(SETTINGS, 0, connect=broker.producer, consume=broker.consumer)

    assert undecided(broker) == (False, False)
    assert len(broker.logs[ROWS].committed()) == 1
    assert broker.offsets == {}
    until(lambda: all(client.closed for client in broker.clients[4:]), "they are closed")


def test_an_embedded_broker_has_nothing_to_settle(broker: FakeBroker) -> None:
    """It goes with its run: nobody asks it for offsets."""
    settings = SETTINGS.model_copy(update={"kafka": SETTINGS.kafka.model_copy(update={"embedded": True})})
    leave_undecided(broker, ROW)
    count = len(broker.clients)

    fence(settings, 0, connect=broker.producer, consume=broker.consumer)

    assert len(broker.clients) == count + 1
    assert undecided(broker) == (True, True)


@pytest.mark.parametrize(("times", "settled"), [(TRIES_MAX - 1, True), (TRIES_MAX, False)])
def test_a_slot_that_somebody_takes_meanwhile_is_taken_again(broker: FakeBroker, times: int, *, settled: bool) -> None:
    """A few times; then whoever fences waits, and tries later."""
    leave_undecided(broker, ROW)
    taken = [0]

    def connect(kafka: Kafka, **options: object) -> Any:
        made = broker.producer(kafka, **options)
        init, first = made.init_transactions, len(broker.clients) == count + 1

        def taken_at_once(timeout: float) -> None:
            init(timeout)
            if not first and taken[0] < times:
                taken[0] += 1
                broker.init(str(options["transactional.id"]))

        made.init_transactions = taken_at_once
        return made

    count = len(broker.clients)
    if settled:
        fence(SETTINGS, 0, connect=connect, consume=broker.consumer)
    else:
        with pytest.raises(RetryableError, match="a slot is taken again each time it is fenced"):
            fence(SETTINGS, 0, connect=connect, consume=broker.consumer)

    assert (taken[0], undecided(broker)) == (times, (not settled, not settled))
    until(lambda: all(client.closed for client in broker.clients[count:]), "they are closed")


@pytest.mark.parametrize("left", [(True, False), (False, True), (True, True)])
def test_offsets_or_rows_are_enough(broker: FakeBroker, left: tuple[bool, bool]) -> None:
    """Rows may be undecided though no offset is, and offsets though no row was published with them."""
    leave_undecided(broker, *[ROW] * left[1], offsets=(OFFSET,) * left[0])
    assert undecided(broker) == left
    groups = Commits(SETTINGS.kafka, connect=broker.consumer).groups

    Settling(SETTINGS, slot(broker), broker.consumer)([OFFSET] * left[0], groups)

    assert undecided(broker) == (False, False)


@pytest.mark.parametrize("lost", [True, False])
def test_who_has_lost_every_broker_settles_though_offsets_are_decided(broker: FakeBroker, *, lost: bool) -> None:
    """Somebody may have decided the offsets alone; who was there all the time need not."""
    leave_undecided(broker, ROW)
    groups = Commits(SETTINGS.kafka, connect=broker.consumer).groups

    Settling(SETTINGS, slot(broker), broker.consumer).after(groups, lost=lost)

    assert undecided(broker) == (not lost, not lost)
