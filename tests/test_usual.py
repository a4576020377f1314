"""Load cycles against what a rig usually does, learned without labels: on the real archive, and on a simulated rig."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.unlabelled import FAULTS, ONE_COOLING, RIGHT, another_cooling, auroc, judged, learned
from hydrodask.audit.finding import Result
from hydrodask.audit.snapshots import Snapshot
from hydrodask.audit.unusual import Unusual
from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.clock import iso, parse_iso
from hydrodask.detect.usual.judgement import Judgement, judge
from hydrodask.detect.usual.telling import At
from hydrodask.detect.usual.watch import RELEARN, CycleWatch
from hydrodask.errors import IntegrityError
from hydrodask.ingest.simulator import FaultPlan
from hydrodask.ingest.simulator.rig import SimulatedRig
from hydrodask.ingest.simulator.shapes import load_shapes
from hydrodask.protocol import snapshot
from hydrodask.records import Bool, Change, CycleRecord, Float64, Int64, Outgoing, Upsert
from hydrodask.settings import Settings
from hydrodask.settings.model import Detect, Usual
from hydrodask.trend import Trend, attention_of, trend_of
from tests.learned import cycles_of
from tests.running import Life

START_US = parse_iso("2026-01-01T00:00:00Z")
MINUTE_US = 60_000_000
PS2 = SENSORS.index("PS2")


@dataclass
class Real:
    """The archive's cycles: means of seconds, (n, 17, 60), numbers and labels; `healthy` whatever the cooler."""

    means: Float64
    cycle: Int64
    labels: dict[str, Int64]

    def where(self, **states: int) -> Bool:
        """Return which cycles have these states, and healthy ones of valve, pump and accumulator besides."""
        wanted = {"valve": 100, "pump": 0, "accumulator": 130} | states
        found: Bool = np.all([self.labels[name] == state for name, state in wanted.items()], axis=0)
        return found


@pytest.fixture(scope="module")
def real(uci: Path) -> Real:
    """Return the archive, its cycles in order."""
    means, labels = [], pq.read_table(uci / "profile.parquet").to_pandas().sort_values("cycle")
    for name in SENSORS:
        path = uci / f"{name}.parquet"
        table = pq.read_table(path if path.exists() else uci / f"{name}_1hz_mean.parquet").sort_by("cycle")
        samples = table["samples"].combine_chunks().flatten().to_numpy()
        means.append(samples.reshape(len(labels), 60, -1).mean(axis=2))
    return Real(np.stack(means, axis=1), labels["cycle"].to_numpy(), {n: labels[n].to_numpy() for n in labels})


def test_faults_of_the_real_rig_are_seen_without_labels(real: Real) -> None:
    """Learned from healthy cycles alone, but for one episode of them at a time, which then has to look usual.

    The first 42 cycles, a cold start like no other in the archive, are learned from and not judged.
    """
    healthy = np.flatnonzero(real.where())
    episodes = np.split(healthy, np.flatnonzero(np.diff(real.cycle[healthy]) > 1) + 1)
    begun = [*np.array_split(episodes[0], 5)[1:], np.r_[tuple(episodes[1:3])], episodes[3], np.r_[tuple(episodes[4:6])]]
    begun += [episodes[6], np.r_[tuple(episodes[7:])]]
    faults = {f"{n} {s}": np.flatnonzero(real.where(**{n: s}))[::3] for n, states in FAULTS.items() for s in states}
    found = judged(real.means, healthy, begun, faults)
    usual, unusual = found.usual, found.unusual
    areas = {name: auroc(usual, scores) for name, scores in unusual.items()}
    recall = {name: float((np.array(scores) > Usual().enter).mean()) for name, scores in unusual.items()}

    assert len(usual) == 221
    assert max(usual) < Usual().enter
    assert min(areas[n] for n in areas if n[:4] in ("valv", "pump")) >= 0.99
    assert areas["accumulator 90"] >= 0.95
    assert areas["accumulator 100"] >= 0.92
    assert areas["accumulator 115"] >= 0.8
    assert all(recall[n] == 1.0 for n in recall if n[:4] in ("valv", "pump"))
    assert recall["accumulator 90"] >= 0.9
    assert {kind: found.named(kind) >= 0.9 for kind in RIGHT} == dict.fromkeys(RIGHT, True)


def test_another_cooling_is_told_by_the_sensors_of_the_cooler(real: Real) -> None:
    """A rig that was learned with one level of the cooler: each cycle with another one, whatever else is worn."""
    other = np.flatnonzero((real.labels["cooler"] != 3) & (real.labels["valve"] == 100) & (real.labels["pump"] == 0))
    above, right = another_cooling(real.means[:ONE_COOLING], real.means[other][::3])

    assert above == 1.0
    assert right >= 0.9


def test_quiet_stretches_of_the_real_sequence_bring_no_incident(real: Real) -> None:
    """Whether it is three rigs of 200 cycles, in warming and in cooling oil, or one rig of all 1,876, jumps and all."""
    states = np.stack([real.labels[name] for name in ("cooler", "valve", "pump", "accumulator")])
    same = np.r_[False, (np.diff(states) == 0).all(axis=0) & (np.diff(real.cycle) == 1)]
    for first, last in ((0, 209), (732, 931), (1464, 1663)):
        stretch = np.flatnonzero((real.cycle >= first) & (real.cycle <= last))
        assert opened(taken(CycleWatch(Usual()), real.means[stretch])) == []
    all_of_it = opened(taken(CycleWatch(Usual()), real.means))
    ends = [(parse_iso(one["opened_at"]) - START_US) // MINUTE_US - 1 for one in all_of_it]

    assert ends
    assert [end for end in ends if same[end] and same[end - 1]] == []


def taken(watch: CycleWatch, means: Iterable[Float64], *, first: int = 0, rig: str = "rig-1") -> list[list[Change]]:
    """Return what follows from each of these cycles, one a minute; the revision is the cycle's number."""
    return [watch.take(At(rig, n, START_US + n * MINUTE_US, n), one) for n, one in enumerate(means, first)]


def of(changes: list[list[Change]], collection: str) -> list[dict[str, Any]]:
    """Return the bodies of one collection, in order."""
    return [c.body for some in changes for c in some if isinstance(c, Upsert) and c.collection == collection]


def opened(changes: list[list[Change]]) -> list[dict[str, Any]]:
    """Return the incidents as they were left."""
    return list({body["first_window"]: body for body in of(changes, "incidents")}.values())


@cache
def simulated(count: int, *faults: tuple[str, float, float, float]) -> Float64:
    """Return cycles of the nominal rig, (count, 17, 60) means. Faults: component, to, at and ramp in cycles."""
    entries = [{"component": c, "to": to, "at": at * 60, "ramp": ramp * 60} for c, to, at, ramp in faults]
    rig, shapes = SimulatedRig("rig-1", index=0, seed=1, plan=FaultPlan.parse({"faults": entries})), load_shapes()
    means = np.empty((count, len(SENSORS), 60))
    for number in range(count):
        for place, (name, counts) in enumerate(rig.cycle(number).counts.items()):
            means[number, place] = (counts / 10 ** shapes[name].decimals).reshape(60, -1).mean(axis=1)
    return means


def test_a_valve_that_wears_is_seen_long_before_a_model_would_call_it_worn() -> None:
    """From 100 to 90 % within five hours: an incident before 96 % are reached; at 95 a classifier begins to see."""
    means = simulated(330, ("valve", 90, 30, 300))
    changes = taken(CycleWatch(Usual(learn=30)), means)
    (incident,) = opened(changes)
    at = (parse_iso(incident["opened_at"]) - START_US) // MINUTE_US
    said = of(changes, "components")
    warned = [one["cycle"] for one in said if one["threshold_in_hours"] is not None]

    assert 60 < at < 30 + 300 * 0.4
    assert incident["status"] == "open"
    assert "in second 9 is" in incident["message"]
    assert warned
    assert min(warned) < at - 1
    assert said[-1]["attention"] >= 90
    assert said[29]["attention"] == 0
    assert said[40]["attention"] < 40


def test_a_fault_opens_one_incident_that_ends_with_it() -> None:
    """With its second cycle, and with the second good one; the worst cycle gives value and words."""
    means = [*simulated(34), *simulated(4, ("valve", 73, 0, 0)), *simulated(40)[34:]]
    changes = taken(CycleWatch(Usual(learn=30)), means)
    states = [body["state"] for body in of(changes, "components")]
    (incident,) = opened(changes)

    assert states == ["learning"] * 30 + ["usual"] * 4 + ["unusual"] * 4 + ["usual"] * 6
    assert incident["opened_at"] == iso(START_US + 36 * MINUTE_US)
    assert (incident["status"], incident["windows"], incident["severity"]) == ("resolved", 4, "critical")
    assert incident["resolved_at"] == iso(START_US + 40 * MINUTE_US)
    assert incident["contributions"][0]["sensor"] == "PS2"
    assert incident["contributions"][0]["seconds"] == [9, 9]
    assert incident["worst"] == max(body["score"] for body in of(changes, "components")[35:38])


def test_a_cut_cable_makes_cycles_unknown_and_no_incident() -> None:
    """At once, with the sensor that is missing, for as long as it is; a lost second is left out."""
    means = simulated(45).copy()
    means[35:40, PS2] = np.nan
    means[41, PS2, 9] = np.nan
    changes = taken(CycleWatch(Usual(learn=30)), means)
    said = of(changes, "components")

    assert opened(changes) == []
    assert [one["cycle"] for one in said if one["state"] == "unknown"] == [35, 36, 37, 38, 39]
    assert said[35]["why"] == "not measured: PS2"
    assert {one["unknown_since"] for one in said[35:40]} == {iso(START_US + 36 * MINUTE_US)}
    assert said[40]["unknown_since"] is None
    assert said[38]["attention"] == 30


@given(st.sets(st.sampled_from(SENSORS)), st.integers(0, 60), st.floats(-30, 30))
@settings(max_examples=60, deadline=None)
@example(set(), 60, 20.0)
@example({"VS1"}, 2, 20.0)
def test_whatever_is_not_measured_a_document_can_be_written(there: set[str], second: int, warmer: float) -> None:
    """Sensors that are gone, seconds that are lost, oil as never before: every body is JSON, without any NaN."""
    watch, means = _learned_watch(), simulated(31)[30:].copy()
    means[:, [number for number, name in enumerate(SENSORS) if name not in there | {"TS1"}]] = np.nan
    means[:, :, second : second + 3] = np.nan
    means[:, SENSORS.index("TS1")] += warmer
    changes = taken(watch, [*means, *means, *means], first=30)

    assert [json.dumps(body, allow_nan=False) for name in ("components", "incidents") for body in of(changes, name)]


def _learned_watch() -> CycleWatch:
    """Return a watch that has learned thirty cycles."""
    watch = CycleWatch(Usual(learn=30))
    watch.restore(snapshot.decode(_learned_state()))
    return watch


@cache
def _learned_state() -> bytes:
    watch = CycleWatch(Usual(learn=30))
    taken(watch, simulated(30))
    return snapshot.encode(watch.snapshot())


def test_one_unusual_cycle_before_new_oil_does_not_stop_learning() -> None:
    """It opens no incident, and the oil that nobody knows becomes known as it does without it."""
    strange, warm = simulated(31)[30].copy(), simulated(61)[31:].copy()
    strange[PS2, 9] -= 60.0
    for name in ("TS1", "TS2", "TS3", "TS4"):
        warm[:, SENSORS.index(name)] += 8.0
    changes = taken(_learned_watch(), [strange, *warm], first=30)
    states = [one["state"] for one in of(changes, "components")]

    assert states[:2] == ["unusual", "unknown"]
    assert states[-1] == "usual"
    assert opened(changes) == []


def test_an_incident_of_which_nothing_can_be_said_for_a_day_ends() -> None:
    """Until then it stays; it ends with a word why, whatever restarts there are, and can open anew."""
    watch = _learned_watch()
    bad = simulated(31)[30].copy()
    bad[PS2, 9] -= 60.0
    blind = np.full_like(bad, np.nan)
    first = taken(watch, [bad, bad, *[blind] * (RELEARN - 1)], first=30)
    again = CycleWatch(Usual(learn=30))
    again.restore(snapshot.decode(snapshot.encode(watch.snapshot())))
    rest = taken(again, [blind, blind, bad, bad], first=31 + RELEARN)

    assert [one["status"] for one in opened(first)] == ["open"]
    assert [(one["status"], "could not be judged" in one["message"]) for one in opened(rest)] == [
        ("resolved", True),
        ("open", False),
    ]
    assert opened(rest)[0]["resolved_at"] == iso(START_US + (32 + RELEARN) * MINUTE_US)


def test_oil_as_never_before_is_a_regime_that_is_learned() -> None:
    """A rig that was learned cold warms up: unknown at first, then usual; nothing of it is an incident."""
    cold, warm = simulated(31), simulated(60).copy()
    for name, slope in (("TS1", 1.0), ("TS2", 1.0), ("TS3", 1.0), ("TS4", 1.0), ("PS1", -0.2), ("FS2", -0.05)):
        warm[:, SENSORS.index(name)] += slope * np.minimum(np.arange(60), 40)[:, None] / 5
    changes = taken(CycleWatch(Usual(learn=30)), [*cold, *warm])
    said = of(changes, "components")

    assert opened(changes) == []
    assert "unknown" in {one["state"] for one in said}
    assert next(one["why"] for one in said if one["state"] == "unknown").startswith("oil of 3")
    assert {one["state"] for one in said[-15:]} == {"usual"}


def test_a_cooler_that_fails_slowly_is_not_learned_with_the_oil_that_it_warms() -> None:
    """Within three hours to 20 %: each cycle's oil is as never before, and CE hardly has to follow it."""
    changes = taken(CycleWatch(Usual(learn=30)), simulated(215, ("cooler", 20, 30, 180)))

    assert opened(changes)[0]["contributions"][0]["sensor"] == "CE"
    assert opened(changes)[0]["status"] == "open"


def test_a_jump_to_the_relief_valve_is_a_regime_and_no_incident() -> None:
    """What it spoils is left out, and not learned; what is left has to be as usual."""
    means = simulated(44).copy()
    for number in (32, 33, 34):
        for name, level in (("PS1", 188.5), ("PS2", 165.0), ("FS1", 1.14), ("SE", 11.1), ("EPS1", 2834.0)):
            means[number, SENSORS.index(name), 19:50] = level
    means[39:] = means[32]
    means[39:, PS2, 9] -= 14.0
    changes = taken(CycleWatch(Usual(learn=30)), means)
    said = of(changes, "components")

    assert [one["regime"] for one in said[31:36]] == ["known", "relief", "relief", "relief", "known"]
    assert {one["state"] for one in said[30:39]} == {"usual"}
    (incident,) = opened(changes)
    assert incident["contributions"][0]["sensor"] == "PS2"
    assert incident["contributions"][0]["deviation"] == pytest.approx(-14, abs=0.3)


@given(cut=st.integers(0, 45))
@settings(max_examples=6, deadline=None)
def test_any_restart_gives_the_same(cut: int) -> None:
    """A watch that was stored and restored anywhere gives what one that lived gives, and equal bytes of state."""
    means = [*simulated(34), *simulated(4, ("valve", 73, 0, 0)), *simulated(45)[38:]]
    whole, first, second = (CycleWatch(Usual(learn=30)) for _ in range(3))
    want = taken(whole, means)
    got = taken(first, means[:cut])
    second.restore(snapshot.decode(snapshot.encode(first.snapshot())))
    got += taken(second, means[cut:], first=cut)

    assert got == want
    assert snapshot.encode(second.snapshot()) == snapshot.encode(whole.snapshot())


def test_a_forgotten_rig_leaves_no_incident_open() -> None:
    """It ends with the last cycle that it tells of, and the rig is learned anew if it comes back."""
    watch = CycleWatch(Usual(learn=30))
    taken(watch, [*simulated(30), *simulated(4, ("valve", 73, 0, 0))])
    (change,) = watch.forget("rig-1", 99)

    assert isinstance(change, Upsert)
    assert (change.body["status"], change.revision) == ("resolved", 99)
    assert of(taken(watch, simulated(1)), "components")[0]["why"] == "1 of 30 cycles learned"


def test_a_state_of_another_version_is_refused() -> None:
    """The node then learns anew, and says so."""
    with pytest.raises(IntegrityError, match="version 99"):
        CycleWatch(Usual()).restore({"version": 99})


def test_what_can_be_chance_is_no_trend() -> None:
    """Noise has none, and a step of one cycle neither; what falls will not reach a threshold."""
    noise = np.random.default_rng(1).normal(1, 0.2, 120)
    steady = [[float(n * MINUTE_US), float(value)] for n, value in enumerate(noise)]
    falling = [[float(n * MINUTE_US), 3 - n / 60] for n in range(120)]

    assert trend_of(steady, 4.5) == Trend()
    assert trend_of([*steady[:-1], [steady[-1][0], 50.0]], 4.5) == Trend()
    assert trend_of(falling, 4.5) == Trend(-1.0, None)


def test_what_to_look_at_first() -> None:
    """What is open before what is not, the further off the more, the worse it gets the more; then who is not judged."""
    rising = Trend(per_hour=0.5, in_hours=3.0)
    worth = [
        attention_of(18.0, 4.5, rising, open_=True, unknown=False),
        attention_of(18.0, 4.5, Trend(), open_=True, unknown=False),
        attention_of(5.0, 4.5, Trend(), open_=True, unknown=False),
        attention_of(3.0, 4.5, rising, open_=False, unknown=False),
        attention_of(np.nan, 4.5, Trend(), open_=False, unknown=True),
        attention_of(1.0, 4.5, Trend(), open_=False, unknown=False),
    ]

    assert worth == sorted(worth, reverse=True)
    assert len(set(worth)) == len(worth)
    assert (worth[0], worth[-1]) == (100, 9)


def test_a_deviation_has_its_channel_and_side() -> None:
    """What stands out is named by sensor, seconds, amount, unit and side."""
    reference = learned(simulated(30))
    off = simulated(31)[30].copy()
    off[SENSORS.index("FS1"), 20:24] += 2.0
    found: Judgement = judge(reference, off)

    assert found.contributions[0].text.startswith("FS1 in seconds 20-23 is 2.0")
    assert found.contributions[0].text.endswith(" l/min high")
    assert found.contributions[0].share > 0.9


def profiles(means: Float64) -> list[Outgoing]:
    """Return cycles as the profiles that monitor publishes, sensor by sensor."""
    made = []
    for number, cycle in enumerate(means):
        for name, curve in zip(SENSORS, cycle, strict=True):
            values, count = curve.tolist(), CHANNELS[name].rate_hz
            start = iso(START_US + number * MINUTE_US)
            record = CycleRecord("rig-1", name, number, start, True, 0, [count] * 60, values, values, values, values)
            made.append(Outgoing("hydraulic-cycles", b"rig-1", msgspec.json.encode(record)))
    return made


def life(folder: Path, learn: int | None = 8) -> Life:
    """Return the flow `score` on a partition of profiles, without any model."""
    detect = Detect(usual=Usual(learn=learn))
    return Life(Settings(data_dir=folder, detect=detect), topic="hydraulic-cycles", flow="score")


def stored(one: Life) -> dict[tuple[str, str], tuple[int, dict[str, Any]]]:
    """Return the documents as they were left."""
    return {(c.collection, c.id): (c.revision, c.body) for c in one.changes if isinstance(c, Upsert)}


def test_the_flow_says_the_same_however_its_records_come(tmp_path: Path) -> None:
    """In one batch, or in many with a crash between: equal documents and bytes; also from before there was the node."""
    records = profiles(np.stack([*simulated(10), *simulated(4, ("valve", 73, 0, 0))]))
    whole, parts, older = life(tmp_path / "a"), life(tmp_path / "b"), life(tmp_path / "c")
    whole.feed(cycles_of(records))
    whole.end()
    for first, end, stays in ((0, 100, True), (100, 171, False), (100, 190, True), (190, len(records), True)):
        parts.feed(cycles_of(records[first:end], first=first))
        if stays:
            parts.end()
        else:
            assert parts.restart() == 100  # the worker died
    del older.partition.ctx.states["usual"]
    older.feed(cycles_of(records[:170]))
    older.end()
    older.changes.clear()
    older.restart()
    older.feed(cycles_of(records[170:], first=170))
    older.end()
    report = whole.partition.report(0)

    assert stored(whole) == stored(parts)
    assert whole.state() == parts.state()
    assert [body["status"] for (name, _), (_, body) in stored(whole).items() if name == "incidents"] == ["open"]
    assert ("rig-1", "*", "unusual_cycles") in report.alarms
    assert report.usual["rig-1"].state == "unusual"
    assert stored(older)["components", "rig-1/cycle"][1]["why"] == "4 of 8 cycles learned"


def test_without_it_nothing_is_said(tmp_path: Path) -> None:
    """`detect.usual.learn: null` turns it off."""
    off = life(tmp_path, learn=None)
    off.feed(cycles_of(profiles(simulated(2))))
    off.commit()

    assert off.changes == []


ALTERED: dict[str, dict[str, Any]] = {
    "no state of ours": {"state": "fine"},
    "no score": {"score": -1.0},
    "no attention": {"attention": 101},
    "another rig": {"rig": "rig-2"},
    "another time": {"time": "2026-01-01T00:00:00Z"},
}


def test_verify_knows_documents_of_usual_cycles() -> None:
    """Ours are right; what nobody can have said, what differs from the snapshot, and what is missing, is found."""
    watch, result = CycleWatch(Usual(learn=8)), Result("documents", "")
    changes = taken(watch, [*simulated(10), *simulated(4, ("valve", 73, 0, 0))])
    said, incident = (_as_stored(changes, name) for name in ("components", "incidents"))
    unusual = Unusual({"rig-1"}, result)
    unusual.learn(Snapshot("", 14, {"nodes": {"usual": {"watch": watch.snapshot()}}}), last=True)
    unusual.take(said)
    unusual.take_incident(incident)
    unusual.conclude()
    assert result.findings == []
    for altered in ALTERED.values():
        unusual.take(said | altered)
    assert len(result.findings) == len(ALTERED)
    for altered in ({"worst": 1.0}, {"status": "resolved"}, {"sensor": "PS1"}, {"first_window": said["time"]}):
        unusual.take_incident(incident | altered)
    assert len(result.findings) == len(ALTERED) + 4
    unusual.seen.clear()
    unusual.conclude()
    assert len(result.findings) == len(ALTERED) + 5


def _as_stored(changes: list[list[Change]], collection: str) -> dict[str, Any]:
    """Return the newest document of a collection, as a store gives it."""
    (*_, one) = (c for some in changes for c in some if isinstance(c, Upsert) and c.collection == collection)
    return one.body | {"_id": one.id, "revision": one.revision}
