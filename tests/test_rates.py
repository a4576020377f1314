"""Rates are the record's: how much of a window is there is told by what its samples say, not by the table."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hydrodask import kafka as clients
from hydrodask.audit.differences import Comparison
from hydrodask.audit.verify import verify
from hydrodask.clock import US_PER_S, iso, parse_iso
from hydrodask.detect import Detector, load_rules
from hydrodask.detect.judge import coverage_of
from hydrodask.ingest.topics import create
from hydrodask.nodes.outgoing import older, window_rows
from hydrodask.records import Messages, Samples, Upsert, WindowRecord, Windows
from hydrodask.rigs import RIGS
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from hydrodask.store.schemas import samples_of, windows_table
from hydrodask.testing import messages_of
from hydrodask.window import OpenWindows
from tests.audited import fine
from tests.delivery import Driver, documents, sets_of, settings_of
from tests.running import Life

T0_US = parse_iso("2026-01-01T00:00:00Z")
STAMP_MS = 1_767_229_200_000
SETTINGS = Settings()


def samples(sensor: str, values: Iterable[float], rate_hz: float, *, keep: int = 1, start_s: float = 0) -> Samples:
    """Return samples of one rig at `rate_hz`, of which every `keep`-th one came."""
    value = np.array(list(values), np.float64)
    index = np.arange(len(value))
    time_us = T0_US + np.round((start_s + index / rate_hz) * US_PER_S).astype(np.int64)
    rig = np.full(len(value), RIGS.code("rig-1"), np.int32)
    all_of_them = Samples(
        sensor, f"hydraulic-{sensor}", 0, rig, index // 60, index, value, time_us, np.full(len(value), rate_hz), index
    )
    return all_of_them.take(slice(None, None, keep))


def windows_of(sensor: str) -> OpenWindows:
    """Return windows as the settings have them."""
    return OpenWindows(sensor, length_us=60 * US_PER_S, slide_us=10 * US_PER_S, lateness_us=10 * US_PER_S)


def final_rows(*parts: Samples) -> Windows:
    """Return what is final after the samples."""
    windows = windows_of(parts[0].sensor)
    return windows.consume(Samples.joined(parts))[0]


def records_of(rows: Windows) -> list[WindowRecord]:
    """Return rows as the detector reads them."""
    return [json_row(value) for _, value in window_rows(rows, 60 * US_PER_S)]


def json_row(value: bytes) -> WindowRecord:
    """Return a published row."""
    return WindowRecord(**json.loads(value))


def incidents(rows: Iterable[WindowRecord]) -> dict[str, dict[str, Any]]:
    """Return the incidents that the default rules see, by rule."""
    detect = SETTINGS.detect
    detector = Detector(
        load_rules(detect.rules), baseline=detect.baseline, coverage_min=detect.coverage_min, window_s=60
    )
    changes = [change for number, row in enumerate(rows) for change in detector.update(row, number)]
    opened = [c for c in changes if isinstance(c, Upsert) and c.collection == "incidents"]
    return {str(change.body["rule"]): dict(change.body) for change in opened}


def leak_at(rate_hz: float) -> dict[str, dict[str, Any]]:
    """Return the incidents of five minutes of a leaking pump."""
    return incidents(records_of(final_rows(samples("FS1", [6.0] * round(330 * rate_hz), rate_hz))))


def leak_lines(rate_hz: int = 5, rig: str = "rig-1") -> list[bytes]:
    """Return five and a half minutes of it as our producers send it."""
    text = (
        '{"sensor": "FS1", "cycle": %d, "sample_idx": %d, "value": 6.0, "timestamp": "%s", "sampling_rate_hz": %d, '
        '"rig": "%s"}'
    )
    cycle = 60 * rate_hz
    times_us = [T0_US + i * US_PER_S // rate_hz for i in range(330 * rate_hz)]
    return [(text % (i // cycle, i % cycle, iso(at_us), rate_hz, rig)).encode() for i, at_us in enumerate(times_us)]


def test_leak_at_5_hz_is_the_incident_that_it_is_at_10_hz() -> None:
    """The case of the issue, through the graph: decoded, windowed, published, judged."""
    life = Life(SETTINGS)
    life.feed(messages(leak_lines()))
    life.commit()
    rows = [json_row(o.value or b"") for o in life.published if o.topic == "hydraulic-analytics"]

    found = incidents(row for row in rows if row.final)

    assert found.keys() == leak_at(10).keys() == {"pump_leakage", "stuck"}
    assert found["pump_leakage"]["opened_at"] == leak_at(10)["pump_leakage"]["opened_at"]
    assert {row.sampling_rate_hz for row in rows} == {5.0}


@pytest.mark.integration
@pytest.mark.cluster
def test_a_leak_at_5_hz_is_found_on_a_real_broker(kafka: Kafka, tmp_path: Path) -> None:
    """A rig that sends at half the table's rate has the incidents of one that sends at it; the audit agrees."""
    settings = settings_of(kafka, tmp_path, "rates")
    create(settings)
    producer = clients.producer(settings.kafka)
    for rig, rate_hz in (("slow", 5), ("usual", 10)):
        for line in leak_lines(rate_hz, rig):
            producer.produce(settings.topic("FS1"), line, rig.encode())
    assert producer.flush(60) == 0

    with Driver(sets_of(kafka, tmp_path, "rates"), tmp_path / "log", "--until-idle") as driver:
        assert driver.wait() == 0, driver.output

    opened = {(one["rig"], one["rule"]): one["opened_at"] for one in documents(settings, "incidents")}
    assert opened["slow", "pump_leakage"] == opened["usual", "pump_leakage"]
    assert fine(verify(settings))


@pytest.mark.parametrize("rate_hz", [1, 5, 8, 10, 25])
def test_a_leak_is_a_leak_at_any_rate(rate_hz: float) -> None:
    """Opened at the same time, with the same value."""
    found, usual = leak_at(rate_hz)["pump_leakage"], leak_at(10)["pump_leakage"]

    assert {name: found[name] for name in ("opened_at", "worst")} == {
        name: usual[name] for name in ("opened_at", "worst")
    }


def test_hot_oil_at_half_a_hertz_is_seen() -> None:
    """Thirty samples are a full minute there."""
    rows = records_of(final_rows(samples("TS1", [57.0] * 200, 0.5)))

    assert "oil_hot" in incidents(rows)
    assert coverage_of(rows[-1], 60) == 1


def test_ten_hertz_of_which_most_is_lost_is_not_whole() -> None:
    """Every fifth of ten samples a second is two, where the table has one: a fifth is there."""
    rows = records_of(final_rows(samples("TS1", [57.0] * 2000, 10, keep=5)))

    assert [round(coverage_of(row, 60), 3) for row in rows][5:] == [0.2] * len(rows[5:])
    assert "oil_hot" not in incidents(rows)


def test_a_rate_that_changes_leaves_no_hole() -> None:
    """From ten to five a second: windows with both are as full as the others, so that nothing is missing."""
    before, after = samples("FS1", [8.0] * 1200, 10), samples("FS1", [8.0] * 900, 5, start_s=120)
    after.offset = after.offset + 1200

    rows = records_of(final_rows(before, after))

    assert {row.sampling_rate_hz for row in rows[5:]} >= {5.0, 10.0}
    assert all(0.99 < coverage_of(row, 60) < 1.01 for row in rows[5:])


def test_rows_of_before_rates_were_kept_are_judged_by_the_table() -> None:
    """And so are rates that are no rates."""
    (_, value), *_ = window_rows(final_rows(samples("FS1", [6.0] * 3300, 10)), 60 * US_PER_S)
    old = json_row(older(value))

    assert old.sampling_rate_hz is None
    for rate_hz in (None, 0.0, -1.0, 1e308 * 10, 5e-324 / 2):
        old.sampling_rate_hz = rate_hz
        assert coverage_of(old, 60) == old.sample_count / 600


def test_state_of_before_rates_were_kept_goes_on() -> None:
    """Its panes count as the table's, and after them nothing tells it from one that was always there."""
    every = samples("FS1", [6.0] * 6000, 10)
    first, second = every.take(slice(0, 3000)), every.take(slice(3000, None))
    whole, windows = windows_of("FS1"), windows_of("FS1")
    whole.consume(first)
    state = whole.snapshot()
    dense = {"pane_of": whole._pane_of[:1].copy(), "panes": whole._panes[:1, :, :5].copy()}
    windows.restore({n: v for n, v in state.items() if n not in ("places", "ages", "border")} | dense)

    rows, wanted = windows.consume(second)[0], whole.consume(second)[0]

    assert rows.rate_hz.tolist() == wanted.rate_hz.tolist()
    assert windows.snapshot()["panes"].tolist() == whole.snapshot()["panes"].tolist()


def test_files_of_before_rates_were_kept_are_as_good() -> None:
    """The audit compares what they have; one that says another rate is named."""
    rows = windows_table(final_rows(samples("FS1", [6.0] * 3300, 5)), partition=0, length_us=60 * US_PER_S)
    before = rows.drop_columns(["sampling_rate_hz"])
    mixed = pa.concat_tables([before.slice(0, 3), rows.slice(3)], promote_options="default")
    wrong = rows.set_column(rows.num_columns - 1, "sampling_rate_hz", pa.array([10.0] * rows.num_rows))

    assert [compared(rows, stored) for stored in (rows, before, mixed)] == ["", "", ""]
    assert "sampling_rate_hz is 10.0, want 5.0" in compared(rows, wrong)


def compared(want: pa.Table, stored: pa.Table) -> str:
    """Return the first difference."""
    comparison = Comparison(iter([("a file", stored)]), ("revision", "window_start"), 1 << 62)
    comparison.expect(want)
    return comparison.finish().first


def test_another_rate_is_said_once_of_each_rig() -> None:
    """In the notes of the partition's next report, of a bounded number of rigs."""
    life = Life(SETTINGS.model_copy(update={"observe": SETTINGS.observe.model_copy(update={"rigs_max": 2})}))
    record = '{"sensor": "FS1", "cycle": 0, "sample_idx": 1, "value": 6.0, "timestamp": "2026-01-01T00:00:01"'
    for batch in range(2):
        values = [f'{record}, "sampling_rate_hz": {5 + k}, "rig": "r{k}"}}'.encode() for k in (5, 0, 1, 2)]
        life.feed(messages(values, first=4 * batch))

    notes = life.partition.ctx.notes
    assert [note.split(",")[0] for note in notes] == ["r0 sends FS1 at 5 Hz", "r1 sends FS1 at 6 Hz"]
    assert "no more rigs" in notes[-1]


def test_raw_rows_give_the_same_windows() -> None:
    """What the audit computes from raw/ has the rates of the stream."""
    life = Life(SETTINGS)
    life.feed(messages(leak_lines()))
    life.end()
    rows = life.table("raw")

    again = windows_of("FS1").consume(samples_of(rows, "FS1", ("hydraulic-FS1", 0)))[0]

    assert windows_table(again, partition=0, length_us=60 * US_PER_S).equals(life.table("windows"))
    assert iso(int(again.start_us[0])) == "2025-12-31T23:59:10Z"


def messages(values: list[bytes], *, first: int = 0) -> Messages:
    """Return records of the topic of FS1."""
    return messages_of(list(values), topic="hydraulic-FS1", first=first, stamp_ms=STAMP_MS)
