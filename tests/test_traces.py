"""A sampled record's trace leads to its window rows and to their documents; without traces nothing looks at headers."""

import gc
import json
import logging
import socket
import weakref
from base64 import b64encode
from contextlib import closing

from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hydrodask import clock
from hydrodask.ingest.embedded import EmbeddedBroker
from hydrodask.ingest.sampled import Sampled, SampledFetcher
from hydrodask.ingest.topics import TopicSpec
from hydrodask.kafka import fetch_settings, producer
from hydrodask.protocol.order import Order
from hydrodask.records import Messages, Outgoing, Upsert
from hydrodask.settings import load
from hydrodask.settings.model import Kafka
from hydrodask.testing import messages_of
from hydrodask.worker.spans import Span, exporter, request_of
from hydrodask.worker.step import _traced
from hydrodask.worker.surroundings import REAL
from hydrodask.worker.traced import Traces
from tests.delivery import until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
Headers = list[tuple[str, str | bytes | None]]
START_US = 1_796_011_200 * clock.US_PER_S


def test_only_sampled_records_are_heard_of() -> None:
    """Not those whose flags say no, whose header is something else, or that have none; columns are as ever."""
    found = ("traceparent", PARENT)
    headers: list[Headers | None] = [None, [found], [("traceparent", f"{PARENT[:-1]}0")], [("traceparent", "x")]]
    headers += [[("b3", PARENT)], [("a", "b"), found]]
    heard: list[Sampled] = []
    got: list[Messages] = []
    with EmbeddedBroker([TopicSpec("traced", 1, 1)]) as broker:
        kafka = Kafka(bootstrap=broker.bootstrap)
        sender = producer(kafka)
        for number, header in enumerate(headers):
            sender.produce("traced", b"value %d" % number, b"key", headers=header)
        sender.flush(60)
        fetcher = SampledFetcher(fetch_settings(kafka), lambda *_: None, logging.getLogger("x"), heard=heard.append)
        with closing(fetcher):
            fetcher.assign(("traced", 0), 0)

            def read() -> bool:
                got.extend(fetcher.poll(100, 0.2)[0])
                return sum(map(len, got)) == len(headers)

            until(read, "all is read")

    assert [(one.source, one.offset, one.traceparent, one.record.values[0]) for one in heard] == [
        (("traced", 0), number, PARENT, b"value %d" % number) for number in (1, 5)
    ]
    assert [value for run in got for value in run.values] == [b"value %d" % number for number in range(len(headers))]


def test_a_collector_understands_spans() -> None:
    """OTLP's JSON is that of protobuf, but for ids, which are hexadecimal."""
    span = Span("window", PARENT, START_US, {"a": 7, "b": ["x", "y"], "c": "z"}, START_US + 5)
    body = json.loads(json.dumps(request_of([span])))
    one = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    for name in ("traceId", "spanId", "parentSpanId"):
        one[name] = b64encode(bytes.fromhex(one[name])).decode()
    found = ParseDict(body, ExportTraceServiceRequest()).resource_spans[0].scope_spans[0].spans[0]

    assert (found.trace_id.hex(), found.parent_span_id.hex()) == (TRACE, "00f067aa0ba902b7")
    assert (found.start_time_unix_nano, found.end_time_unix_nano - found.start_time_unix_nano) == (
        START_US * 1000,
        5000,
    )
    assert {one.key for one in found.attributes} == {"a", "b", "c"}
    assert span.traceparent == f"00-{TRACE}-{found.span_id.hex()}-01"


def test_without_traces_nothing_is_put_between() -> None:
    """The surroundings of a step are those that it was given."""
    order = Order("run", 1, 0, "worker", load(sets=[], environ={})[0])

    assert _traced(order, REAL) is REAL


def test_a_sampled_record_leads_to_its_rows_and_documents() -> None:
    """A span for each final row that holds the sample, and below it one with the documents that follow from the row."""
    ended: list[Span] = []
    settings = load(sets=[], environ={})[0]
    traces = Traces(settings, ended.append)
    stamp_ms = START_US // 1000
    record = {
        "sensor": "CE",
        "cycle": 0,
        "sample_idx": 15,
        "value": 20.0,
        "timestamp": clock.iso(START_US + 15_000_000),
    }
    value = json.dumps(record | {"sampling_rate_hz": 1, "rig": "rig-1"}).encode()
    sampled = messages_of([value], topic="hydraulic-CE", first=15, stamp_ms=stamp_ms)
    traces.hear(Sampled(("hydraulic-CE", 0), 15, PARENT, sampled))
    rows = [Outgoing("hydraulic-analytics", b"rig-1", row(at_s, final=at_s < 30)) for at_s in (-50, -40, 10, 20, 30)]

    stamped, spans = traces.stamp(rows)
    assert ended == []
    traces.committed(spans, {})
    headers = [dict(one.headers).get("traceparent") for one in stamped]
    assert [one is not None for one in headers] == [False, True, True, False, False]
    starts = [clock.iso(START_US + at_s * clock.US_PER_S) for at_s in (-40, 10)]
    assert [one.attributes["hydrodask.window"] for one in ended] == [f"rig-1/CE/{start}" for start in starts]
    assert {one.parent for one in ended} == {PARENT}
    assert all(one.end_us >= one.start_us == stamp_ms * 1000 for one in ended)
    assert traces.stamp(rows)[1] == []  # all of its windows are out: it is forgotten

    read = messages_of([stamped[2].value], topic="hydraulic-analytics", first=7, stamp_ms=stamp_ms)
    traces.hear(Sampled(("hydraulic-analytics", 0), 7, ended[-1].traceparent, read))
    body: dict[str, object] = {"rig": "rig-1", "sensor": "CE", "window_start": starts[1]}
    traces.wrote([Upsert("anomalies", "theirs", 7, body), Upsert("anomalies", "others", 7, body | {"sensor": "TS1"})])
    traces.committed([], {("hydraulic-analytics", 0): 7})
    assert len(ended) == 2
    traces.committed([], {("hydraulic-analytics", 0): 8})
    assert (ended[2].name, ended[2].parent) == ("judge", ended[1].traceparent)
    assert ended[2].attributes["hydrodask.documents"] == ["theirs"]


class Later(clock.SystemClock):
    """The machine's clock, some hours on."""

    def now_us(self) -> int:
        return super().now_us() + 7_200 * clock.US_PER_S


def test_what_is_remembered_is_small_and_gets_old() -> None:
    """The batch that a sampled record came in is let go; what nothing follows from is forgotten after an hour."""
    ended: list[Span] = []
    traces = Traces(load(sets=[], environ={})[0], ended.append)
    batch = messages_of([row(0, final=True)] * 9, topic="hydraulic-analytics", stamp_ms=START_US // 1000)
    alive = weakref.ref(batch.timestamps_ms)
    traces.hear(Sampled(("hydraulic-analytics", 0), 3, PARENT, batch.take(slice(3, 4))))
    del batch
    gc.collect()

    assert alive() is None
    with clock.replaced_by(Later()):
        traces.committed([], {})
    traces.committed([], {("hydraulic-analytics", 0): 9})
    assert ended == []


def test_hosts_of_a_process_share_an_exporter_that_outlives_bad_answers() -> None:
    """What is no HTTP from a collector, as from a gRPC port, costs that batch, and the thread goes on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        for answer in (b"\x00\x00\x18\x04\x00\x00\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"):
            exporter(url).end(Span("window", PARENT, START_US, {}, START_US + 5))
            server.settimeout(120)
            connection, _ = server.accept()
            with connection:
                assert connection.recv(65_536).startswith(b"POST /v1/traces")
                connection.sendall(answer)

    assert exporter(url) is exporter(url)
    assert exporter(url) is not exporter(f"{url}/other")


def row(at_s: int, *, final: bool) -> bytes:
    """Return a window row that begins so long after the start."""
    start_us = START_US + at_s * clock.US_PER_S
    times = {"window_start": clock.iso(start_us), "window_end": clock.iso(start_us + 60_000_000)}
    values = {"avg_value": 20.0, "max_value": 21.0, "min_value": 19.0, "stddev_value": 0.1, "range_value": 2.0}
    counts = {"sample_count": 60, "final": final, "revision": 7, "sampling_rate_hz": 1.0}
    return json.dumps({"rig": "rig-1", "sensor": "CE"} | times | values | counts, separators=(",", ":")).encode()
