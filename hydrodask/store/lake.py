"""The lake: Parquet files whose names say which records they hold.

`FOLDER/TOPIC-PARTITION-FIRST.parquet` holds what came of the offsets from FIRST up to the end that its metadata
names, where the next file of the partition begins. Two writers can't both create it; the loser reads the winner's
end and goes on from there.
"""

import io
import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hydrodask.channels import SENSORS
from hydrodask.errors import ConfigError, IntegrityError, RetryableError, UsageError, sentence
from hydrodask.records import PartitionId
from hydrodask.settings import Settings, Url
from hydrodask.store import rowsum, seal
from hydrodask.store.files import Files
from hydrodask.store.fiveminutes import COARSE_ROWS, GROUP_ROWS, OF, ORDER
from hydrodask.store.keyring import Keyring
from hydrodask.store.listing import LakeFile, current, named, readable
from hydrodask.store.schemas import FLAT, FOLDERS, UNITS, empty, units

_END, _FIRST = b"hydrodask.end", b"hydrodask.first"
LOG = b"hydrodask.log"
"""Of which log the newest rows of a file are: its identity and base."""

_NO_METADATA: Mapping[bytes, bytes] = {}
_DELTA = ("cycle", "sample_idx", "timestamp", "offset", "late_us", "revision", "window_start", "window_end")
_SPLIT = ("avg_value", "stddev_value")

FOLDERS_SHOWN = 20
"""Folders that a message lists."""

READS_MAX = 5
"""How often a folder is listed anew because a file has gone since it was listed."""


@dataclass(frozen=True, slots=True)
class Written:
    """What `Lake.put` did: where the file ends, its size, whether it was ours, and the chain's sum with it."""

    end: int
    file_bytes: int
    ours: bool
    total: int = 0


@dataclass(frozen=True, slots=True)
class Tail:
    """What a file says of where it ends: the offset, of which log its newest rows are, and the chain's sum with it.

    Nothing for a log that it does not name, and 0 for the sum of one that says none.
    """

    end: int = 0
    log: str = ""
    total: int = 0


class Lake:
    """Writes files of rows and finds out where a partition's files end. With a `keyring` files are sealed by a key."""

    def __init__(
        self, url: Url | str, *, connect: Callable[[Url | str], Files] = Files, keyring: Keyring | None = None
    ) -> None:
        self.files = connect(url)
        self.keyring = keyring

    @classmethod
    def of(cls, settings: Settings, *, connect: Callable[[Url | str], Files] = Files) -> "Lake":
        """Return the lake that the settings name, with their keys."""
        return cls(settings.lake_url, connect=connect, keyring=Keyring.of(settings))

    def put(
        self,
        folder: str,
        source: PartitionId,
        first: int,
        end: int,
        table: pa.Table,
        *,
        before: int | None = None,
        metadata: Mapping[bytes, bytes] = _NO_METADATA,
    ) -> Written:
        """Store `table`, what came of offsets `first` to `end` of `source` (topic, partition), unless another did.

        `metadata` is kept with it, and what the chain's rows come to if that is known `before` it. Blocks until it is
        on disk. Raises RetryableError when the file system refuses.
        """
        path = f"{folder}/{_name(source, first)}"
        says = {**metadata, **rowsum.said(before, table)}
        data = self.encoded(path, table, first, end, says)
        if self.files.put_if_absent(path, data):
            return Written(end, len(data), ours=True, total=_total(says))
        theirs = self.tail_of(path)
        return Written(theirs.end, 0, ours=False, total=theirs.total)

    def encoded(
        self, path: str, table: pa.Table, first: int, end: int, metadata: Mapping[bytes, bytes] = _NO_METADATA
    ) -> bytes:
        """Return the bytes of the file that is to stand at `path`. Raises RetryableError when keys can't be read."""
        try:
            return encode_range(table, first, end, metadata, keyring=self.keyring, path=path)
        except ConfigError as error:  # the platform runs: somebody may be at exchanging the keys
            raise RetryableError(f"could not seal {path} in {self.files.url}: {error}") from error

    def table(self, folder: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of a folder, such as `windows` or `raw/sensor=PS1`, with the `sensor` that its paths name.

        Each row is there once, whatever `compact` does meanwhile. Takes memory for all of them. Raises UsageError when
        there is no such lake, folder or column, and lists what there is; RetryableError when files go again and again,
        IntegrityError for a damaged one.
        """
        folder = folder.strip("/")
        for _attempt in range(READS_MAX):
            try:
                parts = [self._rows(file, columns) for file in readable(self.files.names(folder))]
            except FileNotFoundError:  # replaced since it was listed
                continue
            parts = parts or [self._nothing(folder)]
            known = list(dict.fromkeys(name for _, names in parts for name in names))
            if unknown := [name for name in columns or () if name not in known]:
                raise UsageError(
                    f"{folder} of {self.files.url} has no column {unknown[0]!r}; it has {', '.join(known)}"
                )
            table = pa.concat_tables([table for table, _ in parts], promote_options="default")
            return table if columns is None else table.select(list(columns))
        raise RetryableError(f"{folder} in {self.files.url} changed in each of {READS_MAX} reads; read it again later")

    def _rows(self, file: LakeFile, columns: Sequence[str] | None) -> tuple[pa.Table, list[str]]:
        """Return one file's rows, null in those of `columns` that it has not, and the columns that it has."""
        content = self.files.read(file.path)
        try:
            _check(content)
            # From memory, because a folder `sensor=PS1` in a path would become a column of another type.
            data = pq.ParquetFile(pa.BufferReader(content))
            has, rows = list(data.schema_arrow.names), data.metadata.num_rows
            read = data.read(None if columns is None else [name for name in has if name in columns])
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise IntegrityError(
                f"{file.path} in {self.files.url} is damaged ({sentence(error)}); {_aside(file.path)}"
            ) from error
        found = dict(zip(read.column_names, read.columns, strict=True))
        if sensor := file.parts.get("sensor"):
            has.append("sensor")
            found["sensor"] = pa.repeat(sensor, rows)
        # Perhaps files of a newer version have the others.
        return pa.table({name: pa.nulls(rows) for name in columns or () if name not in found} | found), has

    def _nothing(self, folder: str) -> tuple[pa.Table, list[str]]:
        """Return no rows of a folder that has none yet, and its columns. Raises UsageError when it can't have any."""
        top, _, below = folder.partition("/")
        if not self.files.exists():
            raise UsageError(f"there is no lake at {self.files.url}; `run` and `import` make one, see lake.url")
        sensor = below.partition("/")[0].removeprefix("sensor=")
        if top not in FOLDERS or (sensor and sensor not in SENSORS):
            there = sorted({path.rpartition("/")[0] for path in self.files.names("")})
            shown = ", ".join(there[:FOLDERS_SHOWN]) + (", …" if len(there) > FOLDERS_SHOWN else "")
            raise UsageError(
                f"there is no folder {folder!r} in the lake {self.files.url}; it has {shown or 'none yet'}"
            )
        table = empty(top)
        table = table if top in FLAT else table.append_column("sensor", pa.array([], pa.string()))
        return table, table.column_names

    def rows_from(self, folder: str, source: PartitionId, start: int, *, column: str) -> Iterator[pa.Table]:
        """Yield the rows of one partition at any depth below `folder`, from offset `start` on, file by file.

        `column` holds the offsets. Raises RetryableError when a file has gone since it was listed.
        """
        names = (named(path) for path in self.files.names(folder))
        files, _replaced = current(file for file in names if file is not None and file.source == source)
        for file, following in zip(files, [*files[1:], None], strict=True):
            if following is not None and following.first <= start:
                continue
            try:
                rows, _columns = self._rows(file, None)
            except FileNotFoundError as error:
                raise RetryableError(f"{file.path} in {self.files.url} has gone while it was to be read") from error
            yield rows.filter(pc.greater_equal(rows.column(column), start))

    def end(self, folder: str, source: PartitionId) -> int:
        """Return where the newest file of `source` at any depth below `folder` ends, 0 without files."""
        return self.newest(folder, source).end

    def newest(self, folder: str, source: PartitionId) -> Tail:
        """Return what `end` does, and what that file says besides; nothing without files."""
        firsts = self._firsts(folder, source)
        return self.tail_of(firsts[max(firsts)]) if firsts else Tail()

    def end_before(self, folder: str, source: PartitionId, base: int) -> int:
        """Return where the files of `source` ended before a log that begins at `base`, 0 without any."""
        firsts = self._firsts(folder, source)
        before = max((first for first in firsts if first < base), default=0)
        end = self.end_of(firsts[before]) if before in firsts else 0
        return end if end <= base else before  # the file that covers the jump has rows of the later log only

    def _firsts(self, folder: str, source: PartitionId) -> dict[int, str]:
        """Return the files of `source` at any depth below `folder`, by the offset in their name."""
        stem = f"{source[0]}-{source[1]}-"
        firsts = {}
        for path in self.files.names(folder):
            first = path.rsplit("/", 1)[-1].removesuffix(".parquet").removeprefix(stem)
            if first.isdigit():  # else it is of another topic, whose name may begin alike
                firsts[int(first)] = path
        return firsts

    def end_of(self, path: str) -> int:
        """Return the end that a file's metadata names. Raises IntegrityError when it has none."""
        return self.tail_of(path).end

    def tail_of(self, path: str) -> Tail:
        """Return what a file's metadata says of its end. Raises IntegrityError when it names none."""
        data = self.files.read(path)
        try:
            _check(data)  # nobody may go on from where a damaged file says that it ends
            metadata = pq.read_metadata(io.BytesIO(data)).metadata or {}
            return Tail(int(metadata[_END]), metadata.get(LOG, b"").decode(), _total(metadata))
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise IntegrityError(
                f"{path} in {self.files.url} is no file of ours or is damaged ({sentence(error)}); {_aside(path)}"
            ) from error


def _check(data: bytes) -> None:
    """Raise ValueError when a file's bytes are not those that were sealed."""
    if seal.intact(data) is False:
        raise ValueError("its bytes are not those that were written")


def _aside(path: str) -> str:
    return f"take it away with `hydrodask aside {shlex.quote(path)}` and start again"


def encode_range(
    table: pa.Table,
    first: int,
    end: int,
    metadata: Mapping[bytes, bytes] = _NO_METADATA,
    *,
    keyring: Keyring | None = None,
    path: str = "",
) -> bytes:
    """Return what came of the offsets from `first` to `end` as the bytes of a file, sealed with their checksum.

    With a `keyring` they are sealed by its newest key, too, as the file that stands at `path`. Its metadata has the
    units of its columns.
    """
    rooms = seal.room(keyring)
    if of_columns := units(path, table.column_names):
        metadata = {**metadata, UNITS: json.dumps(of_columns).encode()}
    data = encode(table, {**metadata, _END: b"%d" % end, _FIRST: b"%d" % first, **rooms})
    return seal.sealed(data, keyring, rooms.get(seal.NAME, b"").decode(), path)


def encode(table: pa.Table, metadata: dict[bytes, bytes]) -> bytes:
    """Return `table` as a Parquet file: zstd, deltas for times and counters, a dictionary for values, which repeat."""
    names = set(table.column_names)
    encoding = {c: "DELTA_BINARY_PACKED" for c in _DELTA if c in names}
    encoding |= {c: "BYTE_STREAM_SPLIT" for c in _SPLIT if c in names}
    dictionary = [c for c in ("rig", "partition", "sampling_rate_hz", "value") if c in names]
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(metadata),
        sink,
        compression="zstd",
        use_dictionary=dictionary,
        column_encoding=encoding,
        write_statistics=True,
        row_group_size=GROUP_ROWS if ORDER in metadata else COARSE_ROWS if OF in metadata else None,
        write_page_checksum=True,  # so that readers who know nothing of the seal can see damage, too
    )
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def pack(table: pa.Table) -> bytes:
    """Return `table` as Arrow IPC bytes, for snapshots."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def unpack(data: bytes) -> pa.Table:
    """Return the table that `pack` packed."""
    return pa.ipc.open_stream(pa.py_buffer(data)).read_all()


def _total(metadata: Mapping[bytes, bytes]) -> int:
    return (rowsum.read(metadata) or (0, 0))[1]


def _name(source: PartitionId, first: int) -> str:
    return f"{source[0]}-{source[1]}-{first:012d}.parquet"
