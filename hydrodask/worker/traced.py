"""Traces: from a sampled record to its window rows, and from these to their documents.

A wrapper round what a host reaches the world through (`Surroundings`), put there only with `observe.traces`: without
it nothing here runs. It hears of sampled records, looks at what is committed afterwards, and ends a span

- `window` for each final row that a sampled sample is in; the row is published with a traceparent that leads to it,
- `judge` for each such row once it is judged, with the ids of the documents that changed for it.

What it remembers is in memory alone, and changes no result: after a crash a trace may lack spans, or have them twice.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

from hydrodask import clock, kafka
from hydrodask.channels import SENSORS
from hydrodask.clock import parse_iso
from hydrodask.decode.decoder import Decoder
from hydrodask.decode.windowrows import decode_row
from hydrodask.ingest.reader import Reader
from hydrodask.ingest.sampled import Sampled, sampling
from hydrodask.protocol import spread
from hydrodask.records import Change, Outgoing, PartitionId, Upsert, WindowRecord
from hydrodask.rigs import RIGS
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from hydrodask.store.documents import Documents
from hydrodask.store.files import Files
from hydrodask.store.transactions import Transactions
from hydrodask.worker.spans import Span, exporter, is_traceparent
from hydrodask.worker.surroundings import Surroundings

REMEMBERED_MAX = 1_000
"""Sampled records that are waited for, and rows; of more the oldest are forgotten."""

REMEMBERED_US = 3_600 * clock.US_PER_S
"""How long: what nothing has followed from by then was read by another worker meanwhile, or never will be."""

Key = tuple[str, str, int]
"""Rig, sensor, and a time in microseconds: of a sample, or of a row's window."""


@dataclass(slots=True)
class _Waiting:
    """A sampled record whose rows, or documents, are to come: where it is, not the batch that it came in."""

    source: PartitionId
    offset: int
    traceparent: str
    key: Key
    heard_us: int
    stamp_us: int
    documents: list[str] = field(default_factory=list)

    def span(self, name: str, more: dict[str, object]) -> Span:
        topic, partition = self.source
        where = {
            "messaging.system": "kafka",
            "messaging.destination.name": topic,
            "messaging.destination.partition.id": str(partition),
            "messaging.kafka.offset": self.offset,
            "hydrodask.rig": self.key[0],
            "hydrodask.sensor": self.key[1],
        }
        return Span(name, self.traceparent, self.stamp_us, where | more)


class Traces:
    """What one host remembers of sampled records. `end` takes spans."""

    def __init__(self, settings: Settings, end: Callable[[Span], None]) -> None:
        self._end = end
        self._settings = settings
        self._length_us, self._slide_us = (
            round(one * clock.US_PER_S) for one in (settings.window.length, settings.window.slide)
        )
        self._sensors = {settings.topic(sensor): sensor for sensor in SENSORS}
        self._analytics = settings.topic("analytics")
        self._samples: list[_Waiting] = []
        self._rows: list[_Waiting] = []

    def hear(self, one: Sampled) -> None:
        """Take note of a sampled record; what can't be used, or is of no interest, leaves no trace."""
        stamp_us = int(one.record.timestamps_ms[0]) * 1000
        if not is_traceparent(one.traceparent):
            return
        if one.source[0] == self._analytics:
            self._remember(self._rows, one, self._row_of(one.record.values[0]), stamp_us)
        elif (sensor := self._sensors.get(one.source[0])) is not None:
            self._remember(self._samples, one, self._sample_of(one, sensor), stamp_us)

    def stamp(self, outgoing: Sequence[Outgoing]) -> tuple[list[Outgoing], list[Span]]:
        """Return what to publish, final rows of sampled samples with a traceparent; and the spans of these rows."""
        if not self._samples:
            return [*outgoing], []
        rigs = {waiting.key[0].encode() for waiting in self._samples}
        stamped, spans = [], list[Span]()
        for record in outgoing:
            ours = record.topic == self._analytics and record.key in rigs and b'"final":true' in (record.value or b"")
            found = self._spans_of(self._row_of(record.value)) if ours else []
            spans += found
            header = [("traceparent", one.traceparent.encode()) for one in found[:1]]
            stamped.append(replace(record, headers=[*record.headers, *header]) if found else record)
        return stamped, spans

    def wrote(self, changes: Iterable[Change]) -> None:
        """Take note of the documents of rows that are remembered."""
        rows = {waiting.key: waiting for waiting in self._rows}
        for change in changes if rows else ():
            if not isinstance(change, Upsert) or not {"rig", "sensor"} <= change.body.keys():
                continue
            at = str(change.body.get("window_start") or change.body.get("last_window") or "")
            key = (str(change.body["rig"]), str(change.body["sensor"]), parse_iso(at) if at else 0)
            if key in rows and change.id not in rows[key].documents:
                rows[key].documents.append(change.id)

    def committed(self, spans: Iterable[Span], ends: dict[PartitionId, int]) -> None:
        """End what is out: the spans of rows, and those of rows that are judged up to these offsets."""
        now_us = clock.now_us()
        judged = [one for one in self._rows if one.offset < ends.get(one.source, 0)]
        self._rows = [one for one in self._rows if one.offset >= ends.get(one.source, 0)]
        more = [one.span("judge", {"hydrodask.documents": one.documents}) for one in judged]
        for span in (*spans, *more):
            self._end(replace(span, end_us=max(now_us, span.start_us)))  # clocks differ
        self._forget(spans)
        self._rows, self._samples = _newer(self._rows, now_us), _newer(self._samples, now_us)

    def _spans_of(self, row: Key | None) -> list[Span]:
        if row is None:
            return []
        rig, sensor, start_us = row
        inside = [
            one
            for one in self._samples
            if one.key[:2] == (rig, sensor) and start_us <= one.key[2] < start_us + self._length_us
        ]
        return [one.span("window", {"hydrodask.window": f"{rig}/{sensor}/{clock.iso(start_us)}"}) for one in inside]

    def _forget(self, spans: Iterable[Span]) -> None:
        """Forget samples of which the last window is out."""
        for span in spans:
            rig, sensor, start = str(span.attributes["hydrodask.window"]).rsplit("/", 2)
            over_us = parse_iso(start) + self._slide_us
            self._samples = [one for one in self._samples if one.key[:2] != (rig, sensor) or one.key[2] >= over_us]

    def _remember(self, into: list[_Waiting], one: Sampled, key: Key | None, stamp_us: int) -> None:
        if key is not None:
            into.append(_Waiting(one.source, one.offset, one.traceparent, key, clock.now_us(), stamp_us))
            del into[:-REMEMBERED_MAX]

    def _sample_of(self, one: Sampled, sensor: str) -> Key | None:
        samples, _rejects = Decoder.of(self._settings, sensor).decode(one.record)
        if not len(samples):
            return None
        return RIGS.name(int(samples.rig[0])), sensor, int(samples.time_us[0])

    def _row_of(self, value: bytes | None) -> Key | None:
        try:
            row = decode_row(value or b"")
        except ValueError:
            return None
        return (row.rig, row.sensor, parse_iso(row.window_start)) if isinstance(row, WindowRecord) else None


def _newer(waiting: list[_Waiting], now_us: int) -> list[_Waiting]:
    return [one for one in waiting if one.heard_us > now_us - REMEMBERED_US]


@dataclass(frozen=True, slots=True)
class Traced(Surroundings):
    """The same surroundings, which tell `traces` what goes by."""

    traces: Traces = field(kw_only=True)

    def reader(self, kafka: Kafka) -> Reader:
        """Return a reader that hears of sampled records."""
        return Reader(kafka, connect=self.consumer, fetch=partial(sampling, heard=self.traces.hear, plain=self.fetcher))

    def transactions(self, settings: Settings, slot: int, snapshots: Files) -> Transactions:
        """Return the producer of a slot, whose commits end spans."""
        kept = spread.load(settings, snapshots)
        return _Transactions(settings.kafka, slot, connect=self.producer, spread=kept, traces=self.traces)


class _Transactions(Transactions):
    def __init__(self, *arguments: Any, traces: Traces, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._traces = traces

    def commit(
        self, outgoing: Sequence[Outgoing], offsets: Sequence[kafka.TopicPartition], *groups: kafka.Consumer
    ) -> None:
        """Publish and commit; what is out is traced."""
        stamped, spans = self._traces.stamp(outgoing)
        super().commit(stamped, offsets, *groups)
        self._traces.committed(spans, {(one.topic, one.partition): one.offset for one in offsets})


class _Documents:
    """A document store that tells `traces` what it has written."""

    def __init__(self, inner: Documents, traces: Traces) -> None:
        self._inner, self._traces = inner, traces
        self.find, self.close = inner.find, inner.close

    def write(self, changes: Sequence[Change]) -> None:
        """Write, and say so."""
        self._inner.write(changes)
        self._traces.wrote(changes)


def traced(surroundings: Surroundings, settings: Settings) -> Surroundings:
    """Return surroundings that lead from sampled records to what follows from them, for `observe.traces`."""
    traces = Traces(settings, exporter(str(settings.observe.traces)).end)
    known = {one.name: getattr(surroundings, one.name) for one in fields(surroundings)}
    inner = surroundings.documents
    return Traced(**known | {"documents": lambda chosen: _Documents(inner(chosen), traces)}, traces=traces)
