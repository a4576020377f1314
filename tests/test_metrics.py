"""The metrics: what they say of an overview, over HTTP and through a Pushgateway."""

import contextlib
import socket
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hydrodask import clock
from hydrodask.channels import SENSORS
from hydrodask.doors.pages import AT_ONCE_MAX
from hydrodask.errors import ConfigError
from hydrodask.observe.example import NOW_US, example_overview
from hydrodask.observe.figures import Figures
from hydrodask.observe.metrics import Metrics
from hydrodask.observe.series import Alarm, alarm_series, every_series
from hydrodask.observe.status import status_document
from hydrodask.reports import WHOLE_RIG, CycleReport, Overview, Pulse
from hydrodask.settings import Settings
from hydrodask.settings.model import Observe
from tests.doors import _stranger
from tests.doors.http import ask, attempts
from tests.heard import Logged
from tests.overviews import live
from tests.serving import serving

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def settings(**observe: object) -> Settings:
    """Return settings whose endpoint takes any free port."""
    return Settings(observe=Observe.model_validate({"metrics": "127.0.0.1:0", **observe}))


def scraped(url: str) -> Samples:
    """Return every sample of a real scrape."""
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - loopback
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def newest() -> list[Overview]:
    """Give a holder of the newest overview."""
    return [example_overview()]


@pytest.fixture
def served(newest: list[Overview]) -> Iterator[Metrics]:
    """Give a running endpoint."""
    metrics = Metrics(lambda: newest[0], settings())
    metrics.start()
    yield metrics
    metrics.close()


def test_a_scrape_shows_the_sensors(served: Metrics) -> None:
    """The names that dashboards use are there, with rig and sensor."""
    found = scraped(served.url)

    ce = (("rig", "rig-1"), ("sensor", "CE"))
    assert found["hydraulic_sensor_avg_1m", ce] == pytest.approx(32.9)
    assert found["hydraulic_sensor_max_1m", ce] == 48.8
    assert found["hydraulic_sensor_stddev_1m", ce] == 1.5
    assert found["hydraulic_sensor_health_score", ce] == 70
    failing = (ce[0], ce[1], ("severity", "critical"), ("type", "cooler_failing"))
    assert found["hydraulic_anomaly_status", tuple(sorted(failing))] == 1
    limit = (("sensor", "CE"), ("severity", "critical"), ("statistic", "avg"), ("type", "cooler_failing"))
    assert found["hydraulic_sensor_limit", limit] == 23.5
    assert (found["hydraulic_sensor_usual_low", ce], found["hydraulic_sensor_usual_high", ce]) == (17.0, 48.8)
    assert found["hydraulic_sensor_min_1m", ce] == 17.0
    assert found["hydraulic_sensor_range_1m", ce] == pytest.approx(31.8)
    assert found["hydraulic_anomaly_total", (*ce, ("type", "cooler_degraded"))] == 4
    assert found["hydraulic_anomaly_total", (*ce, ("type", "cooler_failing"))] == 3
    assert found["hydraulic_analytics_messages_total", (("rig", "rig-1"),)] == 5000
    assert found["hydraulic_analytics_last_update_timestamp", (("rig", "rig-1"),)] == NOW_US / 1e6


def test_a_scrape_shows_the_engine(served: Metrics) -> None:
    """The engine's own metrics are there."""
    found = scraped(served.url)

    topic = (("flow", "monitor"), ("topic", "hydraulic-PS2"))
    assert found["hydrodask_consumed_total", topic] == 30_000
    assert found["hydrodask_late_total", topic] == 3
    assert found["hydrodask_dead_letters_total", topic] == 0
    assert found["hydrodask_lost_records_total", topic] == 0  # there before the first, so that `increase` sees that one
    assert found["hydrodask_watermark_delay_seconds", topic] == pytest.approx(10.35)
    assert found["hydrodask_step_seconds_total", (("stage", "decode"),)] == 1.25
    assert found["hydrodask_partitions", (("state", "running"),)] == 19
    assert found["hydrodask_workers", ()] == 1
    assert found["hydrodask_latency_seconds_bucket", (("le", "0.2"),)] == 70
    assert found["hydrodask_latency_seconds_bucket", (("le", "+Inf"),)] == 100
    assert found["hydrodask_latency_seconds_sum", ()] == 25
    assert found["hydrodask_run_info", (("run_id", "7f3a90c2d1e4"), ("state", "running"))] == 1


def test_a_scrape_reads_the_newest_overview(served: Metrics, newest: list[Overview]) -> None:
    """What the coordinator replaces shows at the next scrape."""
    newest[0] = replace(newest[0], workers={}, state="stopping")

    assert scraped(served.url)["hydrodask_workers", ()] == 0


def test_an_empty_overview_can_be_scraped(served: Metrics, newest: list[Overview]) -> None:
    """Before the first report there is nothing to say of sensors, and no error."""
    newest[0] = Overview("none", NOW_US)

    assert scraped(served.url)["hydrodask_rigs", ()] == 0


def test_every_series_has_one_name_and_help() -> None:
    """No metric is declared twice, and each says what it is."""
    series = list(every_series(Figures(example_overview(3, trouble=True)), NOW_US, {}))

    names = [one.name for one in series]
    assert len(names) == len(set(names))
    assert all(one.help.endswith(".") for one in series)
    assert all(len(labels) == len(one.labels) for one in series for labels, _ in one.values)


@pytest.mark.parametrize("trouble", [False, True])
def test_no_sample_is_exposed_twice(served: Metrics, newest: list[Overview], *, trouble: bool) -> None:
    """Not when two partitions tell of one rig, nor of a component that is both told and unknown: a gateway refuses all.

    What is unknown counts.
    """
    newest[0] = live(trouble=trouble)
    for (topic, number), part in list(newest[0].partitions.items()):
        newest[0].partitions[topic, number + 1] = replace(part, unknown=list(part.components))
    with urllib.request.urlopen(served.url, timeout=60) as answer:  # noqa: S310 - loopback
        text = answer.read().decode()
    families = list(text_string_to_metric_families(text))
    names = [(one.name, tuple(sorted(one.labels.items()))) for every in families for one in every.samples]
    unknown = next(every.samples for every in families if every.name == "hydraulic_component_unknown")

    assert [one for one, count in Counter(names).items() if count > 1] == []
    assert {one.value for one in unknown} == {1.0}
    assert len(unknown) == 10, "no model has judged the third rig"


def test_the_first_anomaly_of_a_type_is_an_increase() -> None:
    """An open window's alarm begins the series at 0, before its final one counts."""
    overview, seen = example_overview(), dict[Alarm, None]()
    overview.partitions["hydraulic-analytics", 0].anomalies = {}
    series = {one.name: one for one in every_series(Figures(overview), NOW_US, seen)}

    assert (("rig-1", "CE", "cooler_failing"), 0.0) in series["hydraulic_anomaly"].values


def test_what_was_refused_is_counted_by_rig() -> None:
    """Late and dead of all topics, and what final windows lack, of each rig that has series."""
    overview = example_overview(3)
    overview.partitions["hydraulic-PS1", 0].per_rig = {"rig-2": {"kept": 5, "late": 7, "dead": 1}}
    overview.partitions["hydraulic-CE", 0].per_rig = {"rig-2": {"kept": 5, "late": 2, "dead": 0}}
    overview.partitions["hydraulic-analytics", 0].per_rig["rig-2"]["missing"] = 40
    found = {one.name: dict(one.values) for one in every_series(Figures(overview), NOW_US, {})}

    assert found["hydrodask_rig_late"] == {("rig-1",): 0, ("rig-2",): 9, ("rig-3",): 0}
    assert found["hydrodask_rig_dead_letters"]["rig-2",] == 1
    assert found["hydrodask_rig_missing"]["rig-2",] == 40
    assert next(iter(status_document(overview, now_us=NOW_US)["rigs"])) == "rig-2"


def test_the_rig_to_look_at_first_comes_first() -> None:
    """In status, by attention; a cycle that could not be judged has no score, and its rig attention all the same."""
    overview = example_overview(3)
    part = overview.partitions["hydraulic-labels", 0]
    part.usual = {"rig-1": CycleReport("usual", 1.2, 4.5, 11), "rig-2": CycleReport("unusual", 20.0, 4.5, 80)}
    part.usual["rig-3"] = CycleReport("unknown", float("nan"), 4.5, 30)
    found = {one.name: dict(one.values) for one in every_series(Figures(overview), NOW_US, {})}
    cycles = status_document(overview, now_us=NOW_US)["cycles"]

    assert found["hydraulic_cycle_score"] == {("rig-1",): 1.2, ("rig-2",): 20.0}
    assert found["hydraulic_rig_attention"] == {("rig-1",): 11, ("rig-2",): 80, ("rig-3",): 30}
    assert list(cycles) == ["rig-2", "rig-3", "rig-1"]
    assert cycles["rig-3"] == {"state": "unknown", "score": None, "threshold": 4.5, "attention": 30}


def test_series_of_who_is_silent_end() -> None:
    """A rig that sends nothing has no readings, health or alarms but that it is silent; a sensor no readings."""
    overview, seen = example_overview(3), dict[Alarm, None]()
    list(every_series(Figures(overview), NOW_US, seen))
    judged = overview.partitions["hydraulic-analytics", 0]
    judged.silent = [("rig-1", WHOLE_RIG), ("rig-2", "TS1")]
    judged.alarms += [("rig-1", WHOLE_RIG, "rig_silent"), ("rig-2", "TS1", "sensor_silent")]
    found = {one.name: dict(one.values) for one in every_series(Figures(overview), NOW_US, seen)}

    gauges = [name for name in found if name.startswith("hydraulic_sensor_") and name.endswith("_1m")]
    assert len(gauges) == 5
    for name in gauges:
        assert {rig for rig, _ in found[name]} == {"rig-2", "rig-3"}
        assert {sensor for rig, sensor in found[name] if rig == "rig-2"} == set(SENSORS) - {"TS1"}
    assert {rig for rig, _ in found["hydraulic_sensor_health_score"]} == {"rig-2", "rig-3"}
    assert found["hydraulic_anomaly_status"] == {
        ("rig-1", WHOLE_RIG, "rig_silent", "critical"): 1.0,
        ("rig-2", "TS1", "sensor_silent", "warning"): 1.0,
    }
    assert len(found["hydraulic_anomaly"]) >= 2  # counters go on


def test_an_alarm_that_is_over_is_zero() -> None:
    """A rule that is not broken any more keeps its series."""
    overview, seen = example_overview(), dict[Alarm, None]()
    alarm_series(Figures(overview), seen)
    overview.partitions["hydraulic-analytics", 0].alarms = [("rig-1", "CE", "cooler_degraded")]

    values = dict(alarm_series(Figures(overview), seen).values)

    assert values == {
        ("rig-1", "CE", "cooler_degraded", "warning"): 1,
        ("rig-1", "CE", "cooler_failing", "critical"): 0,
    }


def test_rigs_beyond_the_limit_are_only_counted() -> None:
    """Series grow with `rigs_max`, not with the fleet."""
    figures = Figures(example_overview(12), rigs_max=3)
    series = {one.name: one for one in every_series(figures, NOW_US, {})}

    rigs = {labels[0] for labels, _ in series["hydraulic_sensor_avg_1m"].values}
    assert rigs == {"rig-1", "rig-2", "rig-3"}
    assert series["hydrodask_rigs_hidden"].values == [((), 9)]


def test_a_second_rig_moves_no_series() -> None:
    """A total keeps its rig when another one appears, and begins at zero, so that `increase` sees its first."""
    assert Figures(example_overview(1)).by_rig("anomalies") == {"rig-1": 7}
    assert Figures(example_overview(2)).by_rig("anomalies") == {"rig-1": 7, "rig-2": 0}


def test_trouble_has_a_series_of_its_own() -> None:
    """Only partitions that need somebody show with their state."""
    figures = Figures(example_overview(trouble=True))
    series = {one.name: one for one in every_series(figures, NOW_US, {})}

    assert dict(series["hydrodask_partition_state"].values) == {
        ("monitor", "hydraulic-PS1", "0", "stalled"): 1,
        ("monitor", "hydraulic-PS2", "0", "waiting"): 1,
    }


def test_metrics_are_for_who_asks_by_our_name(served: Metrics) -> None:
    """No page of others can have a browser read or frame them; there is one path, and nothing to change."""
    found = list(attempts("metrics", served.url.split("/")[2]))

    assert len(found) > 12
    assert _stranger.holes(found) == []


def test_more_names_are_a_setting(newest: list[Overview]) -> None:
    """A Prometheus in a container, or a proxy, has another name for this machine."""
    metrics = Metrics(lambda: newest[0], settings(hosts=("host.docker.internal",)))
    metrics.start()
    place = metrics.url.split("/")[2]
    answers = {
        host: ask(place, "/metrics", {"Host": host})[0] for host in ("host.docker.internal:9464", "evil.example")
    }
    metrics.close()

    assert answers == {"host.docker.internal:9464": 200, "evil.example": 421}


def test_without_an_address_nothing_is_served(newest: list[Overview]) -> None:
    """Who only pushes needs no open port."""
    metrics = Metrics(lambda: newest[0], settings(metrics=None))
    metrics.start()

    assert metrics.url == ""
    metrics.close()


def test_more_requests_than_can_be_answered_are_turned_away(served: Metrics) -> None:
    """Who opens connections and says nothing fills no process with threads; others are answered once he is gone."""
    host, port = served.url.split("/")[2].split(":")
    silent = [socket.create_connection((host, int(port)), 60) for _ in range(AT_ONCE_MAX)]
    assert silent[-1].getsockname()
    with socket.create_connection((host, int(port)), 60) as one_more:
        assert one_more.recv(1) == b""
    for one in silent:
        one.close()
    while True:
        with contextlib.suppress(OSError):
            if scraped(served.url):
                break


def test_a_taken_port_names_the_setting(served: Metrics, newest: list[Overview]) -> None:
    """The error says which key to change."""
    taken = served.url.removeprefix("http://").removesuffix("/metrics")
    second = Metrics(lambda: newest[0], settings(metrics=taken))

    with pytest.raises(ConfigError, match=r"observe\.metrics has value .*Address already in use"):
        second.start()
    second.close()


@pytest.mark.parametrize("address", ["9464", ":9464", "127.0.0.1:x", "127.0.0.1:70000"])
def test_an_address_that_is_none_is_refused(address: str, newest: list[Overview]) -> None:
    """An address needs host and port."""
    with pytest.raises(ConfigError, match=r"observe\.metrics"):
        Metrics(lambda: newest[0], settings(metrics=address)).start()


def test_a_gateway_that_is_no_url_is_refused(newest: list[Overview]) -> None:
    """So is a Pushgateway without a scheme."""
    with pytest.raises(ConfigError, match=r"observe\.pushgateway"):
        Metrics(lambda: newest[0], settings(pushgateway="localhost:9091"))


def probed(url: str) -> tuple[int, str]:
    """Return status and text of a page."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_probes_say_whether_the_driver_turns_and_steps_move(
    newest: list[Overview], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live, as long as its loops turn, also before there is anything to do; ready, while steps are finished."""
    now_s = [1000.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s[0])
    pulse = Pulse(loop_s=1000.0)
    newest[0] = Overview("r", 0, notes=["12:00:00 the Dask cluster has no worker"])
    metrics = Metrics(lambda: newest[0], settings(), pulse)
    metrics.start()
    place = metrics.url.removesuffix("/metrics")

    def both() -> tuple[int, int]:
        return probed(f"{place}/live")[0], probed(f"{place}/ready")[0]

    try:
        assert both() == (200, 503)
        assert "starting; 12:00:00 the Dask cluster has no worker" in probed(f"{place}/ready")[1]
        newest[0] = replace(newest[0], state="running")
        pulse.step_s = pulse.look_s = pulse.loop_s
        assert both() == (200, 200)
        now_s[0] += 31
        assert both() == (200, 503), "a look may wait for a broker twice; steps do not move"
        pulse.step_s = now_s[0]
        newest[0] = replace(newest[0], state="stopping")
        assert both() == (200, 503)
        pulse.loop_s = now_s[0] = 1091.0
        assert both()[0] == 503
        assert "the coordinator has stood still for 91 s" in probed(f"{place}/live")[1]
        pulse.look_s = None
        assert both()[0] == 200, "it has ended"
        now_s[0] += 91
        assert "the driver has stood still" in probed(f"{place}/live")[1]
        assert ask(place.removeprefix("http://"), "/live", {"Host": "evil.example"})[0] == 421
    finally:
        metrics.close()


class Gateway(BaseHTTPRequestHandler):
    """A Pushgateway that remembers; refuses while `refuse` is set."""

    seen: ClassVar[list[tuple[str, str, bytes]]] = []
    refuse: ClassVar[threading.Event] = threading.Event()
    called: ClassVar[threading.Semaphore] = threading.Semaphore(0)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.command, self.path, body))
        self.send_response(500 if self.refuse.is_set() else 200)
        self.end_headers()
        self.called.release()

    do_DELETE = do_PUT  # noqa: N815 - the library's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def gateway() -> Iterator[str]:
    """Give the address of a Pushgateway."""
    Gateway.seen.clear()
    Gateway.refuse.clear()
    Gateway.called = threading.Semaphore(0)
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Gateway)) as address:
        yield address


def test_metrics_are_pushed_and_deleted_at_the_end(gateway: str, newest: list[Overview]) -> None:
    """The group is that of the instance, and does not outlive a clean end."""
    metrics = Metrics(lambda: newest[0], settings(pushgateway=gateway, push_every="50ms"))
    metrics.start()
    assert Gateway.called.acquire(timeout=60)
    assert Gateway.called.acquire(timeout=60)
    metrics.close()

    method, path, body = Gateway.seen[0]
    assert method == "PUT"
    assert path.startswith("/metrics/job/hydrodask/instance/")
    assert b"hydraulic_sensor_avg_1m" in body
    assert Gateway.seen[-1][0] == "DELETE"


def test_a_gateway_that_fails_is_logged_once_and_counted(gateway: str, newest: list[Overview], logged: Logged) -> None:
    """Each change of state is one line, each failure one more in the counter."""
    metrics = Metrics(lambda: newest[0], settings(pushgateway=gateway))
    pusher = metrics._pusher
    assert pusher is not None
    Gateway.refuse.set()
    pusher.push()
    pusher.push()
    Gateway.refuse.clear()
    pusher.push()

    assert [record.getMessage()[:22] for record in logged.records] == [
        "could not push metrics",
        "metrics reach Pushgate",
    ]
    assert pusher.failures == 2
    assert b"hydrodask_push_failures_total 2.0" in Gateway.seen[-1][2]
