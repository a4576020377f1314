"""The way of one record of a simulated rig through a whole platform can be followed: its rows, and their documents."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hydrodask import clock
from hydrodask.ingest.feed import SimulatedFeed, open_simulator
from hydrodask.ingest.publisher import Publisher
from hydrodask.kafka import TopicPartition, consumer, producer
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Kafka
from tests.delivery import Driver, documents, until
from tests.test_notify_sending import Hook

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = 12
"""Which record of CE is sampled, of one a second: two windows hold it."""
RULE = {"name": "always", "sensor": "CE", "statistic": "avg", "comparison": ">", "enter": 2, "exit": 1}


class Sampling:
    """A producer that gives one record of CE a sampled traceparent, as an instrumented client would."""

    def __init__(self, kafka: Kafka) -> None:
        self._inner = producer(kafka)
        self.poll, self._left = self._inner.poll, SAMPLED

    def __len__(self) -> int:
        return len(self._inner)

    def produce(self, topic: str, value: bytes, key: str, partition: int, done: Any) -> None:
        """Produce."""
        self._left -= topic.endswith("-CE")
        ours = topic.endswith("-CE") and self._left == 0
        headers: list[tuple[str, str | bytes | None]] = [("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")]
        self._inner.produce(topic, value, key, partition, done, headers=headers if ours else [])


def publish(settings: Settings) -> None:
    """Publish half a minute of a simulated rig at once."""
    feed = open_simulator(settings, clock.now_us())
    assert isinstance(feed, SimulatedFeed)
    Publisher(Sampling(settings.kafka), settings.topic, speed=None).run(replace(feed, seconds=30))  # type: ignore[arg-type]


def traced_rows(settings: Settings) -> dict[str, str]:
    """Return the rows of the stream that carry a traceparent, and it: what whoever consumes them sees."""
    reader = consumer(settings.kafka)
    reader.assign([TopicPartition(settings.topic("analytics"), 0, 0)])
    found: dict[str, str] = {}

    def read() -> bool:
        for message in reader.consume(1000, 0.2):
            headers: dict[str, Any] = dict(message.headers() or ()) if message.error() is None else {}
            if headers:
                row = json.loads(message.value() or b"")
                found[f"{row['rig']}/{row['sensor']}/{row['window_start']}"] = str(headers["traceparent"], "ascii")
        return len(found) >= 2

    with closing(reader):
        until(read, "the rows carry a traceparent")
    return found


def spans_of(hook: Hook) -> Iterator[dict[str, Any]]:
    """Yield the spans that a collector has got, with plain attributes."""
    for path, _, body in [*hook.got]:
        assert path == "/v1/traces"
        for span in body["resourceSpans"][0]["scopeSpans"][0]["spans"]:
            yield span | {"attributes": {one["key"]: one["value"] for one in span["attributes"]}}


def test_a_sampled_record_of_a_run_leads_to_its_rows_and_documents(tmp_path: Path) -> None:
    """Each row that holds it is a span and says so on the topic; below it are the documents that it has changed."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"rules": [RULE | {"severity": "warning", "message": "x"}]}))
    with closing(Hook()) as hook:
        sets = [
            f"data_dir={tmp_path / 'data'}",
            "cluster.dashboard=127.0.0.1:0",
            "observe.metrics=127.0.0.1:0",
            f"observe.traces=http://127.0.0.1:{hook.port}",
            "window={length: 4s, slide: 2s, lateness: 1s}",
            f"detect.rules={tmp_path / 'rules.yaml'}",
            "source={speed: max, faults: null}",
            "console.address=null",
        ]
        with Driver(sets, tmp_path / "log") as driver:
            until(lambda: "embedded broker on " in driver.output, "there is a broker")
            bootstrap = re.findall(r"embedded broker on (\S+):", driver.output)[0]
            settings = load(sets=[*sets, f"kafka.bootstrap={bootstrap}"], environ={})[0]
            publish(settings)
            until(lambda: len([*spans_of(hook)]) >= 4, "the spans have come")
            rows = traced_rows(settings)
            assert driver.stop() == 0, driver.output

    spans = [*spans_of(hook)]
    (tmp_path / "spans.json").write_text(json.dumps(spans, indent=1))
    windows = {one["attributes"]["hydrodask.window"]["stringValue"]: one for one in spans if one["name"] == "window"}
    judged = {one["parentSpanId"]: one["attributes"] for one in spans if one["name"] == "judge"}
    stored = {one["_id"] for name in ("anomalies", "incidents") for one in documents(settings, name)}
    assert len(spans) == 4
    assert {one["traceId"] for one in spans} == {TRACE}
    assert {one["parentSpanId"] for one in windows.values()} == {"00f067aa0ba902b7"}
    assert {name: f"00-{TRACE}-{one['spanId']}-01" for name, one in windows.items()} == rows
    assert judged.keys() == {one["spanId"] for one in windows.values()}
    for name, one in windows.items():
        found = judged[one["spanId"]]["hydrodask.documents"]["arrayValue"]["values"]
        ids = {value["stringValue"] for value in found}
        assert any(name.rpartition("/")[2] in each for each in ids), (name, ids)
        assert ids <= stored
