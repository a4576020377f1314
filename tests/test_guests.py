"""Flows from outside: declared once, refused when they clash, hosted beside ours, alone with their mistakes."""

import ast
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from hydrodask import clock
from hydrodask.audit import refill
from hydrodask.audit.mending import DERIVED, RECORDS
from hydrodask.audit.verify import verify
from hydrodask.channels import SENSORS
from hydrodask.cli.main import app
from hydrodask.errors import ConfigError
from hydrodask.flow import NO_FLOWS, OWN_COLLECTIONS, OWN_FLOWS, OWN_FOLDERS, OWN_TOPICS, READ_BY, Flow, named
from hydrodask.flows import FLOWS
from hydrodask.ingest.topics import OUTPUTS, create
from hydrodask.kafka import producer
from hydrodask.nodes.graph import Inlet
from hydrodask.observe.outside import flow_series
from hydrodask.reports import FlowReport
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Kafka
from hydrodask.store import fiveminutes
from hydrodask.store.documents import COLLECTIONS, declare, open_documents
from hydrodask.store.schemas import FOLDERS
from hydrodask.testing import context
from tests.audited import fine
from tests.delivery import (
    NEVER_QUICK,
    SOURCES,
    Driver,
    Progress,
    documents,
    publish,
    reach,
    read,
    sets_of,
    settings_of,
    shorten,
    until,
)
from tests.running import folder
from tests.test_tidy import imported
from tests.their_flows import EVERY, FAILS, OVER_BAR
from tests.tutorial import blocks

ROOT = Path(__file__).resolve().parents[1]
SPIKES = ROOT / "examples" / "spikes"
AFTERWARDS = 500
"""Records of another rig that come while one flow is removed."""


def build(_source: Any, _ctx: Any) -> None:
    """Wire nothing."""


FLOW = Flow("one", topics=("PS1",), build=build, folders=("mine",), publishes=("mine",), collections=("mine",))
NO_FLOW = "a text"
CLASHES = {
    "NAMED": (Flow("monitor", topics=("PS1",), build=build), "a flow named 'monitor', which the platform has already"),
    "FOLDER": (Flow("two", ("PS1",), build, folders=("mine",)), "a folder named 'mine', which flow 'one' has already"),
    "TOPIC": (Flow("two", ("PS1",), build, publishes=("labels",)), "a topic named 'labels', which the platform has"),
    "DOCUMENTS": (Flow("two", ("PS1",), build, collections=("status",)), "a collection named 'status', which the pl"),
    "TEXT": (Flow("Two!", ("PS1",), build), "a flow named 'Two!'; want small letters"),
    "MARKS": (Flow("marks", ("PS1",), build), "a flow named 'marks', which the platform has already"),
    "TABLE": (Flow("two", ("PS1",), build, collections=("sqlite_master",)), "no sqlite_ before it"),
    "INDEX": (Flow("two", ("PS1",), build, collections=("anomalies_written",)), "no _written or _newest behind it"),
    "READS": (Flow("two", ("PS9",), build), "reads topic 'PS9'"),
    "NOTHING": (Flow("two", (), build), "reads no topic"),
}
globals().update({name: flow for name, (flow, _) in CLASHES.items()})


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this module be found by the name that settings have."""
    monkeypatch.setitem(sys.modules, "their_flows", sys.modules[__name__])


@pytest.mark.parametrize("name", CLASHES)
def test_what_clashes_is_refused(name: str) -> None:
    """A name that is somebody's already, or can't be one, is said with whose it is."""
    with pytest.raises(ConfigError, match="flow ") as caught:
        named(["their_flows:FLOW", f"their_flows:{name}"])

    assert CLASHES[name][1] in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("spikes", "want MODULE:NAME"),
        ("no_such_project.spikes:FLOW", "there is no module no_such_project: install its project"),
        ("their_flows:NOWHERE", "has no NOWHERE"),
        ("their_flows:NO_FLOW", "which is a str; want a hydrodask.flow.Flow"),
    ],
)
def test_what_is_no_flow_is_refused(spec: str, said: str) -> None:
    """One sentence says what a name leads to, and what to do."""
    with pytest.raises(ConfigError) as caught:
        named([spec])

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("collections", "spikes", r"collections 'spikes'; want a tuple: \('spikes',\), whose comma makes it one"),
        ("topics", ("PS1", 1), r"topics \('PS1', 1\); want a tuple of names"),
        ("folders", None, "folders None; want a tuple of names"),
        ("topics", ("PS1", "PS1"), r"topics \('PS1', 'PS1'\); want each name once"),
        ("build", None, "build None; want the function that wires its graph"),
    ],
)
def test_what_a_flow_can_not_be_made_of(field: str, value: object, said: str) -> None:
    """It is said where it is written: the line that makes the flow."""
    fields: dict[str, Any] = {"topics": ("PS1",), "build": build} | {field: value}
    with pytest.raises(ConfigError, match=f"flow 'mine' has {said}"):
        Flow("mine", **fields)


def test_the_platform_s_names_are_known() -> None:
    """What no flow from outside may be called is what there is."""
    assert (*FOLDERS, fiveminutes.FOLDER) == OWN_FOLDERS
    assert OWN_COLLECTIONS == COLLECTIONS
    assert (*SENSORS, *OUTPUTS) == OWN_TOPICS
    assert {flow.name for flow in FLOWS} <= set(OWN_FLOWS)
    assert not {*OWN_FLOWS} & {*NO_FLOWS}
    assert {topic: flow.name for flow in FLOWS for topic in flow.topics} == READ_BY


def test_the_platform_s_flows_declare_all_that_they_write() -> None:
    """Each the folders that its nodes store in; together all that there are, but for what no flow writes."""
    for flow in FLOWS:
        ctx = context(Settings().topic(flow.topics[0]), flow=flow.name)
        flow.build(Inlet(ctx), ctx)
        assert set(ctx.files) == set(flow.folders), flow.name

    declared = {flow.name: flow.folders for flow in FLOWS}
    assert sorted(FOLDERS) == sorted(folder for folders in declared.values() for folder in folders)
    assert {one for flow in FLOWS for one in flow.collections} == {*COLLECTIONS} - {"status", "answers", "messages"}
    assert [(flow, folder) for flow, folder in refill.FROM_LOG if folder not in declared[flow]] == []


def test_who_writes_a_flow_imports_one_place() -> None:
    """`hydrodask.nodes` has all that the example and the tutorial need; modules below it may move."""
    sources = [path.read_text(encoding="utf-8") for path in SPIKES.rglob("*.py")]
    sources += [block.text for block in blocks(ROOT / "docs/tutorial/own-flow.md") if block.language == "python"]
    named_in = {name for source in sources for name in imported(ast.parse(source)) if name.startswith("hydrodask")}

    assert len(sources) > 4
    assert named_in == {"hydrodask", "hydrodask.nodes", "hydrodask.testing"}


def test_a_flow_from_outside_has_metrics() -> None:
    """Its lag, whether it is stalled, and what its nodes count; without one there are none."""
    reports = (FlowReport("spikes", "running", "", 1, 7, {"spikes": 31}), FlowReport("broken", "stalled", "KeyError"))
    found = {series.name: dict(series.values) for series in flow_series(reports)}

    assert list(flow_series(())) == []
    assert found["hydrodask_flow_lag"] == {("spikes",): 7, ("broken",): 0}
    assert found["hydrodask_flow_stalled"] == {("spikes",): 0, ("broken",): 1}
    assert found["hydrodask_flow_counted"] == {("spikes", "spikes"): 31}


@pytest.mark.parametrize("option", ["--topics", "--documents"])
def test_backfill_says_how_records_of_a_flow_from_outside_are_had_anew(option: str, tmp_path: Path) -> None:
    """Only the flow knows how to compute them; ours are looked at as ever."""
    sets = ("--set", f"data_dir={tmp_path}", "--set", 'flows=["their_flows:FLOW"]')
    (tmp_path / "lake").mkdir()

    said = CliRunner().invoke(app, ["backfill", "--json", option, *sets]).stderr

    assert "left alone: flow one: mine can't be mended here" in said
    assert "under another name" in said


@pytest.fixture
def spikes() -> Iterator[dict[str, str]]:
    """Let the example be found; give what a driver's environment needs for that."""
    sys.path.insert(0, str(SPIKES))
    yield {"PYTHONPATH": str(SPIKES)}
    sys.path.remove(str(SPIKES))


def flows(*names: str) -> str:
    """Return the setting for the example and flows of `their_flows`."""
    return f"flows={json.dumps(['rig_spikes.flow:FLOW', *(f'tests.their_flows:{name}' for name in names)])}"


def jumps(raw: Any, since: int = 0) -> list[int]:
    """Return the offsets of all jumps in raw rows from an offset on, as their flows see them."""
    last: dict[str, float] = {}
    found = []
    for rig, value, offset in zip(*(raw.column(name).to_pylist() for name in ("rig", "value", "offset")), strict=True):
        if offset >= since:
            if abs(value - last.get(rig, value)) > OVER_BAR:
                found.append(offset)
            last[rig] = value
    return found


def produce(kafka: Kafka, topic: str, values: Sequence[bytes], key: bytes) -> None:
    """Publish records."""
    client = producer(kafka)
    for value in values:
        client.produce(topic, value, key)
    assert client.flush(60) == 0


def of_another_rig(rate_hz: int = 100) -> list[bytes]:
    """Return records of PS1, of a rig that jumps now and then."""
    apart_us = 1_000_000 // rate_hz
    first_us = clock.now_us() - AFTERWARDS * apart_us
    fixed = {"sensor": "PS1", "cycle": 0, "sampling_rate_hz": rate_hz, "rig": "rig-2"}
    return [
        json.dumps(
            fixed
            | {"sample_idx": i, "value": 150.0 + 9 * (i % 50 == 7), "timestamp": clock.iso(first_us + i * apart_us)}
        ).encode()
        for i in range(AFTERWARDS)
    ]


@pytest.mark.integration
def test_flows_from_outside_beside_ours(kafka: Kafka, recording: Path, tmp_path: Path, spikes: dict[str, str]) -> None:
    """Each has everything, once: over a kill -9 of driver and workers, and also who was removed and put back.

    `start: latest` counts from the first time that it has worked. The one that fails stalls, is said, and the others go
    on; a bad record is one dead letter. `verify` knows of them, and finds nothing wrong.
    """
    every, one = flows("JUMPS", "LATEST", "BROKEN"), "cluster.workers=1"
    settings = settings_of(kafka, tmp_path / "data", "guests", every)
    its = settings.of_flow("jumps", start="earliest")
    publish(settings, shorten(recording, tmp_path, 1))
    produce(kafka, settings.topic("PS1"), [b'{"bad": 1}'], b"rig-1")
    # So few records a step that there is work for seconds more when the first are seen to be committed.
    killed = sets_of(kafka, tmp_path / "data", "guests", every, *NEVER_QUICK, "step.rows_max=50")
    with Driver(killed, tmp_path / "log", environment=spikes | {FAILS: "1"}) as driver:
        reach(driver, its, EVERY)
        for worker in driver.kill():
            worker.kill()
    with Progress(its) as progress, Progress(settings) as ours:
        stopped, end = progress.offsets()["PS1"], progress.ends()["PS1"]
        assert stopped < end
        assert ours.records() < sum(ours.ends().values())
        without = sets_of(kafka, tmp_path / "data", "guests", flows("LATEST", "BROKEN"), one)
        with Driver(without, tmp_path / "log", "--until-idle", environment=spikes) as driver:
            assert driver.wait() == 0, driver.output
        assert ours.offsets() == {name: ours.ends()[name] for name in SOURCES}
        assert progress.offsets()["PS1"] == stopped
    produce(kafka, settings.topic("PS1"), of_another_rig(), b"rig-2")
    sets = sets_of(kafka, tmp_path / "data", "guests", every, one)
    with Driver(sets, tmp_path / "log", "--until-idle", environment=spikes) as driver:
        assert driver.wait() == 0, driver.output
    results = verify(settings)
    raw = folder(settings.data_dir, "raw").filter(pc.field("sensor") == "PS1").sort_by("offset")
    wanted = jumps(raw)
    opened = open_documents(settings)
    found = opened.find("spikes", {}, limit=1000)
    status = max(opened.find("status", {}, limit=10), key=lambda one: one["revision"])
    opened.close()

    assert fine(results)
    assert results["flows"].looked_at["flows"] == 4
    assert results["dead"].looked_at["letters"] == 1
    assert sorted(one["revision"] for one in found) == wanted
    assert sorted(read(settings, "jumps")) == wanted
    assert sorted(read(settings, "latest")) == jumps(raw, since=end)
    assert len(wanted) > len(jumps(raw, since=end)) == AFTERWARDS // 50 * 2
    assert "flow broken stalled, and the others go on: " in driver.output + str(status["notes"])
    flows_said = {one["name"]: one for one in status["flows"]}
    assert (flows_said["spikes"]["lag"], flows_said["broken"]["state"]) == (0, "stalled")
    assert status["totals"]["dead"] == 1  # what others count is not added to it


@pytest.mark.integration
def test_files_of_a_flow_from_outside_are_put_back(kafka: Kafka, tmp_path: Path) -> None:
    """One flow computes them from raw/, one from the log: `verify` names the command, and every byte is as it was."""
    theirs = 'flows=["tests.their_flows:KEEPS", "tests.their_flows:LONGER"]'
    often = ("step.rows_max=100", "lake.roll_rows=10", "step.snapshot_every=1ms", "cluster.workers=1")
    sets = sets_of(kafka, tmp_path / "data", "rebuilt", theirs, *often)
    settings = settings_of(kafka, tmp_path / "data", "rebuilt", theirs)
    create(settings)
    produce(kafka, settings.topic("PS1"), of_another_rig(rate_hz=1), b"rig-2")
    produce(kafka, settings.topic("labels"), [b"one", b"two, longer"], b"rig-2")
    with Driver(sets, tmp_path / "log", "--until-idle") as driver:
        assert driver.wait() == 0, driver.output
    lake = settings.data_dir / "lake"
    before = {path: path.read_bytes() for path in lake.rglob("*.parquet")}
    for name in ("minutes", "leaps", "longer"):
        next(path for path in before if path.is_relative_to(lake / name)).unlink()

    commands = {one.mend.command for one in verify(settings)["flows"].findings}
    done = [
        CliRunner().invoke(app, [*shlex.split(command)[1:], *(word for one in sets for word in ("--set", one))])
        for command in sorted(commands)
    ]

    assert commands == {DERIVED.command, RECORDS.command}
    assert [one.exit_code for one in done] == [0, 0], [(one.output, one.exception) for one in done]
    assert {path: path.read_bytes() for path in lake.rglob("*.parquet")} == before
    assert fine(verify(settings))


@pytest.mark.integration
def test_on_an_embedded_broker_a_flow_that_begins_again_has_everything_once(recording: Path, tmp_path: Path) -> None:
    """Its coordinator ends with the graph's error, and begins anew with hosts of its own, in the same log."""
    source = f"recording:{shorten(recording, tmp_path, 1)}"
    sets = [f"data_dir={tmp_path / 'data'}", 'flows=["tests.their_flows:FLAKY"]', "source.speed=max", *NEVER_QUICK]
    sets += ["cluster.dashboard=127.0.0.1:0", "observe.metrics=127.0.0.1:0"]
    settings = load(sets=sets, environ={})[0]
    declare(("flaky",))
    wanted = {settings.topic(name): list(range(EVERY, 6001, EVERY)) for name in ("PS1", "PS2")}

    def seen() -> dict[str, list[int]]:
        found = documents(settings, "flaky")
        return {topic: sorted(one["count"] for one in found if one["_id"].startswith(topic)) for topic in wanted}

    with Driver(sets, tmp_path / "log", source=source) as driver:
        until(lambda: seen() == wanted or driver.process.poll() is not None, "the flow has got on")
        assert driver.stop() == 0, driver.output
    assert seen() == wanted
    assert (settings.data_dir / "failure-2").exists()
    assert "flow flaky stalled, and the others go on: " in driver.output
