"""The status document and the command that reads it."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hydrodask import clock
from hydrodask.cli import status as command
from hydrodask.observe.example import LINKS, NOW_US, ExampleDocuments, example_overview, incident
from hydrodask.observe.status import (
    PARTITIONS_MAX,
    RUNS_KEPT,
    liveness,
    outdated,
    places_of,
    status_document,
)
from hydrodask.records import Upsert
from hydrodask.reports import CycleReport, Overview, PartitionReport
from hydrodask.settings import Settings
from hydrodask.settings.model import Documents
from hydrodask.store.documents import open_documents

AHEAD_US = 60_000_000
"""So that nobody takes a document for old before it is looked at."""

app = typer.Typer()
command.add_to(app)


@app.callback()
def _platform() -> None:
    """Make the command a sub-command, as in the real application."""


def status(folder: Path, *more: str) -> tuple[int, str]:
    """Return exit code and output of `status` on the stores in `folder`."""
    done = CliRunner().invoke(app, ["status", "--set", f"data_dir={folder}", *more], env={"COLUMNS": "160"})
    return done.exit_code, done.stdout


def leave(folder: Path, *, updated_us: int, state: str = "running") -> None:
    """Write what a run leaves behind."""
    overview = example_overview(trouble=True)
    overview.state = state
    body = status_document(overview, now_us=updated_us, links=LINKS)
    documents = open_documents(Settings(data_dir=folder))
    still = incident("cooler_failing")
    documents.write(
        [
            Upsert("status", overview.run_id, updated_us, body),
            Upsert("incidents", still.pop("_id"), 1, still),
        ]
    )
    documents.close()


def test_the_document_is_json_with_finite_numbers() -> None:
    """Even before the first report, and with records later than the last bucket."""
    overview = Overview("r", NOW_US)
    overview.latency_counts[-1] = 5

    for one in (overview, example_overview(2, trouble=True)):
        body = status_document(one, now_us=NOW_US)
        assert json.loads(json.dumps(body, allow_nan=False)) == body


def test_the_document_sums_up() -> None:
    """Totals, lag and delay are those of all partitions, trouble comes first."""
    body = status_document(example_overview(trouble=True), now_us=NOW_US)

    assert body["totals"]["late"] == 3
    assert body["lag"] == 5_000
    assert [part["state"] for part in body["partitions"][:3]] == ["stalled", "waiting", "running"]
    assert body["partitions"][0]["advice"].startswith("no record read")
    assert body["latency_s"] == {"p50": 0.2, "p99": 0.75}


def test_a_document_has_a_limited_size() -> None:
    """Partitions beyond the limit are counted."""
    parts = {("t", n): PartitionReport("monitor", "t", n) for n in range(PARTITIONS_MAX + 7)}
    body = status_document(Overview("r", NOW_US, partitions=parts), now_us=NOW_US)

    assert len(body["partitions"]) == PARTITIONS_MAX
    assert body["partitions_hidden"] == 7


def test_places_hide_passwords() -> None:
    """A URL with a password is shown without."""
    settings = Settings(documents=Documents(url="mongodb://me:secret@db:27017/"))

    assert places_of(settings)["documents"] == "mongodb://***@db:27017/"


@pytest.mark.parametrize(
    ("age_s", "state", "running", "says"),
    [
        (9, "running", True, "running, started 2026-01-01 00:00:00 UTC"),
        (11, "running", False, "not running since 2026-01-01 00:05:00 UTC: it ended without"),
        (1, "stopped", False, "not running: stopped at 2026-01-01 00:05:00 UTC"),
    ],
)
def test_liveness(age_s: int, state: str, says: str, *, running: bool) -> None:
    """A run that says goodbye, or nothing for ten seconds, is not running."""
    overview = example_overview()
    overview.state = state
    found = liveness(status_document(overview, now_us=NOW_US), NOW_US + age_s * clock.US_PER_S)

    assert found[0] is running
    assert found[1].startswith(says)


def test_documents_of_old_runs_go() -> None:
    """The newest runs stay, and those of other groups."""
    documents = ExampleDocuments()
    documents.collections["status"] = [
        {"_id": f"run-{n}", "revision": n, "updated_us": n, "group": "mine"} for n in range(RUNS_KEPT + 3)
    ]
    documents.collections["status"].append({"_id": "other", "revision": 0, "updated_us": 0, "group": "theirs"})

    assert {change.id for change in outdated(documents, "mine")} == {"run-0", "run-1", "run-2"}


def test_status_of_a_running_platform(tmp_path: Path) -> None:
    """State, workers, partitions with what to do, incidents and places are shown."""
    leave(tmp_path, updated_us=clock.now_us() + AHEAD_US)
    code, out = status(tmp_path)

    assert code == 0
    for part in ("running, started", "tcp://127.0.0.1:40001", "1 open", "hydraulic-PS1/0"):
        assert part in out
    for part in (
        "stalled",
        "the lake refuses: No space left",
        "lake",
        "/hydro",
        "consumed 223,405",
    ):
        assert part in out


def test_status_after_a_run(tmp_path: Path) -> None:
    """What ran last is shown, and since when it does not run."""
    leave(tmp_path, updated_us=NOW_US, state="stopped")
    code, out = status(tmp_path)

    assert code == 0
    assert "not running: stopped at 2026-01-01 00:05:00 UTC" in out
    assert "stopped at 2026-01-01 05:35:00 IST" in status(tmp_path, "--set", "observe.timezone=Asia/Kolkata")[1]


def test_status_names_what_deserves_a_look(tmp_path: Path) -> None:
    """A rig of which nothing is known yet deserves none, and is not named."""
    overview = example_overview(1)
    next(iter(overview.partitions.values())).usual = {
        "a": CycleReport("unusual", 9.0, 4.5, 70),
        "b": CycleReport("learning", 0.0, 4.5, 0),
    }
    documents = open_documents(Settings(data_dir=tmp_path))
    body = status_document(overview, now_us=clock.now_us(), links=LINKS)
    documents.write([Upsert("status", overview.run_id, clock.now_us(), body)])
    documents.close()
    code, out = status(tmp_path)

    assert code == 0
    assert "a (70 of 100: cycle unusual)" in out
    assert "learning" not in out


def test_status_as_json(tmp_path: Path) -> None:
    """One document, with what a machine needs to decide."""
    leave(tmp_path, updated_us=clock.now_us() + AHEAD_US)
    code, out = status(tmp_path, "--json")

    found = json.loads(out)
    assert code == 0
    assert found["running"] is True
    assert found["open_incidents"] == 1
    assert found["places"]["lake"] == str(tmp_path / "lake")


def test_status_where_nothing_has_run(tmp_path: Path) -> None:
    """A clear sentence and exit code 1; nothing is created by looking."""
    code, out = status(tmp_path / "none")

    assert code == 1
    assert "nothing has ever run here" in out
    assert not (tmp_path / "none").exists()
    code, out = status(tmp_path / "none", "--json")
    assert code == 1
    assert json.loads(out)["running"] is False
