"""Hostile names are data: no name leaves its folder, changes a question, becomes markup, or moves a terminal."""

import io
import json
import logging
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table
from rich.text import Text

from hydrodask import kafka as clients
from hydrodask import redaction
from hydrodask.cli import dlq
from hydrodask.cli.common import Visible
from hydrodask.clock import iso
from hydrodask.decode.labels import decode_label
from hydrodask.decode.manner import Manner
from hydrodask.errors import ConfigError
from hydrodask.observe import page, points
from hydrodask.observe.figures import Newest
from hydrodask.observe.metrics import OverviewCollector
from hydrodask.observe.terminal import LiveView
from hydrodask.records import Upsert
from hydrodask.reports import Overview
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Cluster, Kafka, Lake, Observe, Source
from hydrodask.store.documents import Documents, open_documents
from tests.delivery import ROOT
from tests.running import folder, run_to_idle
from tests.test_bad_input import dead_letters, headers_of
from tests.test_documents import as_admin

NAMES = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "'; DROP TABLE documents; --",
    "' OR '1'='1",
    '{"$ne": null}',
    "$where",
    "$ROOT.a",
    "../../../etc/passwd",
    "..",
    "/etc/passwd",
    "a/b\\c:d|e?f*g",
    "sensor=PS2",
    "[bold red]x[/]",
    "{rig} %s %(x)s {0}",
    'a,b=c d"e',
    "__proto__",
    "ünïcode Ω",
)
"""Names that a rig may have."""

MOVING = (
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "a\u202eb",
    "a\u2066b",
    "a\nb",
    "a\r\nSet-Cookie: x",
    "a\0b",
    "\u200b",
    "\x9b2J",
)
"""Names that no rig may have: they are not seen, or move what is."""

START_US = 1_767_225_600_000_000
SECONDS = 100
ALLOWED_PATH = re.compile(r"[\w.=/-]+")


def sample(rig: str, second: int, **changed: object) -> bytes:
    """Return a record of an oil that is far too hot."""
    row: dict[str, Any] = {
        "sensor": "TS1", "cycle": second // 60, "sample_idx": second % 60, "value": 90.0,
        "timestamp": iso(START_US + second * 1_000_000)[:-1], "sampling_rate_hz": 1, "rig": rig,
    }  # fmt: skip
    return json.dumps(row | changed).encode()


@dataclass
class Left:
    """What a run has left of hostile records."""

    settings: Settings
    overview: Overview
    letters: list[clients.Message]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Run a platform on rigs, sensors, keys, headers and labels with hostile names."""
    data = tmp_path_factory.mktemp("hostile") / "data"
    settings = Settings(
        data_dir=data, cluster=Cluster(dashboard="127.0.0.1:0"), source=Source(kind="none"), lake=Lake(roll_age=1.0)
    )
    letters: list[clients.Message] = []
    dead = [sample(name, 0) for name in MOVING] + [sample("rig-1", 0, sensor=name) for name in (*NAMES, *MOVING)]

    def publish(kafka: Kafka) -> None:
        producer = clients.producer(kafka)
        for second in range(SECONDS):
            for name in NAMES:
                headers: Any = [("reason", name.encode()), (name, b"../x"), ("topic", b"\x1b[2J")]
                producer.produce("hydraulic-TS1", sample(name, second), name.encode(), 0, headers=headers)
        for value in dead:
            producer.produce("hydraulic-TS1", value, b"\x1b[2J../../x", 0, headers=[("reason", b"forged")])
        assert producer.flush(60) == 0

    def collect(kafka: Kafka) -> None:
        letters.extend(dead_letters(kafka, "hydraulic-dead-letter", len(dead)))

    overview = run_to_idle(settings, publish, collect)
    assert len(letters) == len(dead)
    return Left(settings, overview, letters)


@pytest.mark.cluster
def test_rigs_keep_their_names_in_the_lake_and_out_of_its_paths(left: Left) -> None:
    """Each rig's windows are there under just its name; no name is part of a path, and nothing lies elsewhere."""
    rows = folder(left.settings.data_dir, "windows")
    paths = [path.relative_to(left.settings.data_dir).as_posix() for path in left.settings.data_dir.rglob("*")]

    assert set(rows["rig"].to_pylist()) == set(NAMES)
    assert [path for path in paths if not ALLOWED_PATH.fullmatch(path)] == []
    assert {path.split("=")[1].split("/")[0] for path in paths if "sensor=" in path} == {"TS1"}
    assert [path.name for path in left.settings.data_dir.parent.iterdir()] == ["data"]


@pytest.mark.cluster
def test_names_that_move_terminals_are_dead_letters(left: Left) -> None:
    """And sensors that are none. The reason is ours, whatever the record's own headers say, and can be shown."""
    said = [headers_of(letter) for letter in left.letters]

    assert all(set(headers) == {"reason", "topic", "partition", "offset"} for headers in said)
    assert {headers["topic"] for headers in said} == {b"hydraulic-TS1"}
    reasons = [headers["reason"].decode() for headers in said]
    assert [reason for reason in reasons if not reason.isprintable()] == []
    assert sum("rig is empty or has unprintable characters" in reason for reason in reasons) == len(MOVING)
    assert "forged" not in reasons


@pytest.mark.cluster
def test_a_name_is_no_question_to_the_documents(left: Left) -> None:
    """Who asks for a rig gets this one's incidents, and of a name that nobody has none."""
    with closing(open_documents(left.settings)) as documents:
        found = {name: documents.find("incidents", {"rig": name}, limit=99) for name in (*NAMES, *MOVING, "%", "_", "")}

    assert {name for name, rows in found.items() if rows} == set(NAMES)
    assert all(row["rig"] == name for name, rows in found.items() for row in rows)


@pytest.mark.cluster
def test_metrics_have_each_rig_as_it_is(left: Left) -> None:
    """What a scrape gives is well formed, and its labels are the names."""
    registry = CollectorRegistry()
    newest = Newest(lambda: left.overview, "hydraulic-", len(NAMES))
    registry.register(OverviewCollector(newest, lambda: 0))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    rigs = {one.labels["rig"] for family in families for one in family.samples if "rig" in one.labels}

    assert rigs == set(NAMES)


@pytest.mark.cluster
@pytest.mark.parametrize(
    "command", [["incidents", "--limit", "99"], ["anomalies"], ["status"], ["incidents", "--rig", NAMES[4]]], ids=str
)
def test_commands_print_what_can_be_seen(left: Left, command: list[str]) -> None:
    """Nothing that moves a terminal, and no markup that is obeyed."""
    done = subprocess.run(
        [sys.executable, "-m", "hydrodask", *command, "--set", f"data_dir={left.settings.data_dir}"],
        cwd=ROOT, env=os.environ | {"COLUMNS": "250"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert seen(done.stdout)
    if "--limit" in command:
        assert "[bold red]x[/]/TS1" in done.stdout


@pytest.mark.cluster
def test_view_and_page_show_names_as_text(left: Left) -> None:
    """The live view draws no escapes, the page's HTML has no name in it."""
    with closing(open_documents(left.settings)) as documents:
        view = LiveView(lambda: left.overview, documents, left.settings, {})
        view.refresh()
        rows = view.rows(200, 60)
    shown = points.point(left.overview, now_us=START_US, observe=Observe(rigs_max=len(NAMES)))

    assert all(text.isprintable() for row in rows for text, _style in row)
    assert "<script>" not in page.headline(shown)
    assert set(shown["rigs"]) == set(NAMES)


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=pytest.mark.integration)])
def documents(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Documents]:
    """Return a store of each kind."""
    settings = load(sets=[f"data_dir={tmp_path}"], environ={})[0]
    if request.param == "mongodb":
        own = as_admin(request.getfixturevalue("mongodb"), f"test-{uuid.uuid4().hex}")
        settings = settings.model_copy(update={"documents": own})
    with closing(open_documents(settings)) as opened:
        yield opened


def test_stores_keep_hostile_text_as_it_is(documents: Documents) -> None:
    """As a value, also one that looks like an operator, and as an id; each is found under just its own name."""
    names = [name for name in (*NAMES, *MOVING) if "\0" not in name]  # which SQLite cuts, and no rig can have
    documents.write([Upsert("anomalies", f"hostile {n}", 1, {"rig": n, "message": n, "sensor": "TS1"}) for n in names])

    for name in names:
        found = documents.find("anomalies", {"rig": name}, limit=99)
        assert [(one["_id"], one["rig"], one["message"]) for one in found] == [(f"hostile {name}", name, name)]


@pytest.mark.parametrize("name", MOVING)
def test_terminals_are_not_moved(name: str) -> None:
    """By no command's output or log, whatever a document, a dead letter or a broker has given it."""
    out, table = io.StringIO(), Table("rig")
    console = Visible(file=out, width=200)
    table.add_row(Text(name))
    console.print(table)
    console.print(Text(dlq._said(name.encode()) or ""))
    record = logging.LogRecord("x", logging.WARNING, "f", 1, "rig %s", (name,), None)
    redaction.know("makes logs pass by us")

    assert seen(out.getvalue())
    assert seen(logging.Formatter().format(record))


@pytest.mark.parametrize("name", [*MOVING, ""])
def test_labels_of_no_rig_are_dead_letters(name: str) -> None:
    """A label's rig is a name like a sample's."""
    label = {
        "cycle": 1,
        "cooler": 3,
        "valve": 100,
        "pump": 0,
        "accumulator": 130,
        "stable": 0,
        "timestamp": 1767225660.0,
    }

    with pytest.raises(ValueError, match="rig is empty or has unprintable characters"):
        decode_label(json.dumps(label | {"rig": name}).encode(), None, Manner.of(Settings()))


@pytest.mark.parametrize("name", ["../x", "a b", "<b>", "a\x1b", "$ne", "a/b"])
def test_topics_have_no_such_prefix(name: str) -> None:
    """A prefix is part of topics and paths."""
    with pytest.raises(ConfigError, match=r"topics\.prefix"):
        load(sets=[f"topics.prefix={json.dumps(name)}"], environ={})


def seen(text: str) -> bool:
    """Say whether all of a text is seen as it is."""
    return all(char.isprintable() or char in "\n\t" for char in text)
