"""Five-minute rows: what a day or a week of windows comes to, small enough to be looked at at once.

A row is one rig's `BUCKET_US` of one file of `windows/`: least, greatest, mean and number of its windows. `compact`
writes them beside each large file, in `windows_5m/` under the same name; they follow from that file alone.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hydrodask.store.arrays import numbers, places

FOLDER = "windows_5m"
BUCKET_US = 300_000_000
HALF = 0.5
"""A window of which less than this share of its samples is there says nothing of a mean."""

OF = b"hydrodask.of"
"""Metadata of a file of five-minute rows: what the rows come to that it was made of."""

ORDER = b"hydrodask.order"
"""Metadata of a file whose rows are not in the order of their offsets, but of this column: `rig`."""

GROUP_ROWS = 20_000
"""Rows of a row group in such a file: whoever wants one rig reads a few of them."""

COARSE_ROWS = 2_000
"""The same of five-minute rows, which are by rig, too: a rig's day is 288 of them."""

COLUMNS = ("rig", "window_start", "window_end", "avg_value", "max_value", "min_value", "sample_count")


_OFFSETS = ("revision", "window_start")


def path_of(path: str) -> str:
    """Return where the five-minute rows of a file of `windows/` are.

    >>> path_of("windows/sensor=PS1/hydraulic-PS1-0-000000000000-000000004096.parquet")
    'windows_5m/sensor=PS1/hydraulic-PS1-0-000000000000-000000004096.parquet'
    """
    return f"{FOLDER}/{path.partition('/')[2]}"


def by_offset(table: pa.Table) -> pa.Table:
    """Return rows of a file by rig in the order of their offsets, which is how they were written. Stable."""
    return table.sort_by([(one, "ascending") for one in _OFFSETS if one in table.column_names]).combine_chunks()


def usable(table: pa.Table) -> pa.Table:
    """Return the windows of which at least half is there; all of those whose rate is not known."""
    if "sampling_rate_hz" not in table.column_names or not table.num_rows:
        return table
    start_us, end_us = (numbers(table[name].cast(pa.int64())) for name in ("window_start", "window_end"))
    want = numbers(table["sampling_rate_hz"].cast(pa.float64())) * (end_us - start_us) * HALF
    little = numbers(table["sample_count"]) * 1e6 < want  # of an unknown rate nothing is
    return table.take(places(np.flatnonzero(~little))) if little.any() else table


def coarse(table: pa.Table) -> pa.Table:
    """Return rows of `windows/` as five-minute rows, ordered by rig and start."""
    table = usable(table)
    starts = table["window_start"].cast(pa.int64())
    # Times before 1970 are rounded to the right side, too.
    bucket = pc.multiply(pc.floor(pc.divide(starts.cast(pa.float64()), float(BUCKET_US))), float(BUCKET_US))
    rows = pa.table(
        {
            "rig": table["rig"],
            "window_start": bucket.cast(pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "avg_value": table["avg_value"],
            "max_value": table["max_value"],
            "min_value": table["min_value"],
        }
    )
    grouped = rows.group_by(["rig", "window_start"], use_threads=False).aggregate(
        [("avg_value", "mean"), ("max_value", "max"), ("min_value", "min"), ("avg_value", "count")]
    )
    found = pa.table(
        {
            "rig": grouped["rig"],
            "window_start": grouped["window_start"],
            "avg_value": grouped["avg_value_mean"],
            "max_value": grouped["max_value_max"],
            "min_value": grouped["min_value_min"],
            "windows": grouped["avg_value_count"],
        }
    )
    return found.sort_by([("rig", "ascending"), ("window_start", "ascending")]).combine_chunks()
