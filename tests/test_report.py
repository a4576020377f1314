"""`report`: one file that loads nothing, says what was wrong and what people answered, and draws each sensor."""

import re
import shutil
from importlib import resources
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hydrodask import clock
from hydrodask.answers import Answer
from hydrodask.cli.main import app
from hydrodask.console.sheet import POLICY, alike
from hydrodask.console.svg import COLOURS
from hydrodask.release import version
from hydrodask.store.documents import open_documents
from tests.conftest import needs
from tests.plant import START_US, Plant, made

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Return half an hour of two rigs; the second one's cooler fails, and somebody has said why."""
    plant = made(tmp_path_factory.mktemp("plant"), rigs=2, minutes=30, sets=())
    documents = open_documents(plant.settings)
    [one] = documents.find("incidents", {"rig": "rig-0002", "rule": "cooler_failing"}, limit=1)
    note = {"kind": "note", "incident": one["_id"], "text": HOSTILE}
    mute = {"kind": "mute", "rig": "rig-0002", "for_s": 366 * 86_400}
    given = [Answer.made(note, by="anna", now_us=START_US), Answer.made(mute, by="eva", now_us=clock.now_us())]
    documents.write([answer.change() for answer in given])
    documents.close()
    return plant


def report(plant: Plant, folder: Path, *words: str) -> str:
    """Return the file that `report` writes, or what it says."""
    file = folder / "report.html"
    where = ["--set", f"data_dir={plant.settings.data_dir}", "--output", str(file)]
    done = CliRunner().invoke(app, ["report", *words, *where])
    return file.read_text(encoding="utf-8") if file.exists() else done.output + str(done.exception)


def test_a_rig_s_day_is_one_file(plant: Plant, tmp_path: Path) -> None:
    """Seventeen curves with limits and usual ranges, incidents with answers, states, data quality; in the zone set."""
    html = report(plant, tmp_path, "--rig", "rig-0002", "--set", "observe.timezone=Asia/Kolkata")

    assert html.count("<figure>") == 17
    assert html.count('class="curve"') >= 17
    assert "stroke-dasharray" in html
    assert 'class="usual"' in html
    assert "CE cooler failing" in html
    assert "note by anna, 2026-11-30 09:30 IST: &lt;script&gt;" in html
    assert re.search(r"mute by eva, \d{4}-\d\d-\d\d \d\d:\d\d IST, until \d{4}-\d\d-\d\d \d\d:\d\d IST", html)
    assert "2026-11-30 09:30" in html
    assert "IST" in html
    assert "of 17 sensors have values in all" in html
    assert f"· hydrodask {version()}<" in html


def test_curves_on_paper_have_axes_limits_with_figures_and_the_colours_of_the_page(
    plant: Plant, tmp_path: Path
) -> None:
    """Times in the zone under each curve, what a limit is at its line, and one red for page and paper."""
    html = report(plant, tmp_path, "--rig", "rig-0002", "--set", "observe.timezone=Asia/Kolkata")
    card = next(one for one in html.split("<figure>") if "<b>CE</b>" in one)
    sheet = (resources.files("hydrodask.console") / "static" / "app.css").read_text(encoding="utf-8")

    assert re.findall(r'tick">(\d\d:\d\d)<', card) == ["09:30", "09:35", "09:40", "09:45", "09:50", "09:55"]
    assert re.findall(r'limit">([^<]+)<', card) == ["▲ &lt; 37", "■ &lt; 23.5"]
    assert set(re.findall(r"#[0-9a-f]{6}", card)) == {COLOURS["critical"], COLOURS["warning"]}
    assert all(f"--{name}: {COLOURS[name]};" in sheet for name in ("critical", "warning", "critical-text"))


def test_what_is_open_is_shaded_up_to_the_newest_values(tmp_path: Path) -> None:
    """What comes after these nobody knows, although the axis goes on."""
    plant = made(tmp_path / "open", rigs=3, minutes=67, sets=())
    documents = open_documents(plant.settings)
    [still] = documents.find("incidents", {"rig": "rig-0003", "rule": "component_state", "status": "open"}, limit=1)
    documents.close()
    sheet = report(plant, tmp_path, "--rig", "rig-0003", "--since", "2026-11-29T05:05:00Z")
    row = next(one for one in sheet.split("<tr>") if one.startswith("<td>pump</td>"))
    ends = [float(x) + float(wide) for x, wide in re.findall(r'<rect x="([\d.]+)" y="0" width="([\d.]+)"', row)]

    assert len(ends) >= 1, still["message"]
    assert max(ends) < 1_000


def test_a_day_without_values_is_none(plant: Plant, tmp_path: Path) -> None:
    """It is said which days there are, and no file is written."""
    said = report(plant, tmp_path, "--rig", "rig-0002", "--day", "2020-01-01")

    assert "nothing is known of rig-0002 between 2020-01-01 00:00 – 2020-01-02 00:00 UTC" in said
    assert "there are values of 2026-11-30" in said
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_printed_by_a_browser_that_is_there(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--pdf` writes one beside the HTML; where there is no browser that is said, and nothing is written."""
    with monkeypatch.context() as alone:
        alone.setenv("PATH", str(tmp_path))
        assert "needs a Chromium" in report(plant, tmp_path, "--rig", "rig-0002", "--pdf")
    assert list(tmp_path.iterdir()) == []
    needs(there=shutil.which("chromium") is not None, what="there is no chromium on the PATH: apt-get install chromium")
    report(plant, tmp_path, "--rig", "rig-0002", "--pdf")

    pdf = (tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 20_000


def test_a_shift_is_of_all_rigs(plant: Plant, tmp_path: Path) -> None:
    """The worst rig first, each with its strip; and what was answered."""
    html = report(plant, tmp_path, "--since", "2026-11-30T04:00:00Z")

    assert html.index(">rig-0002<") < html.index(">rig-0001<")
    assert html.count('class="strip"') == 2
    assert "rig-0002: CE cooler failing" in html
    assert "note by anna" in html


@pytest.mark.parametrize("words", [("--rig", "rig-0002"), ()])
def test_a_report_loads_and_runs_nothing(plant: Plant, tmp_path: Path, words: tuple[str, ...]) -> None:
    """By a policy in the file, under which no style of an element counts either; and there is nothing to load."""
    html = report(plant, tmp_path, *words)

    assert f'content="{POLICY}"' in html
    assert "default-src 'none'" in POLICY
    assert "unsafe" not in POLICY
    assert re.findall(r"<(script|link|img|iframe|object)\b|\b(?:src|href|style|on\w+)=", html) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rig", "rig-0020"), "did you mean rig-0002?"),
        (("--rig", "rig-0002", "--day", "today"), "--day has value"),
        (("--day", "2026-11-30"), "--day is for --rig"),
        (("--since", "2026-12-30"), "nothing is known after"),
    ],
)
def test_what_can_t_be_reported_is_said(plant: Plant, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """Each with what to give instead."""
    assert said in report(plant, tmp_path, *words)


def test_what_says_the_same_is_told_once() -> None:
    """Unless it is open, or somebody has answered it."""
    one = {"id": "a", "name": "TS4 stuck", "severity": "warning", "open": False, "notes": []}
    one |= {"ack": None, "cause": None, "muted": None}

    assert [len(group) for group in alike([one, one | {"id": "b"}, one | {"id": "c", "open": True}])] == [2, 1]
