"""The Python API: what a platform has stored, as tables, dataframes and arrays; and one that runs from a script."""

import multiprocessing
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.compute as pc
import pytest

import hydrodask
from hydrodask.api import running
from hydrodask.errors import ConfigError, FatalError, UsageError
from tests.audited import Stored
from tests.running import folder
from tests.test_extras import LACKS

LIGHT = "import sys, hydrodask; sys.stdout.write(str([m for m in sys.modules if m in ('numpy', 'dask', 'pyarrow')]))"

SCRIPT = """
import sys
from dask.distributed import Client, LocalCluster
import hydrodask

sets = {
    "data_dir": sys.argv[1], "source__speed": "20", "observe__metrics": "127.0.0.1:0", "step__time_max": "200s",
}
mine = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None, "preload": "hydrodask.worker.preload"}
if __name__ == "__main__":
    with LocalCluster(**mine) as cluster, Client(cluster) as client:
        with hydrodask.open(**sets).running(client, seconds=10) as run:
            run.wait(200)
            print(run.overview.total("consumed") > 0, client.status)
"""

INTERRUPTED = """
import os, signal, sys, threading, time
import hydrodask
from hydrodask.run.datadir import DataDir

sets = {"data_dir": sys.argv[1], "source__kind": "none", "observe__metrics": "127.0.0.1:0", "cluster__workers": 1}
if __name__ == "__main__":
    run = hydrodask.open(**sets).running()

    def press():
        while not any("starting the Dask cluster" in one for one in run.notes):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    try:
        with run:
            print("it has begun all the same")
    except KeyboardInterrupt:
        with DataDir(run.settings.data_dir):
            print("interrupted", sum(one.name == "hydrodask" for one in threading.enumerate()))
"""


def test_importing_hydrodask_is_light() -> None:
    """Nothing comes with it until something is opened."""
    assert subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True).stdout == "[]"


def test_rows_come_as_a_table_a_dataset_and_a_dataframe(leftover: Stored) -> None:
    """The same rows, those of a rig, a sensor and a span of time; the schema says the units."""
    opened = hydrodask.open(data_dir=str(leftover.settings.data_dir))
    raw = folder(leftover.settings.data_dir, "raw")
    some = opened.raw(rig="rig-1", sensor="PS1")
    times = some.table(["timestamp"]).column("timestamp")
    since = times[len(times) // 2].as_py()
    half = opened.raw(since=since, rig="rig-1", sensor="PS1")

    assert opened.raw().dataset().count_rows() == len(raw)
    assert len(times) == pc.sum(pc.equal(raw.column("sensor").cast("string"), "PS1")).as_py()
    assert 0 < half.dataset().count_rows() < len(times)
    assert half.dataset().schema.field("value").metadata == {b"unit": b"bar"}
    assert sorted(half.frame().compute()["offset"]) == sorted(half.table().column("offset").to_pylist())
    assert set(opened.windows().table().column("sensor").to_pylist()) == set(raw.column("sensor").to_pylist())
    assert opened.raw(rig="nobody").table().num_rows == opened.late().frame().compute().shape[0] == 0
    with pytest.raises(UsageError, match="sensor has value 'PS9'"):
        opened.raw(sensor="PS9")
    with pytest.raises(UsageError, match="since has value 'yesterday'"):
        opened.raw(since="yesterday")


def test_cycles_come_as_an_array(leftover: Stored) -> None:
    """Cycle × second × sensor, as the profiles have them."""
    opened = hydrodask.open(data_dir=str(leftover.settings.data_dir))
    curves, one = opened.cycles().array(), opened.cycles(sensor="TS1").array("max")
    table = opened.cycles(sensor="TS1").table()

    assert curves.values.shape == (len(curves.cycle), 60, 17)
    assert one.values.shape == (len(curves.cycle), 60, 1)
    assert (one.sensors, one.units) == (("TS1",), ("°C",))
    assert not np.isnan(one.values.compute()).all()
    assert np.nanmax(one.values.compute()) == max(max(filter(None, row)) for row in table.column("max").to_pylist())
    with pytest.raises(UsageError, match="there are curves of cycles only"):
        opened.raw().array()


def test_documents_and_models(leftover: Stored) -> None:
    """What is said of a rig, newest first; models of a registry that has none are none."""
    opened = hydrodask.open(data_dir=str(leftover.settings.data_dir))

    assert opened.documents("status", limit=1)
    opened_at = [one["opened_at"] for one in opened.incidents]
    assert opened_at == sorted(opened_at, reverse=True)
    assert isinstance(opened.anomalies, list)
    assert opened.models == []


@pytest.mark.cluster
def test_a_platform_runs_from_a_script_on_ones_own_cluster(tmp_path: Path) -> None:
    """It stops when told to, and leaves the client alone."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)

    assert done.stdout.split() == ["True", "running"], done.stderr
    assert list((tmp_path / "data").rglob("raw/**/*.parquet"))


def test_a_script_without_its_guard_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker process imports the script that has started it: multiprocessing marks it while it does."""
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(UsageError, match='below `if __name__ == "__main__":`'):
        hydrodask.open(data_dir=str(tmp_path)).running().__enter__()


def test_an_embedded_broker_is_of_this_machine(tmp_path: Path) -> None:
    """A cluster elsewhere can't reach it, and that is said before anything is made."""
    elsewhere = SimpleNamespace(scheduler=SimpleNamespace(address="tcp://10.0.0.1:8786"))
    with pytest.raises(ConfigError, match="kafka__embedded=False"):
        hydrodask.open(data_dir=str(tmp_path)).running(elsewhere)


def test_rows_are_in_order_of_time_without_the_time(leftover: Stored) -> None:
    """Columns are what was asked for, in the same order as all of them; a misspelt one is guessed."""
    opened = hydrodask.open(data_dir=str(leftover.settings.data_dir))
    windows = opened.windows()

    assert windows.table(["avg_value"]).equals(windows.table(["window_start", "avg_value"]).select(["avg_value"]))
    assert windows.table(["avg_value"]) != windows.dataset().to_table(columns=["avg_value"])
    assert windows.table(["avg_value", "rig"]).column_names == ["avg_value", "rig"]
    with pytest.raises(UsageError, match=r"columns has value 'avg_value'; want a list of names"):
        windows.table("avg_value")
    with pytest.raises(UsageError, match=r"there is no column 'avg_valeu'; did you mean avg_value\?"):
        windows.table(["avg_valeu"])


def test_what_rows_can_not_be_chosen_by_is_said_at_once(tmp_path: Path) -> None:
    """Before a file is looked for: the name, the value and what is wanted."""
    opened = hydrodask.open(data_dir=str(tmp_path))
    for since in (date(2026, 1, 1), 5, timedelta(hours=1)):
        with pytest.raises(UsageError, match=r"since has value .*; want a time such as 2026-01-01T00:00:00Z"):
            opened.raw(since=since)  # type: ignore[arg-type]
    for rig in (["rig-1"], 1, ""):
        with pytest.raises(UsageError, match=r"rig has value .*; want a rig's name"):
            opened.cycles(rig=rig)  # type: ignore[arg-type]


def test_where_nothing_ever_ran_is_no_good_news(tmp_path: Path) -> None:
    """Rows, arrays and documents of a place that is not there are not none: it may be the wrong place."""
    opened = hydrodask.open(data_dir=str(tmp_path / "elsewhere"))
    for ask in (opened.raw().table, opened.raw().frame, opened.cycles().array, opened.windows().dataset):
        with pytest.raises(UsageError, match=r"there is no lake at .*: nothing has ever run here"):
            ask()
    with pytest.raises(UsageError, match="nothing has ever run here: no status in sqlite"):
        _ = opened.incidents
    assert not (tmp_path / "elsewhere").exists()


def test_documents_that_can_not_be_meant(leftover: Stored) -> None:
    """A misspelt collection, field or option, and a limit that is none; another field finds nothing."""
    opened = hydrodask.open(data_dir=str(leftover.settings.data_dir))
    with pytest.raises(UsageError, match=r"there is no collection 'incident' of documents; did you mean incidents\?"):
        opened.documents("incident")
    for limit in (-1, 0, True, "5"):
        with pytest.raises(UsageError, match=f"limit has value {limit!r}"):
            opened.documents("incidents", limit=limit)  # type: ignore[arg-type]
    for name, guess in (("rgi", "rig"), ("limt", "limit"), ("newest_frist", "newest_first")):
        with pytest.raises(UsageError, match=rf"no document has a field '{name}'; did you mean {guess}\?"):
            opened.documents("incidents", **{name: "rig-1"})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"'openedat'; did you mean opened_at\?"):
        opened.documents("incidents", newest_first="openedat")
    with pytest.raises(UsageError, match="documents have no field 'a b'"):
        opened.documents("incidents", **{"a b": 1})  # type: ignore[arg-type]
    assert opened.documents("incidents", quibble=1) == opened.documents("incidents", rig="nobody") == []


def test_settings_that_can_not_be_meant_name_who_set_them(tmp_path: Path) -> None:
    """The caller, and no option of a command line."""
    with pytest.raises(
        ConfigError, match=r"source\.sped \(from hydrodask\.open\) is no setting; did you mean source\.speed"
    ):
        hydrodask.open(data_dir=str(tmp_path), source__sped=1)
    with pytest.raises(ConfigError, match=r"source\.speed has value 'fast' \(from hydrodask\.open\): want a factor"):
        hydrodask.open(data_dir=str(tmp_path), source__speed="fast")
    with pytest.raises(UsageError, match="profile has value 3"):
        hydrodask.open(3)  # type: ignore[arg-type]


def test_a_dataframe_asks_for_its_extra(leftover: Stored) -> None:
    """Pandas comes with one, and who lacks it is told the command."""
    lacks = LACKS.partition("from hydrodask.__main__")[0]
    script = f"{lacks}\nimport hydrodask\nhydrodask.open(data_dir=sys.argv[2]).raw().frame()"
    command = [sys.executable, "-c", script, "pandas", str(leftover.settings.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)

    said = "ConfigError: this needs pandas, which is not installed: pip install 'hydrodask[frame]'"
    assert done.stderr.splitlines()[-1].endswith(said), done.stderr


@pytest.mark.cluster
def test_ctrl_c_while_a_platform_starts_leaves_none_running(tmp_path: Path) -> None:
    """Its block never begins, so nobody else could stop it."""
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    command = [sys.executable, str(script), str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)

    assert done.stdout.split() == ["interrupted", "0"], done.stderr


@pytest.mark.cluster
def test_a_platform_that_does_not_stop_in_time_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that has stopped says so, and runs no second time."""
    opened = hydrodask.open(data_dir=str(tmp_path), source__kind="none", observe__metrics="127.0.0.1:0")
    run = opened.running()
    for early in (run.wait, lambda: run.overview):
        with pytest.raises(UsageError, match=r"does not run: use it as `with opened\.running\(\) as run:`"):
            early()

    monkeypatch.setattr(running, "STOP_S", -2 * run.settings.step.time_max)
    with pytest.raises(FatalError, match="did not stop within 0 s"), run:
        assert run.overview.state != "stopped"

    assert run.wait(200)
    assert run.overview.state == "stopped"
    with pytest.raises(UsageError, match="runs once"):
        run.__enter__()


def test_what_can_not_be_meant_starts_no_platform(tmp_path: Path) -> None:
    """It is said when it is asked for, with the name and the value."""
    opened = hydrodask.open(data_dir=str(tmp_path))
    for client in ("tcp://127.0.0.1:8786", 3):
        with pytest.raises(UsageError, match=rf"client has value {client!r}; want a dask\.distributed\.Client"):
            opened.running(client)
    for seconds in ("10", -1, 0, True):
        with pytest.raises(UsageError, match=f"seconds has value {seconds!r}; want a number above 0"):
            opened.running(seconds=seconds)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="until_idle has value 'yes'"):
        opened.running(until_idle="yes")  # type: ignore[arg-type]
