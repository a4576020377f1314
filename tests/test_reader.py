"""Reading partitions: what comes together with an error."""

from unittest.mock import MagicMock

import pytest

from hydrodask.errors import RetryableError
from hydrodask.ingest.fetcher import PartitionEvent
from hydrodask.ingest.reader import Reader
from hydrodask.kafka import KafkaError
from hydrodask.settings.model import Kafka
from hydrodask.testing import messages_of

ONE, OTHER = ("hydraulic-PS1", 0), ("hydraulic-FS1", 0)


def test_records_that_come_with_an_error_are_not_lost() -> None:
    """A fetch brings records of one partition and an error of another: the records come first."""
    fetcher = MagicMock()  # a broker whose disk can't be read, in one partition
    good = messages_of([b"one", b"two"], topic=ONE[0], first=7, stamp_ms=0)
    bad = PartitionEvent(OTHER, KafkaError._BAD_MSG, 3, "could not decompress")
    fetcher.poll.side_effect = [([good], [bad]), ([], [])]
    reader = Reader(Kafka(embedded=False), connect=lambda *_: MagicMock(), fetch=lambda *_: fetcher)
    reader.assign(ONE, 7)
    reader.assign(OTHER, 3)

    assert reader.poll(100, 0.0) == [good]
    with pytest.raises(RetryableError, match=r"hydraulic-FS1-0.*could not decompress"):
        reader.check()
    assert reader.poll(100, 0.0) == []
    reader.check()
    assert (reader.position(ONE), reader.position(OTHER)) == (9, 3)


def test_the_end_of_a_log_is_what_the_last_fetch_said() -> None:
    """-1 says nothing; and of what is not read there is no end."""
    fetcher = MagicMock()
    reader = Reader(Kafka(embedded=False), connect=lambda *_: MagicMock(), fetch=lambda *_: fetcher)
    reader.assign(ONE, 7)
    ends = []
    for fetcher.end.return_value in (-1, 12, -1, 15):
        ends.append(reader.end(ONE))

    assert ends == [0, 12, 12, 15]
    assert reader.end(OTHER) == 0
