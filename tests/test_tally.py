"""Whose samples can't be used is known by rig, and is an incident though it is one rig of many."""

import json
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from hydrodask.blobs import Blobs
from hydrodask.clock import iso, parse_iso
from hydrodask.decode.windowrows import decode_row
from hydrodask.detect.arrivals import Arrival
from hydrodask.protocol import snapshot
from hydrodask.records import Messages, RefusedRecord
from hydrodask.reports import WHOLE_RIG
from hydrodask.settings import Settings
from tests.running import Life
from tests.test_detector import of
from tests.test_silence import arrival, detector

STAMP_MS = 1_767_225_660_000 // 60_000 * 60_000
"""The broker's clock at the beginning: a whole minute."""

GOOD = [f"rig-{number}" for number in range(49)]
ODD = "rig-odd"
SETTINGS = Settings()


def sample(second: int, rig: str, *, clock_s: float = 0.0, value: object = 1.5) -> bytes:
    """Return a sample of TS1 of a rig whose clock is that far off."""
    fields = {
        "sensor": "TS1",
        "cycle": second // 60,
        "sample_idx": second % 60,
        "value": value,
        "timestamp": iso(round((STAMP_MS / 1000 + second + clock_s) * 1e6)),
        "sampling_rate_hz": 1,
        "rig": rig,
    }
    return json.dumps(fields).encode()


def log_of(values: list[tuple[int, str, bytes]], first: int = 0) -> Messages:
    """Return (second, key, value) as messages of TS1, with the broker's time of that second."""
    offsets = np.arange(first, first + len(values), dtype=np.int64)
    stamps = np.array([STAMP_MS + second * 1000 for second, _, _ in values], np.int64)
    keys = Blobs.of([key.encode() for _, key, _ in values])
    return Messages("hydraulic-TS1", 0, Blobs.of([value for *_, value in values]), keys, offsets, stamps)


def fleet(seconds: range, *, clock_s: float) -> list[tuple[int, str, bytes]]:
    """Return a sample a second of fifty rigs, one of which has another clock."""
    rows = [(s, rig, sample(s, rig)) for s in seconds for rig in GOOD]
    return sorted(rows + [(s, ODD, sample(s, ODD, clock_s=clock_s)) for s in seconds], key=lambda row: row[0])


def refused(life: Life) -> list[RefusedRecord]:
    """Return what was published of samples that were refused."""
    values = [one.value for one in life.published if one.topic == "hydraulic-analytics"]
    rows = [decode_row(value) for value in values if value is not None]
    return [row for row in rows if isinstance(row, RefusedRecord)]


@pytest.fixture
def life() -> Life:
    """Give a partition of TS1."""
    return Life(SETTINGS, topic="hydraulic-TS1")


@pytest.mark.parametrize(("clock_s", "late", "dead"), [(-86_400.0 * 365, 60, 0), (3600.0, 0, 60), (-180.0, 60, 0)])
def test_one_rig_in_fifty_whose_clock_is_wrong_is_said(life: Life, clock_s: float, late: int, dead: int) -> None:
    """Back by a year, ahead by an hour, three minutes slow: each is counted by rig, and told to the detector."""
    life.feed(log_of(fleet(range(60), clock_s=0.0)))
    life.feed(log_of(fleet(range(60, 181), clock_s=clock_s), first=3000))
    life.commit()

    found = refused(life)
    assert [(one.rig, one.sensor, one.over_half) for one in found] == [(ODD, "TS1", True)] * 2
    assert (found[0].kept, found[0].late, found[0].dead) in [(0, late, dead), (1, late - 1, dead)]
    report = life.partition.report(10_000)
    assert next(iter(report.per_rig)) == ODD
    assert report.per_rig[ODD]["late"] + report.per_rig[ODD]["dead"] >= 110
    assert report.totals["late"] == report.per_rig[ODD]["late"]
    assert report.totals.get("dead", 0) == report.per_rig[ODD]["dead"]
    assert len(report.per_rig) == SETTINGS.observe.rigs_max


def test_a_rig_that_is_right_again_is_said_once(life: Life) -> None:
    """The first good minute ends it, and nothing is said of those that follow."""
    life.feed(log_of([*fleet(range(60), clock_s=0.0), *fleet(range(60, 120), clock_s=-7200.0)]))
    life.feed(log_of(fleet(range(120, 301), clock_s=0.0), first=6000))
    life.commit()

    assert [one.over_half for one in refused(life)] == [True, False]


def test_dead_letters_are_of_the_rig_that_their_key_names(life: Life) -> None:
    """What is no JSON names no rig but in its key; what has none is counted as it was."""
    bad = [(second, ODD, b"nonsense") for second in range(0, 60, 2)] + [(0, "", b"nonsense")]
    life.feed(log_of(sorted([*fleet(range(60), clock_s=0.0), *bad], key=lambda row: row[0])))

    report = life.partition.report(10_000)
    assert report.per_rig[ODD] == {"kept": 60, "late": 0, "dead": 30}
    assert report.totals["dead"] == 31


def test_counts_do_not_depend_on_batches_or_restarts() -> None:
    """State goes through snapshots at any place: the same rows, the same bytes."""
    values = sorted(
        [
            *fleet(range(0, 100, 3), clock_s=0.0),
            *fleet(range(100, 300, 3), clock_s=-400.0),
            *((s, f"rig-{s}", b"junk") for s in range(300)),
        ],
        key=lambda row: row[0],
    )
    wanted: list[RefusedRecord] = []
    states = []
    for cuts in ([0, len(values)], [0, 7, 900, 901, 2500, len(values)], [*range(0, len(values), 400), len(values)]):
        life, said = Life(SETTINGS, topic="hydraulic-TS1"), []
        for start, end in pairwise(cuts):
            life.feed(log_of(values[start:end], first=start))
            life.commit()
            life.save()
            life.restart()
        said = refused(life)
        wanted = wanted or said
        assert said == wanted != []
        states.append(snapshot.encode(life.partition.ctx.states["tally"].snapshot()))
    assert len(set(states)) == 1


def test_a_snapshot_of_an_older_release_is_used(life: Life) -> None:
    """It has no counts by rig: these begin there."""
    life.feed(log_of(fleet(range(30), clock_s=0.0)))
    life.commit()
    tally = life.partition.ctx.states.pop("tally")
    life.save()
    assert tally.snapshot()["next_offset"] == 1500
    assert life.restart() <= 1500
    life.feed(log_of(fleet(range(30, 40), clock_s=0.0), first=1500))

    assert life.partition.ctx.tally.totals()[ODD]["kept"] == 10
    assert list(life.partition.ctx.tally.totals().items())[:2] == list(life.partition.ctx.tally.totals(2).items())
    assert life.partition.report(0).totals["kept"] == 2000


def test_the_watermark_of_a_partition_is_not_a_dead_rigs(life: Life) -> None:
    """A rig that was not heard for minutes does not hold it, nor does one whose clock went back."""
    life.feed(log_of(fleet(range(60), clock_s=0.0)))
    life.feed(log_of([(s, rig, sample(s, rig)) for s in range(60, 600) for rig in GOOD[:3]], first=3000))

    report = life.partition.report(10_000)
    assert report.watermark_us == (STAMP_MS + 599_000 - 10_000) * 1000
    assert (life.partition.newest_ms or 0) - (report.watermark_us or 0) // 1000 == 10_000


def minute(number: int, *, sensor: str = "TS1", bad: bool = True, dead: int = 0) -> Arrival:
    """Return what is said of a rig's samples of a minute."""
    row = RefusedRecord(ODD, sensor, iso((STAMP_MS + 60_000 * number) * 1000), 60 - 60 * bad, 60 * bad, dead, bad, 0)
    return Arrival(number, STAMP_MS + 60_000 * number, row)


def test_a_rig_whose_samples_are_refused_is_one_incident() -> None:
    """Of all of its sensors together, until the last of them is well again; their health is less meanwhile."""
    one = detector()
    changes = one.take(arrival(0, "TS1", rig=ODD))
    changes += one.take(minute(0)) + one.take(minute(0, sensor="CE")) + one.take(minute(1))

    assert one.alarms() == [(ODD, WHOLE_RIG, "unusable_samples")]
    assert one.health()[ODD, "TS1"] == 80.0
    assert one.totals()["incidents"] == 1
    changes += one.take(minute(2, bad=False))
    assert [body["status"] for body in of("incidents", changes)] == ["open"]
    changes += one.take(minute(3, sensor="CE", bad=False))
    (body,) = of("incidents", changes)
    assert (body["status"], body["sensor"], body["severity"], body["worst"]) == ("resolved", WHOLE_RIG, "critical", 1.0)
    assert parse_iso(str(body["opened_at"])) - parse_iso(str(body["first_window"])) == 60_000_000  # of its first minute
    assert one.alarms() == []


def test_a_rig_whose_samples_are_refused_is_not_silent() -> None:
    """Something comes from it; and a replay from any snapshot says the same."""
    one = detector()
    changes = one.take(arrival(0, "TS1", rig=ODD))
    for number in range(10):
        for second in range(0, 60, 5):
            changes += one.take(Arrival(0, STAMP_MS + number * 60_000 + second * 1000, None))
        changes += one.take(minute(number))
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(one.snapshot()))
        one = detector()
        one.restore(state)

    assert [body["rule"] for body in of("incidents", changes)] == ["unusable_samples"]


def test_junk_under_any_number_of_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead letters give names to so many rigs, and no more."""
    monkeypatch.setattr("hydrodask.window.tally.NAMES_MAX", 100)
    life = Life(SETTINGS, topic="hydraulic-TS1")
    for start in range(0, 1000, 50):
        life.feed(log_of([(0, f"junk-{start + i}", b"junk") for i in range(50)], first=start))

    assert len(life.partition.ctx.tally) == 100
