"""Check that each cycle of a rig is in the lake once: as the profile of a sensor, and as a label."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hydrodask.audit.finding import Result
from hydrodask.audit.links import read_bytes
from hydrodask.audit.mending import imported
from hydrodask.channels import SENSORS
from hydrodask.store.lake import Lake
from hydrodask.store.listing import LakeFile, readable
from hydrodask.store.merge import IMPORTED

_STARTS = {**{f"cycles/sensor={sensor}": "cycle_start" for sensor in SENSORS}, "labels": "timestamp"}
"""Each folder that has cycles, and the column that holds their start."""


def check_doubles(lake: Lake, result: Result) -> None:
    """Say which cycles are there more than once. What an import has doubled is wrong.

    What came twice in the stream, as a recording that is run again, is there twice, as raw rows are, and is only
    counted.
    """
    for folder, start in _STARTS.items():
        files = readable(lake.files.names(folder))
        parts = [_keys(lake, file, start, number) for number, file in enumerate(files)]
        if not parts:
            continue
        keys = pa.concat_tables(parts)
        result.count(cycles=len(keys))
        for rig, cycle, at, numbers in _twice(keys):
            places = [files[number] for number in numbers]
            if any(file.topic.startswith(IMPORTED) for file in places):
                paths = " and ".join(sorted({file.path.rpartition("/")[2] for file in places}))
                what = f"cycle {cycle} of rig {rig!r} from {at} is there {len(places)} times"
                newest = max(file.path for file in places if file.topic.startswith(IMPORTED))
                result.found(folder, what, paths, mend=imported(newest))
            else:
                result.count(twice_in_the_stream=1)


def _keys(lake: Lake, file: LakeFile, start: str, number: int) -> pa.Table:
    """Return which cycles a file holds; none for a file that can't be read, which other checks have said."""
    try:
        table = pq.ParquetFile(pa.BufferReader(read_bytes(lake, file.path))).read(["rig", "cycle", start])
        columns = {"rig": table["rig"], "cycle": table["cycle"], "start": table[start]}
    except (pa.ArrowException, OSError, ValueError, KeyError):
        columns = {"rig": pa.array([], pa.string()), "cycle": pa.array([], pa.int64())}
        columns["start"] = pa.array([], pa.timestamp("us", tz="UTC"))
    columns["file"] = pa.array([number] * len(columns["rig"]), pa.int64())
    return pa.table(columns)


def _twice(keys: pa.Table) -> Iterator[tuple[str, int, str, list[int]]]:
    """Give each cycle that is there more than once, and the files' numbers."""
    grouped = keys.group_by(["rig", "cycle", "start"], use_threads=False).aggregate([("file", "list")])
    several = grouped.filter(pc.greater(pc.list_value_length(grouped["file_list"]), 1))
    for row in several.to_pylist():
        yield row["rig"], row["cycle"], row["start"].isoformat(), row["file_list"]
