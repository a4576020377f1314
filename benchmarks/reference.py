"""The results that count: DuckDB's, over the records that were in the topics."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

DONE = "reference.parquet"
CLOSED_S = 11
"""Windows that end this long before a sensor's last record are final for everybody: the watermark is 10 s behind."""

RELATIVE_MAX = 1e-9
"""Engines add in different orders; counts, minima and maxima have to be the same to the last bit."""

Key = tuple[str, int]
Figures = tuple[int, float, float, float, float, float]
WindowRows = dict[Key, Figures]
"""(sensor, start in ms) → count, mean, max, min, sample standard deviation (NaN for one sample), range."""

_WINDOWS = """
    WITH records AS (FROM read_parquet('{records}')),
         newest AS (SELECT sensor, max(ts) AS ts FROM records GROUP BY sensor)
    SELECT sensor, epoch_ms(start) AS start_ms, count(*) AS count, avg(value), max(value), min(value),
           coalesce(stddev_samp(value), 'NaN'::DOUBLE), max(value) - min(value)
    FROM (SELECT sensor, value, time_bucket(INTERVAL 10 SECONDS, ts) - to_seconds(10 * unnest(range(6))) AS start
          FROM records)
    JOIN newest USING (sensor)
    WHERE start + INTERVAL 60 SECONDS <= newest.ts - to_seconds({closed})
    GROUP BY sensor, start
"""
_RAW = """
    SELECT sensor, count(*), sum(hash(cycle::BIGINT, sample_idx::BIGINT, value::DOUBLE, epoch_us(ts))::HUGEINT)
    FROM ({rows}) GROUP BY sensor
"""


@dataclass(frozen=True, slots=True)
class Check:
    """How a result compares: `expected` items, `wrong` ones (missing, other, too many), and the first of them."""

    expected: int
    wrong: int
    first: str = ""

    @property
    def fine(self) -> bool:
        """Whether it counts."""
        return self.wrong == 0 and self.expected > 0


def take_over(folder: Path, sensor: str, lines: Path) -> None:
    """Parse a topic's values with DuckDB's own JSON reader, and keep them as Parquet instead."""
    columns = "{sensor: 'VARCHAR', cycle: 'BIGINT', sample_idx: 'BIGINT', value: 'DOUBLE', timestamp: 'TIMESTAMP'}"
    duckdb.sql(f"""
        COPY (SELECT sensor, cycle, sample_idx, value, timestamp AS ts
              FROM read_json('{lines}', format = 'newline_delimited', columns = {columns}))
        TO '{folder}/{sensor}.records.parquet' (COMPRESSION zstd)
    """)
    lines.unlink()


def compute(folder: Path) -> None:
    """Compute the final windows of what `take_over` has kept."""
    query = _WINDOWS.format(records=f"{folder}/*.records.parquet", closed=CLOSED_S)
    duckdb.sql(f"COPY ({query}) TO '{folder / DONE}.new' (FORMAT parquet)")
    (folder / f"{DONE}.new").rename(folder / DONE)


def windows(folder: Path) -> WindowRows:
    """Return the final windows."""
    rows = duckdb.sql(f"FROM read_parquet('{folder / DONE}')").fetchall()
    return {(sensor, start_ms): tuple(figures) for sensor, start_ms, *figures in rows}


def check_windows(found: WindowRows, wanted: WindowRows) -> Check:
    """Compare the last row of each final window."""
    wrong = [key for key, figures in wanted.items() if key not in found or not _same(found[key], figures)]
    if not wrong:
        return Check(len(wanted), 0)
    key = min(wrong)
    return Check(len(wanted), len(wrong), f"{key}: {found.get(key)}, not {wanted[key]}")


def check_raw(files: Sequence[Path], folder: Path) -> Check:
    """Compare the rows of `files` as a multiset, sensor by sensor."""
    kept = f"SELECT * FROM read_parquet('{folder}/*.records.parquet')"
    wanted = dict(_by_sensor(kept))
    names = ", ".join(f"'{file}'" for file in files)
    read = (
        f"SELECT regexp_extract(filename, 'sensor=([A-Z]+[0-9]*)', 1) AS sensor, cycle, sample_idx, value, "
        f"timestamp AS ts FROM read_parquet([{names}], filename = true, hive_partitioning = false, "
        "union_by_name = true)"
    )
    found = dict(_by_sensor(read)) if files else {}
    total = sum(count for count, _ in wanted.values())
    wrong = [sensor for sensor in wanted.keys() | found.keys() if wanted.get(sensor) != found.get(sensor)]
    if not wrong:
        return Check(total, 0)
    one = min(wrong)
    rows, want = (of.get(one, (0, 0))[0] for of in (found, wanted))
    return Check(total, len(wrong), f"{one}: {rows} rows, {want} records, or other values")


def _by_sensor(rows: str) -> list[tuple[str, tuple[int, int]]]:
    found = duckdb.sql(_RAW.format(rows=rows)).fetchall()
    return [(sensor, (count, int(total))) for sensor, count, total in found]


def _same(found: Figures, wanted: Figures) -> bool:
    count, mean, high, low, deviation, spread = found
    scale = abs(wanted[1]) + abs(wanted[5])
    return (
        (count, high, low) == (wanted[0], wanted[2], wanted[3])
        and abs(mean - wanted[1]) <= RELATIVE_MAX * scale
        and abs(spread - wanted[5]) <= RELATIVE_MAX * scale
        and (abs(deviation - wanted[4]) <= RELATIVE_MAX * scale or (count == 1 and wanted[0] == 1))
    )
