"""Real Prometheus, Pushgateway and Alertmanager: metrics of a platform reach them, and an alert reaches a person."""

import json
import os
import re
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from prometheus_client import CollectorRegistry

from docs.dashboards.written import pages
from hydrodask.console.firing import Firing
from hydrodask.observe.example import example_overview
from hydrodask.observe.figures import Newest
from hydrodask.observe.metrics import Metrics, OverviewCollector
from hydrodask.reports import ChannelReport, Component, Overview, PartitionReport
from hydrodask.services import AlertmanagerService, PrometheusService, PushgatewayService, ports, security
from hydrodask.services.ports import can_bind, free_port
from hydrodask.services.prometheus import SETTINGS, PackagedService
from hydrodask.settings import Settings, load
from hydrodask.settings.load import read_yaml
from hydrodask.settings.model import Kafka
from tests.conftest import needs
from tests.delivery import Driver, publish, sets_of, settings_of, shorten, until
from tests.overviews import live
from tests.running import status_of
from tests.test_services import quiet

PICTURES = os.environ.get("HYDRODASK_PICTURES", "")
"""Where pictures are kept, such as docs/img; without it they are only taken."""
NAME = re.compile(r"\b(?:hydraulic|hydrodask)_\w+|\bpush_time_seconds\b|\bup\b")
TOLD_S = 180.0
"""A minute, where nobody else works; where others do, a scrape that takes over a second begins the ten seconds anew."""
OUTSIDE = {"up", "push_time_seconds"}
"""Names that Prometheus and the Pushgateway give themselves."""


def exposed() -> set[str]:
    """Return the name of every series that a platform has, as a scrape names it."""
    registry = CollectorRegistry()
    overview = replace(live(trouble=True), channels=(ChannelReport("desk", "webhook"),))
    scored = PartitionReport("score", "hydraulic-cycles", 0, drift={"CE mean": (0.1, 0.2)}, unknown=[("rig-1", "pump")])
    scored.components = {("rig-1", "cooler"): Component(3, 0.9, 1, "2026-01-01T00:01:00Z")}
    overview.partitions["hydraulic-cycles", 0] = scored
    newest = Newest(lambda: overview, "hydraulic-", 20)
    registry.register(OverviewCollector(newest, lambda: 0))
    return {sample.name for metric in registry.collect() for sample in metric.samples}


def dashboard_expressions() -> list[str]:
    """Return every query of Grafana's pages, their variables set to everything."""
    found = []
    for page in pages().values():
        found += [target["expr"] for panel in page["panels"] for target in panel.get("targets", ())]
        found += [one["expr"] for one in page["annotations"]["list"]]
        found += [
            re.sub(r"^label_values\((.+), \w+\)$", r"\1", one["definition"]) for one in page["templating"]["list"]
        ]
    return [re.sub(r'="\$rig"', '=~".*"', re.sub(r"~\"\$\w+\"", '~".*"', expression)) for expression in found]


def rule_expressions() -> list[str]:
    """Return the expression of every alert rule."""
    return [rule["expr"] for group in read_yaml(SETTINGS / "rules.yml")["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("expressions", [dashboard_expressions, rule_expressions])
def test_every_metric_that_is_asked_for_exists(expressions: Any) -> None:
    """A renamed metric can't leave an empty panel or an alert that never fires."""
    named = {name for expression in expressions() for name in NAME.findall(expression)}

    assert len(named) >= 10
    assert named - OUTSIDE - exposed() == set()


def test_every_rule_has_a_test_and_says_what_to_do() -> None:
    """Each alert fires in rules_test.yml, and has a severity, a sentence and a first step."""
    rules = [rule for group in read_yaml(SETTINGS / "rules.yml")["groups"] for rule in group["rules"]]
    tests = read_yaml(SETTINGS / "rules_test.yml")["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}

    assert fired == {rule["alert"] for rule in rules}
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "runbook", "runbook_url"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the services are beside each other in."""
    return tmp_path_factory.mktemp("services")


def install(service: PackagedService) -> None:
    """Install a service, or skip where its package can't be had."""
    needs(there=shutil.which("apt-get") is not None, what="Debian's packages need apt-get")
    service.install(quiet)


class Desk(BaseHTTPRequestHandler):
    """A webhook receiver that keeps what it is told."""

    def do_POST(self) -> None:  # the library's name
        length = int(self.headers["Content-Length"])
        self.server.told.append(json.loads(self.rfile.read(length)))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing."""


@pytest.fixture(scope="module")
def desk() -> Iterator[ThreadingHTTPServer]:
    """Run a webhook receiver; what it was told is in its `told`."""
    with ThreadingHTTPServer((ports.LOOPBACK, 0), Desk) as server:
        server.told = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def platform_port() -> int:
    """Return the port that the platform's metrics will be on."""
    return free_port()


@pytest.fixture(scope="module")
def family(folder: Path, desk: ThreadingHTTPServer, platform_port: int) -> Iterator[dict[str, PackagedService]]:
    """Run all three, each on a free port."""
    webhook = f"http://{ports.LOOPBACK}:{desk.server_address[1]}/alerts"
    platform = f"{ports.LOOPBACK}:{platform_port}"
    made: dict[str, PackagedService] = {}
    try:
        gateway = PushgatewayService(folder / "pushgateway", port=free_port(), with_parent=True)
        manager = AlertmanagerService(folder / "alertmanager", port=free_port(), webhook=webhook, with_parent=True)
        # The last one: it looks for the addresses of the others beside it.
        prometheus = PrometheusService(folder / "prometheus", port=free_port(), platform=platform, with_parent=True)
        services: list[PackagedService] = [gateway, manager, prometheus]
        for service in services:
            install(service)
            service.start(quiet)
            made[service.name] = service
        yield made
    finally:
        for service in reversed(made.values()):
            assert service.stop()
    assert all(can_bind(service.port) for service in made.values())


def ask(family: dict[str, PackagedService], expression: str) -> list[dict[str, Any]]:
    """Return what Prometheus gives for an expression now; fails when it does not understand it."""
    at, secret_file = family["prometheus"].address, family["prometheus"].password_file
    body = security.ask(at, f"/api/v1/query?query={quote(expression)}", secret_file, timeout_s=60.0)
    assert body is not None, expression
    return list(json.loads(body)["data"]["result"])


def tool(service: PackagedService, *argv: str) -> str:
    """Run a program of a package; return what it says, and fail when it finds something wrong."""
    done = subprocess.run(
        [service.program(argv[0]), *argv[1:]], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.integration
def test_settings_and_rules_pass_their_own_tools(family: dict[str, PackagedService]) -> None:
    """Promtool and amtool accept what is committed and what the services made of it; the rules' tests pass."""
    prometheus, alertmanager = family["prometheus"], family["alertmanager"]

    for path in (SETTINGS, prometheus.folder):
        assert "SUCCESS" in tool(prometheus, "promtool", "check", "config", str(path / "prometheus.yml"))
    assert "SUCCESS" in tool(prometheus, "promtool", "test", "rules", str(SETTINGS / "rules_test.yml"))
    for path in (SETTINGS, alertmanager.folder):
        assert "SUCCESS" in tool(alertmanager, "amtool", "check-config", str(path / "alertmanager.yml"))


PAGES = {
    "pushgateway": ("/", "watched"),
    "prometheus": ("/classic/graph?g0.expr=up&g0.tab=1", "up{"),
    "prometheus-alerts": ("/classic/alerts", "HydraulicRigSilent"),
}
"""Each page that the services serve, and what one reads there. Debian's Alertmanager has none."""


@pytest.mark.integration
def test_each_page_is_drawn_whole(family: dict[str, PackagedService], tmp_path: Path) -> None:
    """A browser gets and runs all that each page is made of; its picture shows what the page is for."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make install-dev`")
    chromium = shutil.which("chromium")
    needs(there=chromium is not None, what="there is no chromium on the PATH: apt-get install chromium")
    sets = [*family["pushgateway"].sets(), "kafka.group=watched", "observe.metrics=null", f"data_dir={tmp_path}"]
    metrics = Metrics(example_overview, load(sets=sets, environ={})[0])
    metrics.start()
    until(lambda: ask(family, 'hydrodask_workers{job="hydrodask"}'), "what is pushed is scraped")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (path, text) in PAGES.items():
            service = family[name.partition("-")[0]]
            login = {"username": "hydrodask", "password": security.secret(service.password_file)}
            page = browser.new_page(http_credentials=login, viewport={"width": 1000, "height": 560})
            wrong = troubles(page)
            page.goto(f"{service.url}{path}", wait_until="networkidle", timeout=120_000)
            page.get_by_text(text).first.wait_for(timeout=120_000)
            page.screenshot(path=Path(PICTURES or tmp_path) / f"{name}.png")
            assert wrong == [], name
        browser.close()
    metrics.close()


def troubles(page: Any) -> list[str]:
    """Return a list that fills with what a page could not get or run."""
    wrong: list[str] = []
    page.on("response", lambda got: wrong.append(f"{got.status} {got.url}") if got.status >= 400 else None)
    page.on("requestfailed", lambda asked: wrong.append(asked.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    return wrong


@pytest.mark.integration
def test_prometheus_looks_where_the_settings_say(family: dict[str, PackagedService], tmp_path: Path) -> None:
    """Another `observe.metrics` is scraped at its interval; without one nobody is told that a run is dead."""
    made: list[Any] = []
    for platform in ("127.0.0.1:9500", ""):
        service = PrometheusService(tmp_path / str(len(made)), platform=platform, scrape_s=0.5)
        service.root = family["prometheus"].root
        service.prepare(quiet)
        assert "SUCCESS" in tool(
            family["prometheus"], "promtool", "check", "config", str(service.folder / "prometheus.yml")
        )
        made.append(read_yaml(service.folder / "prometheus.yml"))
    jobs = [{one["job_name"]: one["static_configs"][0]["targets"] for one in found["scrape_configs"]} for found in made]

    assert jobs[0]["hydrodask"] == ["127.0.0.1:9500"]
    assert "hydrodask" not in jobs[1]
    assert {found["global"]["scrape_interval"] for found in made} == {"500ms"}


@pytest.mark.integration
def test_nobody_gets_in_without_the_password(family: dict[str, PackagedService], tmp_path: Path) -> None:
    """Each wants a login for everything: to push, to delete, to silence, to ask, to reload."""
    for service in family.values():
        for path in ("/", "/metrics", "/-/ready", "/api/v1/status", "/api/v2/silences", "/-/quit"):
            for login in (None, ("hydrodask", "wrong"), ("admin", security.secret(service.password_file))):
                assert status_of(service.address, path, login) == 401, (service.name, path)
        assert [mode(service.folder / name) for name in ("password", "web.yml")] == [0o600, 0o600]
    stranger = load(sets=[family["pushgateway"].sets()[0], f"data_dir={tmp_path}"], environ={})[0]
    metrics = Metrics(example_overview, stranger)
    assert metrics._pusher is not None
    metrics._pusher.push()
    assert metrics._pusher.failures == 1


def mode(path: Path) -> int:
    """Return the rights on a file."""
    return stat.S_IMODE(path.stat().st_mode)


ELSEWHERE = re.compile(
    r"partition_state|component|drift|cycle_score|attention|usual_|ALERTS|== 1$|< 100|max\(hydraulic"
)
"""Of a run that lasts a few minutes nothing is in trouble, and no model has judged; `test_dashboards` has both."""


@pytest.mark.integration
@pytest.mark.cluster
def test_metrics_of_a_platform_reach_prometheus_both_ways(
    family: dict[str, PackagedService], kafka: Kafka, recording: Path, tmp_path: Path, platform_port: int
) -> None:
    """Scraped, and pushed; all that the dashboard asks for has values; once it has ended, the pushed ones are gone."""
    more = [
        *family["pushgateway"].sets(),
        f"observe.metrics=127.0.0.1:{platform_port}",
        "observe.push_every=1s",
        "lake.roll_rows=2000",
    ]
    sets = [*sets_of(kafka, tmp_path, "watched"), *more]
    (tmp_path / "short").mkdir()
    total = publish(settings_of(kafka, tmp_path, "watched"), shorten(recording, tmp_path / "short"))
    consumed = 'sum by (job, instance) (hydrodask_consumed_total{flow=~"monitor|labels"})'

    with Driver(sets, tmp_path / "log") as driver:
        until(
            lambda: len(found := ask(family, consumed)) == 2 and all(int(r["value"][1]) == total for r in found),
            "both ways",
        )
        instances = {row["metric"]["instance"] for row in ask(family, consumed)}
        assert f"127.0.0.1:{platform_port}" in instances
        assert any(instance.endswith(":watched") for instance in instances)  # honor_labels: the platform's own
        asked = [e for e in dashboard_expressions() if not ELSEWHERE.search(e)]
        until(lambda: all(ask(family, e) for e in asked), "every panel has values")
        assert driver.stop() == 0

    until(lambda: not ask(family, 'hydrodask_workers{instance=~".*:watched"}'), "what was pushed is gone")


@pytest.mark.integration
def test_an_alert_reaches_the_desk_and_is_taken_back(
    family: dict[str, PackagedService], desk: ThreadingHTTPServer, tmp_path: Path
) -> None:
    """A sensor with health 80 is told to the webhook within a minute, with what to do; so is its recovery.

    Meanwhile the operator's page shows it. The rig is this test's alone: others of this module have a rig-1 whose
    alert may be told at the same desk.
    """
    rig = "rig-80"
    settings = load(
        sets=[
            *family["pushgateway"].sets(),
            "observe.metrics=127.0.0.1:0",
            "observe.push_every=1s",
            f"data_dir={tmp_path}",
        ]
    )[0]
    health = [80.0]

    def overview() -> Overview:
        """Return what the coordinator would: a new one each time."""
        now = example_overview()
        for part in now.partitions.values():
            part.health = {(rig, "CE"): health[-1]} if part.health else {}
        return now

    metrics = Metrics(overview, settings)
    metrics.start()
    told: list[Any] = desk.told  # type: ignore[attr-defined]

    def told_of(status: str) -> list[dict[str, Any]]:
        alerts = [alert for message in list(told) for alert in message["alerts"]]
        ours = [a for a in alerts if a["labels"]["alertname"] == "HydraulicSensorCritical" and a["status"] == status]
        return [alert for alert in ours if alert["labels"]["rig"] == rig]

    try:
        until(lambda: told_of("firing"), "the alert is told", seconds=TOLD_S)
        alert = told_of("firing")[0]
        assert alert["annotations"]["summary"] == f"{rig}: CE has health 80 of 100"
        assert alert["annotations"]["runbook"] == f"hydrodask incidents --rig {rig}"
        shown = Firing(load(sets=family["alertmanager"].sets(), environ={})[0].observe)

        def on_page() -> list[dict[str, Any]]:
            return [a for a in shown.now.alerts if (a["name"], a["rig"]) == ("HydraulicSensorCritical", rig)]

        until(on_page, "it is on the page")
        (found,) = on_page()
        shown.close()
        assert (found["severity"], found["text"]) == (
            "critical",
            f"{rig}: CE has health 80 of 100",
        )
        health.append(100.0)
        until(lambda: told_of("resolved"), "its end is told", seconds=TOLD_S)
    finally:
        metrics.close()


def test_default_address_of_the_metrics_is_scraped() -> None:
    """Prometheus looks where a platform's metrics are by default."""
    assert f'targets: ["{Settings().observe.metrics}"]' in (SETTINGS / "prometheus.yml").read_text()
