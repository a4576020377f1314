"""Spans, and what sends them to an OpenTelemetry collector: OTLP over HTTP, as JSON, in batches, by a thread.

Best effort: what a collector does not take is dropped, which is said once. Nobody waits for it.
"""

import http.client
import json
import logging
import queue
import re
import secrets
import threading
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydrodask import clock
from hydrodask.doors.trust import refusals_closed
from hydrodask.errors import sentence
from hydrodask.settings.hidden import USER

WAITING_MAX = 2_000
"""Spans that wait to be sent; more are dropped."""

BATCH_MAX = 500
TIMEOUT_S = 5.0

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Span:
    """Something that was done for a record, from when the broker had it. `parent` is a traceparent."""

    name: str
    parent: str
    start_us: int
    attributes: Mapping[str, object]
    end_us: int = 0
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def traceparent(self) -> str:
        """What a record carries that follows from it."""
        return f"00-{self.parent[3:35]}-{self.id}-01"

    def otlp(self) -> dict[str, Any]:
        """Return it as OTLP's JSON has it."""
        return {
            "traceId": self.parent[3:35],
            "spanId": self.id,
            "parentSpanId": self.parent[36:52],
            "name": self.name,
            "kind": 5,  # SPAN_KIND_CONSUMER
            "startTimeUnixNano": str(self.start_us * 1000),
            "endTimeUnixNano": str(self.end_us * 1000),
            "attributes": [{"key": key, "value": _value(value)} for key, value in self.attributes.items()],
        }


def is_traceparent(text: str) -> bool:
    """Say whether a header is one: both ids are there.

    >>> is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    True
    """
    found = _TRACEPARENT.fullmatch(text)
    return found is not None and int(found[1], 16) > 0 and int(found[2], 16) > 0


def request_of(spans: Sequence[Span]) -> dict[str, Any]:
    """Return the body of an ExportTraceServiceRequest."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "hydrodask"}}]}
    scope = {"scope": {"name": "hydrodask"}, "spans": [one.otlp() for one in spans]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}


def _value(value: object) -> dict[str, Any]:
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"stringValue": str(value)}


class Exporter:
    """Sends spans to a collector until the process ends. `end` takes one and never waits."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/v1/traces"
        self._waiting: queue.Queue[Span] = queue.Queue(WAITING_MAX)
        self._failing = False
        threading.Thread(target=self._run, name="traces", daemon=True).start()

    def end(self, span: Span) -> None:
        """Take a span that is over."""
        try:
            self._waiting.put_nowait(span)
        except queue.Full:
            self._fail(f"{WAITING_MAX} spans wait already")

    def _run(self) -> None:
        while True:
            spans = [self._waiting.get()]
            clock.sleep_s(0.2)  # those that end together go together
            while len(spans) < BATCH_MAX and not self._waiting.empty():
                spans.append(self._waiting.get())
            try:
                self._post(spans)
            except (OSError, ValueError, http.client.HTTPException) as error:
                self._fail(sentence(error))

    def _post(self, spans: Sequence[Span]) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": USER}
        request = urllib.request.Request(self._url, json.dumps(request_of(spans)).encode(), headers)  # noqa: S310 - checked
        with (
            refusals_closed(),
            urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer,  # noqa: S310 - checked with the settings
        ):
            answer.read()
        self._failing = False

    def _fail(self, why: str) -> None:
        if not self._failing:
            log.warning("traces do not reach %s, and are dropped: %s", self._url, why)
        self._failing = True


_exporters: dict[str, Exporter] = {}
_making = threading.Lock()


def exporter(url: str) -> Exporter:
    """Return this process's exporter to a collector: hosts come and go, and share its thread and its queue."""
    with _making:
        return _exporters.get(url) or _exporters.setdefault(url, Exporter(url))
