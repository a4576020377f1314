"""One command over the real recording: every sample, window, profile, label and incident, checked independently."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from numpy.typing import NDArray

from hydrodask.channels import CHANNELS
from hydrodask.clock import parse_iso
from hydrodask.settings import Settings
from hydrodask.store.documents import open_documents
from tests.running import folder

START_US = parse_iso("2026-01-01T00:00:00Z")
US = 1_000_000
CYCLES = 10
INCIDENTS = {
    "oil_warm": [("01:00", "05:40")],
    "oil_hot": [("01:00", "03:20")],
    "vibration_high": [("01:00", "02:20")],
    "cooler_degraded": [("01:00", "04:40")],
    "cooler_failing": [("01:00", "03:00")],
    "pump_leakage": [("01:20", "02:40"), ("03:50", "04:50"), ("08:00", None)],
}
"""Rule → (opened, resolved), minutes and seconds of event time; the last one is still open at the end."""


@dataclass(frozen=True)
class Run:
    """What the command left behind."""

    data_dir: Path
    recording: Path
    tables: dict[str, pa.Table] = field(default_factory=dict)

    def values(self, sensor: str) -> NDArray[np.float64]:
        """Return the sensor's samples, shape (cycles, samples a cycle)."""
        return np.loadtxt(self.recording / f"{sensor}.txt", ndmin=2)

    def rows(self, name: str, sensor: str, order: str) -> dict[str, list[Any]]:
        """Return one sensor's rows of a folder of the lake, as columns."""
        if name not in self.tables:
            self.tables[name] = folder(self.data_dir, name)
        table = self.tables[name]
        chosen = table.filter(pc.equal(table["sensor"], sensor))
        return chosen.sort_by(order).to_pydict()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def run(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the command once, as a user would."""
    data_dir = tmp_path_factory.mktemp("run") / "data"
    sets = (f"data_dir={data_dir}", "cluster.dashboard='127.0.0.1:0'", "observe.metrics='127.0.0.1:0'")
    options = [f"--source=recording:{recording}", "--speed=max", "--until-idle", *(f"--set={s}" for s in sets)]
    done = subprocess.run(
        [sys.executable, "-m", "hydrodask", "run", *options],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        cwd=data_dir.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(data_dir, recording)


def test_every_sample_is_in_the_lake_once(run: Run) -> None:
    """436,800 rows, none twice by offset nor by place in the cycle, with the recording's own values."""
    raw = f"read_parquet('{run.data_dir}/lake/raw/**/*.parquet', hive_partitioning=true)"
    counts = duckdb.sql(
        f'select count(*), count(distinct (sensor, partition, "offset")),'  # noqa: S608
        f" count(distinct (sensor, cycle, sample_idx)), count(distinct date) from {raw}"
    ).fetchall()
    sums = duckdb.sql(f"select sensor, count(*), min(value), max(value) from {raw} group by sensor")  # noqa: S608

    assert counts == [(436_800, 436_800, 436_800, 1)]
    assert sorted(sums.fetchall()) == sorted((s, v.size, v.min(), v.max()) for s in CHANNELS for v in [run.values(s)])


@pytest.mark.parametrize("sensor", CHANNELS)
def test_samples_are_the_recordings(run: Run, sensor: str) -> None:
    """Values bit for bit, cycles, indices and times where they belong."""
    rows = run.rows("raw", sensor, "offset")
    values, rate = run.values(sensor), CHANNELS[sensor].rate_hz
    count = values.size

    assert rows["value"] == values.ravel().tolist()
    assert rows["cycle"] == np.repeat(np.arange(CYCLES), count // CYCLES).tolist()
    assert rows["sample_idx"] == np.tile(np.arange(count // CYCLES), CYCLES).tolist()
    times_us = [round(t.timestamp() * US) for t in rows["timestamp"]]
    assert times_us == (START_US + np.arange(count) * US // rate).tolist()


@pytest.mark.parametrize("sensor", CHANNELS)
def test_windows_equal_an_independent_computation(run: Run, sensor: str) -> None:
    """Count, least and largest exactly; mean and standard deviation to 1e-12, in extended precision."""
    values = run.values(sensor).ravel()
    rate = CHANNELS[sensor].rate_hz
    times_us = START_US + np.arange(values.size) * US // rate
    last_us = int(times_us[-1]) - 70 * US
    starts_us = range(START_US - 50 * US, last_us + 1, 10 * US)
    rows = run.rows("windows", sensor, "window_start")

    assert [round(t.timestamp() * US) for t in rows["window_start"]] == list(starts_us)
    assert [round(t.timestamp() * US) for t in rows["window_end"]] == [s + 60 * US for s in starts_us]
    for i, start_us in enumerate(starts_us):
        part = values[(times_us >= start_us) & (times_us < start_us + 60 * US)]
        exact = part.astype(np.longdouble)
        assert rows["sample_count"][i] == part.size
        assert (rows["min_value"][i], rows["max_value"][i]) == (part.min(), part.max())
        assert rows["range_value"][i] == part.max() - part.min()
        assert rows["avg_value"][i] == pytest.approx(float(exact.mean()), rel=1e-12, abs=1e-300)
        assert rows["stddev_value"][i] == pytest.approx(float(exact.std(ddof=1)), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("sensor", CHANNELS)
def test_profiles_equal_an_independent_computation(run: Run, sensor: str) -> None:
    """Ten complete cycles of sixty seconds each."""
    rate = CHANNELS[sensor].rate_hz
    seconds = run.values(sensor).reshape(CYCLES, 60, rate)
    exact = seconds.astype(np.longdouble)
    rows = run.rows("cycles", sensor, "cycle")

    assert rows["cycle"] == list(range(CYCLES))
    assert all(rows["complete"])
    assert [round(t.timestamp() * US) for t in rows["cycle_start"]] == [START_US + 60 * US * c for c in range(CYCLES)]
    assert rows["n"] == [[rate] * 60] * CYCLES
    assert rows["min"] == seconds.min(axis=2).tolist()
    assert rows["max"] == seconds.max(axis=2).tolist()
    np.testing.assert_allclose(rows["mean"], exact.mean(axis=2).astype(float), rtol=1e-12)
    m2 = ((exact - exact.mean(axis=2, keepdims=True)) ** 2).sum(axis=2).astype(float)
    np.testing.assert_allclose(rows["m2"], m2, rtol=1e-9, atol=1e-12)


def test_labels_are_there(run: Run) -> None:
    """One row a cycle, with the states of `profile.txt`."""
    rows = folder(run.data_dir, "labels").sort_by("cycle").to_pydict()
    names = ("cooler", "valve", "pump", "accumulator", "stable")
    profile = np.loadtxt(run.recording / "profile.txt").tolist()

    assert rows["cycle"] == list(range(CYCLES))
    assert [list(row) for row in zip(*(rows[n] for n in names), strict=True)] == profile
    assert [round(t.timestamp() * US) for t in rows["timestamp"]] == [START_US + 60 * US * c for c in range(CYCLES)]


def test_nothing_is_late_or_dead(run: Run) -> None:
    """The recording is in order and clean."""
    assert folder(run.data_dir, "late").num_rows == 0
    documents = open_documents(Settings(data_dir=run.data_dir))
    status = documents.find("status", {}, limit=2)

    documents.close()

    assert len(status) == 1
    totals = status[0]["totals"]
    assert (totals["late"], totals["dead"]) == (0, 0)
    assert totals["kept"] == totals["consumed"]


def test_incidents_are_those_of_the_labels(run: Run) -> None:
    """What opened and resolved when; the last leak is open, for no later window says otherwise."""
    documents = open_documents(Settings(data_dir=run.data_dir))
    found: dict[str, list[tuple[str, str | None]]] = {}
    for body in sorted(documents.find("incidents", {}, limit=1000), key=lambda d: str(d["opened_at"])):
        ended = minutes(body["resolved_at"]) if body["status"] == "resolved" else None
        found.setdefault(str(body["rule"]), []).append((minutes(body["opened_at"]), ended))
    documents.close()

    assert found == INCIDENTS


def minutes(moment: object) -> str:
    """Return `MM:SS` of a time in the first hour of 2026."""
    text = str(moment)
    assert text.startswith("2026-01-01T00:")
    return text[14:19]
