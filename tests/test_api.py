"""The Python API: what a platform has stored, as tables, dataframes and arrays; and one that runs from a script."""

import multiprocessing
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.compute as pc
import pytest

import hydrodask
from hydrodask.errors import ConfigError, UsageError
from tests.audited import Stored
from tests.running import folder

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
