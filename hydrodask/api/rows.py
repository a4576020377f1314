"""Rows of the lake as an Arrow dataset, a table, a Dask dataframe, or arrays of cycle × second × sensor."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import and_
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from hydrodask import extras
from hydrodask.channels import CYCLE_S, SENSORS
from hydrodask.clock import parse_iso
from hydrodask.errors import UsageError, meant
from hydrodask.learn.data.catalogue import Catalogue, catalogue
from hydrodask.learn.features import HIGH, LOW, MEAN
from hydrodask.settings import Url
from hydrodask.store.files import Files
from hydrodask.store.listing import LakeFile, readable
from hydrodask.store.schemas import FLAT, UNITS, empty, units

TIMES = {
    "raw": "timestamp",
    "late": "timestamp",
    "labels": "timestamp",
    "bands": "window_start",
    "scores": "cycle_start",
    "windows": "window_start",
    "cycles": "cycle_start",
}
"""Of each folder the column that `since` and `until` are about."""

CYCLES_PER_CHUNK = 500
_STATISTICS = {"mean": MEAN, "min": LOW, "max": HIGH}

Time = str | datetime | None

_WANT = "want a time such as 2026-01-01T00:00:00Z, as text or as a datetime"


@dataclass(frozen=True)
class Curves:
    """Profiles as an array: `values` is a Dask array of shape (cycle, second, sensor), NaN where nothing was measured.

    `rig`, `cycle` and `start` (UTC) have an entry a cycle, `sensors` one a sensor; `units` are those of the sensors.
    """

    values: Any
    rig: Any
    cycle: Any
    start: Any
    sensors: tuple[str, ...]
    units: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """Rows of one folder of the lake, chosen by time, rig and sensor. What is asked of it reads the files of then.

    Each row is there once. A file that `compact` replaces while it is read is gone: read again.
    """

    url: Url
    folder: str
    since: Time = None
    until: Time = None
    rig: str | None = None
    sensor: str | None = None

    def __post_init__(self) -> None:
        if self.sensor is not None and self.sensor not in SENSORS:
            raise UsageError(f"sensor has value {self.sensor!r}; want one of {', '.join(SENSORS)}")
        if self.rig is not None and not (isinstance(self.rig, str) and self.rig):
            raise UsageError(f"rig has value {self.rig!r}; want a rig's name, such as 'rig-1', or None for all")
        for name in ("since", "until"):
            moment(name, getattr(self, name))

    def dataset(self) -> ds.Dataset:
        """Return the rows as an Arrow dataset; its schema says the units. Nothing is read yet."""
        return dataset_of(self.url, self.folder, self._files(), self._filter())

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows in memory, in order of time, whether `columns` have the time or not."""
        dataset, time = self.dataset(), TIMES[self.folder]
        if columns is None:
            return dataset.to_table().sort_by(time)
        _check_columns(columns, dataset.schema.names)
        return dataset.to_table(columns=list(dict.fromkeys([*columns, time]))).sort_by(time).select(list(columns))

    def frame(self) -> Any:
        """Return the rows as a Dask dataframe, a partition a file."""
        with extras.needed():  # both take pandas, and Arrow's error has its name
            meta = schema_of(self.folder, self.sensor).empty_table().to_pandas()
            import dask.dataframe as dd  # noqa: PLC0415 - pandas, which comes with an extra
        files = self._files()
        if not files:
            return dd.from_pandas(meta, npartitions=1)
        return dd.from_map(_frame, [[file] for file in files], url=self.url, rows=self, meta=meta)

    def array(self, statistic: str = "mean") -> Curves:
        """Return profiles as curves, `mean`, `min` or `max` of each second. Only of `cycles`."""
        if self.folder != "cycles" or statistic not in _STATISTICS:
            raise UsageError(f"there are curves of cycles only, and of {', '.join(_STATISTICS)}; got {statistic!r}")
        import dask.array as da  # noqa: PLC0415 - slow, and few need it
        from dask import delayed  # noqa: PLC0415 - as above

        found = self._cycles()
        sensors = SENSORS if self.sensor is None else (self.sensor,)
        parts = [slice(at, at + CYCLES_PER_CHUNK) for at in range(0, len(found), CYCLES_PER_CHUNK)]
        chunks = [
            da.from_delayed(
                delayed(_curves, pure=True)(found.take(part), sensors, _STATISTICS[statistic]),
                (len(found.cycle[part]), CYCLE_S, len(sensors)),
                float,
            )
            for part in parts
        ]
        values = da.concatenate(chunks) if chunks else da.zeros((0, CYCLE_S, len(sensors)))
        start = found.start_us.astype("datetime64[us]")
        in_units = tuple(units(f"cycles/sensor={name}/", ["mean"])["mean"] for name in sensors)
        return Curves(values, found.rig, found.cycle, start, sensors, in_units)

    def _cycles(self) -> Catalogue:
        self._files()
        found = catalogue(self.url)
        chosen = np.ones(len(found), np.bool_)
        since, until = moment("since", self.since), moment("until", self.until)
        if since is not None:
            chosen &= found.start_us >= since
        if until is not None:
            chosen &= found.start_us < until
        if self.rig is not None:
            chosen &= found.rig == self.rig
        return found.take(chosen)

    def _files(self) -> list[LakeFile]:
        lake = Files(self.url)
        names = readable(lake.names(self.folder))
        if not names and not lake.exists():
            raise UsageError(
                f"there is no lake at {self.url}: nothing has ever run here, or it is the wrong place; open it with "
                "the profile and the settings of the run that wrote it, in the same folder"
            )
        return [file for file in names if self.sensor in (None, file.parts.get("sensor"))]

    def _filter(self) -> Any:
        time, parts = pc.field(TIMES[self.folder]), []
        since, until = moment("since", self.since), moment("until", self.until)
        if since is not None:
            parts.append(time >= pa.scalar(since, pa.timestamp("us", "UTC")))
        if until is not None:
            parts.append(time < pa.scalar(until, pa.timestamp("us", "UTC")))
        if self.rig is not None:
            parts.append(pc.field("rig") == self.rig)
        return reduce(and_, parts) if parts else None


def dataset_of(url: Url, folder: str, files: Sequence[LakeFile], chosen: Any) -> ds.Dataset:
    """Return files of a folder as a dataset, in which the sensor that a path names is a column."""
    system, root = Files(url).system()
    opened, form = pa.fs.PyFileSystem(pa.fs.FSSpecHandler(system)), ds.ParquetFileFormat()
    sensors = {file.parts.get("sensor") for file in files}
    schema = schema_of(folder, sensors.pop() if len(sensors) == 1 else None)
    fragments = [
        form.make_fragment(
            f"{root}/{file.path}",
            opened,
            partition_expression=pc.field("sensor") == file.parts["sensor"] if "sensor" in file.parts else None,
        )
        for file in files
    ]
    found = ds.FileSystemDataset(fragments, schema, form, opened)
    return found if chosen is None else found.filter(chosen)


def schema_of(folder: str, sensor: str | None) -> pa.Schema:
    """Return the columns of a folder, those of one sensor with their units."""
    schema = empty(folder).schema
    if folder not in FLAT:
        schema = schema.append(pa.field("sensor", pa.string()))
    known = units(f"{folder}/sensor={sensor}/", schema.names)
    fields = [field.with_metadata({"unit": known[field.name]}) if field.name in known else field for field in schema]
    return pa.schema(fields, {UNITS: json.dumps(known).encode()} if known else None)


def moment(name: str, value: Time) -> int | None:
    """Return a time in µs; one that says no zone is UTC. Raises UsageError.

    >>> moment("since", "2026-01-01T00:00:01"), moment("since", None)
    (1767225601000000, None)
    """
    if value is None:
        return None
    if not isinstance(value, str | datetime):
        raise UsageError(f"{name} has value {value!r}; {_WANT}")
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    try:
        return parse_iso(value)
    except ValueError as error:
        raise UsageError(f"{name} has value {value!r}; {_WANT}") from error


def _check_columns(columns: Sequence[str], known: Sequence[str]) -> None:
    """Raise UsageError for columns that there are not, and for one name where a list of them is meant."""
    if isinstance(columns, str) or not all(isinstance(one, str) for one in columns):
        raise UsageError(f"columns has value {columns!r}; want a list of names, such as [{known[0]!r}]")
    for one in columns:
        if one not in known:
            raise UsageError(f"there is no column {one!r}{meant(one, known)}; there are {', '.join(known)}")


def _frame(files: list[LakeFile], *, url: Url, rows: Rows) -> Any:
    """Return one file's rows as a dataframe."""
    return dataset_of(url, rows.folder, files, rows._filter()).to_table().to_pandas()  # noqa: SLF001 - this module's


def _curves(cycles: Catalogue, sensors: Sequence[str], statistic: int) -> Any:
    """Return the curves of some cycles, shape (cycle, second, sensor)."""
    which = [SENSORS.index(name) for name in sensors]
    return cycles.read(sensors).curves[:, which, statistic].transpose(0, 2, 1)
