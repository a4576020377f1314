"""The operator's page in Debian's Chromium: pictures, accessibility, hostile names, answers, live values."""

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.week import Week
from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.cli.main import app
from hydrodask.clock import US_PER_S, iso
from hydrodask.console import Console
from hydrodask.console.sight import TILES_MAX
from hydrodask.records import Upsert
from hydrodask.reports import Overview, PartitionReport, Reading
from hydrodask.settings import load
from hydrodask.settings.hidden import Url
from hydrodask.store.documents import open_documents
from tests.alertmanagers import ALERTS, managing
from tests.conftest import needs
from tests.pictured import place, shrunk
from tests.plant import START_US, Plant, made

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make install-dev`")

HOSTILE = "<script>window.hit=1</script><img src=x onerror=window.hit=1>"
WAIT_MS = 120_000
"""CI is slow, and a page that waits for its turn is none that is broken."""

DESK, PHONE = {"width": 1400, "height": 950}, {"width": 390, "height": 844}


class Run:
    """The overview of a run that goes on where a history ends."""

    def __init__(self, end_us: int, rigs: Sequence[str]) -> None:
        self.end_us = end_us
        self.value = 161.0
        self._rigs = rigs

    def __call__(self) -> Overview:
        """Return what the run knows: a reading of each sensor."""
        part = PartitionReport("monitor", "hydraulic-PS1", 0)
        part.readings = [
            Reading(rig, name, self._mean(name), channel.high, channel.low, 1.0, channel.rate_hz * 60, self.end_us)
            for rig in self._rigs
            for name, channel in CHANNELS.items()
        ]
        return Overview("run", self.end_us, "running", {}, {(part.topic, 0): part})

    def _mean(self, sensor: str) -> float:
        usual = {"PS1": self.value, "PS2": 109.6, "PS3": 2.0, "PS4": 10.1, "PS5": 9.9, "PS6": 9.8, "EPS1": 2541.0}
        usual |= {"FS1": 6.7, "FS2": 10.2, "TS1": 35.6, "TS2": 41.1, "TS3": 38.4, "TS4": 30.4, "VS1": 0.56, "CE": 47.3}
        return (usual | {"CP": 2.18, "SE": 59.1})[sensor]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Return twelve rigs' history, and an incident of a rig whose name and message are scripts."""
    plant = made(tmp_path_factory.mktemp("plant"), sets=("console.address=127.0.0.1:0",))
    at = {
        name: iso(plant.end_us - ago_s * US_PER_S) for name, ago_s in (("opened", 900), ("over", 600), ("first", 960))
    }
    body: dict[str, object] = {"rig": HOSTILE, "sensor": "CE", "rule": "oil_warm", "severity": "warning"}
    body |= {"status": "resolved", "opened_at": at["opened"], "resolved_at": at["over"], "statistic": "avg_value"}
    body |= {"first_window": at["first"], "last_window": at["opened"], "windows": 1, "worst": 1.0, "threshold": 1.0}
    body |= {"message": HOSTILE, "provisional": False, "contributions": {HOSTILE: 0.5}}
    documents = open_documents(plant.settings)
    documents.write([Upsert("incidents", f"{HOSTILE}/CE/oil_warm/x", 1, body)])
    documents.close()
    return plant


@pytest.fixture(scope="module")
def run(plant: Plant) -> Run:
    """Return the run beside it."""
    return Run(plant.end_us, plant.rigs)


@pytest.fixture(scope="module")
def page(plant: Plant, run: Run) -> Iterator[Console]:
    """Serve the page as `run` does."""
    console = Console(plant.settings, run)
    yield console
    console.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Chromium once."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    needs(there=chromium is not None, what="there is no chromium on the PATH: apt-get install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def manager() -> Iterator[Any]:
    """Run what answers as an Alertmanager."""
    with managing() as server:
        yield server


class Tab:
    """One tab; `said` are errors of its console and pages, `foreign` requests that leave our server."""

    def __init__(self, browser: Any, console: Console, *, phone: bool = False, dark: bool = False, **more: Any) -> None:
        self.base, self.said, self.foreign = console.url.rstrip("/"), list[str](), list[str]()
        scheme = "dark" if dark else "light"
        self.context = browser.new_context(viewport=PHONE if phone else DESK, color_scheme=scheme, **more)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", lambda one: self.said.append(one.text) if one.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda one: None if one.url.startswith(self.base) else self.foreign.append(one.url))

    def open(self, hash_: str) -> Any:
        """Open a place of the page, and return it once it shows everything."""
        self.page.goto(f"{self.base}/{hash_}")
        self.page.wait_for_selector("html[data-ready]", timeout=WAIT_MS)
        return self.page

    def picture(self, name: str, folder: Path, *, whole: bool = False) -> None:
        """Take a picture, and keep it if that is asked for."""
        self.page.wait_for_timeout(300)  # until what was drawn last is on the screen
        to = place(f"console-{name}", folder)
        self.page.screenshot(path=to, full_page=whole)
        shrunk(to)

    def close(self) -> None:
        """Close it; nothing may have gone wrong, and nothing have left the server."""
        self.context.close()
        assert (self.said, self.foreign) == ([], [])


def test_page_shows_fleet_rig_incident_and_phone(browser: Any, page: Console, tmp_path: Path) -> None:
    """Worst rig first; 17 curves with limits; an episode's curve in large; one column at 390 px; light and dark."""
    tab = Tab(browser, page)
    shown = tab.open("#/")
    assert shown.locator(".tiles .tile .name").first.text_content() in ("rig-0007", "rig-0003")
    tab.picture("fleet", tmp_path)
    shown.click(".tiles .tile:has-text('rig-0002')")
    shown.wait_for_selector("html[data-ready='rig']")
    assert shown.locator(".card .uplot").count() == len(SENSORS)
    assert shown.locator(".card:has-text('CE') .what").first.text_content() == "■ cooler failing"
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert shown.evaluate("document.querySelector('.cards').getBoundingClientRect().bottom <= innerHeight")
    assert "load cycle" in shown.inner_text(".strips")
    tab.picture("rig", tmp_path)
    shown.click(".episode:has-text('cooler failing') .chips button:has-text('CE')")
    shown.wait_for_selector("#zoom .uplot")
    assert "What changed" in shown.inner_text("#zoom")
    tab.picture("incident", tmp_path)
    shown.keyboard.press("Escape")
    shown.locator(".card").first.focus()
    shown.keyboard.press("ArrowRight")
    assert shown.evaluate("document.activeElement.getAttribute('aria-label')").startswith(
        "PS2, pressure. now 109.6 bar"
    )
    tab.close()
    for name, options in (("dark", {"dark": True}), ("phone", {"phone": True})):
        tab = Tab(browser, page, **options)
        shown = tab.open("#/rig/rig-0002/1h")
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shown.wait_for_selector("#strip [aria-current]")
        assert shown.evaluate(
            "document.querySelector('#strip [aria-current]').getBoundingClientRect().right <= innerWidth"
        )
        tab.picture(name, tmp_path)
        if name == "phone":
            assert shown.locator("#find").is_visible()
            assert shown.locator("#help").is_visible()
            shown.click("header a:has-text('Fleet')")
            shown.wait_for_selector("html[data-ready='fleet']")
        tab.close()


DRAWN = """
async () => {
  const written = [], fill = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    const box = this.measureText(text), axis = this.canvas.height - 17 * devicePixelRatio;
    const right = this.canvas.width - x - box.width;
    written.push([text, y - box.actualBoundingBoxAscent, y + box.actualBoundingBoxDescent - axis, right]);
    return fill.call(this, text, x, y);
  };
  const { Chart } = await import("/static/draw.js"), at = [0, 1800, 3600], limits = [[23.5, false], [37, true]];
  const said = limits.map(([value, above]) => ({ value, above, severity: "critical", of: "mean" }));
  const box = document.createElement("div");
  box.style.cssText = "width: 300px; height: 84px";
  document.body.append(box);
  new Chart(box, { at, mean: [24, 30, 36], low: at, high: at, usual: null, extremes: false, limits: said, incidents: [],
    from: 0, to: 3600, filesEnd: null, source: "x" });
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return written.filter(([text]) => text.startsWith("■"));
}
"""
"""Draws a curve, and returns its limits' labels: where each begins, how far under the axis and from the edge it is."""


ASKED = """() => performance.getEntriesByType("resource")
  .map((one) => [new URL(one.name).pathname, one.startTime, one.responseEnd])"""
"""Says what the page asked for: when, and when it was there."""


def test_what_the_page_needs_is_asked_for_once_and_before_its_scripts_are_there(browser: Any, page: Console) -> None:
    """The answers take as long as the scripts; a place that no browser can decode is the fleet."""
    tab, first = Tab(browser, page), ["/api/me", "/api/sensors", "/api/rig"]
    asked = tab.open("#/rig/rig-0002/1h").evaluate(ASKED)
    [there] = [end for path, _, end in asked if path == "/static/main.js"]
    early = [(path, began) for path, began, _ in asked if path in first]

    assert sorted(path for path, _ in early) == sorted(first)
    assert [path for path, began in early if began > there] == []
    other = Tab(browser, page)
    assert [path for path, *_ in other.open("#/").evaluate(ASKED)].count("/api/fleet") == 1
    other.close()
    shown = tab.open("#/rig/%E0%A4%A")
    shown.wait_for_selector("html[data-ready=fleet]")
    assert shown.locator(".tiles .tile").count() > 0
    tab.close()


def test_labels_of_limits_stand_between_axis_and_edge(browser: Any, tmp_path: Path) -> None:
    """However near to the axis, or to the upper edge, their limit is; at the right, where they hide least."""
    console = Console(load(sets=[f"data_dir={tmp_path}", "console.address=127.0.0.1:0"], environ={})[0])
    tab = Tab(browser, console)
    shown = tab.open("#/")
    labels = shown.evaluate(DRAWN)

    assert [text for text, *_ in labels] == ["■ < 23.5", "■ > 37"]
    assert [label for label in labels if label[1] < 0 or label[2] > 0] == []
    assert [label for label in labels if not 0 <= label[3] < 15] == []
    tab.close()
    console.close()


def test_a_report_is_a_picture_of_a_day(browser: Any, plant: Plant, tmp_path: Path) -> None:
    """Every curve stands out from what is usual for it, however wide that is."""
    file = tmp_path / "report.html"
    where = ["--set", f"data_dir={plant.settings.data_dir}", "--output", str(file)]
    done = CliRunner().invoke(
        app, ["report", "--rig", "rig-0002", "--day", iso(START_US)[:10], *where], env={"HYDRODASK_PICTURES": None}
    )
    assert file.exists(), done.output + str(done.exception)
    page = browser.new_page(viewport={"width": 1120, "height": 950})
    page.goto(file.as_uri())
    high = page.evaluate("""() => Object.fromEntries([...document.querySelectorAll("figure")].map((one) =>
        [one.querySelector("b, span").textContent, one.querySelector(".curve").getBBox().height]))""")
    to = place("report", tmp_path)
    page.screenshot(path=to, full_page=True)
    page.close()
    shrunk(to)

    assert len(high) == len(SENSORS)
    assert high["TS2"] > 20  # of 78: it was 8 when all that was usual was drawn


@pytest.mark.parametrize("options", [{}, {"dark": True}, {"phone": True}], ids=["light", "dark", "phone"])
def test_axe_finds_nothing(browser: Any, page: Console, options: dict[str, Any]) -> None:
    """No fault that keeps anybody out: fleet, rig, the zoom, the dialog of an answer, the keys."""
    axe = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    tab = Tab(browser, page, bypass_csp=True, **options)
    found = {}

    def look(where: str) -> None:
        tab.page.evaluate(axe)
        violations = tab.page.evaluate("axe.run().then((found) => found.violations)")
        found[where] = [(one["id"], one["nodes"][0]["html"][:120]) for one in violations]

    tab.open("#/")
    look("fleet")
    shown = tab.open("#/rig/rig-0002/1h")
    shown.wait_for_selector("html[data-ready='rig']")
    look("rig")
    shown.click(".episode .chips button:has-text('PS1')")
    shown.wait_for_selector("#zoom .uplot")
    look("zoom")
    shown.keyboard.press("Escape")
    shown.click(".episode .acts button:has-text('Mute')")
    look("answer")
    tab.close()

    assert {where: faults for where, faults in found.items() if faults} == {}


def test_a_script_in_a_name_a_message_or_a_note_does_nothing(browser: Any, page: Console) -> None:
    """It is shown as the text that it is: on tiles, in titles, episodes, reasons and notes that somebody writes."""
    tab = Tab(browser, page)
    shown = tab.open("#/")
    shown.click(f".tiles .tile:has-text('{HOSTILE[:8]}')")
    shown.wait_for_selector("html[data-ready='rig']")
    shown.click(".episode .acts button:has-text('Note')")
    shown.fill("#answer-text", HOSTILE)
    shown.fill("#answer-by", "<b>anna</b>")
    shown.click("#answer button[type=submit]")
    shown.wait_for_selector(".episode .said")

    assert shown.inner_text("h1") == HOSTILE
    assert HOSTILE in shown.inner_text(".episode .said")
    shown.click(".episode .chips button")
    shown.wait_for_selector("#zoom .uplot")
    assert HOSTILE in shown.inner_text("#zoom .why")
    assert shown.evaluate("window.hit === undefined && document.querySelectorAll('main img, main script').length === 0")
    tab.close()


def test_what_one_answers_shows_at_once_and_to_others(browser: Any, page: Console) -> None:
    """Acknowledge by key in one tab; another sees it without a reload, and the fleet says so.

    What was found is read by the server alone: of states that there are not it says so, and nothing is stored.
    """
    mine, other = Tab(browser, page), Tab(browser, page)
    shown = mine.open("#/rig/rig-0007/1h")
    there = other.open("#/rig/rig-0007/1h")
    shown.keyboard.press("a")
    shown.fill("#answer-by", "anna")
    shown.click("#answer button[type=submit]")
    shown.wait_for_selector(".episode .pin:has-text('acknowledged')")
    there.wait_for_selector(".episode .pin:has-text('acknowledged')")
    there.keyboard.press("f")
    there.wait_for_selector(".tiles .tile:has-text('rig-0007') .badge:has-text('acknowledged')")
    shown.click(".episode button:has-text('Found')")
    shown.fill("#answer-states", "cooler=20%")
    shown.click("#answer button[type=submit]")
    shown.wait_for_selector("#answer .wrong:has-text('cooler has no state')")
    while not mine.said:  # the browser's own line on a refusal may come after what the page makes of it
        shown.wait_for_timeout(50)
    assert "400" in mine.said.pop()
    mine.close()
    other.close()


def test_a_mute_and_a_maintenance_end_on_the_page(browser: Any, page: Console) -> None:
    """By a button in the fleet's list and one in the rig's header; meanwhile the rig is counted as what it is."""
    tab = Tab(browser, page)
    shown = tab.open("#/")
    before = _count(shown)
    shown = tab.open("#/rig/rig-0005/1h")
    shown.click(".head button:has-text('Maintenance')")
    shown.fill("#answer-by", "anna")
    shown.click("#answer button[type=submit]")
    shown.wait_for_selector(".head .kept:has-text('in maintenance until')")
    assert shown.locator(".head button:has-text('Maintenance')").count() == 0
    shown.keyboard.press("f")
    shown.wait_for_selector(".count:has-text('1in maintenance')")
    kept = _count(shown)
    shown.click("aside .episode.quiet:has-text('maintenance: rig-0005') button:has-text('End')")
    shown.wait_for_selector("aside h2:has-text('Nothing is muted')")
    ended = _count(shown)
    shown = tab.open("#/rig/rig-0005/1h")
    assert shown.locator(".head button:has-text('Maintenance')").count() == 1
    shown.click(".episode .acts button:has-text('Mute')")
    shown.click("#answer button[type=submit]")
    shown.wait_for_selector(".head .kept:has-text('muted: rig-0005')")
    shown.click(".head .kept button:has-text('End')")
    shown.wait_for_selector(".head .kept", state="detached")
    tab.close()

    assert kept == before | {"warning": before["warning"] - 1, "in maintenance": 1}
    assert ended == before


def _count(shown: Any) -> dict[str, int]:
    """Return how many rigs the fleet's page says are in which state."""
    told = shown.locator(".count span:has(> b)").all_inner_texts()
    return {text: int(number) for number, text in (re.findall(r"(\d+)\s*(.+)", one)[0] for one in told)}


def test_a_server_that_is_gone_is_said_and_one_that_is_back_is_not(browser: Any, plant: Plant, run: Run) -> None:
    """The page says that it has stopped and since when; once it is answered again, it says nothing of that."""
    console = Console(plant.settings, run)
    tab = Tab(browser, console)
    shown = tab.open("#/rig/rig-0001/15m")
    shown.wait_for_selector("#live:not(.off)")
    console.close()
    shown.wait_for_selector("#live.off:has-text('stopped: the server does not answer')")
    assert shown.inner_text("#notice").startswith("The server does not answer since ")
    chosen = plant.settings.console.model_copy(update={"address": f"127.0.0.1:{console.port}"})
    back = Console(plant.settings.model_copy(update={"console": chosen}), Run(plant.end_us, plant.rigs))
    shown.wait_for_selector("#live:not(.off):has-text('live')")
    shown.wait_for_selector("#notice", state="hidden")
    shown.wait_for_selector("html[data-ready='rig']")
    assert {one.partition(" ")[0] for one in tab.said} <= {"Failed"}  # the browser's own lines on what was refused
    tab.said.clear()
    tab.close()
    back.close()


def test_a_rig_that_there_is_not_is_said_and_offers_nothing(browser: Any, page: Console) -> None:
    """What is found by a part of its name is shown if it is one rig; of an unknown rig there is nothing to look at."""
    tab = Tab(browser, page)
    shown = tab.open("#/")
    for text, said in (("9999", "no such rig: 9999"), ("rig-000", "9 rigs have rig-000 in their names")):
        shown.fill("#find", text)
        shown.press("#find", "Enter")
        shown.wait_for_selector(f"#notice:has-text('{said}')")
        assert shown.evaluate("location.hash") == "#/"
    shown.fill("#find", "0002")
    shown.press("#find", "Enter")
    shown.wait_for_selector("html[data-ready='rig']")
    assert (shown.evaluate("location.hash"), shown.inner_text("h1")) == ("#/rig/rig-0002", "rig-0002")
    assert shown.locator("#notice").is_hidden()
    shown = tab.open("#/rig/0002/1h")
    shown.wait_for_selector("html[data-ready='unknown']")
    assert shown.inner_text("h1") == "No such rig: 0002"
    assert shown.locator("#page .card, #page button, #ranges:visible").count() == 0
    shown.keyboard.press("m")
    assert shown.locator("dialog[open]").count() == 0
    shown.click("#page .tile:has-text('rig-0002')")
    shown.wait_for_selector("html[data-ready='rig']")
    assert [one.partition(":")[0] for one in tab.said] == ["Failed to load resource"]  # the browser's own line on 404
    tab.said.clear()
    tab.close()


PAINTED = """
async () => {
  const written = [], fill = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    written.push([text, x]);
    return fill.call(this, text, x, y);
  };
  const { strips } = await import("/static/draw.js"), canvas = document.createElement("canvas");
  canvas.style.cssText = "width: 400px; height: 14px";
  document.body.append(canvas);
  const spans = [{ from: 50, to: 60, severity: "warning", text: "20 %" }];
  const long = { text: "a rather long state", spans: [{ ...spans[0], to: 95 }] };
  for (const one of [{ text: "100 %", spans }, { text: "100 %", spans: [] }, long]) strips([[canvas, one]], 0, 100);
  CanvasRenderingContext2D.prototype.fillText = fill;
  return written;
}
"""
"""Draws strips of 100 s on 400 px, and returns what is written on them, and where."""


def test_a_state_stands_where_it_is_so(browser: Any, page: Console) -> None:
    """What is now stands behind what was last, or not at all where there is no room; never before it."""
    tab = Tab(browser, page)
    written = tab.open("#/").evaluate(PAINTED)
    tab.close()

    assert [(text, x) for text, x in written if text == "100 %"] == [("100 %", 244), ("100 %", 4)]
    assert [text for text, _ in written if "rather" in text] == []


def test_a_component_without_a_curve_says_what_changed(browser: Any, page: Console) -> None:
    """Its chip opens what its incidents say."""
    tab = Tab(browser, page)
    shown = tab.open("#/rig/rig-0003/1h")
    shown.click(".episode .chips button:text-is('pump')")
    shown.wait_for_selector("#zoom[open]:has-text('What changed')")
    assert "pump has severe leakage (was weak leakage)" in shown.inner_text("#zoom .why")
    assert "now severe leakage" in shown.inner_text("#zoom")
    shown.keyboard.press("Escape")
    shown.click(".card >> nth=0")
    shown.wait_for_selector("#zoom .uplot")
    tab.close()


def test_a_link_to_an_episode_opens_the_time_round_it(browser: Any, page: Console, plant: Plant) -> None:
    """However long ago it was; of one that there is not it is said."""
    documents = open_documents(plant.settings)
    [old] = documents.find("incidents", {"rig": "rig-0002", "rule": "component_state", "worst": 3}, limit=1)
    documents.close()
    tab = Tab(browser, page)
    shown = tab.open("#/")
    shown.evaluate("(id) => { location.hash = `#/rig/rig-0002/15m/${encodeURIComponent(id)}`; }", old["_id"])
    shown.wait_for_selector(".episode[aria-current]:has-text('cooler')")
    assert shown.locator("#now[aria-pressed='false']").count() == 1
    assert "2026-11-30, 04:" in shown.inner_text(".head")
    shown.evaluate("location.hash = '#/rig/rig-0002/15m/nothing'")
    shown.wait_for_selector("#notice:has-text('There is no such episode')")
    tab.close()


def test_times_are_those_of_the_zone_that_is_set_and_name_their_days(browser: Any, plant: Plant) -> None:
    """As in messages, with the zone's name; a range says both of its days, and what was on another day says which."""
    watch = plant.settings.observe.model_copy(update={"timezone": "Asia/Kolkata"})
    console = Console(plant.settings.model_copy(update={"observe": watch}))
    tab = Tab(browser, console, timezone_id="America/New_York")
    tab.page.clock.set_fixed_time("2026-12-02T12:00:00Z")
    shown = tab.open("#/rig/rig-0002/1d")
    shown.wait_for_selector("html[data-ready='rig']")
    head, when = shown.inner_text(".head"), shown.locator(".episode .when").last.inner_text()
    fleet = tab.open("#/")
    told = fleet.locator("aside .episode .when").first.inner_text()
    tab.close()
    console.close()

    assert "2026-11-29 10:50 – 2026-11-30 10:50 IST" in head
    assert "curves end at 10:47:30 IST" in head
    assert re.match(r"11-30 \d\d:\d\d–\d\d:\d\d IST", when)
    assert re.match(r"since 11-30 1\d:\d\d IST", told)


def test_whoever_logs_in_comes_to_where_he_wanted_to_go(browser: Any, plant: Plant) -> None:
    """Also when the cookie ends while he looks; a button logs out; a wrong token is said to be one."""
    token = "answer-0123456789abcdef"  # noqa: S105 - of this test
    file = plant.settings.data_dir / "who"
    file.write_text(f"anna answer {token}\n")
    file.chmod(0o600)
    chosen = plant.settings.console.model_copy(update={"token_file": Path("who")})
    console = Console(plant.settings.model_copy(update={"console": chosen}))
    tab = Tab(browser, console)
    shown = tab.page
    shown.goto(f"{tab.base}/#/rig/rig-0002/1h")
    shown.fill("#token", "nonsense")
    shown.click("button[type=submit]")
    shown.wait_for_selector("#said:text-is('that is no token of anybody\\'s here')")
    for leave in (lambda: shown.click("#logout"), tab.context.clear_cookies):
        shown.fill("#token", token)
        shown.click("button[type=submit]")
        shown.wait_for_selector("html[data-ready='rig']")
        assert shown.evaluate("location.pathname + location.hash") == "/#/rig/rig-0002/1h"
        leave()
        shown.wait_for_selector("#token")
        assert shown.evaluate("location.pathname + location.hash") == "/login#/rig/rig-0002/1h"
    assert {one.partition(" ")[0] for one in tab.said} == {"Failed"}  # the browser's own lines on refusals
    tab.said.clear()
    tab.close()
    console.close()


def test_new_values_come_by_themselves(browser: Any, page: Console, run: Run) -> None:
    """A value that the run reads is on the card within a second or so, and the page says how old it is."""
    tab = Tab(browser, page)
    shown = tab.open("#/rig/rig-0001/15m")
    shown.wait_for_selector("html[data-live]")
    run.value, run.end_us = 163.2, run.end_us + 10 * US_PER_S
    began_s = time.monotonic()
    shown.wait_for_selector(".card:has-text('PS1') .value:has-text('163.2')")
    took_s = time.monotonic() - began_s

    assert took_s < 30  # half a second where nobody else works
    assert "live" in shown.inner_text("#live")
    tab.close()


def test_page_of_a_platform_that_does_not_run_says_where_curves_end(browser: Any, plant: Plant) -> None:
    """From lake and documents alone."""
    console = Console(replace(plant).settings)
    tab = Tab(browser, console)
    shown = tab.open("#/rig/rig-0002/1h")

    assert "curves end at 05:20:00" in shown.inner_text(".head")
    assert "files and documents only" in shown.inner_text("#live")
    tab.close()
    console.close()


@pytest.mark.parametrize("options", [{}, {"dark": True}, {"phone": True}], ids=["light", "dark", "phone"])
def test_alerts_of_prometheus_are_on_the_page(
    browser: Any, plant: Plant, manager: Any, tmp_path: Path, options: dict[str, Any]
) -> None:
    """What fires, since when, on which rig, and what to do; nothing of it is a script; one that is gone is said."""
    manager.answer = 200, ALERTS[:3]
    watch = plant.settings.observe.model_copy(update={"alertmanager": Url(f"http://127.0.0.1:{manager.server_port}")})
    console = Console(plant.settings.model_copy(update={"observe": watch}))
    tab = Tab(browser, console, bypass_csp=True, **options)
    shown = tab.open("#/")
    shown.wait_for_selector(".alerts .episode")
    if not options:
        tab.picture("alerts", tmp_path)
    manager.answer = 200, [*ALERTS, {**ALERTS[0], "labels": {"alertname": HOSTILE, "rig": HOSTILE}}]
    shown.wait_for_selector(".alerts .episode:has-text('onerror')")
    told = shown.locator(".alerts .episode").all_inner_texts()

    assert "HydraulicSensorCritical" in told[0]
    assert "rig-1: CE has health 80" in told[0]
    assert [one.get_attribute("href") for one in shown.locator(".alerts a.out").all()] == ["https://docs.test/#x"]
    assert any(HOSTILE in one for one in told)
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shown.evaluate((resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    assert shown.evaluate("axe.run().then((found) => found.violations.map((one) => one.id))") == []
    manager.answer = 500, b""
    shown.wait_for_selector("aside:has-text('Nobody knows')")
    assert f"http://127.0.0.1:{manager.server_port}: it answers 500" in shown.inner_text("aside")
    tab.close()
    console.close()


def test_page_of_many_rigs_says_what_it_shows_and_finds_the_others(browser: Any, tmp_path: Path) -> None:
    """The worst have tiles, and counts are of all; a rig without tile and live values says where its curves end."""
    sets = [f"data_dir={tmp_path / 'data'}", "console.address=127.0.0.1:0"]
    rigs = [f"rig-{number + 1:04d}" for number in range(230)]
    week = Week(load(sets=sets, environ={})[0], rigs, START_US, 600 * US_PER_S, open_rigs=210)
    list(week.make())
    console = Console(week.settings, Run(START_US, rigs[:2]))
    tab = Tab(browser, console)
    shown = tab.open("#/")

    assert shown.locator(".tiles .tile").count() == TILES_MAX
    assert "".join(shown.inner_text(".count").split()) == "Fleet■70critical▲140warning20well"
    assert shown.inner_text(".more").startswith("The 200 worst of 230 rigs. The other 30 are no worse off")
    shown.fill("#find", "rig-0230")
    shown.press("#find", "Enter")
    shown.wait_for_selector("html[data-ready='rig']")
    shown.wait_for_selector("#live:has-text('no live values of this rig, only of 2 others')")
    assert shown.locator(".card .uplot").count() == len(SENSORS)
    assert "curves end at" in shown.inner_text(".head")
    tab.close()
    console.close()
