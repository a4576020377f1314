"""Look once, at start, whether librdkafka's own interface is as the fetcher knows it; without a broker, in 13 ms.

The fetcher reads `rd_kafka_message_t` behind pointers. Should a release lay it out in another way, it would read
rubbish, or crash. So a client without brokers is given one record and told to forget it, and the report of that is such
a message: all of its fields are known beforehand.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from hydrodask.ingest import fetcher, gather
from hydrodask.kafka import Signatures, librdkafka

MAJOR = 2
"""Of librdkafka's releases, whose interface was stable throughout."""

_Pointer, _Int, _Long, _Text, _Size = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_char_p, ctypes.c_size_t
_SIGNATURES: Signatures = {
    "rd_kafka_version": (_Int, []),
    "rd_kafka_version_str": (_Text, []),
    "rd_kafka_conf_new": (_Pointer, []),
    "rd_kafka_conf_set": (_Int, [_Pointer, _Text, _Text, _Text, _Size]),
    "rd_kafka_conf_set_events": (None, [_Pointer, _Int]),
    "rd_kafka_new": (_Pointer, [_Int, _Pointer, _Text, _Size]),
    "rd_kafka_destroy_flags": (None, [_Pointer, _Int]),
    "rd_kafka_topic_new": (_Pointer, [_Pointer, _Text, _Pointer]),
    "rd_kafka_topic_destroy": (None, [_Pointer]),
    "rd_kafka_produce": (_Int, [_Pointer, ctypes.c_int32, _Int, _Pointer, _Size, _Text, _Size, _Pointer]),
    "rd_kafka_purge": (_Int, [_Pointer, _Int]),
    "rd_kafka_queue_get_main": (_Pointer, [_Pointer]),
    "rd_kafka_queue_poll": (_Pointer, [_Pointer, _Int]),
    "rd_kafka_queue_destroy": (None, [_Pointer]),
    "rd_kafka_event_message_next": (_Pointer, [_Pointer]),
    "rd_kafka_event_destroy": (None, [_Pointer]),
    "rd_kafka_message_timestamp": (_Long, [_Pointer, ctypes.POINTER(_Int)]),
    "rd_kafka_message_destroy": (None, [_Pointer]),
}
"""The calls that are used here, and those that `gather` makes by their addresses; the fetcher has its own."""

_PRODUCER, _OURS, _QUEUED, _AT_ONCE, _REPORTS = 0, 0, 1, 8, 1
"""RD_KAFKA_PRODUCER, no RD_KAFKA_MSG_F_COPY, RD_KAFKA_PURGE_F_QUEUE, …_DESTROY_F_NO_CONSUMER_CLOSE, …_EVENT_DR."""

_PURGED, _NO_OFFSET = -152, -1001
"""RD_KAFKA_RESP_ERR__PURGE_QUEUE, RD_KAFKA_OFFSET_INVALID."""

_TOPIC, _PARTITION, _KEY = b"self-check", 7, b"key"
_VALUE = ctypes.create_string_buffer(b"a value")
_PAGES = 65_536
"""No pointer is below."""

_WAIT_MS = 5000


@cache
def unfit() -> str:
    """Return why records can't be fetched through librdkafka's own interface, or "" if they can; looks once."""
    return look()


def look(load: Callable[[Signatures], ctypes.CDLL] = librdkafka) -> str:
    """Return what is not as the fetcher knows it, or ""."""
    try:
        load(fetcher.SIGNATURES)
        library = load(_SIGNATURES)
    except (OSError, AttributeError) as error:
        return f"librdkafka is not as it is known ({error})"
    release = library.rd_kafka_version_str().decode()
    if library.rd_kafka_version() >> 24 != MAJOR:
        return f"librdkafka is {release}, and {MAJOR}.x is known"
    with _message(library) as (message, topic):
        if not message:
            return f"librdkafka {release} did not answer"
        wrong = _differences(message, topic)
    return f"librdkafka {release} lays out messages in another way ({wrong})" if wrong else ""


def _differences(message: int, topic: int) -> str:
    """Return the fields of a message that do not hold what they should; follows a pointer only once all others do."""
    words = (ctypes.c_int64 * gather.WORDS).from_address(message)
    halves = {"err": (gather.ERROR, _PURGED), "partition": (gather.PARTITION, _PARTITION)}
    found: dict[str, tuple[object, object]] = {
        name: (ctypes.c_int32(words[at] & 0xFFFFFFFF).value, want) for name, (at, want) in halves.items()
    }
    whole = {
        "rkt": (gather.TOPIC, topic),
        "payload": (gather.VALUE, ctypes.addressof(_VALUE)),
        "len": (gather.VALUE_LEN, len(_VALUE)),
        "key_len": (gather.KEY_LEN, len(_KEY)),
        "offset": (gather.OFFSET, _NO_OFFSET),
    }
    found |= {name: (words[at], want) for name, (at, want) in whole.items()}
    found["key"] = (words[gather.KEY] > _PAGES and words[gather.KEY] not in {topic, ctypes.addressof(_VALUE)}, True)
    if not any(have != want for have, want in found.values()):
        found["key"] = (ctypes.string_at(words[gather.KEY], len(_KEY)), _KEY)
    return ", ".join(name for name, (have, want) in found.items() if have != want)


@contextmanager
def _message(library: ctypes.CDLL) -> Iterator[tuple[int, int]]:
    """Give the addresses of a message whose fields are known and of its topic; the first is 0 if there is none."""
    reason = ctypes.create_string_buffer(512)
    configuration = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(configuration, b"log_level", b"0", reason, len(reason))  # it has no brokers, and says so
    library.rd_kafka_conf_set_events(configuration, _REPORTS)
    client = library.rd_kafka_new(_PRODUCER, configuration, reason, len(reason))
    if not client:
        yield 0, 0
        return
    topic, queue = library.rd_kafka_topic_new(client, _TOPIC, None), library.rd_kafka_queue_get_main(client)
    event = None
    try:
        library.rd_kafka_produce(topic, _PARTITION, _OURS, ctypes.byref(_VALUE), len(_VALUE), _KEY, len(_KEY), None)
        library.rd_kafka_purge(client, _QUEUED)
        event = library.rd_kafka_queue_poll(queue, _WAIT_MS)
        yield (library.rd_kafka_event_message_next(event) or 0) if event else 0, topic
    finally:
        if event:
            library.rd_kafka_event_destroy(event)
        library.rd_kafka_queue_destroy(queue)
        library.rd_kafka_topic_destroy(topic)
        library.rd_kafka_destroy_flags(client, _AT_ONCE)
