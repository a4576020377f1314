"""Commands look before they start: what can't work is one sentence and exit code 3, and nothing has begun by then."""

import fcntl
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from hydrodask.channels import CHANNELS
from hydrodask.doctor import machine, reach
from hydrodask.records import Upsert
from hydrodask.settings import load
from hydrodask.store.documents.sqlite import SqliteDocuments
from tests.test_cli import data_in, hydrodask

ANY_PORTS = ("observe.metrics=127.0.0.1:0", "cluster.dashboard=127.0.0.1:0")
UNKNOWN_SENSOR = """
rules:
  - {name: hot, sensor: "TS1, Temperature", statistic: avg, comparison: ">", enter: 80, severity: critical, message: x}
"""
UNKNOWN_STATISTIC = UNKNOWN_SENSOR.replace("TS1, Temperature", "TS1").replace("avg", "median")


def write_recording(folder: Path, cycles: int = 2, value: str = "1.5") -> Path:
    """Write a recording of equal values."""
    folder.mkdir()
    for name, channel in CHANNELS.items():
        (folder / f"{name}.txt").write_text(("\t".join([value] * channel.samples_per_cycle) + "\n") * cycles)
    (folder / "profile.txt").write_text("100\t100\t0\t130\t0\n" * cycles)
    return folder


def spoil(file: Path, row: int) -> Path:
    """Make one value of a row something that is no number; return the folder."""
    lines = file.read_text().splitlines()
    lines[row] = lines[row].replace("1.5", "x", 1)
    file.write_text("\n".join(lines) + "\n")
    return file.parent


def in_file(text: str) -> Callable[[Path], str]:
    """Return what writes a rules file and names it."""

    def write(folder: Path) -> str:
        (folder / "rules.yaml").write_text(text)
        return f"detect.rules={folder}/rules.yaml"

    return write


NAMED: dict[str, tuple[Callable[[Path], str], str]] = {
    "sensor of a rule": (in_file(UNKNOWN_SENSOR), "'TS1, Temperature'"),
    "statistic of a rule": (in_file(UNKNOWN_STATISTIC), "'median'"),
    "rules that are no file": (lambda _: "detect.rules=nowhere.yaml", "nowhere.yaml"),
    "rules that are a folder": (lambda folder: f"detect.rules={folder}", "could not read"),
    "statistic of a baseline": (lambda _: "detect.baseline.statistics=[median]", "'median'"),
    "faults": (lambda _: "source.faults=nowhere.yaml", "faults-demo.yaml"),
    "speed": (lambda _: "source.speed=fast", "'fast'"),
    "start": (lambda _: "source.start=tomorrow", "'tomorrow'"),
    "source": (lambda _: "source.kind=simulater", "simulator, recording:DIR or none"),
    "folder that is not there": (lambda folder: f"source.kind=recording:{folder}/none", "no such folder"),
    "folder without files": (lambda folder: f"source.kind=recording:{folder}", "PS1.txt"),
    "value of the last row": (
        lambda folder: f"source.kind=recording:{spoil(write_recording(folder / 'r', 8) / 'PS6.txt', 7)}",
        "PS6.txt row 8",
    ),
    "topics": (lambda _: "topics.each.PS9.partitions=2", "PS9"),
    "memory": (lambda _: "cluster.memory_limit=lots", "'lots'"),
}
"""What settings name → a setting that names something wrong, and a word of what is said."""


@pytest.mark.parametrize("what", NAMED)
def test_run_refuses_what_its_settings_name(tmp_path: Path, what: str) -> None:
    """Before anything starts, with one line; `config check` and `doctor` say the same."""
    setting, said = NAMED[what]
    sets = [*data_in(tmp_path), "--set", setting(tmp_path)]
    done = hydrodask("run", *sets, "--for", "1s")

    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("what", ["sensor of a rule", "folder that is not there"])
@pytest.mark.parametrize("command", [("config", "check"), ("doctor",)])
def test_all_commands_share_the_list(tmp_path: Path, what: str, command: tuple[str, ...]) -> None:
    """What `run` refuses, `config check` and `doctor` name too."""
    setting, said = NAMED[what]
    done = hydrodask(*command, *data_in(tmp_path), "--set", setting(tmp_path))

    assert done.returncode == 3
    assert said in done.stdout + done.stderr


PLACES: dict[str, tuple[str, str]] = {
    "lake below a file": ("lake.url={}/file/lake", "lake.url"),
    "lake that nobody can make": ("lake.url=/proc/hydrodask", "lake.url"),
    "lake of an unknown kind": ("lake.url=nosuch://x", "lake.url"),
    "documents below a file": ("documents.url=sqlite:///{}/file/d.sqlite", "documents.url"),
    "documents that are a folder": ("documents.url=sqlite:///{}", "documents.url"),
    "documents that nobody can make": ("documents.url=sqlite:////proc/hydrodask/d.sqlite", "documents.url"),
    "documents of an unknown kind": ("documents.url=redis://x", "documents.url"),
    "no port": ("cluster.dashboard=127.0.0.1:http", "cluster.dashboard"),
}
"""Places that can't work → the setting, and its key."""


@pytest.mark.parametrize("what", PLACES)
def test_run_refuses_a_place_that_can_not_work(tmp_path: Path, what: str) -> None:
    """The sentence names the key; no cluster was started for it."""
    (tmp_path / "file").touch()
    setting, key = PLACES[what]
    done = hydrodask("run", *data_in(tmp_path), "--set", setting.format(tmp_path), "--for", "1s")

    assert done.returncode == 3, done.stderr
    assert key in done.stderr
    assert "Dask" not in done.stderr


@pytest.mark.parametrize("key", ["observe.metrics", "cluster.dashboard"])
def test_run_refuses_a_port_that_is_taken(tmp_path: Path, key: str) -> None:
    """The sentence names key, port and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        done = hydrodask("run", *data_in(tmp_path), "--set", f"{key}={address}", "--for", "1s")

    assert done.returncode == 3, done.stderr
    assert f"{address} is taken" in done.stderr
    assert f"--set {key}=HOST:PORT" in done.stderr


def test_run_names_all_ports_that_are_taken_at_once(tmp_path: Path) -> None:
    """Who has the platform running twice chooses three others once, and not one after the other."""
    keys = ("observe.metrics", "cluster.dashboard", "console.address")
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in keys]
        addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
        sets = (f"{key}={address}" for key, address in zip(keys, addresses, strict=True))
        done = hydrodask("run", *data_in(tmp_path), *(o for s in sets for o in ("--set", s)), "--for", "1s")

    assert done.returncode == 3, done.stderr
    assert all(f"{address} is taken" in done.stderr for address in addresses)
    assert " ".join(f"--set {key}=HOST:PORT" for key in keys) in done.stderr


def test_doctor_looks_at_the_port_of_the_page(tmp_path: Path) -> None:
    """It is a warning, as for the other ports: a run may have it. A run goes on without its page."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        settings = load(sets=[f"data_dir={tmp_path}", f"console.address={address}", *ANY_PORTS], environ={})[0]
        found = {one.check: one for one in machine.ports(settings)}

        assert found["page port"].state == "warn"
        assert "set console.address" in found["page port"].advice
        assert [one for one in machine.free_ports(settings) if one.state == "fail"] == []


AWAY = {
    "documents": ("documents.url=mongodb://127.0.0.1:{}/?serverSelectionTimeoutMS=500", "mongodb"),
    "broker": ("kafka={{embedded: false, bootstrap: '127.0.0.1:{}', timeout: 1s}}", "kafka"),
    "MLflow": ("learn.mlflow=http://127.0.0.1:{}", "mlflow"),
    "pushgateway": ("observe.pushgateway=http://127.0.0.1:{}", "pushgateway"),
    "alertmanager": ("observe.alertmanager=http://127.0.0.1:{}", "alertmanager"),
}
"""Check → a setting that names a service where none is, and what `hydrodask services` calls it."""


@pytest.mark.parametrize("check", AWAY)
def test_doctor_says_how_a_service_of_this_machine_is_started(tmp_path: Path, free_port: int, check: str) -> None:
    """With the very command; who has named another machine is told to start it there."""
    setting, service = AWAY[check]
    settings = load(sets=[f"data_dir={tmp_path}", setting.format(free_port)], environ={})[0]
    found = [*reach.beside(settings), reach.documents(settings), reach.broker(settings)]
    (one,) = (one for one in found if one.check == check)

    assert one.state != "pass"
    assert f"start it: `hydrodask services up {service}`" in one.advice


def test_run_refuses_a_folder_that_another_run_has(tmp_path: Path) -> None:
    """The sentence names the process."""
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        done = hydrodask("run", *data_in(tmp_path), "--for", "1s")

    assert done.returncode == 3, done.stderr
    assert f"process id {os.getpid()}" in done.stderr


def test_run_refuses_a_broker_that_does_not_answer(tmp_path: Path, free_port: int) -> None:
    """What does not answer is exit code 4, before a cluster is started."""
    sets = ("kafka.embedded=false", f"kafka.bootstrap=127.0.0.1:{free_port}", "kafka.timeout=2s")
    done = hydrodask("run", *data_in(tmp_path), *(o for s in sets for o in ("--set", s)))

    assert done.returncode == 4, done.stderr
    assert str(free_port) in done.stderr
    assert "Dask" not in done.stderr


@pytest.mark.parametrize(
    "output", ["{}", "{}/nowhere/states.parquet", "/proc/states.parquet", "{}/file/states.parquet"]
)
def test_score_looks_at_its_output_first(tmp_path: Path, output: str) -> None:
    """A path where nothing can be written is said before models are loaded and folders are read."""
    (tmp_path / "file").touch()
    path = output.format(tmp_path)
    done = hydrodask("score", str(tmp_path / "no-recording"), "--output", path, *data_in(tmp_path))

    assert done.returncode == 2, done.stderr
    assert f"--output has value '{path}'" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["verify", "compact", "backfill", "backfill --documents --write"])
def test_where_no_lake_is_nothing_is_fine(tmp_path: Path, command: str) -> None:
    """A wrong data_dir must not pass for a lake in which all is well."""
    done = hydrodask(*command.split(), *data_in(tmp_path))

    assert done.returncode == 2, done.stdout + done.stderr
    assert f"there is no lake at {tmp_path}/data/lake" in done.stderr
    assert not (tmp_path / "data").exists() or command in {"verify", "compact"}


def test_run_publishes_its_source_to_no_broker_that_nobody_named(tmp_path: Path) -> None:
    """As `simulate` and `replay`: the default's address is no name that anybody gave."""
    done = hydrodask("run", *data_in(tmp_path), "--set", "kafka.embedded=false", "--for", "1s")

    assert done.returncode == 3, done.stderr
    assert "no broker is named" in done.stderr


def test_a_folder_without_its_kind_is_understood(tmp_path: Path) -> None:
    """The message says how to name it."""
    done = hydrodask("run", "--source", str(tmp_path), *data_in(tmp_path))

    assert done.returncode == 3
    assert f"did you mean recording:{tmp_path}?" in done.stderr


def test_a_name_that_no_sensor_has_is_said(tmp_path: Path) -> None:
    """Nothing is found of it, and the sensors that there are get listed."""
    documents = SqliteDocuments(tmp_path / "data" / "documents.sqlite", timeout_s=1.0)
    documents.write([Upsert("status", "run-1", 1, {"group": "g", "updated_us": 1})])
    documents.close()
    done = hydrodask("incidents", "--sensor", "PS99", *data_in(tmp_path))

    assert "No incidents of sensor 'PS99' in " in done.stdout
    assert "Sensors are PS1, " in done.stdout


@pytest.mark.parametrize("rig", ["", "x" * 200, "a\tb"])
@pytest.mark.parametrize("command", [["import"], ["replay", "--bootstrap", "127.0.0.1:1"]])
def test_a_rig_s_name_is_one_that_the_stream_would_take(tmp_path: Path, command: list[str], rig: str) -> None:
    """Or its cycles would be dead letters, or of a rig that nobody can name."""
    folder = write_recording(tmp_path / "recording")
    done = hydrodask(*command, str(folder), "--rig", rig, *data_in(tmp_path))

    assert done.returncode == 2, done.stderr
    assert "--rig has value" in done.stderr
    assert not (tmp_path / "data").exists()
