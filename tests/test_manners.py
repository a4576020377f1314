"""Settings of how records are read change while a group lives: each record is judged by those of its time."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from hydrodask.audit.finding import Results
from hydrodask.audit.labels import check_labels
from hydrodask.audit.ledger import Ledger
from hydrodask.audit.links import inspect
from hydrodask.audit.log import BrokerLog
from hydrodask.audit.part import Part
from hydrodask.audit.replay import Intake, manners_in
from hydrodask.audit.snapshots import load_snapshots
from hydrodask.decode.manner import Manner
from hydrodask.keys import Terms
from hydrodask.protocol import snapshot
from hydrodask.records import Messages, PartitionId
from hydrodask.rigs import RIGS
from hydrodask.settings import Settings, load
from hydrodask.store.listing import named
from hydrodask.testing import messages_of
from tests.running import Life

SOURCE = ("hydraulic-TS1", 0)
MINUTE = "2026-01-01T00:00:{:02d}Z"


def settings_of(*sets: str) -> Settings:
    """Return settings."""
    return load(sets=list(sets), environ={})[0]


def log() -> Messages:
    """Return ten records of rigs that only the keys name, and one that is longer than the others."""
    record = {"sensor": "TS1", "cycle": 0, "value": 40.0, "sampling_rate_hz": 1}
    values = [json.dumps(record | {"sample_idx": i, "timestamp": MINUTE.format(i)}).encode() for i in range(10)]
    values[4] = values[4].replace(b"40.0", b"40.0" + b"0" * 90)
    found = messages_of(values, topic=SOURCE[0], stamp_ms=1_767_225_600_000)
    found.keys = type(found.keys).of([b"a", b"b"] * 5)
    return found


def state_of(life: Life) -> dict[str, Any]:
    """Return what a snapshot says now."""
    return {"nodes": {"rigs": life.partition.ctx.states["rigs"].snapshot()}}


def read(intake: Intake) -> dict[int, str]:
    """Return what becomes of each record: its rig, or why it is none."""
    found: dict[int, str] = {}
    for samples, rejects in intake.decode(log()):
        found |= dict(zip(samples.offset.tolist(), map(RIGS.name, samples.rig.tolist()), strict=True))
        found |= {one.offset: one.reason for one in rejects}
    return dict(sorted(found.items()))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((), ("rig.from_key=true",)),
        ((), ("rig.default_id=other",)),
        (("limits.record_bytes=190",), ()),
        ((), ("window.future_max=2s",)),
    ],
)
def test_an_audit_reads_each_record_as_the_stream_did(old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """Five records are read in one manner, the others in another; also the dead letter at the end of the first five."""
    life = Life(settings_of(*old), topic=SOURCE[0], flow="monitor")
    life.feed(log().take(slice(0, 5)))
    life.end()
    first = manners_in(state_of(life))
    life.settings = settings_of(*new)
    life.restart()
    life.feed(log().take(slice(5, None)))
    life.end()

    history, manners = [(0, Terms.of(life.settings.limits))], manners_in(state_of(life))
    assert first == [(0, Manner.of(settings_of(*old)))]
    assert manners == [*first, (5, Manner.of(settings_of(*new)))]
    came = read(Intake(life.settings, "TS1", history, manners))
    whole = {name: read(Intake(settings_of(*sets), "TS1", history)) for name, sets in (("old", old), ("new", new))}
    assert came == {i: whole["old" if i < 5 else "new"][i] for i in range(10)}
    assert came != whole["new"]
    table = life.table("raw")
    raw = dict(zip(table.column("offset").to_pylist(), table.column("rig").to_pylist(), strict=True))
    assert raw == {i: said for i, said in came.items() if i in raw}
    assert len(raw) == len([said for said in came.values() if said in {"a", "b", "other", "rig-1"}])


def test_a_snapshot_that_says_no_manner_is_read_by_the_settings() -> None:
    """One of an older release: its records are audited by what is set now, as they were."""
    assert manners_in({}) == [(0, None)]
    history = [(0, Terms())]
    assert read(Intake(settings_of("rig.from_key=true"), "TS1", history, manners_in({})))[1] == "b"


LABELS = ("hydraulic-labels", 0)


def told() -> Messages:
    """Return ten labels of rigs that only the keys name, one of which is longer than the others."""
    label = {"cooler": 100, "valve": 100, "pump": 0, "accumulator": 130, "stable": 0}
    values = [json.dumps({"cycle": i, "timestamp": MINUTE.format(i)} | label).encode() for i in range(10)]
    for place in (4, 7):
        values[place] = values[place].replace(b"130", b"130." + b"0" * 90)
    found = messages_of(values, topic=LABELS[0], stamp_ms=1_767_225_600_000)
    found.keys = type(found.keys).of([b"a", b"b"] * 5)
    return found


class Kept:
    """A log that has them all."""

    def messages(self, _source: PartitionId, start: int, end: int) -> Iterator[Messages]:
        """Yield the messages from one offset to another."""
        yield told().take(slice(start, end))


def findings(life: Life) -> tuple[list[str], int]:
    """Return what the audit says of labels/ by the settings of now, and how many dead letters it wants."""
    results, dead = Results(), Ledger()
    part = Part(life.settings, LABELS, life.lake, {}, log=cast("BrokerLog", Kept()), bounds=(0, 10), committed=10)
    files = [one for path in life.lake.files.names("labels") if (one := named(path)) is not None]
    links = [inspect(life.lake, one, None, results["files"]) for one in files]
    part.chains["labels"] = sorted(links, key=lambda link: link.first)
    part.snapshots = load_snapshots(life.snapshots, LABELS, results["snapshots"], None)
    check_labels(part, results, dead, 0)
    return [str(one) for result in results for one in result.findings], len(dead)


@pytest.mark.parametrize(
    ("old", "new", "dead"),
    [
        (("limits.record_bytes=190",), (), 1),
        ((), ("limits.record_bytes=190",), 1),
        ((), ("rig.from_key=true",), 0),
        (("rig.from_key=true", "limits.rig_bytes=5"), ("rig.default_id=other",), 0),
    ],
)
def test_an_audit_reads_each_label_as_the_stream_did(old: tuple[str, ...], new: tuple[str, ...], dead: int) -> None:
    """Settings change between two labels: `verify` is green, with a snapshot or two; without the history it is not."""
    life = Life(settings_of(*old), topic=LABELS[0], flow="labels")
    life.feed(told().take(slice(0, 5)))
    life.end()
    life.settings = settings_of(*new)
    life.restart()
    life.feed(told().take(slice(5, None)))
    life.end()

    assert manners_in({"nodes": {"reading": life.partition.ctx.states["reading"].snapshot()}}) == [
        (0, Manner.of(settings_of(*old))),
        (5, Manner.of(settings_of(*new))),
    ]
    assert findings(life) == ([], dead)
    assert len(life.published) == dead
    path = max(life.snapshots.names("hydraulic-labels-0"))
    state = snapshot.decode(life.snapshots.read(path))
    del state["nodes"]["reading"]  # a release that did not remember it
    snapshot.save(life.snapshots, LABELS, 10, state)
    assert any("labels/ is not what the log says" in one for one in findings(life)[0])
    life.restart()
    assert life.partition.ctx.states["reading"].snapshot()["manners"] == [[0], [10, *Manner.of(life.settings)]]
