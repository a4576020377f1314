"""What decides whether a benchmark's figure counts: the reference, the sums, and who is on the list."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import reference, report
from benchmarks.__main__ import peers
from benchmarks.inputs import START_US, Limited
from benchmarks.live import _counted_us
from benchmarks.peers import shares
from benchmarks.peers.contract import Work
from benchmarks.results import RESULTS
from benchmarks.rows import Row, Seen
from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.ingest.encode import encode
from hydrodask.ingest.feed import SimulatedFeed
from hydrodask.ingest.simulator import Fleet

SECONDS = 90


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the reference of ninety seconds of one sensor, computed from the lines that producers write."""
    made = tmp_path_factory.mktemp("reference")
    feed = SimulatedFeed(Fleet(rigs=1, seed=1, start_us=START_US, faults=None, default_rig="rig-1"), START_US)
    lines = [
        str(payload)
        for second in range(SECONDS)
        for chunk in feed.chunk(second)
        if chunk.sensor == "FS1"
        for payload in encode(chunk)
    ]
    (made / "FS1.ndjson").write_text("\n".join(lines) + "\n")
    reference.take_over(made, "FS1", made / "FS1.ndjson")
    reference.compute(made)
    return made


def test_reference_has_the_final_windows(folder: Path) -> None:
    """With a last record at 89.9 s those that end by 70 s: six that begin at or before 0, and one more."""
    found = reference.windows(folder)

    assert sorted((start - START_US // 1000) // 1000 for _, start in found) == [-50, -40, -30, -20, -10, 0, 10]
    assert found["FS1", START_US // 1000][0] == 600
    assert reference.check_windows(found, found).fine


def test_wrong_windows_are_counted(folder: Path) -> None:
    """A missing one, a count that is off by one, a mean that is off by a millionth; not the last bit of a mean."""
    wanted = reference.windows(folder)
    first, second, third, fourth, *_ = sorted(wanted)
    found = dict(wanted)
    del found[first]
    found[second] = (wanted[second][0] - 1, *wanted[second][1:])
    found[third] = (wanted[third][0], wanted[third][1] * (1 + 1e-6), *wanted[third][2:])
    found[fourth] = (wanted[fourth][0], np.nextafter(wanted[fourth][1], 0), *wanted[fourth][2:])

    check = reference.check_windows(found, wanted)

    assert (check.expected, check.wrong) == (7, 3)
    assert str(first[1]) in check.first


@pytest.mark.parametrize("fault", ["none", "twice", "missing", "other value"])
def test_raw_rows_are_compared_as_a_multiset(folder: Path, tmp_path: Path, fault: str) -> None:
    """Order and files do not matter; a row twice, one that is missing, or another value do."""
    table = pq.read_table(folder / "FS1.records.parquet").rename_columns({"ts": "timestamp"}).drop("sensor")
    rows = np.random.default_rng(1).permutation(table.num_rows)
    if fault == "twice":
        rows = np.append(rows, 5)
    elif fault == "missing":
        rows = rows[1:]
    table = table.take(rows)
    if fault == "other value":
        values = table["value"].to_numpy().copy()
        values[0] = np.nextafter(values[0], np.inf)
        table = table.set_column(table.column_names.index("value"), "value", pa.array(values))
    file = tmp_path / "sensor=FS1" / "a.parquet"
    file.parent.mkdir()
    pq.write_table(table, file)

    check = reference.check_raw([file], folder)

    assert check.fine == (fault == "none")
    assert check.expected == SECONDS * 10


def test_disorder_keeps_every_record_and_stays_below_its_limit() -> None:
    """The same second is disordered in the same way each time."""
    fleet = SimulatedFeed(Fleet(rigs=1, seed=1, start_us=START_US, faults=None, default_rig="rig-1"), START_US)
    feed = Limited(fleet, 10, 8_000_000)

    chunks = feed.chunk(3)

    assert all(((c.send_us >= c.time_us) & (c.send_us < c.time_us + 8_000_000)).all() for c in chunks)
    assert any((np.diff(c.send_us) < 0).any() for c in chunks)
    assert all((a.send_us == b.send_us).all() for a, b in zip(chunks, feed.chunk(3), strict=True))


def test_record_is_counted_by_the_first_row_that_has_it() -> None:
    """A row that counts three shows the first three records, and not the fourth."""
    start_us = START_US
    rows = {start_us: [Seen(("TS1", start_us // 1000), count, at_us) for count, at_us in ((1, 10), (3, 20))]}

    found = _counted_us(start_us, 1, 4, rows)

    assert found.tolist() == [10, 20, 20, np.inf]


def test_row_starts_as_text_or_as_milliseconds() -> None:
    """With and without an offset, which then is UTC."""
    starts: list[str | int] = [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T01:00:00+01:00",
        1767225600000,
    ]

    assert {Row("PS1", s, 1.0, 1.0, 1.0, 0.0, 1).key for s in starts} == {("PS1", START_US // 1000)}


def test_warm_is_what_more_records_cost() -> None:
    """Two seconds of start-up cancel out, round by round; a round without a pair says nothing."""
    runs = [
        {"round": 0, "records": 1_000_000, "seconds": 3.0},
        {"round": 0, "records": 4_000_000, "seconds": 6.0},
        {"round": 1, "records": 4_000_000, "seconds": 7.0},
    ]

    assert report.warm(runs, "seconds") == [1.0]
    assert report.cold(runs, "seconds") == [1.5, 1.75]


def test_every_engine_keeps_the_contract() -> None:
    """Names are unique, and each says what it guarantees."""
    found = peers(None)

    assert len({peer.name for peer in found}) == len(found)
    assert all(peer.guarantee and peer.settings and peer.jobs for peer in found)


def test_each_sensor_is_in_one_share(tmp_path: Path) -> None:
    """And no process has more records a second than another but for what one sensor brings."""
    work = Work("windows", "", {sensor: f"in-{sensor}" for sensor in SENSORS}, "out", tmp_path, tmp_path)

    found = shares.shared_out(work)

    loads = [sum(CHANNELS[sensor].rate_hz for sensor in share) for share in found]
    assert sorted(topic for share in found for topic in share.values()) == sorted(work.inputs.values())
    assert max(loads) - min(loads) <= max(channel.rate_hz for channel in CHANNELS.values())


def test_report_writes_its_pictures_beside_the_page(tmp_path: Path) -> None:
    """Wherever it is asked to: `make bench` has no business in `docs`."""
    page = report.write(RESULTS / "peers.json", tmp_path)
    shown = set(re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")))

    assert {"benchmarks-both.svg", "benchmarks-windows.svg", "benchmarks-live.svg"} <= shown
    assert {path.name for path in tmp_path.iterdir()} == {page.name, *shown}
