"""Flows and nodes of one's own: what mypy finds, what a flow refuses, and state that needs no care."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hydrodask.clock import iso
from hydrodask.errors import ConfigError, UsageError
from hydrodask.flow import Flow
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Edge, Inlet, SideOutput
from hydrodask.nodes.node import Node
from hydrodask.nodes.sensors import CycleProfiles, Decode, Publish, SlidingWindows, Store
from hydrodask.records import Messages, Samples, Upsert
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from hydrodask.testing import Life, VirtualClock, check_node, context, simulate
from tests.delivery import ROOT
from tests.test_partition import cut, rows
from tests.their_flows import Jumps, Tell

SETTINGS = Settings(kafka=Kafka(embedded=False))
FAULTY = Path(__file__).with_name("faulty_flow.txt")


def test_mypy_finds_each_planted_fault_from_outside_and_no_others(tmp_path: Path) -> None:
    """Misspelt words, arguments in another order, wrong records: in a project that has hydrodask installed."""
    text = FAULTY.read_text(encoding="utf-8")
    (tmp_path / "flow.py").write_text(text, encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    untyped = ",".join(project["overrides"][0]["module"])  # Dask's own sources would take a minute
    ours = f"[mypy]\nstrict = true\n[mypy-{untyped}]\nignore_missing_imports = true\nfollow_imports = skip\n"
    (tmp_path / "mypy.ini").write_text(ours, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--cache-dir", "cache", "--python-executable", sys.executable]
    said = subprocess.run([*command, "flow.py"], cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    planted = {number for number, line in enumerate(text.splitlines(), 1) if "# fault: " in line}

    assert {int(number) for number in re.findall(r"^flow\.py:(\d+): error", said, re.MULTILINE)} == planted, said
    assert len(planted) >= 10
    assert 'maybe "SlidingWindows"?' in said
    assert '"SlidingWindows"; expected "Node[Messages, Windows]"' in said


def two_windows(name: str) -> Any:
    """Return a flow with two sliding windows, the second under a name."""

    def build(messages: Edge[Messages], ctx: Context) -> None:
        samples = messages.through(Decode(ctx))
        samples.through(Store(ctx, "raw", by_date=True))
        samples.through(SlidingWindows(ctx)).through(Publish(ctx, "analytics"))
        samples.through(SlidingWindows(ctx, name=name)).through(Publish(ctx, "analytics"))

    return build


class Nameless(Node[Samples, None]):
    """A node with state that has no name."""

    def snapshot(self) -> dict[str, Any]:
        return {}


class Extremes(Node[Samples, Sequence[Upsert]]):
    """A stranger's node with state, which knows nothing of offsets, replays and batches."""

    name = "extremes"

    def __init__(self) -> None:
        self.count, self.highest, self.ticks = 0, 0.0, 0

    def take(self, batch: Samples) -> Sequence[Upsert] | None:
        self.count += len(batch)
        self.highest = max([self.highest, *batch.value.tolist()])
        return None

    def snapshot(self) -> dict[str, Any]:
        return {"count": self.count, "highest": self.highest}

    def restore(self, state: dict[str, Any]) -> None:
        self.count, self.highest = state["count"], state["highest"]


def lives(build: Any) -> list[Life]:
    """Return two lives of a flow that have taken the same log: one in one go, one with restarts in between."""
    found = []
    for stops in ((3000,), (500, 900, 1400, 1500, 2300, 3000)):
        life, at = Life(SETTINGS, flow="mine", build=build), 0
        for number, stop in enumerate(stops):
            life.feed(cut(at, stop))
            life.commit(emit=False)
            if number % 2:
                life.save()
            if number == 2:
                life.roll()
            at = life.restart()
        life.feed(cut(at, 3000))
        life.end()
        found.append(life)
    return found


def test_two_nodes_of_a_name_are_refused() -> None:
    """One of them would never be stored, and nobody would notice before the first restart."""
    build = two_windows("windows")
    with pytest.raises(ConfigError, match="two nodes of flow 'mine' are named 'windows'; give one of them another"):
        Life(SETTINGS, flow="mine", build=build)

    def twice(messages: Edge[Messages], ctx: Context) -> None:
        samples = messages.through(Decode(ctx))
        samples.through(Store(ctx, "raw")).through(Store(ctx, "raw"))

    build = twice
    with pytest.raises(ConfigError, match="store in the folder 'raw'; give one of them another folder"):
        Life(SETTINGS, flow="mine", build=build)

    def nameless(messages: Edge[Messages], ctx: Context) -> None:
        messages.through(Decode(ctx)).through(Nameless())

    with pytest.raises(ConfigError, match="Nameless of flow 'mine' has state and no name to store it under"):
        Life(SETTINGS, flow="mine", build=nameless)


def test_two_nodes_of_a_kind_are_both_stored() -> None:
    """Each under its name: with restarts both publish what they publish without."""
    once, often = lives(two_windows("wide"))

    finals = [sorted(str(row) for row in rows(life) if row["final"]) for life in (once, often)]
    assert len(finals[0]) == 2 * 28
    assert finals[0] == finals[1]
    assert once.state() == often.state()


def test_a_strangers_state_needs_no_offsets() -> None:
    """Records that come again after a restart, for a file's sake, are kept away from state that has them."""

    def build(messages: Edge[Messages], ctx: Context) -> None:
        samples = messages.through(Decode(ctx))
        samples.through(Store(ctx, "raw", by_date=True))
        samples.through(Extremes())

    once, often = lives(build)

    assert once.partition.ctx.states["extremes"].snapshot() == {"count": 3000, "highest": pytest.approx(12.9)}
    assert once.state() == often.state()
    assert np.array_equal(once.table("raw")["offset"].to_numpy(), often.table("raw")["offset"].to_numpy())


def test_samples_go_to_a_folder_of_ones_own() -> None:
    """Each once, whatever a restart reads again for the sake of raw/; those that wait for a file are in snapshots."""

    def build(messages: Edge[Messages], ctx: Context) -> None:
        samples = messages.through(Decode(ctx))
        samples.through(Store(ctx, "raw", by_date=True)).through(Store(ctx, "mine"))

    def alone(messages: Edge[Messages], ctx: Context) -> None:
        messages.through(Decode(ctx)).through(Store(ctx, "mine"))

    for wired in (build, alone):
        once, often = lives(wired)

        assert once.table("mine")["offset"].to_pylist() == list(range(3000))
        assert often.table("mine").equals(once.table("mine"))


class Forgetful(Extremes):
    """A node that goes on from another state than it had."""

    def restore(self, state: dict[str, Any]) -> None:
        self.count = state["count"] // 2


class Batched(Node[Samples, Sequence[float]]):
    """A node whose output depends on its batches."""

    def take(self, batch: Samples) -> Sequence[float]:
        return [float(batch.value.max())]


class Hiding(Node[Samples, Samples]):
    """Remembers what is open under the contract's own name."""

    def __init__(self) -> None:
        self.open = {}  # type: ignore[method-assign, assignment]

    def take(self, batch: Samples) -> Samples:
        return batch


def test_an_attribute_that_hides_the_contract_s_method_is_refused() -> None:
    """Before a record is read, with the node's and the attribute's name; not as an error of some step."""
    ctx = context("hydraulic-PS1", flow="mine")
    with pytest.raises(ConfigError, match=r"flow 'mine': node Hiding has an attribute 'open', which hides Node\.open"):
        Inlet(ctx).through(Hiding())
    with pytest.raises(ConfigError, match="node Hiding has an attribute 'open'"):
        check_node(Hiding, [])


def test_check_node_finds_what_depends_on_batches_and_what_a_restart_forgets() -> None:
    """And nothing in nodes that are right, ours with a context too."""
    with VirtualClock().running():
        samples = Decode(context("hydraulic-FS1")).take(cut(0, 2000))

        check_node(Extremes, samples)
        check_node(lambda: SlidingWindows(context("hydraulic-FS1")), samples)
        check_node(lambda: CycleProfiles(context("hydraulic-FS1")), samples)
        with pytest.raises(AssertionError, match="the node's state is another with batches that end at"):
            check_node(Forgetful, samples)
        with pytest.raises(AssertionError, match="what the node gives is another"):
            check_node(Batched, samples)
        with pytest.raises(AssertionError, match="the node's state is another"):
            check_node(Late, samples)


class Aside(Node[Samples, Samples]):
    """A node whose second output depends on its batches."""

    def __init__(self) -> None:
        self.highest: SideOutput[list[float]] = SideOutput()
        self.side_outputs = (self.highest,)

    def take(self, batch: Samples) -> Samples:
        self.highest.put([float(batch.value.max())])
        return batch


class Divided(Aside):
    """A node that gives each record to one of two outputs, whatever its batches are."""

    def take(self, batch: Samples) -> Samples:
        self.highest.put(batch.value[batch.value > 12.0].tolist())
        return batch.take(batch.value <= 12.0)

    def tick(self, position: int) -> None:
        self.highest.put([float(position)])


class Constant(Node[Samples, object]):
    """A node that gives the same once a batch."""

    def __init__(self, what: object) -> None:
        self._what = what

    def take(self, batch: Samples) -> object:
        return self._what if len(batch) else None


class Once(Constant):
    """A node that gives something at its first record, in whatever batch that is, and otherwise nothing."""

    def take(self, batch: Samples) -> object:
        return self._what if int(batch.offset[0]) == 0 else None


@dataclass(frozen=True)
class Summary:
    """What a node may say of a batch: no column is in it."""

    count: int


def test_check_node_looks_at_second_outputs() -> None:
    """A node's second output may no more depend on its batches than what it gives; in a tick it may."""
    with VirtualClock().running():
        samples = Decode(context("hydraulic-FS1")).take(cut(0, 500))

        check_node(Divided, samples)
        with pytest.raises(AssertionError, match="what the node puts into second output 0 is another"):
            check_node(Aside, samples)


@pytest.mark.parametrize("what", [1.0, "some", {"count": 1}, Summary(1), [1], np.ones(1)])
def test_check_node_finds_what_comes_once_a_batch(what: object) -> None:
    """Also where it is always the same: how often it came is what depends on the batches."""
    with VirtualClock().running():
        samples = Decode(context("hydraulic-FS1")).take(cut(0, 500))

        check_node(lambda: Once(what), samples)
        with pytest.raises(AssertionError, match="what the node gives is another"):
            check_node(lambda: Constant(what), samples)


def test_check_node_refuses_what_a_flow_would_and_what_checks_nothing() -> None:
    """State that has no name is never stored; without records, ways or new nodes every node would pass."""
    node = Extremes()
    with pytest.raises(ConfigError, match="Nameless of flow 'mine' has state and no name to store it under"):
        check_node(Nameless, [1])
    with pytest.raises(UsageError, match="there are no records"):
        check_node(Extremes, [])
    with pytest.raises(UsageError, match="ways has value 0"):
        check_node(Extremes, [1], ways=0)
    with pytest.raises(UsageError, match="make returns one node again and again"):
        check_node(lambda: node, [1])


class Late(Extremes):
    """A node that a tick changes."""

    def tick(self, position: int) -> None:
        self.count += position > 0


class Numbered(Jumps):
    """Numbers the jumps: whoever forgets one has other numbers from there on."""

    def __init__(self, *, keeps: bool) -> None:
        super().__init__()
        self.keeps, self.count = keeps, 0

    def take(self, batch: Samples) -> list[tuple[bytes, int]] | None:
        found = super().take(batch) or []
        self.count += len(found)
        return [(rig, self.count - len(found) + i) for i, (rig, _) in enumerate(found)] or None

    def snapshot(self) -> dict[str, Any]:
        return super().snapshot() | ({"count": self.count} if self.keeps else {})

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.count = state.get("count", 0)


def ps1() -> list[bytes | None]:
    """Return records of PS1 that jump at every fifth, with what is no record among them."""
    fixed = {"sensor": "PS1", "cycle": 0, "sampling_rate_hz": 100, "rig": "rig-1"}
    rows = [
        fixed
        | {"sample_idx": i, "value": 150.0 + 9 * (i % 5 == 3), "timestamp": iso(1_767_229_200_000_000 + i * 10_000)}
        for i in range(120)
    ]
    values = [json.dumps(row).encode() for row in rows]
    return [*values[:50], b"{", None, *values[50:]]


def jumping(*, keeps: bool) -> Flow:
    """Return a flow that publishes each jump and stores every sample."""

    def build(messages: Edge[Messages], ctx: Context) -> None:
        samples = messages.through(Decode(ctx))
        samples.through(Store(ctx, "mine"))
        samples.through(Numbered(keeps=keeps)).through(Tell(ctx, "jumps"))

    return Flow("jumps", topics=("PS1",), build=build, publishes=("jumps",), folders=("mine",))


def test_a_simulation_finds_what_a_flow_of_ones_own_loses() -> None:
    """Any life of one that is right delivers the same; one that forgets is found, with the least that shows it."""
    simulate(jumping(keeps=True), {"PS1": ps1()}, lives=8)

    with pytest.raises(
        AssertionError, match=r"(?s)in the life of seed \d+ topic jumps is another.*the least that"
    ) as told:
        simulate(jumping(keeps=False), {"PS1": ps1()}, lives=8)
    assert "again: simulate(…, seed=" in str(told.value)
    with pytest.raises(AssertionError, match="delivers nothing of these records"):
        simulate(jumping(keeps=True), {"PS1": [b"{"]}, lives=1)
