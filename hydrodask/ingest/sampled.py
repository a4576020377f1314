"""Fetch records, and hear of those whose header `traceparent` says that they are sampled.

A fetcher of its own, for who wants traces: the usual one looks at no header. Each record of a batch is asked for its
header by librdkafka's own call from a compiled loop; Python sees the sampled ones alone, `SAMPLED_MAX` a batch at most.
"""

import ctypes
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hydrodask.ingest import gather
from hydrodask.ingest.fetcher import Fetcher
from hydrodask.ingest.plain import PlainFetcher
from hydrodask.ingest.selfcheck import unfit
from hydrodask.kafka import fetch_settings, remember
from hydrodask.records import Int64, Messages, PartitionId
from hydrodask.settings.model import Kafka

log = logging.getLogger(__name__)

SAMPLED_MAX = 100
"""Sampled records of a batch that are heard of; of more the first. A producer that samples all has no traces of all."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A record that somebody traces: where it is, by the broker's count, and the record itself, alone."""

    source: PartitionId
    offset: int
    traceparent: str
    record: Messages


class SampledFetcher(Fetcher):
    """A fetcher that tells `heard` of each sampled record while it polls."""

    def __init__(self, *arguments: Any, heard: Callable[[Sampled], None]) -> None:
        super().__init__(*arguments)
        self._heard = heard
        library = self._library
        self._name = ctypes.create_string_buffer(b"traceparent")
        self._room = np.zeros(3, np.int64)
        """What the calls fill: headers, where the value is, how long it is."""
        calls = (library.rd_kafka_message_headers, library.rd_kafka_header_get_last)
        addresses = [ctypes.cast(call, ctypes.c_void_p).value or 0 for call in calls]
        addresses += [ctypes.addressof(self._name), self._room.ctypes.data]
        self._calls = tuple(map(np.int64, addresses))

    def _runs(
        self, pointers: Int64, slots: Int64, errors: Int64, sums: Int64, sources: list[PartitionId]
    ) -> list[Messages]:
        places = np.empty(SAMPLED_MAX, np.int64)
        texts = np.empty((SAMPLED_MAX, gather.TRACEPARENT_BYTES), np.uint8)
        count = gather.sampled(pointers, errors, self._calls, self._room, (places, texts))
        found = [
            (sources[slots[place]], self._said(int(pointers[place]))[0], texts[i].tobytes().decode("ascii", "replace"))
            for i, place in enumerate(places[:count].tolist())
        ]
        runs = super()._runs(pointers, slots, errors, sums, sources)
        for source, offset, text in found:
            self._tell(runs, source, offset, text)
        return runs

    def _tell(self, runs: list[Messages], source: PartitionId, offset: int, text: str) -> None:
        run = next(one for one in runs if (one.topic, one.partition) == source)
        place = int(np.searchsorted(run.offsets, offset))
        self._heard(Sampled(source, offset, text, run.take(slice(place, place + 1))))


def sampling(
    kafka: Kafka, *, heard: Callable[[Sampled], None], plain: Callable[[Kafka], Fetcher | PlainFetcher]
) -> Fetcher | PlainFetcher:
    """Return a fetcher that tells of sampled records; or `plain`, which tells of none."""
    if why := unfit():
        log.warning("%s: there are no traces", why)
        return plain(kafka)
    return SampledFetcher(fetch_settings(kafka), remember, logging.getLogger("hydrodask.kafka"), heard=heard)
