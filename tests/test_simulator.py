"""The simulated rig against what is known of the real one."""

import itertools
import os
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hydrodask.channels import CHANNELS, CYCLE_S
from hydrodask.clock import iso
from hydrodask.errors import ConfigError
from hydrodask.ingest.simulator import FaultPlan, Fleet, jumps
from hydrodask.ingest.simulator.inputs import LEVELS
from hydrodask.ingest.simulator.rig import Cycle, SimulatedRig
from hydrodask.ingest.simulator.shapes import load_shapes
from hydrodask.records import Float64
from hydrodask.settings import CONF

START_US = 1_767_225_600_000_000
RECORDING = Path(__file__).resolve().parents[2] / "shared" / "data" / "recording"

_TOLERANCE = {
    "PS1": 2.5,
    "PS2": 2.5,
    "PS3": 0.25,
    "PS4": 0.1,
    "PS5": 0.12,
    "PS6": 0.12,
    "EPS1": 30.0,
    "FS1": 0.9,
    "FS2": 0.15,
    "TS1": 1.5,
    "TS2": 1.5,
    "TS3": 1.5,
    "TS4": 1.7,
    "VS1": 0.12,
    "CE": 1.8,
    "CP": 0.15,
    "SE": 7.0,
}
"""How far the mean of any second may be from a real, settled cycle's; in the sensor's unit."""


def fleet(rigs: int = 1, *, seed: int = 1, faults: FaultPlan | None = None) -> Fleet:
    """Return a fleet that starts at `START_US`."""
    return Fleet(rigs=rigs, seed=seed, start_us=START_US, faults=faults, default_rig="rig-1")


def plan(**states: float) -> FaultPlan:
    """Return a plan that has components in these states from the start on."""
    return FaultPlan.parse({"faults": [{"component": name, "to": to, "at": 0} for name, to in states.items()]})


def cycle(faults: FaultPlan | None = None, number: int = 1, seed: int = 1) -> dict[str, Float64]:
    """Return the samples of one cycle of the nominal rig by sensor."""
    rig = SimulatedRig("rig-1", index=0, seed=seed, plan=faults or plan())
    shapes = load_shapes()
    counts = rig.cycle(number).counts
    return {name: counts[name] / 10 ** shapes[name].decimals for name in CHANNELS}


@cache
def means(**states: float) -> dict[str, float]:
    """Return each sensor's mean over a settled cycle."""
    return {name: float(values.mean()) for name, values in cycle(plan(**states)).items()}


def test_a_second_has_what_each_rate_says() -> None:
    """Each sensor sends as many samples a second as its rate, with running index and time."""
    simulated = fleet()
    for second in (0, 59, 60):
        found = {chunk.sensor: chunk for chunk in simulated.chunk(second)}

        assert list(found) == list(CHANNELS)
        for name, channel in CHANNELS.items():
            chunk = found[name]
            step_us = 1_000_000 // channel.rate_hz
            first = second % CYCLE_S * channel.rate_hz
            assert chunk.rig == "rig-1"
            assert set(chunk.cycle) == {second // CYCLE_S}
            assert chunk.sample_idx.tolist() == list(range(first, first + channel.rate_hz))
            assert chunk.time_us[0] == START_US + second * 1_000_000
            assert set(np.diff(chunk.time_us)) <= {step_us}
            assert chunk.send_us.tolist() == chunk.time_us.tolist()


def test_values_stay_in_the_range_of_the_real_rig() -> None:
    """In every combination of component states all values are in their channel's range."""
    corners = itertools.product(*((levels[0], levels[-1]) for levels in LEVELS.values()))
    for corner in corners:
        values = cycle(plan(**dict(zip(LEVELS, corner, strict=True))))

        for name, channel in CHANNELS.items():
            assert channel.low <= values[name].min() <= values[name].max() <= channel.high, name


def test_values_have_few_decimals() -> None:
    """Values are the doubles nearest to short decimal texts, as a real rig sends them."""
    for chunk in fleet().chunk(7):
        decimals = load_shapes()[chunk.sensor].decimals

        assert [float(f"{value:.{decimals}f}") for value in chunk.value] == chunk.value.tolist()


def test_the_same_seed_gives_the_same_bytes() -> None:
    """A run is a function of its seed, whatever was asked before; another seed is another run."""

    def content(simulated: Fleet, seconds: list[int]) -> dict[int, list[bytes]]:
        return {s: [chunk.value.tobytes() for chunk in simulated.chunk(s)] for s in seconds}

    demo = FaultPlan.load(CONF / "faults-demo.yaml")
    first = content(fleet(3, faults=demo), [5, 65, 200])

    assert content(fleet(3, faults=demo), [200, 65, 5]) == first
    assert content(fleet(3, faults=demo, seed=2), [5])[5] != first[5]


def test_rigs_of_a_fleet_differ() -> None:
    """Each rig of a fleet has a name, a phase and slightly different sensors of its own."""
    simulated = fleet(20)
    chunks = [chunk for chunk in simulated.chunk(0) if chunk.sensor == "EPS1"]

    assert [chunk.rig for chunk in chunks] == [f"rig-{i:04d}" for i in range(1, 21)]
    assert len({int(chunk.sample_idx[0]) for chunk in chunks}) > 10
    assert len({chunk.value.tobytes() for chunk in chunks}) == 20


@pytest.mark.parametrize("rigs", [0, 10_000])
def test_a_fleet_has_a_limit(rigs: int) -> None:
    """A fleet without rigs or with too many is refused."""
    with pytest.raises(ConfigError, match=f"rigs is {rigs}"):
        fleet(rigs)


def test_labels_say_what_is_true_of_a_cycle() -> None:
    """Labels come at the start of each cycle with the states that hold for most of it."""
    demo = fleet(faults=FaultPlan.load(CONF / "faults-demo.yaml"))
    labels = [label for second in range(300) for label in demo.labels(second)]

    assert [label.cycle for label in labels] == [0, 1, 2, 3, 4]
    assert [label.cooler for label in labels] == [100, 3, 100, 100, 100]
    assert [label.stable for label in labels] == [0, 1, 1, 0, 0]
    assert [label.timestamp for label in labels] == [iso(START_US + n * 60_000_000) for n in range(5)]
    assert {(label.valve, label.pump, label.accumulator) for label in labels} == {(100, 0, 130)}


def test_every_rig_of_a_fleet_has_a_label_at_once() -> None:
    """Rigs that are in the middle of a cycle at the start tell its label in second 0."""
    labels = fleet(5).labels(0)

    assert [label.rig for label in labels] == [f"rig-{i:04d}" for i in range(1, 6)]
    assert max(label.timestamp for label in labels) == iso(START_US)


@pytest.mark.parametrize(("valve", "mean_bar"), [(100, 83), (90, 75), (80, 62), (73, 47)])
def test_a_worn_valve_opens_later(valve: float, mean_bar: float) -> None:
    """PS2's mean at t = 9 s falls with the valve's condition as on the real rig."""
    ps2 = cycle(plan(valve=valve))["PS2"].reshape(CYCLE_S, -1).mean(axis=1)

    assert ps2[9] == pytest.approx(mean_bar, abs=3)
    assert ps2[2:9].max() < 0.05


def test_the_valve_between_two_levels_is_between_them() -> None:
    """Component states are continuous: half way between two levels PS2 is about half way too."""
    ps2 = cycle(plan(valve=95))["PS2"].reshape(CYCLE_S, -1).mean(axis=1)

    assert ps2[9] == pytest.approx((83 + 75) / 2, abs=3)


def test_a_weak_cooler_shows_everywhere_it_should() -> None:
    """With less cooling CE, CP, PS5 and PS6 fall, and the oil and VS1 rise, level by level."""
    levels = [means(cooler=cooler) for cooler in (100, 20, 3)]

    for name in ("CE", "CP", "PS5", "PS6"):
        assert levels[0][name] > levels[1][name] > levels[2][name], name
    for name in ("TS1", "TS2", "TS3", "TS4", "VS1"):
        assert levels[0][name] < levels[1][name] < levels[2][name], name


def test_a_leaking_pump_shows_in_efficiency_and_flow() -> None:
    """The more the pump leaks, the lower are SE and FS1."""
    levels = [means(pump=pump) for pump in (0, 1, 2)]

    assert levels[0]["SE"] > levels[1]["SE"] + 1 > levels[2]["SE"] + 2
    assert levels[0]["FS1"] > levels[1]["FS1"] + 0.1 > levels[2]["FS1"] + 0.15


def test_the_accumulator_changes_little() -> None:
    """A low accumulator moves PS1, PS3, FS1 and SE, but by less than 2 % of their mean."""
    full, low = means(accumulator=130), means(accumulator=90)

    for name in ("PS1", "PS3", "FS1", "SE"):
        assert 0 < abs(full[name] - low[name]) < 0.02 * full[name], name


def test_efficiency_is_zero_for_eight_seconds() -> None:
    """SE has exactly eight zeros in every cycle, in seconds 1 to 8."""
    for states in ({}, {"cooler": 3, "pump": 2}, {"valve": 73, "accumulator": 90}):
        assert np.flatnonzero(cycle(plan(**states))["SE"] == 0).tolist() == list(range(1, 9))


def test_oil_follows_slowly_and_efficiency_at_once() -> None:
    """After the cooler fails CE falls in seconds, TS1 moves half its way in about ten minutes."""
    failing = FaultPlan.parse({"faults": [{"component": "cooler", "to": 3, "at": 60}]})
    rig = SimulatedRig("rig-1", index=0, seed=1, plan=failing)
    shapes = load_shapes()

    def values(name: str, number: int) -> Float64:
        found: Float64 = rig.cycle(number).counts[name] / 10 ** shapes[name].decimals
        return found

    assert values("CE", 1)[5:].max() < 27
    oil = [float(values("TS1", number).mean()) for number in (0, 1, 11, 60)]
    assert oil[1] - oil[0] < 1
    assert 7 < oil[2] - oil[0] < 12
    assert oil[3] == pytest.approx(55.5, abs=1)


def test_a_ramp_passes_through_the_states_between() -> None:
    """A component that ramps shows the states between on its way."""
    ramping = FaultPlan.parse({"faults": [{"component": "cooler", "to": 20, "at": 60, "ramp": "60s"}]})
    efficiency = cycle(ramping, number=1)["CE"]

    assert efficiency[10] > efficiency[30] + 2 > efficiency[55] + 4


def test_a_healthy_hour_breaks_no_rule() -> None:
    """For an hour the one-minute means of CE and TS1 stay far from the rules' thresholds."""
    rig = SimulatedRig("rig-1", index=0, seed=1, plan=plan())
    series: dict[str, list[Float64]] = {"CE": [], "TS1": []}
    for number in range(60):
        for name, seen in series.items():
            seen.append(rig.cycle(number).counts[name] / 1000)
    sliding = {name: np.convolve(np.concatenate(seen), np.ones(60) / 60, "valid") for name, seen in series.items()}

    assert sliding["CE"].min() > 45
    assert sliding["TS1"].max() < 37


def test_the_demo_leads_to_one_incident_that_ends() -> None:
    """CE's one-minute mean passes 37 % within half a minute of the fault and comes back."""
    demo = fleet(faults=FaultPlan.load(CONF / "faults-demo.yaml"))
    efficiency = [
        float(chunk.value[0]) for second in range(240) for chunk in demo.chunk(second) if chunk.sensor == "CE"
    ]
    mean = np.convolve(efficiency, np.ones(60) / 60, "valid")
    low_s = np.flatnonzero(mean < 37) + 60  # when the window ends

    assert 80 <= low_s[0] <= 90
    assert low_s[-1] <= 135
    assert np.diff(low_s).tolist() == [1] * (len(low_s) - 1)
    assert mean.min() > 23.5


def test_cycles_are_like_recorded_ones() -> None:
    """The mean of every second is close to that of real, settled cycles in the same states.

    Left out: row 0, an upset in which the load did not step down; rows 4 and 5, minutes after a
    change; rows 1 and 2, whose oil was still warming.
    """
    if not RECORDING.is_dir():
        message = f"the recording is not at {RECORDING}; it is needed to compare with"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    states = np.loadtxt(RECORDING / "profile.txt", dtype=int)
    real = {name: np.loadtxt(RECORDING / f"{name}.txt", ndmin=2) for name in CHANNELS}
    for row in (3, 6, 7, 8, 9):
        values = cycle(plan(**dict(zip(LEVELS, map(float, states[row]), strict=False))))
        for name, tolerance in _TOLERANCE.items():
            off = (values[name] - real[name][row]).reshape(CYCLE_S, -1).mean(axis=1)
            assert np.abs(off).max() < tolerance, (row, name)


def test_hot_oil_jumps_as_on_the_real_rig(uci: Path) -> None:
    """Where it jumps, how often, to which pressure and flow: the archive's own cycles say so. Cold oil never does."""
    labels = pq.read_table(uci / "profile.parquet").to_pandas()
    means = {n: np.stack(pq.read_table(uci / f"{n}.parquet")["samples"].to_numpy()) for n in ("FS1", "TS1")}
    means["PS1"] = np.stack(pq.read_table(uci / "PS1_1hz_mean.parquet")["samples"].to_numpy())
    means["FS1"] = means["FS1"].reshape(len(labels), 60, -1).mean(axis=2)
    real = (means["PS1"][:, 20:49] > 170).sum(axis=1) > 2
    back = means["PS1"][:, 55] < 170  # all but one of twenty come back before the cycle ends
    hot = means["TS1"].mean(axis=1) > jumps.OIL_MIN
    leaking = (labels["pump"] == 2) & (labels["accumulator"] == 100) & hot
    states = {"cooler": 3, "pump": 2, "accumulator": 100}
    worn = [as_means(SimulatedRig("rig-1", index=0, seed=1, plan=plan(**states)).cycle(number)) for number in range(10)]
    whole = {n: as_means(SimulatedRig("rig-1", index=0, seed=1, plan=plan(cooler=3)).cycle(n)) for n in range(10)}

    assert not real[~hot].any()
    assert real[leaking].mean() == pytest.approx(jumps.chance(55.5, 2, 100), abs=0.05)
    assert all((one["PS1"][20:49] > 170).all() for one in worn)
    assert not any((one["PS1"][20:49] > 170).any() for one in whole.values())
    for name, seconds, within in (("PS1", slice(20, 49), 0.3), ("FS1", slice(20, 49), 0.06), ("PS1", slice(52, 60), 3)):
        want = means[name][real & leaking & back][:, seconds].mean()
        assert np.mean([one[name][seconds].mean() for one in worn]) == pytest.approx(want, abs=within)


def as_means(one: Cycle) -> dict[str, Float64]:
    """Return the means of the seconds of a simulated cycle."""
    return {n: (c / 10 ** load_shapes()[n].decimals).reshape(60, -1).mean(axis=1) for n, c in one.counts.items()}
