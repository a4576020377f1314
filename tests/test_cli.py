"""The command line: each command explains itself, and ends with the code that its error says."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hydrodask.cli import services, train
from hydrodask.cli.main import COMMANDS, PANELS, app
from hydrodask.doctor.libraries import read_lock, unmet
from hydrodask.learn import told
from hydrodask.learn.targets import TARGETS
from hydrodask.learn.train.estimators import KINDS
from hydrodask.services import SERVICES


def commands(group: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Give each command's full name and its help."""
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command.help or ""


HELP = dict(commands(typer.main.get_command(app)))


def hydrodask(*args: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line as a user does, and return what it printed and its exit code."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HYDRODASK_")}
    return subprocess.run(
        [sys.executable, "-m", "hydrodask", *args],
        env={**clean, "COLUMNS": "200", **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def data_in(folder: Path) -> list[str]:
    """Return options that put everything below `folder`, and take no fixed port."""
    sets = (
        f"data_dir={folder / 'data'}",
        "observe.metrics=127.0.0.1:0",
        "cluster.dashboard=127.0.0.1:0",
    )
    return [option for item in sets for option in ("--set", item)]


def test_every_command_is_there() -> None:
    """What the map of commands names can be called."""
    assert {name.split()[0] for name in HELP} == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(HELP))
def test_help_has_an_example(name: str) -> None:
    """Each command shows how to call it, with its own name."""
    assert "Example" in HELP[name]
    assert f"hydrodask {name}" in HELP[name]


def test_help_runs() -> None:
    """`--help` prints the commands and ends well."""
    done = hydrodask("--help")

    assert done.returncode == 0
    assert [name for name in COMMANDS if name not in done.stdout] == []


def test_help_has_commands_in_the_order_in_which_one_needs_them() -> None:
    """Each once, below the word for what it is good for."""
    shown = CliRunner().invoke(app, ["--help"], terminal_width=200).stdout
    places = [shown.index(f" {title} ") for title in PANELS]

    assert places == sorted(places)
    for title, names in PANELS.items():
        part = shown[shown.index(f" {title} ") :].partition("╰")[0]
        assert [line.split()[1] for line in part.splitlines()[1:] if line.startswith("│ ") and line[2] != " "] == [
            *names
        ]


def test_services_are_all_named_in_help() -> None:
    """The names in the help, which imports no service, are the services there are."""
    assert set(services.NAMES) == set(SERVICES)


def test_targets_and_models_are_all_named_in_help() -> None:
    """So are those of `train`, which are written down twice."""
    assert tuple(TARGETS) == train.TARGETS
    assert tuple(KINDS) == train.KINDS
    assert told.ORIGINS == train.ORIGINS


class TestExitCodes:
    """0 ok, 2 usage, 3 configuration, 4 something can't be reached."""

    def test_usage(self) -> None:
        """An option that there is not."""
        assert hydrodask("config", "show", "--no-such-option").returncode == 2

    def test_unknown_service(self) -> None:
        """A service that there is not; the message names those there are."""
        done = hydrodask("services", "status", "no-such-service")

        assert done.returncode == 2
        assert "kafka" in done.stderr

    @pytest.mark.parametrize("command", ["show", "check"])
    def test_configuration(self, command: str) -> None:
        """A value that can't work; the message names key, value and layer."""
        done = hydrodask("config", command, HYDRODASK_KAFKA__START="never")

        assert done.returncode == 3
        assert "kafka.start" in done.stderr
        assert "never" in done.stderr
        assert "environment" in done.stderr

    def test_value_that_is_no_yaml(self) -> None:
        """What --set can't read is a mistake of configuration, not a crash."""
        done = hydrodask("config", "show", "--set", "rig.default_id=@x")

        assert done.returncode == 3
        assert "rig.default_id=@x" in done.stderr

    def test_option_that_is_no_yaml(self, tmp_path: Path) -> None:
        """An option's own value needs no quotes of YAML: the folder is named as it was given."""
        done = hydrodask("run", "--source", "recording:/no/O'Neil", *data_in(tmp_path))

        assert done.returncode == 3
        assert "/no/O'Neil" in done.stderr

    def test_unreachable(self, tmp_path: Path) -> None:
        """A service that can't be started without Maven, which is not on this PATH."""
        environ = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
        done = hydrodask("services", "up", "kafka", *data_in(tmp_path), **environ)

        assert done.returncode == 4
        assert "install Maven" in done.stderr


class TestConfig:
    """`config` shows what counts, and where it came from."""

    def test_show_names_the_layer(self) -> None:
        """Each value comes with its layer, and secrets stay secret."""
        done = hydrodask(
            *("config", "show", "--json", "--set", "rig.default_id=rig-9"),
            HYDRODASK_KAFKA__PASSWORD="hush",  # noqa: S106  # not one
        )
        shown = json.loads(done.stdout)

        assert shown["rig.default_id"] == {"value": "rig-9", "from": "--set"}
        assert shown["kafka.password"]["from"] == "environment"
        assert "hush" not in done.stdout

    def test_schema_is_json(self) -> None:
        """The schema names every section."""
        schema = json.loads(hydrodask("config", "schema").stdout)

        assert {"kafka", "window", "lake"} <= set(schema["properties"])

    def test_check_says_what_loads(self) -> None:
        """The files that the settings name are loaded too."""
        checked = json.loads(hydrodask("config", "check", "--json").stdout)

        assert checked["ok"]
        assert "detect.rules rules.yaml" in checked["files"]
        assert checked["rules"].endswith("conf/rules.yaml (shipped) has 10 rules")


class TestDoctor:
    """`doctor` finds what is wrong, and leaves nothing behind."""

    def test_passes_here(self, tmp_path: Path) -> None:
        """With defaults and free ports nothing fails, and no folder is made."""
        done = hydrodask("doctor", "--json", *data_in(tmp_path))
        found = json.loads(done.stdout)

        assert done.returncode == 0, found
        assert {check["state"] for check in found["checks"]} <= {"pass", "warn"}
        assert list(tmp_path.iterdir()) == []

    def test_broker_that_does_not_answer(self, tmp_path: Path, free_port: int) -> None:
        """The broker's line fails and says what to do; the exit code is 4."""
        broker = [
            "--set",
            "kafka.embedded=false",
            "--set",
            f"kafka.bootstrap=127.0.0.1:{free_port}",
        ]
        done = hydrodask("doctor", *data_in(tmp_path), *broker, "--set", "kafka.timeout=2s")
        failures = [line for line in done.stdout.splitlines() if line.startswith("fail")]

        assert done.returncode == 4
        assert len(failures) == 1
        assert "hydrodask services up kafka" in failures[0]

    def test_configuration_that_can_not_work(self) -> None:
        """Without a configuration the rest can't be checked; the exit code is 3."""
        done = hydrodask("doctor", "--set", "kafka.such=1")

        assert done.returncode == 3
        assert "kafka.such" in done.stdout

    def test_lake_where_nothing_can_be_written(self, tmp_path: Path) -> None:
        """A folder that even root can't make is named."""
        done = hydrodask("doctor", *data_in(tmp_path), "--set", "lake.url=/proc/hydrodask")

        assert done.returncode == 3
        assert "fail  lake" in done.stdout

    def test_lake_below_a_file(self, tmp_path: Path) -> None:
        """A lake that can't be made is a failure of its own, not a crash."""
        (tmp_path / "file").touch()
        done = hydrodask("doctor", *data_in(tmp_path), "--set", f"lake.url={tmp_path}/file/lake")

        assert done.returncode == 3
        assert "fail  lake" in done.stdout

    def test_taken_port_is_a_warning(self, tmp_path: Path) -> None:
        """Another run may have it, so the platform is not broken."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            done = hydrodask("doctor", *data_in(tmp_path), "--set", f"observe.metrics=127.0.0.1:{port}")

        assert done.returncode == 0
        assert f"warn  metrics port: 127.0.0.1:{port}" in done.stdout

    def test_libraries_are_compared(self) -> None:
        """Too old and too new are each named, with what is wanted."""
        have = next(iter(read_lock("numpy==0\n")))

        assert unmet(f"{have}>=999").endswith("want >=999")
        assert unmet(f"{have}<1").endswith("want <1")
        assert unmet(f"{have}>=1,<999") == ""


@pytest.mark.integration
def test_services_up_status_down(tmp_path: Path, free_port: int, kafka: object) -> None:
    """A user starts Kafka, sees it run, and stops it."""
    assert kafka is not None  # its jars are in the cache then
    where = data_in(tmp_path)
    try:
        up = hydrodask("services", "up", "kafka", "--port", str(free_port), "--heap", "256m", *where)
        running = json.loads(hydrodask("services", "status", "--json", *where).stdout)
        logs = hydrodask("services", "logs", "kafka", *where)
    finally:
        down = hydrodask("services", "down", *where)
    stopped = json.loads(hydrodask("services", "status", "--json", *where).stdout)

    assert (up.returncode, logs.returncode, down.returncode) == (0, 0, 0), up.stderr
    assert f"running on 127.0.0.1:{free_port}" in up.stdout
    assert [state["name"] for state in running if state["state"] != "stopped"] == ["kafka"]
    assert running[0]["state"] == "running"
    assert "Kafka Server started" in logs.stdout
    assert {state["state"] for state in stopped} == {"stopped"}
