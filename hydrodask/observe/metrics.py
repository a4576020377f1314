"""Metrics over HTTP, probes beside them, and metrics, if configured, to a Pushgateway.

The only module that imports prometheus_client. A scrape reads the newest overview; a
record costs nothing here. The endpoint is on loopback unless `observe.metrics` says otherwise; it
has no password, so whoever reaches it may read it, but no page of others in a browser.
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from http.client import HTTPException
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from urllib.request import Request, urlopen

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    delete_from_gateway,
    make_wsgi_app,
    push_to_gateway,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hydrodask import clock
from hydrodask.background import Aside
from hydrodask.doors.pages import PageServer
from hydrodask.doors.trust import basic, refusals_closed, trust
from hydrodask.errors import ConfigError
from hydrodask.hosts import Hosts
from hydrodask.observe.figures import Figures, Newest
from hydrodask.observe.onemetric import Series, counter
from hydrodask.observe.probes import Probes
from hydrodask.observe.series import Alarm, every_series
from hydrodask.reports import LATENCY_BUCKETS_S, Overview, Pulse
from hydrodask.settings import Settings, Url
from hydrodask.settings.hidden import with_password

log = logging.getLogger(__name__)

JOB = "hydrodask"
PUSH_S_MAX = 5.0
"""A push, or the deletion at the end, is given up after this long, and after `push_every`."""

_GATEWAY_ERRORS = (OSError, HTTPException)


class OverviewCollector(Collector):
    """Turns the newest overview into metrics at each scrape.

    `failures` says how often a push failed.
    """

    def __init__(self, newest: Callable[[], Figures], failures: Callable[[], int]) -> None:
        self._newest = newest
        self._failures = failures
        self._seen: dict[Alarm, None] = {}
        # A scrape and a push may come at the same time, each from a thread of its own.
        self._lock = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        """Say nothing: registering must not look at an overview that is not there yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        figures = self._newest()
        with self._lock:
            series = list(every_series(figures, clock.now_us(), self._seen))
        series.append(counter("hydrodask_push_failures", "Failed pushes.", self._failures()))
        yield from (family(one) for one in series)
        yield latency(figures.overview)


def family(series: Series) -> Metric:
    """Return one metric in the client's form, no sample twice: a gateway would take nothing of the page."""
    kind = GaugeMetricFamily if series.kind == "gauge" else CounterMetricFamily
    metric = kind(series.name, series.help, labels=series.labels)
    for labels, value in dict(series.values).items():
        metric.add_metric(labels, value)
    return metric


def latency(overview: Overview) -> Metric:
    """Return the end-to-end latency as a histogram; its buckets are cumulative, ours are not."""
    bounds = [*map(str, LATENCY_BUCKETS_S), "+Inf"]
    buckets = list(zip(bounds, accumulate(overview.latency_counts), strict=True))
    text = "From a record's broker timestamp to the commit of its outputs."
    metric = HistogramMetricFamily("hydrodask_latency_seconds", text)
    metric.add_metric([], buckets, sum_value=overview.latency_sum_s)
    return metric


class Metrics:
    """The endpoint, and the pushing if `observe.pushgateway` is set, of one run."""

    name = "metrics endpoint"

    def __init__(self, overview: Callable[[], Overview], settings: Settings, pulse: Pulse | None = None) -> None:
        self._observe = settings.observe
        self._probes = Probes(overview, settings, pulse or Pulse())
        self.registry = CollectorRegistry()
        newest = Newest(overview, settings.topics.prefix, settings.observe.rigs_max)
        gateway = settings.observe.pushgateway
        secret = settings.observe.password_file
        self._pusher: Pusher | None = None
        if gateway is not None:
            instance = f"{socket.gethostname()}:{settings.kafka.group}"
            every_s = settings.observe.push_every
            self._pusher = Pusher(
                with_password(gateway, secret, "observe.password_file"),
                self.registry,
                instance=instance,
                every_s=every_s,
                ca_file=settings.observe.ca_file,
            )
        self.registry.register(OverviewCollector(newest, self._push_failures))
        ProcessCollector(registry=self.registry)
        self._pages: PageServer | None = None

    @property
    def trouble(self) -> str:
        """What has ended the endpoint before it was closed."""
        return "" if self._pages is None or self._pages.alive else "has ended: nothing is served any more"

    @property
    def pushing(self) -> Aside | None:
        """The thread that pushes, if there is one."""
        return None if self._pusher is None else self._pusher.thread

    @property
    def url(self) -> str:
        """Where to scrape; empty before `start`, and when nothing is served."""
        return "" if self._pages is None else self._pages.url

    def start(self) -> None:
        """Begin to serve and push. Raises ConfigError when the address can't be used."""
        if self._observe.metrics is not None:
            self._pages = self._serve(self._observe.metrics)
        if self._pusher is not None:
            self._pusher.start()

    def close(self) -> None:
        """Stop serving, and remove what was pushed. May be called twice, and without `start`."""
        if self._pusher is not None:
            self._pusher.close()
        if self._pages is not None:
            self._pages.close()
            self._pages = None

    def _serve(self, address: str) -> PageServer:
        host, port = _address(address)
        page = make_wsgi_app(self.registry)
        try:
            return PageServer(host, port, {"/metrics": page, **self._probes.pages}, Hosts(host, self._observe.hosts))
        except OSError as error:
            raise ConfigError(
                f"observe.metrics has value {address!r}, but nothing can be served "
                f"there: {error.strerror or error}; choose another with "
                "--set observe.metrics=HOST:PORT (port 0: any free one)"
            ) from error

    def _push_failures(self) -> int:
        return 0 if self._pusher is None else self._pusher.failures


class Pusher:
    """Pushes a registry every `every_s` seconds from a thread.

    Failures are counted, never raised.
    """

    def __init__(
        self,
        gateway: Url,
        registry: CollectorRegistry,
        *,
        instance: str,
        every_s: float,
        ca_file: Path | None = None,
    ) -> None:
        if not gateway.plain().startswith(("http://", "https://")):
            raise ConfigError(f"observe.pushgateway has value {str(gateway)!r}; want http://HOST:PORT or https://…")
        self.failures = 0
        self._trust = trust(ca_file, "observe.ca_file")
        self._gateway = gateway
        self._registry = registry
        self._key = {"instance": instance}
        self._every_s = every_s
        self._timeout_s = min(PUSH_S_MAX, max(every_s, 1.0))
        self._failing = False
        self._stop = threading.Event()
        self.thread = Aside("pushes to the Pushgateway", self._run, self._stop)

    def start(self) -> None:
        """Begin to push."""
        self.thread.start()

    def close(self) -> None:
        """Stop, and delete what was pushed, so that no dead run looks alive."""
        if self._stop.is_set() or self.thread.ident is None:
            return
        self._stop.set()
        self.thread.join(self._timeout_s + 1)
        try:
            delete_from_gateway(self._gateway.bare(), JOB, self._key, timeout=self._timeout_s, handler=self._ask)
        except _GATEWAY_ERRORS as error:
            log.warning("could not delete the metrics on Pushgateway %s: %s", self._gateway, error)

    def push(self) -> None:
        """Push once; a failure is logged when it is the first after a success."""
        try:
            where = self._gateway.bare()
            push_to_gateway(where, JOB, self._registry, self._key, timeout=self._timeout_s, handler=self._ask)
        except _GATEWAY_ERRORS as error:
            self.failures += 1
            if not self._failing:
                log.warning(
                    "could not push metrics to Pushgateway %s: %s; the run goes on and tries again every %g s",
                    self._gateway,
                    error,
                    self._every_s,
                )
            self._failing = True
        else:
            if self._failing:
                log.warning("metrics reach Pushgateway %s again", self._gateway)
            self._failing = False

    def _ask(self, url: str, headers: Iterable[tuple[str, str]], **request: Any) -> Callable[[], None]:
        """Return a request of the client's as it is made: with our login, if there is one, and whom we trust."""
        user, password = map(unquote, self._gateway.login())
        login = basic(user, password) if password else {}
        timeout_s = request.pop("timeout")
        asked = Request(url, headers=dict(headers) | login, **request)  # noqa: S310  # checked above

        def ask() -> None:
            with refusals_closed():
                urlopen(asked, timeout=timeout_s, context=self._trust).close()  # noqa: S310

        return ask

    def _run(self) -> None:
        while not self._stop.is_set():
            self.push()
            self._stop.wait(self._every_s)


def _address(text: str) -> tuple[str, int]:
    """Return host and port of `observe.metrics`; raises ConfigError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(f"observe.metrics has value {text!r}; want HOST:PORT, as 127.0.0.1:9464")
    return host.strip("[]"), int(port)
