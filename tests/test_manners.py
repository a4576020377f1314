"""Settings of how records are read change while a group lives: each record is judged by those of its time."""

import json
from typing import Any

import pytest

from hydrodask.audit.replay import Intake, manners_in
from hydrodask.decode.manner import Manner
from hydrodask.keys import Terms
from hydrodask.records import Messages
from hydrodask.rigs import RIGS
from hydrodask.settings import Settings, load
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
