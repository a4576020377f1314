"""Check one file of the lake: it opens, its bytes are those that were written, and it agrees with its name."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hydrodask.audit.differences import RATE
from hydrodask.audit.finding import Result
from hydrodask.audit.mending import KEY_BACK, SEAL, Mend, misplaced, rebuilt
from hydrodask.errors import RetryableError, sentence
from hydrodask.store import rowsum, seal
from hydrodask.store.fiveminutes import ORDER, by_offset
from hydrodask.store.keyring import Keyring
from hydrodask.store.lake import LOG, Lake
from hydrodask.store.listing import LakeFile
from hydrodask.store.schemas import FLAT, FOLDERS, empty
from hydrodask.window.geometry import METADATA

_END, _FIRST = b"hydrodask.end", b"hydrodask.first"
_BY_SENSOR = set(FOLDERS) - set(FLAT)


@dataclass(frozen=True, slots=True)
class Link:
    """One file of a chain: its name, where it ends (None: unknown), its rows, and whether they can be used."""

    named: LakeFile
    end: int | None
    rows: int
    usable: bool
    windows: bytes | None = None
    """What a file of `windows/` says of its windows' geometry; one of an older release says nothing."""
    log: bytes = b""
    """What it says of the log that its newest rows are of."""
    sums: tuple[int, int] | None = None
    """What it says of the chain's rows before it and with it; one of an older release says nothing."""

    @property
    def first(self) -> int:
        """The offset from which on it holds rows."""
        return self.named.first

    @property
    def path(self) -> str:
        """The path in the lake."""
        return self.named.path


def order_column(folder: str) -> str:
    """Return the column that holds offsets of the source."""
    return "offset" if folder in ("raw", "late") else "revision"


def inspect(lake: Lake, named: LakeFile, sensor: str | None, result: Result, anew: Mend | None = None) -> Link:
    """Read one file and say all that is wrong with it. Raises RetryableError when it is gone.

    One of a folder of others may have any columns; `anew` is what writes it anew.
    """
    data = read_bytes(lake, named.path)
    result.count(files=1, bytes=len(data))
    intact, anew = seal.intact(data), anew or rebuilt(named.path, named.folder)
    if intact is not True:
        lost = "its bytes are not those that were written: it is damaged or was changed"
        none = "it carries no checksum, so it is none of ours or damaged"
        result.found(named.path, none if intact is None else lost, mend=anew)
    try:
        table, metadata = parse(data)
    except (pa.ArrowException, OSError, ValueError) as error:
        result.found(named.path, f"it can't be read as Parquet ({sentence(error)})", mend=anew)
        return Link(named, None, 0, usable=False)
    result.count(rows=table.num_rows)
    end = _number(metadata, _END)
    strange = _against_name(named, sensor, metadata, table)
    damaged = [*_against_schema(named, table, end), *_against_sums(metadata, table)]
    problems = [
        *((one, misplaced(named.path)) for one in strange),
        *((one, misplaced(named.path) if strange else anew) for one in damaged),
    ]
    if lake.keyring is not None and intact:
        problems += _against_keys(lake.keyring, named, metadata, data, anew)
        result.count(keyed=1)
    elif seal.NAME in metadata:
        result.skip("seals by a key: --key-file, or lake.key_file, names none")
    for problem, mend in problems:
        result.found(named.path, problem, mend=mend)
    usable = intact is True and not problems
    windows, log = metadata.get(METADATA), metadata.get(LOG, b"")
    return Link(named, end, table.num_rows, usable=usable, windows=windows, log=log, sums=rowsum.read(metadata))


def read_bytes(lake: Lake, path: str) -> bytes:
    """Return the bytes of a file that the listing has named."""
    try:
        return lake.files.read(path)
    except FileNotFoundError as error:
        raise RetryableError(
            f"{path} in {lake.files.url} has gone while it was to be read; `compact` replaces files: run this again"
        ) from error


def parse(data: bytes) -> tuple[pa.Table, dict[bytes, bytes]]:
    """Return rows and metadata of a file. Raises ArrowException, OSError or ValueError when it is damaged."""
    # The schema's copy of the metadata is older than the seal, so the file's own counts.
    metadata = dict(pq.read_metadata(pa.BufferReader(data)).metadata or {})
    table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
    table.validate(full=True)
    if ORDER in metadata:
        table = by_offset(table)
    return table.replace_schema_metadata(None), metadata


def rows_of(lake: Lake, link: Link) -> pa.Table:
    """Return the rows of a file that was found usable."""
    return parse(read_bytes(lake, link.path))[0]


@cache
def schema_of(folder: str) -> pa.Schema:
    """Return the columns that files of a folder have."""
    return empty(folder).schema


def _number(metadata: dict[bytes, bytes], key: bytes) -> int | None:
    text = metadata.get(key, b"")
    return int(text) if text.isdigit() else None


def _against_name(named: LakeFile, sensor: str | None, metadata: dict[bytes, bytes], table: pa.Table) -> list[str]:
    """Return how metadata and rows contradict the path."""
    problems = []
    first, end = _number(metadata, _FIRST), _number(metadata, _END)
    if first != named.first:
        problems.append(f"its name says that it begins at offset {named.first}, its metadata {first}")
    if end is None or end < named.first or (named.end is not None and named.end != end):
        problems.append(f"its metadata says that it ends at {end}, want {named.end or 'an offset past its first'}")
    if named.folder in _BY_SENSOR and named.parts.get("sensor") != sensor:
        problems.append(f"it is in the folder of sensor {named.parts.get('sensor')}, its topic is that of {sensor}")
    if named.folder == "raw" and table.num_rows and "timestamp" in table.column_names:
        date = str(table.column("timestamp")[0].as_py())[:10]
        if named.parts.get("date") != date:
            problems.append(f"it is in the folder of date {named.parts.get('date')}, its first row is of {date}")
    return problems


def _against_schema(named: LakeFile, table: pa.Table, end: int | None) -> list[str]:
    """Return how the rows contradict columns, partition, range and order."""
    if named.folder not in FOLDERS:
        return []  # a flow's from outside, which may have any
    want = schema_of(named.folder)
    have, full = ([(field.name, field.type) for field in schema] for schema in (table.schema, want))
    # Files of an older release do not have the rate, which is the last column of folders that got it later.
    if have != full and not (full[-1][0] == RATE and have == full[:-1]):
        return [f"its columns are {_said(table.schema)}, want {_said(want)}"]
    if not table.num_rows:
        return []
    problems = []
    partitions = pc.unique(table.column("partition")).to_pylist()
    if partitions != [named.partition]:
        problems.append(f"it holds rows of partitions {partitions[:5]}, its name says {named.partition}")
    column = order_column(named.folder)
    offsets = table.column(column).to_numpy()
    if end is not None and (offsets.min() < named.first or offsets.max() >= end):
        problems.append(f"its {column}s are {offsets.min()} to {offsets.max()}, want {named.first} up to {end}")
    steps = np.diff(offsets)
    low = 1 if column == "offset" else 0  # one record may make several windows final, but is only one row
    if len(steps) and steps.min() < low:
        place = int(np.argmax(steps < low))
        problems.append(f"{column} {offsets[place]} is followed by {offsets[place + 1]}")
    return problems


def _against_sums(metadata: dict[bytes, bytes], table: pa.Table) -> list[str]:
    """Return how the rows contradict what the file says that they come to."""
    sums = rowsum.read(metadata)
    if sums is None:
        return [] if rowsum.KEY not in metadata else ["what it says of the sum of its rows can't be read"]
    if (sums[0] + rowsum.rowsum(table)) & rowsum.MASK != sums[1]:
        return ["its rows are not those that it says it was written with: they come to another sum"]
    return []


def _against_keys(
    keyring: Keyring, named: LakeFile, metadata: dict[bytes, bytes], data: bytes, anew: Mend
) -> list[tuple[str, Mend]]:
    """Return what is wrong with the seal by a key of an intact file."""
    name = metadata.get(seal.NAME, b"").decode(errors="replace")
    return against_key(name, seal.holds(data, keyring, name, named.path), anew)


def against_key(name: str, holds: bool | None, anew: Mend) -> list[tuple[str, Mend]]:
    """Return what is wrong with a seal by the key of that name, empty without a seal."""
    if not name:
        return [("it is not sealed by any key: it is from before there was one, or not from us", SEAL)]
    if holds is None:
        return [(f"it is sealed by key {name!r}, which is not in the key file", KEY_BACK)]
    return [] if holds else [("its seal is not by our key, or of another place: it is forged or was moved", anew)]


def _said(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
