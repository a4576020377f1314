"""Grafana's four pages, without Grafana: by its own types, by its own library on a live Prometheus, by its own panels.

Grafana itself can't be had where hydrodask is developed. What is ours in `tests/dashboards` stands in for its data
source for Prometheus, and for nothing else that decides what is shown.
"""

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from docs.dashboards.panels import NEUTRAL, Json, matching
from docs.dashboards.written import FOLDER, pages, texts
from hydrodask import clock
from hydrodask.observe.metrics import Metrics
from hydrodask.services import PrometheusService, security
from hydrodask.services.ports import free_port
from hydrodask.settings import load
from tests.conftest import needs
from tests.dashboards.drawn import Drawing, bundle
from tests.dashboards.npm import TOOLS_S, laid_out, run
from tests.dashboards.types import KINDS, typed
from tests.delivery import until
from tests.overviews import live
from tests.pictured import PICTURES, place
from tests.test_services import quiet

EMPTY_WHEN_WELL = {
    "What is broken now",
    "Alerts that fire",
    "Partitions in trouble, worst first",
}
"""Panels that show nothing while nothing is wrong, and say so."""

SHOWN = {"instance": ".*", "rig": "rig-1", "sensor": "CE|PS1|TS1|VS1", "component": ".*"}


@pytest.mark.parametrize("name", texts())
def test_a_page_is_what_the_code_makes(name: str) -> None:
    """What is committed was made by `python -m docs.dashboards`, and the chart has the same files."""
    assert (FOLDER / name).read_text(encoding="utf-8") == texts()[name], "run: .venv/bin/python -m docs.dashboards"
    charted = FOLDER.parents[1] / "cluster" / "kubernetes" / "hydrodask" / "files" / "conf" / "grafana" / name
    assert charted.resolve() == (FOLDER / name).resolve()
    assert {path.name for path in FOLDER.glob("*.json")} == set(texts())


def test_every_panel_says_what_it_shows_in_which_unit_and_from_when_on_it_is_bad() -> None:
    """A title, a sentence, a unit, thresholds with a colour below all of them, and a place that no other has."""
    for name, page in pages().items():
        places: set[tuple[int, int]] = set()
        for panel in page["panels"]:
            place = panel["gridPos"]
            mine = {
                (column, row)
                for column in range(place["x"], place["x"] + place["w"])
                for row in range(place["y"], place["y"] + place["h"])
            }
            assert panel["title"], name
            assert not mine & places, panel["title"]
            assert max(column for column, _ in mine) < 24, panel["title"]
            places |= mine
            if panel["type"] != "row":
                assert lacking(panel) == [], panel["title"]


def lacking(panel: Json) -> list[str]:
    """Return what a panel does not say of itself."""
    defaults = panel["fieldConfig"]["defaults"]
    steps = defaults.get("thresholds", {}).get("steps", [])
    found = [name for name in ("unit", "thresholds") if not defaults.get(name)]
    found += ["description"] if not panel["description"].endswith(".") else []
    return found + (["lowest threshold"] if not steps or steps[0]["value"] is not None else [])


def test_links_lead_to_pages_that_there_are() -> None:
    """Each page links to the three others, and tables of rigs to the page of one."""
    uids = {page["uid"] for page in pages().values()}

    for page in pages().values():
        assert {link["url"].removeprefix("/d/") for link in page["links"]} == uids - {page["uid"]}
        found = re.findall(r"/d/([\w-]+)\?", json.dumps(page["panels"]))
        assert set(found) <= uids
    assert "hydrodask-rig" in json.dumps(pages()["fleet"]["panels"])


def test_a_value_is_on_a_page_soon_after_its_sample() -> None:
    """Scraped each second, and each page looks each second: with the window's own second less than three."""
    config = (FOLDER.parent / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")

    assert "scrape_interval: 1s" in config
    assert {page["refresh"] for page in pages().values()} == {"1s"}


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with our programs and what they need of npm."""
    return laid_out(tmp_path_factory.mktemp("dashboards"))


MADE_UP = "models"
"""The page whose kept picture is of the run that is made up here; `test_pictures` has the others of a real one."""

WELL_S, FAULTY_S = (90, 60) if PICTURES else (0, 0)
"""What is to be seen in pictures that are kept."""


def type_errors(tools: Path, *many: dict[str, Json]) -> list[list[str]]:
    """Return what Grafana's types say of each set of pages, asked at once."""
    names = [f"pages{place}.ts" for place in range(len(many))]
    for name, made in zip(names, many, strict=True):
        (tools / name).write_text(typed(made), encoding="utf-8")
    options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022"]
    done = subprocess.run(
        ["node_modules/.bin/tsc", *options, *names],
        cwd=tools, capture_output=True, text=True, check=False, timeout=TOOLS_S,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    return [[line for line in lines if line.startswith(f"{name}(")] for name in names]


@pytest.mark.integration
def test_grafanas_types_know_all_that_is_in_the_pages(tools: Path) -> None:
    """No option, no value of one is misspelt; and a wrong one would be found."""
    wrong = copy.deepcopy(pages())
    wrong["fleet"]["panels"][0]["options"]["colorMode"] = "valeu"
    wrong["rig"]["panels"][0]["fieldConfig"]["defaults"]["treshholds"] = NEUTRAL

    ours, planted = type_errors(tools, pages(), wrong)

    assert ours == []
    assert len(planted) == 2


SCRAPED_S = 1.5
"""What was to be scraped so long ago has been, or is missing."""


class Watched:
    """A run that a real Prometheus scrapes: all is well with it, or nothing."""

    def __init__(self, folder: Path) -> None:
        self.trouble = False
        port = free_port()
        sets = [f"observe.metrics=127.0.0.1:{port}", f"data_dir={folder}"]
        self.metrics = Metrics(lambda: live(trouble=self.trouble), load(sets=sets, environ={})[0])
        platform = f"127.0.0.1:{port}"
        self.service = PrometheusService(
            folder / "prometheus", port=free_port(), platform=platform, scrape_s=1.0, with_parent=True
        )

    def up(self) -> None:
        """Start both."""
        needs(there=shutil.which("apt-get") is not None, what="Debian's packages need apt-get")
        self.service.install(quiet)
        self.metrics.start()
        self.service.start(quiet)

    def become(self, *, trouble: bool) -> None:
        """Let it be well or not, and wait until Prometheus has that, and its rules too."""
        self.trouble = trouble
        self.seen_at_s()

    def seen_at_s(self) -> float:
        """Return a moment of just now at which Prometheus had it so, as it then was for some seconds.

        A scrape that a busy machine is late with is none, and there is nothing on a page without its figures.
        """
        there = 'min_over_time(up{job="hydrodask"}[5s]) == 1 and count_over_time(up{job="hydrodask"}[5s]) >= 3'
        want = f"(min(hydraulic_sensor_health_score) {'<=' if self.trouble else '>'} 80) and on () ({there})"
        if self.trouble:
            want += ' and on () (count(ALERTS{alertstate="firing"}) > 0)'
        found: list[float] = []

        def there_is_one() -> bool:
            found[:] = [clock.now_us() / 1e6 - SCRAPED_S]
            return bool(self.asked(want, found[0]))

        until(there_is_one, "it is scraped" + ", and an alert fires" * self.trouble, seconds=240)
        return found[0]

    def asked(self, query: str, at_s: float) -> list[Any]:
        """Return what Prometheus says of a moment."""
        body = self.service.get(f"/api/v1/query?query={quote(query)}&time={at_s:.3f}")
        return list(json.loads(body)["data"]["result"]) if body is not None else []

    def case(self, name: str, made: dict[str, Json], seconds: float = 3) -> Json:
        """Return what is asked of our programs: what pages show of now."""
        at_s = self.seen_at_s()
        return {"name": name, "pages": made, "variables": SHOWN, "from": at_s - seconds, "to": at_s, "step": 1}

    @property
    def door(self) -> Json:
        """Where our programs ask, and as whom."""
        return {"prometheus": self.service.url, "login": f"hydrodask:{security.secret(self.service.password_file)}"}


@pytest.fixture(scope="module")
def seen(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Json]]:
    """Return what Grafana's library makes of the pages: of a healthy run, a faulty one, and of pages with faults."""
    watched = Watched(tmp_path_factory.mktemp("watched"))
    try:
        watched.up()
        watched.become(trouble=False)
        began_s = clock.monotonic_s()
        clock.sleep_s(WELL_S)
        cases = [watched.case("healthy", pages()), watched.case("planted", planted())]
        watched.become(trouble=True)
        clock.sleep_s(FAULTY_S)
        cases.append(watched.case("faulty", pages()))
        found = json.loads(run(["node", "look.mjs"], tools, json.dumps(watched.door | {"cases": cases})))
        shown = watched.case("drawn", pages(), clock.monotonic_s() - began_s + 3)
        yield found | {"drawn": json.loads(run(["node", "ask.mjs"], tools, json.dumps(watched.door | shown)))}
    finally:
        watched.metrics.close()
        watched.service.stop()


def planted() -> dict[str, Json]:
    """Return a page with three faults: thresholds gone, a unit misspelt, PromQL broken."""
    page = copy.deepcopy(pages()["fleet"])
    health, critical, warnings, *_ = page["panels"]
    del health["fieldConfig"]["defaults"]["thresholds"]
    critical["fieldConfig"]["overrides"] = [matching("x", unit="pressurebarr")]
    warnings["targets"][0]["expr"] = "count(sum by rig) (hydraulic_anomaly_status)"
    return {"fleet": {**page, "panels": [health, critical, warnings]}}


def faults(shown: dict[str, Json], *, well: bool) -> list[str]:
    """Return what is wrong with what pages show: errors, empty panels, unknown units, and of a healthy run: red."""
    found: list[str] = []
    for name, page in shown.items():
        for panel in [*page["panels"], *page["annotations"]]:
            where = f"{name}, {panel['title']}"
            found += [f"{where}: {error}" for error in panel["errors"]]
            found += [f"{where}: unknown to Grafana: {one}" for one in panel.get("unknown", ())]
        for panel in page["panels"]:
            where = f"{name}, {panel['title']}"
            values = panel["values"]
            if not values and not (well and panel["title"] in EMPTY_WHEN_WELL) and not panel["errors"]:
                found.append(f"{where}: empty")
            if well and panel["kind"] in ("stat", "state-timeline", "table"):
                found += [f"{where}: {one['text']} is {one['color']}" for one in values if one["color"] in BAD]
    return found


BAD = ("red", "orange")
UNCOLOURED = "#00000000"
"""As Grafana says transparent."""


@pytest.mark.integration
def test_of_a_healthy_run_nothing_is_red_and_no_panel_is_empty(seen: dict[str, Json]) -> None:
    """No query fails, each panel shows something in a unit that Grafana knows, and no figure asks for anybody."""
    assert faults(seen["healthy"], well=True) == []


@pytest.mark.integration
def test_of_a_faulty_run_what_is_wrong_is_coloured(seen: dict[str, Json]) -> None:
    """Each page says what is wrong in its first row, in red; tables have the worst first; incidents are marked."""
    shown = seen["faulty"]
    assert faults(shown, well=False) == []
    red = {
        (name, panel["title"])
        for name, page in shown.items()
        for panel in page["panels"]
        if any(one["color"] == "red" for one in panel["values"])
    }
    assert red >= {
        ("fleet", "Worst health"), ("fleet", "Rigs that need somebody"), ("fleet", "Rigs, worst first"),
        ("fleet", "What is broken now"), ("fleet", "Alerts that fire"), ("fleet", "Health of each rig"),
        ("rig", "Health"), ("rig", "Components"), ("rig", "Worst component"), ("rig", "What is broken now"),
        ("stream", "Newest commit"), ("stream", "Latency, 99 %"), ("stream", "Lost records"), ("stream", "Workers"),
        ("stream", "Partitions in trouble, worst first"), ("models", "Close to failure"), ("models", "Least sure"),
        ("models", "Components, worst first"), ("models", "cooler"), ("models", "Largest drift"),
    }  # fmt: skip
    ranked = [
        one for panel in shown["fleet"]["panels"] if panel["title"] == "Rigs, worst first" for one in panel["values"]
    ]
    assert next(one["text"] for one in ranked if one["name"] == "rig") == "rig-1"
    worn = {(one["text"], one["color"]) for one in ranked if one["name"] == "worst component"}
    assert worn == {("close to failure", "red"), ("as it should be", "green"), ("not judged", UNCOLOURED)}
    marks = {one["title"]: one["series"] for one in shown["fleet"]["annotations"]}
    assert marks["critical"] >= 1
    assert marks["warning"] >= 1


@pytest.mark.integration
def test_curves_have_their_sensors_unit_their_band_and_their_limits(seen: dict[str, Json]) -> None:
    """One panel a sensor, one axis a panel: CE in %, PS1 in bar, VS1 in mm/s; what is usual, and limits."""
    shown = {panel["title"]: panel["values"] for panel in seen["healthy"]["rig"]["panels"]}
    units = {
        sensor: {re.sub(r"^[-\d. ]+", "", one["text"]) for one in shown[sensor]} for sensor in ("CE", "PS1", "VS1")
    }

    assert units == {"CE": {"%"}, "PS1": {"bar"}, "VS1": {"mm/s"}}
    assert [one["name"] for one in shown["CE"]] == [
        "CE mean", "CE highest", "CE lowest", "CE usual from", "CE usual to",
        "CE warning: cooler_degraded", "CE critical: cooler_failing",
    ]  # fmt: skip
    assert [one["color"] for one in shown["CE"]][-2:] == ["orange", "red"]


@pytest.mark.integration
def test_planted_faults_are_found(seen: dict[str, Json]) -> None:
    """Without thresholds health is red by Grafana's default; units and queries that there are not are said."""
    found = faults(seen["planted"], well=True)

    assert [one for one in found if "Worst health: 100 is red" in one]
    assert [one for one in found if "unknown to Grafana: pressurebarr" in one]
    assert [one for one in found if "Rigs to look at" in one and "parse error" in one]
    assert lacking(planted()["fleet"]["panels"][0]) == ["thresholds", "lowest threshold"]


@pytest.mark.integration
def test_each_page_is_drawn_with_grafanas_components(tools: Path, seen: dict[str, Json], tmp_path: Path) -> None:
    """Figures, curves, tables and strips of states: no panel is empty, and each page says that this is not Grafana."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make install-dev`")
    chromium = shutil.which("chromium")
    needs(there=chromium is not None, what="there is no chromium on the PATH: apt-get install chromium")
    bundle(tools)
    drawn: dict[str, list[Json]] = {}
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = Drawing(browser, tools)
        for name, given in seen["drawn"].items():
            to = place(f"grafana-{name}", tmp_path) if name == MADE_UP else tmp_path / f"{name}.png"
            drawn[name] = tab.draw(given, to)
        browser.close()

    assert [(name, one["title"]) for name, panels in drawn.items() for one in panels if not one["drawn"]] == []
    assert {one["kind"] for panels in drawn.values() for one in panels} == set(KINDS)
    assert [len(drawn[name]) for name in pages()] == [len(seen["faulty"][name]["panels"]) for name in pages()]
