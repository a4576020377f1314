"""A producer that hangs does not hang the step: whoever has it begins anew with another."""

import threading
from typing import NoReturn
from unittest.mock import MagicMock, patch

import pytest

from hydrodask import clock
from hydrodask.background import in_background, in_time
from hydrodask.errors import RetryableError, StartOverError
from hydrodask.ingest.commits import Commit
from hydrodask.ingest.mark import Mark
from hydrodask.ingest.reader import Reader
from hydrodask.kafka import KafkaError, KafkaException, TopicPartition
from hydrodask.records import Outgoing
from hydrodask.settings.model import Kafka
from hydrodask.store import transactions
from hydrodask.store.transactions import Transactions


@pytest.fixture
def client() -> MagicMock:
    """Give a producer that accepts everything."""
    return MagicMock()


def commit(client: MagicMock, *, within_s: float) -> None:
    """Commit an offset with `client`, which has so long to send it."""
    slot = Transactions(Kafka(), 0, connect=lambda *_, **__: client)
    with patch.object(transactions, "OFFSETS_S_MAX", within_s):
        slot.commit([], [TopicPartition("hydraulic-PS1", 0, 1)], MagicMock())


def test_offsets_that_are_never_sent_end_the_transaction(client: MagicMock) -> None:
    """What librdkafka does when the group's coordinator is gone: the commit is begun anew by a new client."""
    answer = threading.Event()
    client.send_offsets_to_transaction.side_effect = lambda *_: answer.wait()

    with pytest.raises(StartOverError, match="offsets were not sent within"):
        commit(client, within_s=0.05)

    client.commit_transaction.assert_not_called()
    client.abort_transaction.assert_not_called()  # it would wait for the call that hangs
    answer.set()


def test_a_commit_ends_within_the_time_of_a_request(client: MagicMock, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its calls together: a broker that does not answer must not use up the step, which would be given up."""
    timed_out = KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer", retriable=True))
    now_s = [0.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s[0])

    def wait(*arguments: object) -> NoReturn:
        now_s[0] += float(str(arguments[-1]))
        raise timed_out

    for name in ("commit_transaction", "abort_transaction"):
        getattr(client, name).side_effect = wait
    with pytest.raises(StartOverError):
        Transactions(Kafka(timeout=4), 0, connect=lambda *_, **__: client).commit([], [], MagicMock())

    assert client.commit_transaction.call_count == 2
    assert 4 <= now_s[0] < 5


def test_an_error_of_the_call_comes_through(client: MagicMock) -> None:
    """Another thread makes the call; its error is that of the commit, which then is aborted."""
    client.send_offsets_to_transaction.side_effect = KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer"))

    with pytest.raises(RetryableError, match="no answer"):
        commit(client, within_s=60.0)

    client.abort_transaction.assert_called_once()


def test_an_undecided_offset_is_settled_by_an_aborted_transaction(client: MagicMock) -> None:
    """An offset that a killed broker left open for good is decided by the end of another transaction that names it."""
    consumer = MagicMock()
    found = TopicPartition("hydraulic-PS1", 0, 7, "emitted=3")
    undecided = KafkaException(KafkaError(KafkaError._TIMED_OUT, "undecided"))
    consumer.committed.side_effect = lambda *_: _raise(undecided) if not client.abort_transaction.called else [found]
    reader = Reader(Kafka(embedded=False), connect=lambda *_: consumer, fetch=lambda *_: MagicMock())
    slot = Transactions(Kafka(), 0, connect=lambda *_, **__: client)

    assert reader.commits.of(("hydraulic-PS1", 0), slot.settle)[0] == Commit(7, Mark(None, emitted=3))

    named = client.send_offsets_to_transaction.call_args.args[0]
    assert [(p.topic, p.partition) for p in named] == [("hydraulic-PS1", 0)]
    client.commit_transaction.assert_not_called()


def _raise(error: Exception) -> NoReturn:
    raise error


def test_what_is_let_go_of_does_not_depend_on_each_other() -> None:
    """A client that fails to close keeps no other open."""
    closed = threading.Event()
    in_background(lambda: _raise(RuntimeError("it was closed before")), closed.set)

    assert closed.wait(60)


def test_in_time() -> None:
    """A call that ends in time has been made; one that does not is left alone."""
    made, never = threading.Event(), threading.Event()
    in_time(made.set, 60.0)
    assert made.is_set()

    with pytest.raises(TimeoutError):
        in_time(never.wait, 0.01)
    never.set()


def test_only_a_partition_that_is_gone_changes_where_keys_go(client: MagicMock) -> None:
    """After another refusal a rig stays where it was; after that one the client decides, for the topic is another."""
    row = Outgoing("hydraulic-analytics", b"rig-2", b"{}")
    slot = Transactions(Kafka(), 0, connect=lambda *_, **__: client, spread={row.topic: 3})

    def place() -> int:
        client.produce.side_effect = None
        slot.commit([row], [])
        return int(client.produce.call_args.args[3])

    places = [place()]
    for code in (KafkaError._TRANSPORT, KafkaError._UNKNOWN_PARTITION):
        client.produce.side_effect = KafkaException(KafkaError(code, "no", retriable=True))
        with pytest.raises(RetryableError):
            slot.commit([row], [])
        places.append(place())

    assert places == [2, 2, -1]


def test_headers_go_with_their_record(client: MagicMock) -> None:
    """A dead letter's say why and whence; a record without any has none."""
    slot = Transactions(Kafka(), 0, connect=lambda *_, **__: client)

    slot.commit([Outgoing("dead", b"k", b"v", [("reason", b"bad")]), Outgoing("rows", b"k", b"v")], [])

    assert [call.kwargs["headers"] for call in client.produce.call_args_list] == [[("reason", b"bad")], None]
