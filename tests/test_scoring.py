"""Scoring while it streams: sensors come together, champions are asked, documents say what they said."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrodask.channels import SENSORS
from hydrodask.clock import iso, monotonic_s, parse_iso
from hydrodask.errors import FatalError
from hydrodask.ingest.feed import SimulatedFeed
from hydrodask.ingest.recording import Recording
from hydrodask.ingest.simulator import FaultPlan, Fleet
from hydrodask.learn.registry import Registry
from hydrodask.learn.score import champions
from hydrodask.learn.score.joining import CycleJoiner, Joined
from hydrodask.learn.score.verdicts import ComponentStates, Unknown, Verdict
from hydrodask.learn.shelf import shelf as shelf_of
from hydrodask.learn.targets import TARGETS
from hydrodask.protocol import snapshot
from hydrodask.records import Change, CycleRecord, Outgoing, Upsert
from hydrodask.settings import Settings
from hydrodask.settings.model import Learn
from hydrodask.store.documents.sqlite import SqliteDocuments
from tests.learned import START_US, Trained, cycles_of, streamed
from tests.running import Life

if TYPE_CHECKING:
    from hydrodask.learn.score.committee import Committee
    from hydrodask.learn.score.inference import Model

US = 1_000_000
TOPIC = "hydraulic-cycles"


def profile(sensor: str, cycle: int, rig: str = "rig-1") -> CycleRecord:
    """Return a profile; cycle n begins at minute n."""
    values: list[float | None] = [float(cycle)] * 60
    start = iso(START_US + cycle * 60 * US)
    return CycleRecord(rig, sensor, cycle, start, True, 1, [1] * 60, values, [0.0] * 60, values, values)


def joined(records: list[CycleRecord]) -> list[Joined]:
    """Return what a joiner gives for records at offsets 0, 1, …."""
    joiner = CycleJoiner()
    return [done for offset, record in enumerate(records) for done in joiner.add(record, offset)]


def test_a_cycle_is_done_with_its_last_sensor() -> None:
    """Not before, and whatever the order of sensors."""
    records = [profile(sensor, 0) for sensor in reversed(SENSORS)]

    assert joined(records[:-1]) == []
    assert [(d.cycle, d.missing) for d in joined(records)] == [(0, ())]


def test_a_later_cycle_that_is_whole_sends_the_earlier_one_out() -> None:
    """With what there is of it, first; what comes after that is missed."""
    late = profile("PS1", 0)
    records = [profile(s, 0) for s in SENSORS if s != "PS1"] + [profile(s, 1) for s in SENSORS]
    joiner = CycleJoiner()
    done = [d for offset, record in enumerate([*records, late]) for d in joiner.add(record, offset)]

    assert [(d.cycle, d.missing) for d in done] == [(0, ("PS1",)), (1, ())]
    assert joiner.missed == 1
    assert np.isnan(done[0].curves[0]).all()


def test_a_dead_sensor_delays_by_two_cycles_at_most() -> None:
    """When no cycle is ever whole, the oldest goes out once a third one begins."""
    done = joined([profile(sensor, cycle) for cycle in range(4) for sensor in SENSORS[1:]])

    assert [(d.cycle, d.missing) for d in done] == [(0, ("PS1",)), (1, ("PS1",))]


@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_any_restart_gives_the_same(data: st.DataObject) -> None:
    """A joiner that was stored and restored anywhere gives what one that lived gives, and equal bytes of state."""
    places = st.tuples(st.sampled_from(SENSORS[:4]), st.integers(0, 5), st.sampled_from(["a", "b"]))
    records = [profile(*place) for place in data.draw(st.lists(places, max_size=60))]
    cut = data.draw(st.integers(0, len(records)))
    whole, first, second = CycleJoiner(), CycleJoiner(), CycleJoiner()
    want = [d.cycle for offset, record in enumerate(records) for d in whole.add(record, offset)]
    got = [d.cycle for offset, record in enumerate(records[:cut]) for d in first.add(record, offset)]
    second.restore(snapshot.decode(snapshot.encode(first.snapshot())))
    got += [d.cycle for offset, record in enumerate(records) for d in second.add(record, offset)]

    assert got == want
    assert snapshot.encode(second.snapshot()) == snapshot.encode(whole.snapshot())


def verdicts(states: list[int], target: str = "valve") -> list[Upsert]:
    """Return the incidents' changes when a component shows these states, two cycles confirming."""
    tracks = ComponentStates(confirm=2)
    changes = []
    for cycle, state in enumerate(states):
        verdict = Verdict("rig-1", target, cycle, START_US + cycle * 60 * US, state, 0.9, "hydrodask-valve", 3)
        changes += tracks.update(verdict, cycle)
    return [change for change in changes if isinstance(change, Upsert) and change.collection == "incidents"]


def test_one_odd_cycle_is_no_incident() -> None:
    """A state has to be seen in two cycles in a row."""
    assert verdicts([100, 100, 73, 100, 80, 100, 100]) == []


def test_an_incident_opens_grows_and_is_resolved() -> None:
    """One document from the second bad cycle on; it ends with the second good one."""
    found = verdicts([100, 100, 73, 73, 73, 100, 100])
    bodies = [change.body for change in found]

    assert len({change.id for change in found}) == 1
    assert [(b["status"], b["windows"]) for b in bodies] == [("open", 2), ("open", 3), ("resolved", 3)]
    assert bodies[0]["opened_at"] == iso(START_US + 4 * 60 * US)
    assert bodies[-1]["resolved_at"] == iso(START_US + 7 * 60 * US)
    assert bodies[0]["severity"] == "critical"
    assert bodies[0]["message"] == "valve is at 73 % (was 100 %), says hydrodask-valve 3"


def test_from_bad_to_worse_is_another_incident() -> None:
    """The first is resolved when the second opens."""
    found = verdicts([90, 90, 80, 80])

    assert [(c.body["worst"], c.body["status"]) for c in found] == [(90, "open"), (90, "resolved"), (80, "open")]


NOVEL, LOST = "novel", "lost"


def incidents(shown: list[int | str]) -> list[tuple[object, ...]]:
    """Return how often each incident of a valve was written as what, when it shows these states, or is unknown."""
    tracks, found = ComponentStates(confirm=2), []
    for cycle, state in enumerate(shown):
        where = ("rig-1", "valve", cycle, START_US + cycle * 60 * US)
        if isinstance(state, str):
            unknown = Unknown(*where, "TS1 in second 3 is 9 °C high", "hydrodask-valve", 3, novel=state == NOVEL)
            changes = tracks.unknown(unknown, cycle)
        else:
            changes = tracks.update(Verdict(*where, state, 0.9, "hydrodask-valve", 3), cycle)
        found += [change.body for change in changes if isinstance(change, Upsert) and change.collection == "incidents"]
        again = ComponentStates(confirm=2)
        again.restore(snapshot.decode(snapshot.encode(tracks.snapshot())))
        tracks = again
    names = ("status", "worst", "severity", "windows")
    return [(*(b[name] for name in names), str(b["first_window"])[14:16], str(b["last_window"])[14:16]) for b in found]


def test_a_fault_that_is_not_known_any_more_is_not_over() -> None:
    """A worn valve's cycles become novel: its incident stays as it was, and goes on, or ends, when a state is known."""
    worn = incidents([100, 100, 73, 73, NOVEL, NOVEL, NOVEL])

    assert worn == [("open", 73, "critical", 2, "02", "03")]
    assert incidents([73, 73, NOVEL, NOVEL, 73, 73, 73]) == [
        ("open", 73, "critical", 2, "00", "01"), ("open", 73, "critical", 4, "00", "05"),
        ("open", 73, "critical", 5, "00", "06"),
    ]  # fmt: skip
    assert [one[:3] for one in incidents([73, 73, NOVEL, NOVEL, 80, 80])] == [
        ("open", 73, "critical"), ("resolved", 73, "critical"), ("open", 80, "warning")
    ]  # fmt: skip
    assert [one[:2] for one in incidents([73, 73, NOVEL, NOVEL, 100, 100])] == [("open", 73), ("resolved", 73)]
    assert [one[:4] for one in incidents([NOVEL, NOVEL, NOVEL, 73, 73])] == [
        ("open", None, "warning", 2), ("open", None, "warning", 3), ("resolved", None, "warning", 3),
        ("open", 73, "critical", 2),
    ]  # fmt: skip


def test_an_incident_begins_with_its_first_cycle() -> None:
    """Also when one in between was not measured, which does not count and ends nothing."""
    assert incidents([100, 100, 73, LOST, LOST, 73]) == [("open", 73, "critical", 2, "02", "05")]


def test_unstable_conditions_are_no_incident() -> None:
    """That is nothing that a person would repair."""
    assert verdicts([1, 1, 1], target="stable") == []


def test_a_component_goes_on_in_another_partition(tmp_path: Path) -> None:
    """With more partitions a rig may come to one whose offsets are smaller; its documents follow its cycles."""
    documents = SqliteDocuments(tmp_path / "documents.sqlite", timeout_s=1.0)
    for cycle, offset in ((0, 1_000_000), (1, 3)):
        said = Verdict("rig-1", "valve", cycle, START_US + cycle * 60 * US, 100, 0.9, "hydrodask-valve", 3)
        documents.write(ComponentStates(confirm=2).update(said, offset))

    assert [one["cycle"] for one in documents.find("components", {}, limit=10)] == [1]


class FakeHangingRegistry:
    """A registry that does not answer until the test is over."""

    over = threading.Event()

    def __init__(self, _settings: Settings) -> None:
        pass

    def champions(self) -> dict[str, object]:
        """Keep the caller waiting."""
        self.over.wait(200)
        return {}


def test_a_registry_that_hangs_delays_the_stream_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cycles wait for it until the one deadline, and then go on without models."""
    monkeypatch.setattr("hydrodask.learn.shelf.shelf", FakeHangingRegistry)
    monkeypatch.setattr(champions, "FIRST_S", 0.5)
    found = champions.Champions(Settings(learn=Learn(mlflow="http://127.0.0.1:9")))
    began_s = monotonic_s()

    models = [found.current() for _ in range(100)]
    took_s = monotonic_s() - began_s
    FakeHangingRegistry.over.set()

    assert models == [{}] * 100
    assert 0.5 <= took_s < 30  # once, not a hundred times


@pytest.fixture(scope="module")
def profiles(recording: Path) -> list[Outgoing]:
    """Return the recording's profiles as the monitor publishes them."""
    return streamed(Recording(recording, start_us=START_US), Settings()).in_turns()


@pytest.fixture
def scorer(trained: Trained) -> Life:
    """Return the score flow on one partition, with the champions loaded."""
    champions.shared(trained.settings).refresh()
    return Life(trained.settings, topic=TOPIC, flow="score")


def components(life: Life) -> dict[str, list[dict[str, object]]]:
    """Return the bodies of component documents, by component, as they were written."""
    found: dict[str, list[dict[str, object]]] = {name: [] for name in TARGETS}
    for change in life.changes:
        if isinstance(change, Upsert) and change.collection == "components" and change.body["component"] in found:
            found[str(change.body["component"])].append(change.body)
    return found


def test_recorded_cycles_get_their_states(scorer: Life, profiles: list[Outgoing], recording: Path) -> None:
    """Each cycle's documents say what the labels say, from one version of one model, at the end of the cycle."""
    scorer.feed(cycles_of(profiles))
    scorer.commit()
    labels = np.loadtxt(recording / "profile.txt").astype(int)
    said = components(scorer)

    for place, name in enumerate(("cooler", "valve", "pump", "accumulator", "stable")):
        assert [body["state"] for body in said[name]] == labels[:, place].tolist(), name
    body = said["valve"][3]
    assert (body["cycle"], body["time"], body["model"]) == (3, "2026-01-01T00:04:00Z", "hydrodask-valve")
    assert body["missing_sensors"] == []


def test_what_tells_states_apart_must_be_measured(scorer: Life, profiles: list[Outgoing]) -> None:
    """With the cables of CE and CP cut the cooler is unknown from the first cycle on, and that is no incident.

    The valve's model needs neither, and says its state, what is missing, and what spoke for it.
    """
    cut = (b'"sensor":"CE"', b'"sensor":"CP"')
    kept = [record for record in profiles if not any(name in (record.value or b"") for name in cut)]
    scorer.feed(cycles_of(kept))
    scorer.commit()
    said = components(scorer)

    assert {(b["state"], b["unknown_because"], b["unknown_since"]) for b in said["cooler"]} == {
        (None, "not measured: CE, CP", "2026-01-01T00:01:00Z")
    }
    assert incidents_of(scorer, "cooler") == set()
    assert said["valve"][0]["unknown_since"] is None
    assert said["valve"][0]["missing_sensors"] == ["CE", "CP"]
    because = said["valve"][0]["because"]
    assert isinstance(because, list)
    assert 1 <= len(because) <= 3
    assert re.fullmatch(r"[A-Z0-9]+ in seconds? [0-9–]+ is [0-9.e+-]+ .+ (above|below) valve at \d+ %", because[0])
    assert scorer.partition.ctx.totals["unscored_for_missing"] == len(said["valve"])
    assert scorer.partition.report(0).unknown == [("rig-1", "cooler")]


def changed(record: Outgoing, sensor: str, cycle: int, change: Callable[[dict[str, Any]], None]) -> Outgoing:
    """Return a profile, changed if it is that one."""
    body = json.loads(record.value or b"")
    if (body["sensor"], body["cycle"]) == (sensor, cycle):
        change(body)
    return Outgoing(TOPIC, record.key, json.dumps(body).encode())


def lost(second: int) -> Callable[[dict[str, Any]], None]:
    """Return what takes a second out of a profile."""

    def take(body: dict[str, Any]) -> None:
        for name in ("mean", "m2", "min", "max"):
            body[name][second] = None
        body["n"][second] = 0

    return take


def thin(second: int) -> Callable[[dict[str, Any]], None]:
    """Return what leaves three quarters of a second's samples."""

    def take(body: dict[str, Any]) -> None:
        body["n"][second] = round(0.75 * body["n"][second])

    return take


@pytest.mark.parametrize("change", [lost(9), thin(9)])
def test_a_lost_second_is_left_out_and_never_made_up(
    scorer: Life, profiles: list[Outgoing], change: Callable[[dict[str, Any]], None]
) -> None:
    """Second 9 of PS2 in two cycles: no state is another than with all seconds, if it is known; nor is an incident."""
    whole = Life(scorer.settings, topic=TOPIC, flow="score")
    whole.feed(cycles_of(profiles))
    whole.commit()
    scorer.feed(cycles_of([changed(changed(r, "PS2", 2, change), "PS2", 3, change) for r in profiles]))
    scorer.commit()

    for name, bodies in components(scorer).items():
        wanted = [b["state"] for b in components(whole)[name]]
        assert all(b["state"] in {want, None} for b, want in zip(bodies, wanted, strict=True)), name
        assert [b["state"] for b in bodies[4:]] == wanted[4:], name
    assert incidents_of(scorer, "valve") <= incidents_of(whole, "valve")


def test_what_is_like_nothing_trained_on_is_unknown(scorer: Life, profiles: list[Outgoing]) -> None:
    """PS2 in psi from cycle 5 on: the valve is unknown, the sensor is named; the second such cycle is an incident.

    The cooler's model, which does not look at PS2, goes on.
    """

    def in_psi(body: dict[str, Any]) -> None:
        for name in ("mean", "min", "max"):
            body[name] = [14.5038 * value for value in body[name]]

    records = profiles
    for cycle in range(5, 10):
        records = [changed(r, "PS2", cycle, in_psi) for r in records]
    scorer.feed(cycles_of(records[:120]))
    before = scorer.partition.ctx.states["scores"].snapshot()
    scorer.feed(cycles_of(records[120:], first=120))
    scorer.commit()
    said = components(scorer)

    unknown = [b for b in said["valve"] if b["state"] is None]
    assert [b["cycle"] for b in unknown] == [5, 6, 7, 8, 9]
    assert {b["unknown_since"] for b in unknown} == {"2026-01-01T00:06:00Z"}
    assert all("PS2" in str(b["unknown_because"]) for b in unknown)
    assert all(b["state"] is not None for b in said["cooler"])
    opened = [c for c in scorer.changes if isinstance(c, Upsert) and c.id.startswith("rig-1/valve/component_state")]
    last = opened[-1].body
    assert (last["worst"], last["status"], last["opened_at"]) == (None, "open", "2026-01-01T00:07:00Z")
    assert "valve is unknown, says hydrodask-valve" in str(last["message"])
    again = ComponentStates(confirm=2)
    older = json.loads(json.dumps(before["states"]).replace("unknown_since", "silent_since"))
    again.restore(older)
    assert again.snapshot() == before["states"]  # older ones know the field by another name


def incidents_of(life: Life, component: str) -> set[str]:
    """Return the ids of a component's incidents."""
    found = [c for c in life.changes if isinstance(c, Upsert) and c.collection == "incidents"]
    return {change.id for change in found if change.body["sensor"] == component}


class Sick:
    """A session of ONNX Runtime whose model loads, and fails or answers nonsense."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer

    def run(self, _outputs: object, inputs: dict[str, Any]) -> list[Any]:
        """Answer."""
        return [self.answer(inputs["features"])]


def refuses(_features: Any) -> Any:
    """Fail as ONNX Runtime does."""
    raise RuntimeError("Got: 12 Expected: 34")


def sick(well: "Committee | Model", answer: Callable[[Any], Any]) -> "Model":
    """Return a champion of the valve in ONNX, which fails."""
    from hydrodask.learn.score.inference import Model  # noqa: PLC0415 - heavy

    assert well.reference is not None
    about = {"reference": json.dumps(well.reference.as_json())}
    return Model(
        "hydrodask-valve", 77, "x", well.classes, ("PS2.mean.09",), ("PS2",), missing_allowed=False, metadata=about,
        session=Sick(answer),
    )  # fmt: skip


SICK = {
    "refuses": refuses,
    "other shape": lambda features: np.full((len(features), 2), 0.5),
    "not finite": lambda features: np.full((len(features), 4), np.nan),
    "no sum": lambda features: np.full((len(features), 4), 0.9),
}


@pytest.mark.parametrize("sickness", SICK)
def test_a_champion_that_cannot_score_stops_nothing(
    trained: Trained, scorer: Life, profiles: list[Outgoing], sickness: str
) -> None:
    """The model before goes on, or nothing is said; name, version and what to do are in a note, status and document."""
    shared = champions.shared(trained.settings)
    well = dict(shared.models)
    shared._before.clear()
    shared.models = well | {"valve": sick(well["valve"], SICK[sickness])}
    try:
        scorer.feed(cycles_of(profiles[:34]))
        scorer.commit()
        report = scorer.partition.report(0)
        shared.refresh()
        again = shared.models
    finally:
        shared._failed.clear()
        shared.models, shared.problems = well, {}

    body = components(scorer)["valve"][-1]
    assert (body["state"], body["unknown_since"]) == (None, "2026-01-01T00:01:00Z")
    for text in (str(body["unknown_because"]), report.advice, *scorer.partition.ctx.notes):
        assert "hydrodask-valve version 77 can't score" in text
        assert "train again, or promote another version; nothing is said of it" in text
    assert len(components(scorer)["cooler"]) == 2
    assert again["valve"].version == well["valve"].version  # the registry's champion, loaded anew


def small_model(changed: dict[str, Any]) -> bytes:
    """Return a model of three classes on three features as ONNX, with what it says of itself changed."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # noqa: PLC0415 - heavy
    from sklearn.pipeline import Pipeline  # noqa: PLC0415 - the same
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - the same

    from hydrodask.learn.drift import COLUMNS, ReferenceDistribution  # noqa: PLC0415 - with the others
    from hydrodask.learn.train.export import describe, export  # noqa: PLC0415 - the same

    rng = np.random.default_rng(1)
    steps = [("scale", StandardScaler()), ("model", LinearDiscriminantAnalysis())]
    model = Pipeline(steps).fit(rng.random((60, 3)), np.arange(60) % 3)
    says = {
        "features_version": 1,
        "classes": [0, 1, 2],
        "columns": ["PS2.mean.09", "PS2.mean.10", "PS1.average"],
        "kind": "x",
        "sensors": ["PS1", "PS2"],
        "missing_allowed": False,
        "reference": ReferenceDistribution.of(rng.random((50, len(COLUMNS)))).as_json(),
    }
    return export(model, 3, describe(**{k: v for k, v in (says | changed).items() if v is not None}))


def test_a_trial_finds_what_would_fail_later() -> None:
    """Before cycles wait for a model: its input, its classes, its columns, its reference; it says what to do."""
    from hydrodask.learn.score.inference import Model  # noqa: PLC0415 - heavy

    assert Model.tried(small_model({}), name="hydrodask-pump", version=3).classes.tolist() == [0, 1, 2]
    lies: tuple[dict[str, Any], ...] = (
        {"columns": ["PS2.mean.09"]},
        {"columns": ["PS2.mean.09", "PS2.mean.10", "PS99.average"]},
        {"classes": [0, 1]},
        {"reference": {}},
        {"reference": None},
        {"kind": None},
        {"missing_allowed": None},
    )
    for lie in lies:
        with pytest.raises(FatalError, match=r"hydrodask-pump version 3.*train again, or promote another version"):
            Model.tried(small_model(lie), name="hydrodask-pump", version=3)


def test_the_model_before_goes_on(trained: Trained, scorer: Life, profiles: list[Outgoing]) -> None:
    """A new champion that fails in its first cycle leaves that cycle, too, to the one before."""
    shared = champions.shared(trained.settings)
    well = dict(shared.models)
    shared._before["valve"] = well["valve"]
    shared.models = well | {"valve": sick(well["valve"], refuses)}
    try:
        scorer.feed(cycles_of(profiles[:17]))
        scorer.commit()
        problem = shared.said()["valve"]
    finally:
        shared._failed.clear()
        shared.models, shared.problems = well, {}

    assert [b["model_version"] for b in components(scorer)["valve"]] == [well["valve"].version]
    assert f"version {well['valve'].version} goes on scoring" in problem


def test_a_bad_profile_is_a_dead_letter(scorer: Life, profiles: list[Outgoing]) -> None:
    """It is counted and kept with its reason, and the cycles go on."""
    bad = Outgoing(TOPIC, b"rig-1", (profiles[0].value or b"").replace(b'"sensor":"PS1"', b'"sensor":"PS9"'))
    scorer.feed(cycles_of([bad, *profiles[:17]]))
    scorer.commit()

    assert [dict(r.headers)["reason"] for r in scorer.published] == [b"sensor 'PS9' is unknown"]
    assert len(components(scorer)["valve"]) == 1


def test_a_new_champion_takes_over_between_cycles(trained: Trained, scorer: Life, profiles: list[Outgoing]) -> None:
    """No restart: the cycles after it name the new version, the ones before the old one."""
    registry = Registry(trained.settings)
    first = registry.champions()["valve"].version
    second = next(v.version for v in registry.versions() if v.target == "valve" and v.version != first)
    scorer.feed(cycles_of(profiles[:34]))
    try:
        registry.promote("valve", second, reason="a test of the change")
        champions.shared(trained.settings).refresh()
        scorer.feed(cycles_of(profiles[34:51], first=34))
    finally:
        registry.promote("valve", first)
        champions.shared(trained.settings).refresh()
    scorer.commit()

    assert [body["model_version"] for body in components(scorer)["valve"]] == [first, first, second]


LIGHT = """
import sys
for name in ("mlflow", "sklearn", "scipy", "pandas", "xgboost", "matplotlib", "bokeh", "pymongo"):
    sys.modules[name] = None  # whoever imports it, fails
import hydrodask.worker.step
from hydrodask.learn.score.champions import Champions
from hydrodask.settings import load
found = Champions(load(sets=sys.argv[1:])[0])
found.refresh()
sys.stdout.write(f"{sorted(found.models)} {found.problems}")
"""


def test_a_worker_scores_without_the_trainer_s_libraries(trained: Trained) -> None:
    """Step, champions and their models need neither MLflow nor scikit-learn; the registry is read as by MLflow."""
    registry, shelf = Registry(trained.settings), shelf_of(trained.settings)
    sets = [f"data_dir={trained.settings.data_dir}"]
    done = subprocess.run([sys.executable, "-c", LIGHT, *sets], capture_output=True, text=True, check=False)

    assert done.stdout == f"{sorted(TARGETS)} {{}}", done.stderr
    assert shelf.champions() == registry.champions()


def test_a_new_champion_begins_the_day_anew(trained: Trained, scorer: Life, profiles: list[Outgoing]) -> None:
    """Its training data has other bins: what was counted in the old ones says nothing of it, also after a restart."""
    registry = Registry(trained.settings)
    target = next(iter(champions.shared(trained.settings).models))
    first = registry.champions()[target].version
    second = next(v.version for v in registry.versions() if v.target == target and v.version != first)
    scorer.feed(cycles_of(profiles[:34]))
    scorer.end()
    assert cycles_of_day(scorer) == 2
    try:
        registry.promote(target, second, reason="a test of the change")
        champions.shared(trained.settings).refresh()
        scorer.restart()
        scorer.feed(cycles_of(profiles[34:51], first=34))
    finally:
        registry.promote(target, first)
        champions.shared(trained.settings).refresh()

    assert cycles_of_day(scorer) == 1
    scorer.end()
    before = scorer.state()
    scorer.restart()
    assert scorer.state() == before


def cycles_of_day(life: Life) -> int:
    """Return how many cycles the day's drift has."""
    return int(life.partition.ctx.states["scores"].snapshot()["day"][1])


def test_a_snapshot_from_before_days_had_models_fits(scorer: Life, profiles: list[Outgoing]) -> None:
    """It says how many cycles there were, and not by which model's bins: the next cycle begins the day anew."""
    scorer.feed(cycles_of(profiles[:34]))
    node = scorer.partition.ctx.states["scores"]
    state = snapshot.decode(snapshot.encode(node.snapshot()))
    node.restore(state | {"day": state["day"][:3]})
    assert cycles_of_day(scorer) == 2

    scorer.feed(cycles_of(profiles[34:51], first=34))
    assert cycles_of_day(scorer) == 1


def test_a_problem_shows_as_a_warning(trained: Trained, scorer: Life) -> None:
    """A champion that can't be loaded is a state of the partition, with what goes on meanwhile."""
    shared = champions.shared(trained.settings)
    shared.problems = {"valve": "could not load hydrodask-valve version 9"}
    try:
        report = scorer.partition.report(0)
    finally:
        shared.problems = {}

    assert report.state == "warning"
    assert "version 9" in report.advice
    assert "goes on" in report.advice


def test_a_crash_changes_no_document(scorer: Life, profiles: list[Outgoing]) -> None:
    """Replayed from a snapshot in the middle of a cycle, the flow says the same and ends in the same state."""
    alive = Life(scorer.settings, topic=TOPIC, flow="score")
    alive.feed(cycles_of(profiles))
    alive.commit()
    scorer.feed(cycles_of(profiles[:40]))
    scorer.commit()
    scorer.save()
    scorer.feed(cycles_of(profiles[40:60], first=40))  # not committed: the worker dies
    position = scorer.restart()
    scorer.feed(cycles_of(profiles[position:], first=position))
    scorer.commit()

    def by_document(life: Life) -> list[Change]:
        return sorted(life.changes, key=lambda change: (change.collection, change.id))  # each one's in their order

    assert by_document(scorer) == by_document(alive)
    assert scorer.state() == alive.state()


def test_without_models_cycles_are_counted(tmp_path: Path, profiles: list[Outgoing]) -> None:
    """A platform that has never trained runs as ever, and says how many cycles nobody judged."""
    life = Life(Settings(data_dir=tmp_path), topic=TOPIC, flow="score")
    life.feed(cycles_of(profiles))
    life.commit()

    shown = {change.id for change in life.changes if change.collection == "components"}
    assert shown == {"rig-1/cycle"}  # what is usual needs no model
    assert life.partition.ctx.totals["unscored"] == 10


def test_reports_carry_states_and_drift(trained: Trained, profiles: list[Outgoing]) -> None:
    """The newest verdict of each component, and how far the day's features are from what was trained on."""
    champions.shared(trained.settings).refresh()
    learn = trained.settings.learn.model_copy(update={"drift_cycles": 5})
    life = Life(trained.settings.model_copy(update={"learn": learn}), topic=TOPIC, flow="score")
    life.feed(cycles_of(profiles))
    report = life.partition.report(0)

    assert report.components["rig-1", "valve"].state == 80
    assert report.components["rig-1", "valve"].end == "2026-01-01T00:10:00Z"
    assert len(report.drift) == 34
    assert max(outside for _, outside in report.drift.values()) <= 0.2


@pytest.mark.parametrize(("component", "state"), [("valve", 73), ("pump", 2)])
def test_a_simulated_fault_is_an_incident_within_two_cycles(scorer: Life, component: str, state: int) -> None:
    """End to end: samples of a rig whose component fails at the start of cycle 3, to the incident's document."""
    plan = FaultPlan.parse({"faults": [{"component": component, "to": state, "at": "3m"}]})
    fleet = Fleet(rigs=1, seed=1, start_us=START_US, faults=plan, default_rig="rig-1")
    scorer.feed(cycles_of(streamed(SimulatedFeed(fleet, START_US, 6 * 60), Settings()).in_turns()))
    scorer.commit()
    incidents = [c.body for c in scorer.changes if isinstance(c, Upsert) and c.collection == "incidents"]
    ours = [body for body in incidents if body["sensor"] == component]
    opened_us = parse_iso(str(ours[0]["opened_at"]))

    assert scorer.partition.report(0).totals["incidents"] == len({body["opened_at"] for body in incidents}) > 0
    assert ours[0]["worst"] == state
    assert opened_us - (START_US + 3 * 60 * US) <= 2 * 60 * US
    assert {body["sensor"] for body in incidents} == {component}
