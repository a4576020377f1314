"""What people see of a platform that runs, as pictures, by each door that it has.

Twelve rigs with the faults of `conf/faults-fleet.yaml` run on the embedded broker, as `hydrodask run` starts them, at a
terminal of their own; a Prometheus scrapes them, and they push to a Pushgateway. With HYDRODASK_PICTURES=docs/img the
pictures of the documentation are made.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from rich.console import Console
from rich.text import Text

from docs.dashboards.panels import Json
from docs.dashboards.written import pages
from hydrodask import clock
from hydrodask.clock import US_PER_S, iso
from hydrodask.services import PrometheusService, PushgatewayService, security
from hydrodask.services.ports import free_port
from hydrodask.services.prometheus import PackagedService
from tests.conftest import needs
from tests.dashboards.drawn import Drawing, bundle
from tests.dashboards.npm import laid_out
from tests.dashboards.npm import run as run_tool
from tests.delivery import ROOT, until
from tests.pictured import PICTURES, place, shrunk
from tests.test_services import quiet

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make install-dev`")

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

COLUMNS, LINES = 120, 36
SEEN_S = 600.0
LATER_S, SPEED = (90.0, "1") if PICTURES else (0.0, "4")
"""Curves in pictures that are kept are of some minutes, and at the speed of a real fleet."""
SCRAPE_S = 2.0
"""A machine that does all of this at once is often later than a second, and what is late is not scraped at all."""
WAIT_MS = 120_000
HOME = "\x1b[H"
"""With it each picture of the live view begins."""

RUN = ["run", "--rigs", "12", "--faults", "faults-fleet.yaml", "--speed", SPEED]
FAULTY = {"rig-0002", "rig-0006"}
"""Rigs whose incidents are open when pictures are taken; others follow."""
WORST = "rig-0001"
"""Its cooler fails, and is mended."""

DESK, PHONE = {"width": 1400, "height": 950}, {"width": 390, "height": 844}
UNWELL = "sort(min by (rig, sensor) (hydraulic_sensor_health_score) < 100)"
MEASURED = {"fleet", "rig", "stream"}
"""Grafana's pages that this run has something to show on: no model has judged its components."""


class Terminal:
    """A run at a terminal: what it has shown so far."""

    def __init__(self, folder: Path, sets: list[str]) -> None:
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        sets = [f"data_dir={folder}", "cluster.dashboard=127.0.0.1:0", "console.address=127.0.0.1:0", *sets]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hydrodask", *RUN, *(f"--set={one}" for one in sets)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("HYDRODASK_")}
            | {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
            start_new_session=True,
        )
        os.close(theirs)
        self._ours, self._shown, self._lock = ours, bytearray(), threading.Lock()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        """Read what it shows, also while nobody looks: a terminal that is full would hold the run up."""
        while True:
            try:
                shown = os.read(self._ours, 65_536)
            except OSError:  # it has ended
                return
            with self._lock:
                self._shown += shown
                del self._shown[: -200 * COLUMNS * LINES]

    def frame(self) -> str:
        """Return the newest whole picture, with its colours."""
        with self._lock:
            shown = self._shown.decode(errors="replace")
        assert self.process.poll() is None, shown[-1000:]
        pictures = shown.replace("\r\n", "\n").split(HOME)
        return pictures[-2] if len(pictures) > 2 else ""

    def close(self) -> None:
        """Ask it to stop, and wait for that."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(120.0)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            os.close(self._ours)


@dataclass
class Watched:
    """A run and who looks at it."""

    folder: Path
    terminal: Terminal
    prometheus: PackagedService
    gateway: PackagedService

    def urls(self) -> tuple[str, str]:
        """Return where the operator's page and /hydro are, as the live view names them."""
        until(lambda: "/hydro" in self.terminal.frame(), "the live view names its pages", seconds=SEEN_S)
        found = re.findall(r"http://[^\s\x1b]+", self.terminal.frame())
        hydro = next(url for url in found if url.endswith("/hydro"))
        ours = (url.removesuffix("/") for url in found)
        return next(url for url in ours if url.rpartition("/")[2].startswith("127.0.0.1:")), hydro

    def asked(self, query: str) -> list[Any]:
        """Return what Prometheus says now."""
        body = self.prometheus.get(f"/api/v1/query?query={quote(query)}")
        return [] if body is None else list(json.loads(body)["data"]["result"])

    def drawing(self, began_s: float) -> Json:
        """Return what our programs are asked for: Grafana's pages of the time since then."""
        to_s = clock.now_us() / US_PER_S - 2 * SCRAPE_S
        shown = {"instance": ".*", "component": ".*", "rig": WORST, "sensor": "CE|CP|PS1|TS1"}
        login = f"hydrodask:{security.secret(self.prometheus.password_file)}"
        some = {name: page for name, page in pages().items() if name in MEASURED}
        door = {"prometheus": self.prometheus.url, "login": login}
        return {"pages": some, "variables": shown, "from": began_s, "to": to_s, "step": 1} | door


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """Run twelve rigs, with a Prometheus that scrapes them and a Pushgateway that they push to."""
    needs(there=shutil.which("apt-get") is not None, what="Debian's packages need apt-get")
    metrics = f"127.0.0.1:{free_port()}"
    services = folder / "services"
    # Not beside Prometheus, which would have all that it scrapes once more from there.
    gateway = PushgatewayService(folder / "pushed" / "pushgateway", port=free_port(), with_parent=True)
    prometheus = PrometheusService(
        services / "prometheus", port=free_port(), platform=metrics, scrape_s=SCRAPE_S, with_parent=True
    )
    started: list[Callable[[], object]] = []
    try:
        for one in (gateway, prometheus):
            one.install(quiet)
            one.start(quiet)
            started.append(one.stop)
        sets = [*gateway.sets(), f"observe.metrics={metrics}", "observe.push_every=1s"]
        terminal = Terminal(folder / "data", sets)
        started.append(terminal.close)
        yield Watched(folder, terminal, prometheus, gateway)
    finally:
        for stop in reversed(started):
            stop()


def drawn(frame: str) -> str:
    """Return a picture of a terminal as SVG."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, height=LINES, file=nowhere)
        console.print(Text.from_ansi(re.sub(r"\x1b\[[0-9;?]*[A-LN-Zac-ln-z]", "", frame)), end="")
    return console.export_svg(title="hydrodask run")


def fleet_of(page: str) -> Any:
    """Return what the operator's page says of all rigs."""
    with urllib.request.urlopen(f"{page}/api/fleet", timeout=60) as answer:  # noqa: S310 - http to ourselves
        return json.load(answer)


def opened(page: str) -> set[str]:
    """Return of which rigs the operator's page shows open incidents."""
    return {one["rig"] for one in fleet_of(page)["episodes"]}


@dataclass
class Camera:
    """Takes pictures by a browser; `wrong` is what a page could not get or run."""

    browser: Any
    folder: Path
    wrong: list[str]

    def tab(self, url: str, viewport: dict[str, int], **more: Any) -> Any:
        """Return a tab that has opened a page."""
        page = self.browser.new_page(viewport=viewport, **more)
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("response", lambda got: self.wrong.append(f"{got.status} {got.url}") if got.status >= 400 else None)
        page.goto(url)
        return page

    def take(self, page: Any, name: str, *, whole: bool = False, keep: bool = True) -> None:
        """Take what a page shows, for the documentation unless that has a better one, and close it."""
        page.wait_for_timeout(500)  # until what was drawn last is on the screen
        to = place(name, self.folder) if keep else self.folder / f"{name}.png"
        page.screenshot(path=to, full_page=whole)
        shrunk(to)
        page.close()


def look_at_services(run: Watched, camera: Camera) -> None:
    """Take the pages of Prometheus and the Pushgateway: what is not well, what fires, who has pushed."""
    until(lambda: run.asked('ALERTS{alertstate="firing", rig!=""}'), "an alert of a rig fires", seconds=SEEN_S)

    def opened_at(service: PackagedService, path: str, height: int = 620) -> Any:
        login = {"username": "hydrodask", "password": security.secret(service.password_file)}
        return camera.tab(f"{service.url}{path}", {"width": 1000, "height": height}, http_credentials=login)

    page = opened_at(run.prometheus, f"/classic/graph?g0.expr={quote(UNWELL)}&g0.tab=1")
    page.get_by_text('rig="rig-0002"').first.wait_for()
    camera.take(page, "run-prometheus")
    page = opened_at(run.prometheus, "/classic/alerts", 800)
    page.get_by_text("Inactive (").click()  # which hides them
    page.get_by_text("HydraulicSensorCritical").first.click()
    page.get_by_text('rig="rig-').first.wait_for()
    page.evaluate(RENAMED, [str(run.folder), "hydrodask-data"])
    camera.take(page, "run-prometheus-alerts")
    page = opened_at(run.gateway, "/")
    page.get_by_text("job=").first.click()
    page.get_by_text("push_time_seconds").first.wait_for()
    camera.take(page, "run-pushgateway")


RENAMED = """([from, to]) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(from, to);
}"""
"""Gives a folder of this machine another name in what a page shows."""


def look_at_a_rig(camera: Camera, fleet: str) -> None:
    """Take the operator's page of the worst rig: by day, an incident's curve, in the dark, on a phone."""
    of_rig = f"{fleet}/#/rig/{WORST}/15m"
    ready = "html[data-ready='rig']"
    page = camera.tab(of_rig, DESK)
    page.wait_for_selector(ready)
    page.locator(".episode .chips button:has-text('CE')").first.click()
    page.wait_for_selector("#zoom .uplot")
    assert "What changed" in page.inner_text("#zoom")
    camera.take(page, "run-incident")
    for name, view, more in (
        ("run-rig", DESK, {}),
        ("run-dark", DESK, {"color_scheme": "dark"}),
        ("run-phone", PHONE, {}),
    ):
        page = camera.tab(of_rig, view, **more)
        page.wait_for_selector(ready)
        assert "cooler failing" in page.inner_text("body")
        camera.take(page, name)


def look_at_a_report(run: Watched, camera: Camera, fleet: str) -> None:
    """Take the report of the worst rig's day, written beside the run."""
    day = iso(round(fleet_of(fleet)["now"] * US_PER_S))[:10]
    to = run.folder / "report.html"
    argv = ["report", "--rig", WORST, "--day", day, "--output", str(to), "--set", f"data_dir={run.folder / 'data'}"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("HYDRODASK_")}
    done = subprocess.run(
        [sys.executable, "-m", "hydrodask", *argv],
        cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=SEEN_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    page = camera.tab(to.as_uri(), {"width": 1120, "height": 950})
    assert "cooler failing" in page.inner_text("body")
    camera.take(page, "run-report", whole=True, keep=False)  # a day of some minutes


def look_at_grafanas_pages(run: Watched, camera: Camera, tools: Path, began_s: float) -> None:
    """Draw Grafana's pages of the run; of what is broken each panel of the fleet's page has something."""
    laid_out(tools)
    bundle(tools)
    given = json.loads(run_tool(["node", "ask.mjs"], tools, json.dumps(run.drawing(began_s))))
    tab = Drawing(camera.browser, tools)
    found = {name: tab.draw(given[name], place(f"grafana-{name}", camera.folder)) for name in given}
    said = {name: [error for panel in page["panels"] for error in panel["errors"]] for name, page in given.items()}
    assert [error for page in said.values() for error in page] == []
    there = {name: {one["title"] for one in panels if one["drawn"]} for name, panels in found.items()}
    assert there["fleet"] >= {"Worst health", "Rigs, worst first", "What is broken now", "Health of each rig", "Rigs"}
    assert there["rig"] >= {"Health", "CE", "PS1"}


def test_what_people_see_of_twelve_rigs(tmp_path: Path) -> None:
    """Each place names the rigs whose faults are on, and no browser finds an error."""
    chromium = shutil.which("chromium")
    needs(there=chromium is not None, what="there is no chromium on the PATH: apt-get install chromium")
    tools = tmp_path / "tools"
    tools.mkdir()
    with watched(tmp_path) as run, playwright.sync_playwright() as started:
        fleet, hydro = run.urls()
        began_s = clock.now_us() / US_PER_S
        until(lambda: run.terminal.frame() and opened(fleet) >= FAULTY, f"{FAULTY} have incidents", seconds=SEEN_S)
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        camera = Camera(browser, tmp_path, [])
        svg = drawn(run.terminal.frame().replace(str(tmp_path / "data"), "hydrodask-data"))
        assert all(one in svg for one in ("rig-0006", "critical", "running"))
        (Path(PICTURES).parent / "live.svg" if PICTURES else tmp_path / "live.svg").write_text(svg, encoding="utf-8")
        for name, url in (("run-fleet", f"{fleet}/#/"), ("run-hydro", hydro)):
            page = camera.tab(url, DESK)
            page.wait_for_timeout(4_000)
            camera.take(page, name)
        look_at_services(run, camera)
        clock.sleep_s(LATER_S)
        look_at_a_rig(camera, fleet)
        look_at_grafanas_pages(run, camera, tools, began_s)
        look_at_a_report(run, camera, fleet)
        browser.close()
    assert camera.wrong == []
