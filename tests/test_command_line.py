"""The command line as people use it: what Tab offers, what was meant, what is new, and Ctrl-C at any stage."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from typer.testing import CliRunner

from hydrodask.cli import anomalies, incidents
from hydrodask.cli.looking import DocumentQuery, NewDocuments, cells
from hydrodask.cli.main import app
from hydrodask.clock import Zone, parse_iso
from hydrodask.doors.local import local_cluster
from hydrodask.ingest.simulator import Fleet
from hydrodask.ingest.simulator.faults import FaultPlan
from hydrodask.observe.example import incident
from hydrodask.records import Remove, Upsert
from hydrodask.settings import CONF, Settings
from hydrodask.settings.model import Cluster
from hydrodask.store.documents.sqlite import SqliteDocuments
from tests.test_cli import data_in


def invoke(*words: str) -> str:
    """Return what a command prints, in this process."""
    done = CliRunner().invoke(app, list(words), prog_name="hydrodask", catch_exceptions=True)
    return done.output + (str(done.exception) if done.exception else "")


def offered(line: str) -> list[str]:
    """Return what a shell is offered for the last word of a line."""
    words = line.split(" ")
    environ = {"_HYDRODASK_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    return CliRunner().invoke(app, [], prog_name="hydrodask", env=environ).stdout.split()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a data folder with incidents of two rigs, one of them critical and open."""
    put(tmp_path, incident("cooler_failing", opened_at="2026-01-01T00:02:30Z", windows=3))
    put(tmp_path, incident("pump_leakage", rig="rig-2", severity="warning", resolved=True, windows=1))
    return tmp_path


def put(folder: Path, document: dict[str, object]) -> None:
    """Write an incident into the documents of a data folder."""
    body = {name: value for name, value in document.items() if name not in ("_id", "revision")}
    name = f"{document['rig']}/{document['sensor']}/{document['rule']}"
    documents = SqliteDocuments(folder / "documents.sqlite", timeout_s=60.0)
    documents.write([Upsert("incidents", name, int(str(document["revision"])), body)])
    documents.close()


def test_the_version_is_told() -> None:
    """With the digest of the sources, which tells two checkouts of one version apart."""
    assert invoke("--version").startswith("hydrodask 0.")


def test_tab_offers_values(store: Path) -> None:
    """Profiles, services, targets, settings out of the package; rigs and rules out of what is stored."""
    sets = f"--set data_dir={store}"

    assert offered("hydrodask run --profile local-se") == ["local-secure", "local-services"]
    assert offered("hydrodask services up ka") == ["kafka"]
    assert offered("hydrodask train --target co") == ["cooler"]
    assert offered("hydrodask run --set window.sl") == ["window.slide="]
    assert offered("hydrodask run --faults faults-f") == ["faults-fleet.yaml"]
    assert offered(f"hydrodask incidents {sets} --rig rig") == ["rig-1", "rig-2"]
    assert offered(f"hydrodask anomalies {sets} --rule pump") == ["pump_leakage"]
    assert offered("hydrodask incidents --set data_dir=/proc/none --rig r") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("config", "check", "--set", "window.lenght=5"), "did you mean window.length?"),
        (("config", "check", "--set", "windows.slide=5"), "did you mean window.slide?"),
        (("services", "status", "kafak"), "did you mean kafka?"),
        (("incidents", "--severity", "critcal"), "did you mean critical?"),
        (("incidents", "--since", "yesterday"), "want for example 8h, 06:00"),
        (("config", "check", "--set", "observe.timezone=Berlin"), "a name like Europe/Berlin"),
    ],
)
def test_a_name_that_is_misspelt_is_guessed(words: tuple[str, ...], said: str) -> None:
    """The sentence says what was meant, or what would be understood."""
    assert said in invoke(*words)


def test_a_misspelt_variable_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is the environment's."""
    monkeypatch.setenv("HYDRODASK_KAFKA__BOOTSTRAPS", "x:1")

    assert "did you mean kafka.bootstrap?" in invoke("config", "check")


@pytest.mark.parametrize(
    ("options", "rigs"),
    [
        (["--severity", "critical"], ["rig-1"]),
        (["--rule", "pump_leakage"], ["rig-2"]),
        (["--since", "2026-01-01T01:04:00+01:00"], ["rig-1", "rig-2"]),
        (["--since", "2026-01-01T01:04:01+01:00"], ["rig-1"]),
        (["--since", "2026-01-01"], ["rig-1", "rig-2"]),
        (["--since", "1h"], ["rig-1"]),
        (["--since", "1h", "--severity", "warning"], []),
    ],
)
def test_incidents_are_chosen(store: Path, options: list[str], rigs: list[str]) -> None:
    """By severity, by rule, by when they were: what is open is so now, however old the recording is."""
    found = json.loads(invoke("incidents", "--json", "--set", f"data_dir={store}", *options))

    assert sorted(one["rig"] for one in found) == rigs


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("incidents", "--rule", "pump_leakage", "--since", "2026-01-02"),
            ["No incidents of rule 'pump_leakage' since 2026-01-02 00:00:00 IST in sqlite", "2026-01-01 05:32:30 IST"],
        ),
        (("incidents", "--rig", "rig-001"), ["Nothing is known of rig 'rig-001'; did you mean rig-1?"]),
        (("anomalies", "--rule", "coler_failing"), ["No anomalies of rule", "did you mean cooler_failing?"]),
        (("incidents", "--open", "--rig", "rig-2"), ["No open incidents of rig 'rig-2' in"]),
        (("components", "rig-001"), ["No changes of components of rig 'rig-001'", "did you mean rig-1?"]),
    ],
)
def test_nothing_found_says_what_was_asked_for(store: Path, words: tuple[str, ...], said: list[str]) -> None:
    """In people's words: since when, how new the newest is, and which name may have been meant."""
    documents = SqliteDocuments(store / "documents.sqlite", timeout_s=60.0)
    documents.write([Upsert("status", "run-1", 1, {"group": "g", "updated_us": 1})])
    documents.close()
    text = invoke(*words, "--set", f"data_dir={store}", "--set", "observe.timezone=Asia/Kolkata")

    assert [one for one in said if one not in text] == [], text
    assert "_changes" not in text
    assert "None" not in text


def test_csv_is_for_spreadsheets(store: Path) -> None:
    """A row an incident under a header; a rig that is called like a formula stays a name."""
    put(store, incident("stuck", rig='=HYPERLINK("x")', windows=1))
    rows = list(csv.DictReader(io.StringIO(invoke("incidents", "--csv", "--set", f"data_dir={store}"))))

    assert {row["rig"] for row in rows} == {"rig-1", "rig-2", '\'=HYPERLINK("x")'}
    assert {row["opened_at"] for row in rows} == {"2026-01-01T00:02:30Z"}


def test_times_are_shown_in_the_zone_of_the_setting(store: Path) -> None:
    """Tables name the zone; JSON stays in UTC."""
    sets = ("--set", f"data_dir={store}", "--set", "observe.timezone=Asia/Kolkata")
    shown = invoke("incidents", *sets)

    assert "Asia/Kolkata" in shown
    assert "05:32:30" in shown
    assert "T00:02:30Z" in invoke("incidents", "--json", *sets)


@pytest.mark.parametrize("name", ["UTC", "local", "America/New_York"])
def test_a_time_of_day_is_the_last_one(name: str) -> None:
    """`06:00` is never in the future, and at most a day ago; a summer that begins may add an hour."""
    now_us, zone = parse_iso("2026-03-08T12:00:00Z"), Zone(name)
    for time in ("00:00", "06:00", "23:59"):
        found = zone.today(time, now_us)

        assert 0 <= now_us - found <= 25 * 3_600_000_000
        assert zone.text(found)[11:16] == time


def test_following_shows_what_comes_until_ctrl_c(store: Path) -> None:
    """What is there, the oldest first; then what is new; Ctrl-C is how it ends, so that is no failure."""
    command = [sys.executable, "-m", "hydrodask", "incidents", "--follow", "--csv", "--rig", "rig-1"]
    with subprocess.Popen(
        [*command, "--set", f"data_dir={store}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        put(store, incident("cooler_failing", opened_at="2026-01-01T00:02:30Z", resolved=True, windows=9, revision=5))
        lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=200)

    assert [line.split(",")[2] for line in lines] == ["status", "open", "resolved"]
    assert (process.returncode, said) == (0, "")


def test_nothing_is_left_out_silently(store: Path) -> None:
    """All since a time and all as CSV; of a list without these the newest, and that there are more is said."""
    many(store, 30)
    of = ("--set", f"data_dir={store}")

    assert len(json.loads(invoke("incidents", "--json", "--since", "2026-01-01", *of))) == 32
    assert len(invoke("incidents", "--csv", *of).splitlines()) == 33
    listed = CliRunner().invoke(app, ["incidents", "--json", *of])
    assert (len(json.loads(listed.stdout)), "--limit" in listed.stderr) == (20, True)
    assert len(invoke("incidents", "--csv", "--limit", "5", *of).splitlines()) == 6


def many(folder: Path, count: int, *, of: str = "many", day: int = 1) -> None:
    """Write open incidents of as many rigs."""
    documents = SqliteDocuments(folder / "documents.sqlite", timeout_s=60.0)
    body = incident("stuck", opened_at=f"2026-01-{day:02}T00:02:30Z", windows=1)
    del body["_id"], body["revision"]
    name = f"{of}-{{:02}}"
    documents.write([Upsert("incidents", name.format(n), 1, body | {"rig": name.format(n)}) for n in range(count)])
    documents.close()


def test_following_misses_no_new_one_and_no_end(store: Path) -> None:
    """More new ones than a page holds are all told, and the end of one that has long left it."""
    where = {"severity": "critical", "status": "open"}
    look = DocumentQuery(collection="incidents", newest="opened_at", columns=(), where=where, since_us=None, limit=2)
    effective = Settings(data_dir=store)
    news = NewDocuments(look, page=4)

    assert [one["rig"] for one in news.read(effective)] == ["rig-1"]
    many(store, 11, day=2)
    assert sorted(one["rig"] for one in news.read(effective)) == [f"many-{n:02}" for n in range(11)]
    put(store, incident("cooler_failing", opened_at="2026-01-01T00:02:30Z", resolved=True, windows=9, revision=5))
    assert [(one["rig"], one["status"]) for one in news.read(effective)] == [("rig-1", "resolved")]
    assert news.read(effective) == []


def test_following_begins_with_the_newest_and_tells_no_older_one(store: Path) -> None:
    """Those that were there are shown up to the limit; what moves up when others go away is old, and none of them."""
    many(store, 11, day=2)
    look = DocumentQuery(collection="incidents", newest="opened_at", columns=(), where={}, since_us=None, limit=2)
    news = NewDocuments(look, page=4)

    assert len(news.read(Settings(data_dir=store))) == 2
    documents = SqliteDocuments(store / "documents.sqlite", timeout_s=60.0)
    documents.write([Remove("incidents", f"many-{n:02}", 2) for n in range(11)])
    documents.close()
    assert news.read(Settings(data_dir=store)) == []


def test_following_tells_what_came_to_nothing(store: Path) -> None:
    """A provisional incident that is there no more is told once, unless another took its place or it was never told."""
    look = DocumentQuery(
        collection="incidents", newest="opened_at", columns=incidents.COLUMNS, where={}, since_us=None, limit=None
    )
    effective, news = Settings(data_dir=store), NewDocuments(look)
    news.read(effective)
    documents = SqliteDocuments(store / "documents.sqlite", timeout_s=60.0)

    def doubtful(name: str, rig: str, minute: int) -> Upsert:
        body = incident("stuck", opened_at=f"2026-01-03T00:{minute:02}:00Z", windows=1) | {"provisional": True}
        return Upsert("incidents", name, 2, {**body, "_id": name, "rig": rig})

    documents.write([doubtful("nothing", "rig-7", 5), doubtful("younger", "rig-8", 6)])
    assert len(news.read(effective)) == 2
    documents.write([doubtful("never", "rig-9", 7), Remove("incidents", "never", 3)])
    documents.write([doubtful("older", "rig-8", 5), *(Remove("incidents", name, 3) for name in ("nothing", "younger"))])
    told = news.read(effective)
    assert [(one["rig"], one["status"]) for one in told] == [("rig-7", "withdrawn"), ("rig-8", "open")]
    assert news.read(effective) == []
    documents.close()

    line = incidents._line(told[0], Zone("UTC"))
    assert line.startswith("2026-01-03 00:05:00 withdrawn, it came to nothing: "), line


def test_following_anomalies_tells_what_came_to_nothing(store: Path) -> None:
    """One that was provisional and is there no more, in line, JSON and CSV; one that became final is no such thing."""
    look = DocumentQuery(
        collection="anomalies", newest="window_start", columns=anomalies.COLUMNS, where={}, since_us=None, limit=None
    )
    effective, news = Settings(data_dir=store), NewDocuments(look)
    news.read(effective)
    documents = SqliteDocuments(store / "documents.sqlite", timeout_s=60.0)
    body: dict[str, Any] = {"rig": "rig-7", "sensor": "CE", "rule": "stuck", "severity": "warning"}
    body |= {"message": "it stands", "window_start": "2026-01-03T00:05:00Z", "provisional": True}
    documents.write([Upsert("anomalies", name, 2, {**body, "_id": name}) for name in ("nothing", "sure")])
    assert len(news.read(effective)) == 2
    final = Upsert("anomalies", "sure", 3, {**body, "_id": "sure", "provisional": False})
    documents.write([Remove("anomalies", "nothing", 3), final])
    told = news.read(effective)
    documents.close()

    assert [(one["_id"], one.get("status")) for one in told] == [("nothing", "withdrawn"), ("sure", None)]
    assert "withdrawn, it came to nothing: warning rig-7/CE stuck" in anomalies._line(told[0], Zone("UTC"))
    assert [cells(one, anomalies.COLUMNS)[-1] for one in told] == ["withdrawn", ""]


STAGES = {
    "imports": (["run"], "typer.main"),
    "the broker is there": (["run"], "embedded broker on"),
    "workers start": (["run"], "starting the Dask cluster"),
}
"""When Ctrl-C comes → what runs, and what it has said last."""


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_leaves_no_trace(tmp_path: Path, stage: str) -> None:
    """At any stage, though a terminal sends it to each process of the group."""
    words, said = STAGES[stage]
    command = [sys.executable, "-X", "importtime", "-m", "hydrodask", *words, *data_in(tmp_path)]
    with subprocess.Popen(
        [*command, "--set", "console.address=null"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        before = next(line for line in process.stderr if said in line)
        os.killpg(process.pid, signal.SIGINT)
        text = before + process.stderr.read()

    assert "Traceback" not in text
    assert "KeyboardInterrupt" not in text
    assert process.returncode in (-signal.SIGINT, 128 + signal.SIGINT, 0)


@pytest.mark.cluster
def test_workers_never_hear_ctrl_c() -> None:
    """Not even before their first line of Python: they are born with the signal blocked."""
    with (
        local_cluster(Cluster(), workers=1, silence_logs=50) as cluster,
        Client(cluster, security=cluster.security) as client,
    ):
        [pid] = client.run(os.getpid).values()
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    [mask] = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk")]

    assert mask >> (signal.SIGINT - 1) & 1


def test_each_rig_of_the_fleet_has_a_fault_of_its_own() -> None:
    """Ten of twelve rigs are named once each, and after ten minutes their components differ."""
    plan = FaultPlan.load(CONF / "faults-fleet.yaml")
    named = [one.rig for one in (*plan.components, *plan.sensors, *plan.transports)]
    fleet = Fleet(rigs=12, seed=1, start_us=0, faults=plan, default_rig="rig-1")
    states = {
        label.rig: (label.cooler, label.valve, label.pump, label.accumulator)
        for second in range(240, 300)
        for label in fleet.labels(second)
    }

    assert sorted(str(rig) for rig in named) == [f"rig-{i:04d}" for i in range(1, 11)]
    assert len({states[f"rig-{i:04d}"] for i in range(2, 6)}) == 4
    assert states["rig-0011"] == states["rig-0012"]


def test_run_takes_a_fleet_and_its_faults(tmp_path: Path) -> None:
    """As `simulate` does: the options are those settings."""
    said = invoke("run", "--rigs", "12", "--faults", "nowhere.yaml", *data_in(tmp_path))

    assert "source.faults" in said
    assert "nowhere.yaml" in said


def test_faults_of_rigs_that_are_not_simulated_are_refused(tmp_path: Path) -> None:
    """Those that are missing and those that are there are named; nothing has been started."""
    few = invoke("run", "--rigs", "7", "--faults", "faults-fleet.yaml", *data_in(tmp_path))
    one = invoke("run", "--faults", "faults-fleet.yaml", *data_in(tmp_path))

    assert "'faults-fleet.yaml', which is of rig-0008, rig-0009, rig-0010; with source.rigs 7" in few
    assert "there are rig-0001 to rig-0007" in few
    assert "which is of rig-0001, rig-0002, rig-0003, 7 more; with source.rigs 1 there is rig-1" in one
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("code", [0, 1])
def test_make_install_says_how_far_it_is(tmp_path: Path, code: int) -> None:
    """Not silent for minutes, nor hundreds of lines; when pip fails, all that it has said."""
    pip = tmp_path / "pip"
    names = [f"p{i}" for i in range(45)]
    said = "".join(f"echo 'Collecting {name}==1 (from -r x)'\n" for name in names)
    ending = f"echo 'Installing collected packages: all'\necho 'ERROR: none' >&2\nexit {code}\n"
    pip.write_text(f'#!/bin/sh\n[ "$1" = --quiet ] && exit 0\n{said}{ending}')
    pip.chmod(0o755)
    for name in ("requirements.lock", "pyproject.toml", ".venv/bin/python"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("".join(f"{name}==1 \\\n    --hash=sha256:0\n" for name in names))
    makefile = Path(__file__).parents[1] / "Makefile"
    command = ["make", "-f", str(makefile), ".venv/.runtime-installed", f"PIP={pip}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)

    assert (done.returncode == 0) == (code == 0), done.stderr
    assert "  21 of 45 packages: p20==1\n" in done.stdout
    assert "installing them" in done.stdout
    assert ("ERROR: none" in done.stdout) == (code == 1)
    assert ("Collecting p3" in done.stdout) == (code == 1)
