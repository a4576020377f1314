"""The fault file, and what faults of sensors and transport do to the records of a second."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hydrodask.channels import CHANNELS
from hydrodask.errors import ConfigError
from hydrodask.ingest.chunk import Chunk
from hydrodask.ingest.feed import find_conf
from hydrodask.ingest.simulator import FaultPlan, Fleet
from hydrodask.settings import CONF

START_US = 1_767_225_600_000_000


def fleet(*faults: dict[str, Any], rigs: int = 1) -> Fleet:
    """Return a fleet with these faults."""
    plan = FaultPlan.parse({"faults": list(faults)})
    return Fleet(rigs=rigs, seed=1, start_us=START_US, faults=plan, default_rig="rig-1")


def chunks(fleet: Fleet, second: int, rig: str = "rig-1") -> dict[str, Chunk]:
    """Return a second's chunks of one rig by sensor."""
    return {chunk.sensor: chunk for chunk in fleet.chunk(second) if chunk.rig == rig}


def test_the_demo_plan_loads() -> None:
    """The plan of the default run is valid and starts after a minute."""
    plan = FaultPlan.load(CONF / "faults-demo.yaml")

    assert [(f.component, f.to, f.at, f.lasts) for f in plan.components] == [("cooler", 3, 60, 35)]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"component": "coler", "to": 3, "at": 0}, ["faults[0].component", "'coler'"]),
        ({"component": "cooler", "to": 101, "at": 0}, ["101", "from 3 to 100"]),
        ({"component": "cooler", "at": 0}, ["faults[0].to", "missing"]),
        ({"component": "cooler", "to": 3, "at": "soon"}, ["faults[0].at", "'soon'"]),
        (
            {"component": "cooler", "to": 3, "at": 0, "fro": 1},
            ["faults[0].fro", "1", "no such key"],
        ),
        ({"component": "cooler", "to": 3, "at": 0, "for": 0}, ["faults[0].for", "0"]),
        ({"component": "pump", "to": float("nan"), "at": 0}, ["faults[0].to", "nan"]),
        ({"sensor": "PS9", "kind": "spike", "at": 0}, ["faults[0].sensor", "'PS9'"]),
        ({"sensor": "PS1", "kind": "spyke", "at": 0}, ["faults[0].kind", "'spyke'"]),
        ({"transport": "late", "at": 0, "share": 2}, ["faults[0].share", "2"]),
        ({"transport": "late", "at": 0, "by": "-8s"}, ["-8", "only a clock-jump"]),
        ({"at": 0}, ["faults[0]", "component, transport, sensor"]),
        ("cooler", ["faults[0]", "'cooler'"]),
    ],
)
def test_an_error_names_key_and_value(entry: object, words: list[str]) -> None:
    """What is wrong in a fault file is said with entry, key and value."""
    with pytest.raises(ConfigError) as caught:
        FaultPlan.parse({"faults": [entry]})

    assert [word for word in words if word not in str(caught.value)] == []


def test_an_unknown_key_of_the_file_is_an_error(tmp_path: Path) -> None:
    """A fault file with a misspelt list is not an empty plan."""
    path = tmp_path / "faults.yaml"
    path.write_text("fault:\n- {component: cooler, to: 3, at: 1m}\n", encoding="utf-8")

    with pytest.raises(ConfigError, match="'fault' is no key"):
        FaultPlan.load(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A fault file that does not exist stops the start."""
    with pytest.raises(ConfigError, match="there is no file"):
        FaultPlan.load(tmp_path / "nothing.yaml")


def test_a_misspelt_name_is_answered_with_fault_files_alone() -> None:
    """Rules and settings lie in the same folder, and are no faults."""
    with pytest.raises(
        ConfigError, match=r"did you mean faults-fleet\.yaml\?; in conf/ there are faults-demo"
    ) as caught:
        find_conf("source.faults", "fault-fleet.yaml")

    assert "rules" not in str(caught.value)
    assert "default" not in str(caught.value)


def test_drop_out_sends_nothing_while_it_lasts() -> None:
    """A dropped-out sensor is silent, the others are not."""
    faulty = fleet({"sensor": "PS1", "kind": "drop-out", "at": 5, "for": 2})

    assert ["PS1" in chunks(faulty, second) for second in (4, 5, 6, 7)] == [
        True,
        False,
        False,
        True,
    ]
    assert len(chunks(faulty, 5)) == len(CHANNELS) - 1


def test_stuck_repeats_the_last_value() -> None:
    """A stuck sensor gives its last value again and again."""
    faulty = fleet({"sensor": "PS1", "kind": "stuck", "at": 70, "for": 20})
    last = chunks(faulty, 69)["PS1"].value[-1]

    assert set(chunks(faulty, 70)["PS1"].value) == {last}
    assert set(chunks(faulty, 89)["PS1"].value) == {last}
    assert len(set(chunks(faulty, 90)["PS1"].value)) > 1


def test_stuck_from_the_start_repeats_the_first_value() -> None:
    """A sensor that is stuck from the start on repeats its first value."""
    faulty = fleet({"sensor": "FS2", "kind": "stuck", "at": 0})

    assert set(chunks(faulty, 3)["FS2"].value) == {chunks(fleet(), 0)["FS2"].value[0]}


@pytest.mark.parametrize("kind", ["spike", "drift", "noise"])
def test_a_lying_sensor_is_off_by_its_size(kind: str) -> None:
    """Spikes, drift and noise are as large as the fault says."""
    faulty = fleet({"sensor": "PS5", "kind": kind, "at": 0, "size": 6})
    off = chunks(faulty, 30)["PS5"].value - chunks(fleet(), 30)["PS5"].value

    if kind == "spike":
        assert off.max() == pytest.approx(6)
        assert np.count_nonzero(off) == 1
    elif kind == "drift":
        assert off[0] == pytest.approx(3)
    else:
        assert np.std(off) == pytest.approx(6, rel=0.3)


def test_a_fault_of_one_rig_leaves_the_others_alone() -> None:
    """A fault that names a rig concerns that rig alone."""
    fault = {"sensor": "PS1", "kind": "drop-out", "at": 0, "rig": "rig-0002"}
    faulty = fleet(fault, rigs=3)

    assert ["PS1" in chunks(faulty, 0, f"rig-000{i}") for i in (1, 2, 3)] == [True, False, True]


def test_late_records_are_sent_later() -> None:
    """Late records keep their event time and are sent `by` later, a `share` of them."""
    faulty = fleet({"transport": "late", "at": 0, "share": 0.3, "by": "8s"})
    chunk = chunks(faulty, 0)["PS1"]
    delay_us = chunk.send_us - chunk.time_us

    assert set(delay_us) == {0, 8_000_000}
    assert np.mean(delay_us > 0) == pytest.approx(0.3, abs=0.15)


def test_out_of_order_records_overtake_each_other() -> None:
    """Records out of order are each delayed by something else, never by more than `by`."""
    faulty = fleet({"transport": "out-of-order", "sensor": "PS1", "at": 0, "by": "2s"})
    chunk = chunks(faulty, 0)["PS1"]
    delay_us = chunk.send_us - chunk.time_us

    assert delay_us.min() >= 0
    assert delay_us.max() <= 2_000_000
    assert (np.diff(chunk.send_us) < 0).any()
    assert (chunks(faulty, 0)["PS2"].send_us == chunks(faulty, 0)["PS2"].time_us).all()


def test_duplicates_are_the_same_record_twice() -> None:
    """A duplicated record comes twice, with the same columns."""
    chunk = chunks(fleet({"transport": "duplicate", "at": 0}), 0)["PS1"]

    assert len(chunk) == 200
    assert (chunk.sample_idx[::2] == chunk.sample_idx[1::2]).all()
    assert (chunk.value[::2] == chunk.value[1::2]).all()


def test_malformed_records_are_no_records() -> None:
    """Malformed records are other bytes at their position; duplicates of them are malformed too."""
    malformed = {"transport": "malformed", "at": 0, "share": 0.2}
    once = chunks(fleet(malformed), 0)["PS1"]
    twice = chunks(fleet(malformed, {"transport": "duplicate", "at": 0}), 0)["PS1"]

    assert 5 < len(once.raw) < 40
    assert len(twice.raw) == 2 * len(once.raw)
    assert sorted(twice.raw) == sorted(2 * i + j for i in once.raw for j in (0, 1))


@pytest.mark.parametrize("by", ["-30s", "1h"])
def test_a_clock_jump_changes_event_time_alone(by: str) -> None:
    """A rig whose clock jumped sends at once what it gives another time."""
    chunk = chunks(fleet({"transport": "clock-jump", "at": 0, "by": by}), 0)["TS1"]
    right = chunks(fleet(), 0)["TS1"]

    assert chunk.send_us.tolist() == right.send_us.tolist()
    assert chunk.time_us[0] - right.time_us[0] == {"-30s": -30, "1h": 3600}[by] * 1_000_000


def test_faults_are_deterministic() -> None:
    """The same plan gives the same disturbances, in whichever order seconds are asked for."""
    faults = [
        {"sensor": "PS1", "kind": "noise", "at": 0, "size": 3},
        {"transport": "out-of-order", "at": 0, "share": 0.5},
    ]
    forward = [chunks(fleet(*faults), second)["PS1"] for second in (3, 61)]
    again = fleet(*faults)
    backward = [chunks(again, second)["PS1"] for second in (61, 3)][::-1]

    assert [c.value.tolist() for c in forward] == [c.value.tolist() for c in backward]
    assert [c.send_us.tolist() for c in forward] == [c.send_us.tolist() for c in backward]
