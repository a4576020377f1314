"""Fetch records of assigned partitions through librdkafka's own interface, a batch at a time, straight into columns.

confluent-kafka makes a Python object a record and takes half a dozen calls to read it: more than all the work that
follows. This module asks the same library, the one that confluent-kafka has loaded, for the same batches, and
`gather` takes them apart. Everything that is not fetching (offsets, transactions, topics) stays with confluent-kafka.
"""

import ctypes
import logging
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from hydrodask import clock
from hydrodask.background import in_background
from hydrodask.blobs import Blobs
from hydrodask.errors import ConfigError, RetryableError
from hydrodask.ingest import gather
from hydrodask.kafka import Signatures, librdkafka
from hydrodask.records import Int64, Messages, PartitionId

_CONSUMER = 1
"""RD_KAFKA_CONSUMER."""

_AT_ONCE = 8
"""RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE: there is no group to leave."""

_LEVELS = {3: logging.ERROR, 4: logging.WARNING, 5: logging.INFO, 6: logging.INFO, 7: logging.DEBUG}
"""Syslog's levels, as librdkafka has them; below 3 is an error too."""

_Pointer, _Int, _Long, _Text = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_char_p
_OnLog = ctypes.CFUNCTYPE(None, _Pointer, _Int, _Text, _Text)
_OnError = ctypes.CFUNCTYPE(None, _Pointer, _Int, _Text, _Pointer)
SIGNATURES: Signatures = {
    "rd_kafka_conf_new": (_Pointer, []),
    "rd_kafka_conf_set": (_Int, [_Pointer, _Text, _Text, _Text, ctypes.c_size_t]),
    "rd_kafka_conf_set_log_cb": (None, [_Pointer, _OnLog]),
    "rd_kafka_conf_set_error_cb": (None, [_Pointer, _OnError]),
    "rd_kafka_conf_destroy": (None, [_Pointer]),
    "rd_kafka_new": (_Pointer, [_Int, _Pointer, _Text, ctypes.c_size_t]),
    "rd_kafka_destroy_flags": (None, [_Pointer, _Int]),
    "rd_kafka_poll_set_consumer": (_Int, [_Pointer]),
    "rd_kafka_queue_get_consumer": (_Pointer, [_Pointer]),
    "rd_kafka_queue_destroy": (None, [_Pointer]),
    "rd_kafka_topic_partition_list_new": (_Pointer, [_Int]),
    "rd_kafka_topic_partition_list_add": (_Pointer, [_Pointer, _Text, ctypes.c_int32]),
    "rd_kafka_topic_partition_list_set_offset": (_Int, [_Pointer, _Text, ctypes.c_int32, _Long]),
    "rd_kafka_topic_partition_list_destroy": (None, [_Pointer]),
    "rd_kafka_incremental_assign": (_Pointer, [_Pointer, _Pointer]),
    "rd_kafka_incremental_unassign": (_Pointer, [_Pointer, _Pointer]),
    "rd_kafka_error_string": (_Text, [_Pointer]),
    "rd_kafka_error_destroy": (None, [_Pointer]),
    "rd_kafka_consume_batch_queue": (ctypes.c_ssize_t, [_Pointer, _Int, _Pointer, ctypes.c_size_t]),
    "rd_kafka_topic_name": (_Text, [_Pointer]),
    "rd_kafka_message_errstr": (_Text, [_Pointer]),
    "rd_kafka_get_watermark_offsets": (
        _Int,
        [_Pointer, _Text, ctypes.c_int32, ctypes.POINTER(_Long), ctypes.POINTER(_Long)],
    ),
}
"""The calls that are used."""


@dataclass(frozen=True, slots=True)
class PartitionEvent:
    """What a partition says besides records: the end was reached (`offset`), or `code` and `text` of an error."""

    source: PartitionId
    code: int
    offset: int
    text: str


class Fetcher:
    """A consumer without a group that reads the partitions it is given. Not safe for threads.

    `settings` are librdkafka's. `on_error(code, text)` hears of errors that belong to no partition, while `poll` runs.
    One that is dropped lets go of its connections too; `close` does so at once.
    """

    def __init__(self, settings: Mapping[str, str], on_error: Callable[[int, str], None], log: logging.Logger) -> None:
        self._library = library = librdkafka(SIGNATURES)
        on_log = _OnLog(lambda _client, level, _what, text: _log(log, level, text))
        heed = _OnError(lambda _client, code, text, _: on_error(code, text.decode(errors="replace")))
        reason = ctypes.create_string_buffer(512)
        configuration = library.rd_kafka_conf_new()
        for name, value in settings.items():
            if library.rd_kafka_conf_set(configuration, name.encode(), value.encode(), reason, len(reason)):
                library.rd_kafka_conf_destroy(configuration)
                raise ConfigError(f"kafka setting {name} can't be used: {reason.value.decode(errors='replace')}")
        library.rd_kafka_conf_set_log_cb(configuration, on_log)
        library.rd_kafka_conf_set_error_cb(configuration, heed)
        self._client = library.rd_kafka_new(_CONSUMER, configuration, reason, len(reason))
        if not self._client:
            library.rd_kafka_conf_destroy(configuration)
            raise ConfigError(f"could not make a Kafka consumer: {reason.value.decode(errors='replace')}")
        library.rd_kafka_poll_set_consumer(self._client)
        self._queue = library.rd_kafka_queue_get_consumer(self._client)
        # The client's threads call these until it has ended, also while the interpreter ends: they are never collected.
        callbacks = ctypes.py_object((on_log, heed))
        ctypes.pythonapi.Py_IncRef(callbacks)
        self._end = partial(_end, library, self._client, self._queue, callbacks)
        # Not here and now: who collects garbage may be one of the client's threads, and its end waits for them.
        self._dropped = weakref.finalize(self, in_background, self._end)
        self._dropped.atexit = False
        self._full = True
        self._kind = ctypes.c_int()
        self._functions = tuple(
            np.int64(ctypes.cast(at, _Pointer).value or 0)
            for at in (library.rd_kafka_message_timestamp, ctypes.pointer(self._kind), library.rd_kafka_message_destroy)
        )

    def assign(self, source: PartitionId, offset: int) -> None:
        """Read `source`, which is not read yet, from `offset` on. Raises RetryableError."""
        self._change(self._library.rd_kafka_incremental_assign, source, offset)

    def unassign(self, source: PartitionId) -> None:
        """Stop reading `source`; records of it that were fetched already are dropped. Raises RetryableError."""
        self._change(self._library.rd_kafka_incremental_unassign, source, 0)

    def poll(self, rows_max: int, timeout_s: float) -> tuple[list[Messages], list[PartitionEvent]]:
        """Return one run of records a partition, in offset order, once there are `rows_max` or after `timeout_s`.

        While batches are not full it sleeps and takes what has come: librdkafka would wake us for each partition's few.
        """
        pointers = np.empty(rows_max, np.int64)
        if not self._full:
            clock.sleep_s(timeout_s)
            timeout_s = 0.0
        wait_ms = max(0, round(timeout_s * 1000))
        count = self._library.rd_kafka_consume_batch_queue(self._queue, wait_ms, pointers.ctypes.data, rows_max)
        self._full = count >= rows_max
        if count <= 0:
            return [], []
        pointers = pointers[:count]
        slots, errors = np.empty(count, np.int64), np.empty(count, np.int64)
        addresses, sums = np.empty((count, 2), np.int64), np.empty((count, 3), np.int64)
        known = gather.sort_out(pointers, slots, errors, addresses, sums)
        sources, sums = [self._source(*address) for address in addresses[:known].tolist()], sums[:known]
        events = [
            PartitionEvent(sources[slots[i]], int(errors[i]), *self._said(int(pointers[i])))
            for i in np.flatnonzero(errors).tolist()
        ]
        return self._runs(pointers, slots, errors, sums, sources), events

    def end(self, source: PartitionId) -> int:
        """Return the end of the log as of the last fetch, or -1; asks no broker."""
        low, high = _Long(), _Long(-1)
        topic, partition = source
        code = self._library.rd_kafka_get_watermark_offsets(
            self._client, topic.encode(), partition, ctypes.byref(low), ctypes.byref(high)
        )
        return -1 if code else high.value

    def close(self) -> None:
        """Let go of connections. May be called again."""
        if self._dropped.detach() is not None:
            self._client = None
            self._end()

    def _change(self, call: Callable[[int, int], int | None], source: PartitionId, offset: int) -> None:
        topic, partition = source[0].encode(), source[1]
        library = self._library
        partitions = library.rd_kafka_topic_partition_list_new(1)
        library.rd_kafka_topic_partition_list_add(partitions, topic, partition)
        library.rd_kafka_topic_partition_list_set_offset(partitions, topic, partition, offset)
        error = call(self._client, partitions)
        library.rd_kafka_topic_partition_list_destroy(partitions)
        if error:
            text = library.rd_kafka_error_string(error).decode()
            library.rd_kafka_error_destroy(error)
            raise RetryableError(f"could not change what is read of {source[0]}-{partition} (to {offset}): {text}")

    def _source(self, topic: int, partition: int) -> PartitionId:
        return (self._library.rd_kafka_topic_name(topic).decode() if topic else "", partition)

    def _said(self, message: int) -> tuple[int, str]:
        """Return offset and text of an error's message."""
        offset = ctypes.c_int64.from_address(message + 8 * gather.OFFSET).value
        return offset, (self._library.rd_kafka_message_errstr(message) or b"").decode(errors="replace")

    def _runs(
        self, pointers: Int64, slots: Int64, errors: Int64, sums: Int64, sources: list[PartitionId]
    ) -> list[Messages]:
        """Copy the records out, let go of librdkafka's, and cut the columns into runs."""
        count, value_bytes, key_bytes = sums.sum(axis=0).tolist()
        offsets, stamps = np.empty(count, np.int64), np.empty(count, np.int64)
        values, keys = Blobs.empty(count, value_bytes), Blobs.empty(count, key_bytes)
        gather.copy(
            pointers, slots, errors, sums, self._functions, (offsets, stamps),
            (values.data, values.bounds, values.present), (keys.data, keys.bounds, keys.present),
        )  # fmt: skip
        runs = []
        end = 0
        for (topic, partition), records in zip(sources, sums[:, gather.COUNT].tolist(), strict=True):
            which = slice(end, end + records)
            end += records
            if records:
                runs.append(Messages(topic, partition, values[which], keys[which], offsets[which], stamps[which]))
        return runs


def _end(library: ctypes.CDLL, client: int, queue: int, callbacks: "ctypes.py_object[Any]") -> None:
    """End a client, and then let go of what it calls."""
    library.rd_kafka_queue_destroy(queue)
    library.rd_kafka_destroy_flags(client, _AT_ONCE)
    ctypes.pythonapi.Py_DecRef(callbacks)


def _log(log: logging.Logger, level: int, text: bytes) -> None:
    log.log(_LEVELS.get(level, logging.ERROR), "%s", text.decode(errors="replace"))
