"""The site builds strictly and loads nothing from elsewhere; nothing lacks its section; the tutorial is true."""

import re
from pathlib import Path

import msgspec
import pytest

from docs.pages import site
from docs.pages.commands import exit_codes
from docs.pages.documents import examples
from docs.pages.meanings import COLUMNS, DOCUMENTS, FIELDS, HEADERS
from docs.pages.metrics import every_metric
from docs.pages.packages import EXTRAS, extras
from docs.pages.reference import every_page
from docs.pages.stage import OWN
from docs.pages.topics import LAYOUTS
from hydrodask.cli.main import COMMANDS
from hydrodask.nodes.outgoing import dead_letter
from hydrodask.records import Reject
from hydrodask.settings import CONF, Settings
from hydrodask.settings.load import flatten, read_yaml
from hydrodask.store.documents.base import COLLECTIONS
from hydrodask.store.schemas import FOLDERS, empty
from tests.tutorial import blocks, follow

TUTORIAL = site.ROOT / "docs" / "tutorial"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built site."""
    to = tmp_path_factory.mktemp("site")
    assert site.build(to) == []
    return to


def test_the_site_builds_and_loads_nothing_from_elsewhere(built: Path) -> None:
    """Every link leads to something, every picture is there, no page needs another host."""
    assert len(list(built.rglob("*.html"))) > 20
    assert list(site.wrong(built)) == []


def test_what_is_loaded_from_elsewhere_is_found(tmp_path: Path) -> None:
    """A font, a script or a picture of another host is named, and so is a picture that is not there."""
    (tmp_path / "a.html").write_text(
        '<script src="https://x.example/a.js"></script><img src=b.svg><a href="https://y">y</a>'
    )
    (tmp_path / "a.css").write_text("@font-face { src: url(//z.example/f.woff2) }")

    assert list(site.wrong(tmp_path)) == [
        "a.css loads //z.example/f.woff2 from another host",
        "a.html loads https://x.example/a.js from another host",
        "a.html shows b.svg, which is not there",
    ]


def headings(page: str) -> dict[str, str]:
    """Return the text of each heading of a page of docs/ by its anchor."""
    lines = (site.ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    texts = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
    return {re.sub(r"[^a-z0-9_ -]", "", text.lower()).replace(" ", "-"): text for text in texts}


def test_each_alert_links_to_its_section() -> None:
    """Whoever is woken by an alert finds what to do behind its link."""
    rules = [rule for group in read_yaml(CONF / "prometheus" / "rules.yml")["groups"] for rule in group["rules"]]
    links = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules}

    assert links == {name: f"docs/runbook.md#{name.lower()}" for name in links}
    assert [name for name in links if headings("runbook.md").get(name.lower()) != name] == []


def test_each_exit_code_and_each_error_has_its_section() -> None:
    """So does whoever meets an error."""
    wanted = [f"Exit code {number}" for number, _, _ in exit_codes()]
    wanted += [one.__name__ for _, _, kinds in exit_codes() for one in kinds]

    assert len(wanted) == 6 + 11
    assert [name for name in wanted if name not in headings("runbook.md").values()] == []


def test_each_column_and_each_field_has_its_meaning() -> None:
    """The names on the reference pages are those of the code, and each is explained."""
    columns = {folder: set(empty(folder).schema.names) for folder in FOLDERS}
    documents = {name: set(body) for name, body in examples().items()}
    assert set(documents) == set(COLLECTIONS)
    fields = {name: {one.name for one in msgspec.structs.fields(layout)} for name, (_, layout) in LAYOUTS.items()}
    too_large = Reject("hydraulic-PS1", 0, 1, b"rig-1", b"x" * 100_000_000, "too large")
    headers = [name for name, _ in dead_letter(Settings(), too_large).headers]

    assert {folder: set(known) - {""} for folder, known in COLUMNS.items()} == columns
    assert {name: set(known) - {""} for name, known in DOCUMENTS.items()} == documents
    assert {name: set(known) for name, known in FIELDS.items()} == fields
    assert list(HEADERS) == headers


def test_each_setting_each_metric_and_each_command_is_on_its_page() -> None:
    """What the reference pages know is all that there is."""
    made = every_page()
    listed = flatten(read_yaml(CONF / "default.yaml"))

    assert [key for key in listed if f"`{key}`" not in made["reference/settings.md"]] == []
    assert [one.name for one in every_metric() if f"`{one.name}" not in made["reference/metrics.md"]] == []
    assert [name for name in COMMANDS if f"\n## {name}" not in made["reference/commands.md"]] == []
    assert [name for name in extras() if name not in EXTRAS] == []


def test_each_page_is_in_the_menu(built: Path) -> None:
    """A page that nobody finds is none."""
    assert built.exists()
    places = {path.relative_to(site.STAGED).as_posix() for path in site.STAGED.rglob("*.md")}

    assert places == set(re.findall(r"[\w/-]+\.md", site.CONFIG.read_text(encoding="utf-8").partition("nav:")[2]))


def test_each_file_that_a_page_names_is_there() -> None:
    """Whoever follows a page into the code finds the files that it names."""
    named = re.compile(r"`((?:hydrodask|flows|conf|tests|benchmarks|cluster)/[\w./-]+)`")
    pages = [*(site.ROOT / "docs").rglob("*.md"), *(site.ROOT / name for name in OWN)]
    missing = [
        f"{page.name}: {name}"
        for page in pages
        if page.name != "CHANGELOG.md"  # which tells of what was
        for name in named.findall(page.read_text(encoding="utf-8"))
        if not (site.ROOT / name).exists()
    ]

    assert missing == []


def test_the_tutorial_leaves_out_no_program() -> None:
    """A block of Python has a title, so it is a file, and a command of its page runs it or needs it."""
    for page in TUTORIAL.glob("*.md"):
        found, told = blocks(page), page.read_text(encoding="utf-8")
        programs = [block.title for block in found if block.language == "python"]

        assert None not in programs, page.name
        assert [name for name in programs if f"python {name}" not in told and page.stem != "own-flow"] == []


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_the_tutorial_is_true(tmp_path: Path) -> None:
    """Whoever does what its pages say, one after the other in one folder, sees what they show."""
    pages = re.findall(r"tutorial/[\w-]+\.md", site.CONFIG.read_text(encoding="utf-8"))
    (tmp_path / "hydrodask").symlink_to(site.ROOT)  # the clone, beside the folder that the reader makes
    (folder := tmp_path / "my-rig").mkdir()
    done = {page: follow(TUTORIAL.parent / page, folder) for page in pages}

    assert set(done) == {f"tutorial/{path.name}" for path in TUTORIAL.glob("*.md")}
    assert min(done.values()) > 0
