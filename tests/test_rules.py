"""Rules are read from YAML, and what can't work is refused with key and value."""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from hydrodask.channels import CHANNELS
from hydrodask.clock import US_PER_S, iso
from hydrodask.detect import Detector, Rule, load_rules
from hydrodask.errors import ConfigError
from hydrodask.records import Change, Upsert, WindowRecord
from hydrodask.settings.model import Baseline

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "uci"
GOOD = {
    "name": "hot",
    "sensor": "TS*",
    "statistic": "avg",
    "comparison": ">",
    "enter": 50,
    "exit": 48,
    "severity": "warning",
    "message": "{sensor} has {value:.1f} {unit}",
}


def as_yaml(rule: dict[str, object]) -> str:
    """Return a rules file with one rule; JSON texts are YAML texts."""
    lines = [f"    {key}: {value!r}" for key, value in rule.items()]
    return "rules:\n  -\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", ["rules.yaml", "rules-classic.yaml"])
def test_shipped_rules_load(name: str) -> None:
    """Both files in conf/ are valid."""
    assert load_rules(name)


def test_classic_rules_keep_their_thresholds() -> None:
    """The older platform's thresholds are there unchanged."""
    found = {(r.sensor, r.statistic, r.enter, r.severity) for r in load_rules("rules-classic.yaml")}

    assert ("PS1", "avg", 300, "critical") in found
    assert ("PS1", "avg", 180, "warning") in found
    assert ("TS1", "avg", 100, "critical") in found
    assert ("PS*", "range", 50, "warning") in found


def test_exit_defaults_to_enter(tmp_path: Path) -> None:
    """A rule without exit has no hysteresis."""
    path = tmp_path / "rules.yaml"
    path.write_text(as_yaml({k: v for k, v in GOOD.items() if k != "exit"}))

    assert load_rules(path)[0].exit == 50


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sensor", "PX*"),
        ("statistic", "median"),
        ("comparison", ">="),
        ("exit", 51),
        ("enter", "fifty"),
        ("enter", True),
        ("windows", 0),
        ("windows", 1.5),
        ("severity", "fatal"),
        ("message", "{nothing}"),
        ("message", "{value:q}"),
        ("name", "a/b"),
    ],
)
def test_impossible_values_are_refused(tmp_path: Path, key: str, value: object) -> None:
    """The error names the file, the rule, the key and the value."""
    path = tmp_path / "rules.yaml"
    path.write_text(as_yaml(GOOD | {key: value}))

    with pytest.raises(ConfigError) as caught:
        load_rules(path)

    assert "rules.yaml" in str(caught.value)
    assert key in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "want `rules` alone"),
        ("rules: 3", "want `rules` alone"),
        ("rules: [3]", "rules[0] has value 3"),
        (as_yaml(GOOD | {"colour": "red"}), "unknown key 'colour'"),
        (as_yaml({"name": "hot"}), "sensor is missing"),
        (as_yaml(GOOD) + as_yaml(GOOD).removeprefix("rules:\n"), "twice"),
    ],
)
def test_misshapen_files_are_refused(tmp_path: Path, text: str, said: str) -> None:
    """A file that isn't a list of rules says what it is."""
    path = tmp_path / "rules.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        load_rules(path)

    assert said in str(caught.value)


def test_missing_file_is_refused() -> None:
    """A name that is no file says so."""
    with pytest.raises(ConfigError, match="no-such"):
        load_rules("no-such-rules.yaml")


def test_exit_must_lie_on_the_quiet_side() -> None:
    """For a lower limit, exit is above enter."""
    with pytest.raises(ConfigError, match="exit has value 30"):
        Rule(**(GOOD | {"comparison": "<", "exit": 30}))  # type: ignore[arg-type]


def real_cycles(sensor: str, wanted: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Return runs of neighbouring cycles of the UCI archive among those that are wanted."""
    path = DATA / f"{sensor}.parquet"
    table = pq.read_table(path if path.exists() else DATA / f"{sensor}_1hz_mean.parquet")
    samples = np.stack(table["samples"].to_numpy(zero_copy_only=False))
    numbers = np.flatnonzero(wanted)
    cuts = np.flatnonzero(np.diff(table["cycle"].to_numpy()[numbers]) != 1) + 1
    return [samples[run].ravel() for run in np.split(numbers, cuts)]


def archive_rate(sensor: str) -> int:
    """Return samples a second in the archive folder: of some 100 Hz sensors it has means only."""
    means = (DATA / f"{sensor}_1hz_mean.parquet").exists()
    return 1 if means else CHANNELS[sensor].rate_hz


def judged(sensor: str, runs: list[NDArray[np.float64]], *, per_s: int) -> list[Change]:
    """Return what the default rules make of 60 s windows sliding by 10 s over each run."""
    changes: list[Change] = []
    detector = Detector(load_rules("rules.yaml"), baseline=Baseline(), coverage_min=0.9, window_s=60.0)
    for number, run in enumerate(runs):
        for second in range(0, len(run) // per_s - 59, 10):
            part = run[second * per_s : (second + 60) * per_s]
            row = row_of(sensor, part, 100_000 * number + second)
            changes += detector.update(row, len(changes))
    return changes


def row_of(sensor: str, values: NDArray[np.float64], start_s: int) -> WindowRecord:
    """Return a full, final window with these values."""
    return WindowRecord(
        rig="rig-1",
        sensor=sensor,
        window_start=iso(start_s * US_PER_S),
        window_end=iso((start_s + 60) * US_PER_S),
        avg_value=float(values.mean()),
        max_value=float(values.max()),
        min_value=float(values.min()),
        stddev_value=float(values.std(ddof=1)),
        range_value=float(np.ptp(values)),
        sample_count=60 * CHANNELS[sensor].rate_hz,
        final=True,
        revision=0,
    )


def test_recording_gives_the_incidents_of_its_labels() -> None:
    """Ten real cycles: cooler 3, 3, 20, 20, then 100 %; leaks in the 1st, 4th, 8th and 9th."""
    folder = DATA.parent / "recording"
    if not folder.exists() and os.environ.get("CI") != "true":
        pytest.skip(f"no real data in {folder}")
    found: dict[str, list[tuple[object, object]]] = {}
    for sensor in CHANNELS:
        values = np.loadtxt(folder / f"{sensor}.txt").ravel()
        for body in stored_incidents(judged(sensor, [values], per_s=CHANNELS[sensor].rate_hz)):
            found.setdefault(str(body["rule"]), []).append(minutes(body))

    assert found == {
        "oil_warm": [("01:00", "05:40")],
        "oil_hot": [("01:00", "03:20")],
        "vibration_high": [("01:00", "02:20")],
        "cooler_degraded": [("01:00", "04:40")],
        "cooler_failing": [("01:00", "03:00")],
        "pump_leakage": [("01:20", "02:40"), ("03:50", "04:50"), ("08:00", "09:50")],
    }


def stored_incidents(changes: list[Change]) -> list[dict[str, object]]:
    """Return the incidents after these changes, in order of their opening."""
    return list({c.id: c.body for c in changes if isinstance(c, Upsert) and c.collection == "incidents"}.values())


def minutes(body: dict[str, object]) -> tuple[str, str]:
    """Return when an incident opened and was resolved, as minutes and seconds."""
    return str(body["opened_at"])[14:19], str(body["resolved_at"])[14:19]


@pytest.fixture
def labels() -> dict[str, NDArray[np.int64]]:
    """Return the archive's labels, one entry a cycle."""
    if not DATA.exists() and os.environ.get("CI") != "true":
        pytest.skip(f"no real data in {DATA}")
    table = pq.read_table(DATA / "profile.parquet")
    return {name: table[name].to_numpy() for name in table.column_names}


@pytest.mark.parametrize("sensor", CHANNELS)
def test_healthy_rig_breaks_no_default_rule(sensor: str, labels: dict[str, NDArray[np.int64]]) -> None:
    """The 21 cycles in which nothing is worn give no anomaly, wherever the windows lie."""
    healthy = (labels["cooler"] == 100) & (labels["valve"] == 100)
    healthy &= (labels["pump"] == 0) & (labels["accumulator"] == 130)

    assert healthy.sum() == 21
    assert judged(sensor, real_cycles(sensor, healthy), per_s=archive_rate(sensor)) == []


@pytest.mark.parametrize(
    ("sensor", "label", "level", "rule"),
    [
        ("CE", "cooler", 20, "cooler_degraded"),
        ("CE", "cooler", 3, "cooler_failing"),
        ("TS1", "cooler", 20, "oil_warm"),
        ("TS1", "cooler", 3, "oil_hot"),
        ("FS1", "pump", 1, "pump_leakage"),
        ("FS1", "pump", 2, "pump_leakage"),
    ],
)
def test_worn_component_breaks_its_rule(
    sensor: str, label: str, level: int, rule: str, labels: dict[str, NDArray[np.int64]]
) -> None:
    """Each stable window with the fault is an anomaly, but for those that begin a run."""
    stable = (labels[label] == level) & (labels["stable"] == 0)
    runs = [run for run in real_cycles(sensor, stable) if len(run) >= 4 * 60]
    found = [
        c for c in judged(sensor, runs, per_s=archive_rate(sensor)) if isinstance(c, Upsert) and c.body["rule"] == rule
    ]
    anomalies = [c for c in found if c.collection == "anomalies"]
    windows = sum(len(run) // CHANNELS[sensor].rate_hz // 10 - 5 for run in runs)

    assert len(anomalies) >= windows - 2 * len(runs)
