"""How far a component has gone, and how early that is seen: simulated rigs that wear, in virtual time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.exam import Exam, as_cycles
from hydrodask.audit.components import Components
from hydrodask.audit.finding import Result
from hydrodask.channels import SENSORS
from hydrodask.clock import parse_iso
from hydrodask.learn.score import champions
from hydrodask.learn.score.severity import attention, limit_of, worsening
from hydrodask.learn.targets import TARGETS
from hydrodask.observe.attention import look_first
from hydrodask.observe.example import example_overview
from hydrodask.observe.figures import Figures
from hydrodask.records import Float64, Upsert
from hydrodask.reports import Component, CycleReport
from hydrodask.trend import Trend
from tests.learned import cycles_of
from tests.running import Life
from tests.test_usual import MINUTE_US, START_US, life, profiles, simulated, stored

HOUR_US = 60 * MINUTE_US


def scored(folder: Path, exam: Exam, means: Float64, learn: int | None = 40) -> Life:
    """Return the flow `score` after these cycles, one batch a cycle, with the exam's committees as champions."""
    one = life(folder, learn=learn)
    champions.shared(one.settings).models = exam.models
    records = profiles(means)
    for first in range(0, len(records), len(SENSORS)):
        one.feed(cycles_of(records[first : first + len(SENSORS)], first=first))
    one.end()
    return one


def documents(one: Life, name: str) -> list[dict[str, Any]]:
    """Return what was said of a component, or of the cycle, in order."""
    return [c.body for c in one.changes if isinstance(c, Upsert) and c.id == f"rig-1/{name}"]


@pytest.mark.parametrize(("name", "to", "near"), [("valve", 73, 2.0), ("pump", 2, 0.25), ("cooler", 3, 8.0)])
def test_a_component_is_between_its_states(exam: Exam, name: str, to: int, near: float) -> None:
    """A simulated one that wears through states that nobody labelled: the number follows, and mostly its interval."""
    model, healthy, cycles = exam.models[name], TARGETS[name].nominal, 60
    sims = as_cycles(simulated(cycles, (name, to, 0, cycles)).reshape(cycles, -1))
    truth = healthy + (to - healthy) * (np.arange(cycles) + 0.5) / cycles
    said = [model.severity(sims.take(slice(n, n + 1))) for n in range(0, cycles, 4)]
    found = np.array([[one.value, one.low, one.high] for one in said if one is not None])
    off = np.abs(found[:, 0] - truth[::4])

    assert len(found) == len(said)
    assert off.mean() < near
    assert ((found[:, 1] - near / 2 <= truth[::4]) & (truth[::4] <= found[:, 2] + near / 2)).mean() > 0.9
    assert (found[:, 1] <= found[:, 0]).all()
    assert (found[:, 0] <= found[:, 2]).all()


def test_severity_without_a_second_and_without_an_order(exam: Exam) -> None:
    """What was not measured widens the interval, and only that; `stable` has no order, and nothing measured none."""
    real = exam.seconds[:30]
    cycles, gone = as_cycles(real), real.copy()
    gone[:, 60:120] = np.nan  # PS2
    valve = exam.models["valve"]
    wide = [valve.severity(as_cycles(gone).take(slice(n, n + 1))) for n in range(30)]
    whole = [valve.severity(cycles.take(slice(n, n + 1))) for n in range(30)]
    truth = exam.labels[:30, 1]

    assert np.mean([a.high - a.low for a in wide if a]) > np.mean([a.high - a.low for a in whole if a])
    assert np.mean([a.low <= t <= a.high for a, t in zip(whole, truth, strict=True) if a]) > 0.9
    assert exam.models["stable"].severity(cycles) is None
    assert valve.severity(as_cycles(np.full((1, 1020), np.nan))) is None


def test_what_gets_worse_says_when() -> None:
    """Half-way to the next state it is called worse; the trend is of an hour, and noise is none."""
    valve = TARGETS["valve"]
    ramp = [[float(START_US + n * MINUTE_US), 1.0 + 1.5 * n / 60] for n in range(60)]

    assert [limit_of(valve, off) for off in (0.0, 5.0, 16.0, 27.0)] == [5.0, 15.0, 23.5, 23.5]
    assert worsening(ramp, valve) == Trend(1.5, 1.683333)
    assert worsening(ramp[:10], valve) == worsening([], valve) == Trend()
    assert attention(0.4, valve, Trend(), bad=False) < 10
    assert attention(2.5, valve, Trend(1.5, 1.7), bad=False) == 40
    assert attention(10.0, valve, Trend(), bad=True) == 70
    overview = example_overview(1)
    part = next(iter(overview.partitions.values()))
    part.components = {("a", "valve"): Component(90, 1.0, 1, "", (92.0, 90.0, 94.0), 1.7, 40)}
    part.usual = {"a": CycleReport("usual", 1.0, 4.5, 9), "b": CycleReport("unusual", 9.0, 4.5, 70)}
    figures = Figures(overview)
    assert look_first(figures)[:2] == [("b", 70, "cycle unusual"), ("a", 40, "valve at 92, worse in 1.7 h")]


def test_a_valve_that_wears_live(exam: Exam, tmp_path: Path) -> None:
    """100 to 73 % in four hours after 40 healthy cycles: warned by trend, then an incident, then called worn.

    A restart in between goes on with the same trend, and `verify` knows the documents.
    """
    begins, lasts = 40, 240
    means = simulated(begins + 150, ("valve", 73, begins, lasts))
    one = scored(tmp_path, exam, means)
    valve, cycle = documents(one, "valve"), documents(one, "cycle")
    warned = next(b["cycle"] for b in valve if b["worse_in_hours"] is not None and b["cycle"] >= begins) - begins
    usual = next(b["cycle"] for b in cycle if b["state"] == "unusual") - begins
    opened = [body for (name, _), (_, body) in stored(one).items() if name == "incidents"]
    unusual = next(b for b in opened if b["rule"] == "unusual_cycles")
    alarm = (parse_iso(unusual["opened_at"]) - START_US) // MINUTE_US - begins
    worn = next(b["cycle"] for b in valve if b["state"] not in (100, None)) - begins
    verdict = next(b for b in opened if b["sensor"] == "valve")

    # Measured: 27, 32, 34 and 42 cycles after the beginning, at 97.0, 96.4, 96.2 and 95.3 %.
    assert worn - alarm >= 5
    assert worn - warned >= 10
    assert usual < alarm
    assert verdict["because"]
    assert "PS2" in verdict["message"]
    assert {b["sensor"] for b in opened} == {"*", "valve"}
    assert [b["state"] for b in valve[:begins]] == [100] * begins
    truth = [100 - 27 * max(0.0, b["cycle"] + 0.5 - begins) / lasts for b in valve]
    assert np.mean([abs(b["severity"] - t) for b, t in zip(valve, truth, strict=True) if b["severity"]]) < 2.0
    _restarted(tmp_path / "again", exam, means[:100], documents(one, "valve")[99])


def _restarted(folder: Path, exam: Exam, means: Float64, want: dict[str, Any]) -> None:
    again = scored(folder, exam, means[:80])
    again.restart()
    champions.shared(again.settings).models = exam.models
    again.feed(cycles_of(profiles(means)[80 * len(SENSORS) :], first=80 * len(SENSORS)))
    again.end()
    (*_, newest) = (c for c in again.changes if isinstance(c, Upsert) and c.id == "rig-1/valve")
    assert newest.body == want
    result = Result("documents", "")
    looked = Components({"rig-1"}, result)
    looked.take(newest.body | {"_id": newest.id, "revision": newest.revision})
    assert result.findings == []


def test_a_cut_cable_is_unknown_at_once_and_breaks_no_component(exam: Exam, tmp_path: Path) -> None:
    """In the cycle after the cut, by models and without labels, with what is missing; nobody calls a component worn."""
    means, cut = simulated(52).copy(), 45
    means[cut:, SENSORS.index("PS2"), :] = np.nan
    one = life(tmp_path, learn=40)
    champions.shared(one.settings).models = exam.models
    there = [record for n, record in enumerate(profiles(np.nan_to_num(means))) if n < cut * 17 or n % 17 != 1]
    one.feed(cycles_of(there))
    one.end()
    valve, cycle = documents(one, "valve"), documents(one, "cycle")

    assert valve[cut - 1]["state"] == 100
    assert valve[cut]["unknown_because"].startswith("not measured: PS2")
    assert cycle[cut]["why"] == "not measured: PS2"
    assert [c for c in one.changes if isinstance(c, Upsert) and c.collection == "incidents"] == []
