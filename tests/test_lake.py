"""The lake: names that are given once, ends in the metadata, and no half files."""

import resource
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hydrodask.errors import FatalError, IntegrityError, RetryableError, UsageError
from hydrodask.services import HdfsService
from hydrodask.store.files import Files
from hydrodask.store.fiveminutes import GROUP_ROWS, ORDER
from hydrodask.store.lake import Lake, encode, pack, unpack
from tests.delivery import until
from tests.s3 import BUCKET

SOURCE = ("hydraulic-PS1", 0)
TABLE = pa.table({"offset": pa.array([4, 5, 7], pa.int64()), "value": [1.5, -0.0, 2.0]})


SERVED = [pytest.param(kind, marks=pytest.mark.integration) for kind in ("hdfs", "webhdfs", "s3")]


@pytest.fixture(params=["local", "memory", *SERVED])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """Return empty storage of each kind; a new kind of file system is one more parameter."""
    name = uuid.uuid4().hex
    if request.param == "local":
        return Files(str(tmp_path))
    if request.param == "memory":
        return Files(f"memory://{name}")
    if request.param == "s3":
        request.getfixturevalue("s3")
        return Files(f"s3://{BUCKET}/tests/{name}")
    hdfs: HdfsService = request.getfixturevalue("hdfs")
    return Files(f"{hdfs.address if request.param == 'hdfs' else hdfs.web}/tests/{name}")


def test_a_name_is_given_once(files: Files) -> None:
    """The second writer is told so, and the first one's bytes stay."""
    assert files.put_if_absent("a/b/x", b"first")
    assert not files.put_if_absent("a/b/x", b"second")

    assert files.read("a/b/x") == b"first"
    assert files.names("a") == ["a/b/x"]
    assert files.unfinished("a") == []


def test_one_of_many_writers_wins(files: Files) -> None:
    """Eight threads create the same name at once: one succeeds, and its bytes are there."""
    won: list[int] = []
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait(60)
        if files.put_if_absent("x", b"%d" % number * 1000):
            won.append(number)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)

    assert len(won) == 1
    assert files.read("x") == b"%d" % won[0] * 1000


def test_a_refused_name_leaves_nothing_behind(files: Files) -> None:
    """The loser of a race does not leave its bytes under a hidden name."""
    files.put_if_absent("a/x", b"first")
    files.put_if_absent("a/x", b"second")

    assert files.unfinished("") == []


@pytest.mark.parametrize("files", ["local", *SERVED], indirect=True)
def test_processes_race_for_names(files: Files) -> None:
    """Four processes create the same ten names at once: each name has one winner, and the winner's bytes."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, files.url.plain(), str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for number in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == b"ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"go\n")
        racer.stdin.flush()
    won = [racer.communicate(timeout=240)[0].split() for racer in racers]

    assert sum(len(names) for names in won) == 10
    for number, names in enumerate(won):
        assert all(files.read(name.decode()) == b"%d" % number * 1000 for name in names)


RACE = """
import sys
from hydrodask.store.files import Files
files, number = Files(sys.argv[1]), sys.argv[2].encode()
print("ready", flush=True)
sys.stdin.readline()
print(*[f"r/{i}" for i in range(10) if files.put_if_absent(f"r/{i}", number * 1000)])
"""
"""Creates ten names, and prints those that it was first with."""


def test_replacing_is_never_seen_half(files: Files) -> None:
    """A reader beside a writer that replaces a file sees the one or the other, whole."""
    versions = [b"%d" % i * 20_000 for i in range(10)]
    files.replace("x", versions[0])
    seen: list[bytes] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            with suppress(RetryableError):  # through HTTP a read may break off, and says so
                seen.append(files.read("x"))

    reader = threading.Thread(target=read)
    reader.start()
    until(lambda: seen, "the reader reads")
    for version in versions:
        files.replace("x", version)
    over.set()
    reader.join(60)

    assert set(seen) <= set(versions)


def test_large_and_empty_files_come_back(files: Files) -> None:
    """Larger than any buffer on the way, and of no bytes at all."""
    large = bytes(range(256)) * 40_000
    files.replace("large", large)
    files.replace("empty", b"")

    assert files.read("large") == large
    assert files.read("empty") == b""


def test_unusual_names_are_names(files: Files) -> None:
    """Partition folders have `=`; topics dots, dashes and underscores."""
    path = "raw/sensor=PS1/date=2026-01-01/a.b_c-d+e f.parquet"
    files.put_if_absent(path, b"x")

    assert files.names("raw") == [path]
    assert files.read(path) == b"x"
    assert not files.put_if_absent(path, b"y")


def test_replace_and_remove(files: Files) -> None:
    """A replaced file has the new bytes; removing twice is no error."""
    files.replace("s/x", b"old")
    files.replace("s/x", b"new")
    assert files.read("s/x") == b"new"
    files.remove("s/x")
    files.remove("s/x")

    assert files.names("s") == []
    with pytest.raises(FileNotFoundError):
        files.read("s/x")


@pytest.mark.parametrize("files", ["local", "memory", *SERVED[:2]], indirect=True)
def test_unfinished_files_are_no_files(files: Files) -> None:
    """What a dead writer left under a hidden name is not listed, and can be told. On S3 it leaves nothing."""
    hidden = files._write_hidden("raw/x.parquet", b"half")

    assert files.names("raw") == []
    assert files.unfinished("raw") == [hidden]
    assert files.names("nothing-here") == []


def test_broken_folder_is_retryable(tmp_path: Path) -> None:
    """A store that refuses may recover; the message names file and place."""
    (tmp_path / "raw").write_text("a file where a folder should be")

    with pytest.raises(RetryableError, match=r"could not write raw/x in "):
        Files(str(tmp_path)).put_if_absent("raw/x", b"")


def test_a_write_that_the_disk_refuses_leaves_nothing_behind(tmp_path: Path) -> None:
    """A file that may not grow, as on a full disk: what was begun of it goes, or each try would take more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(RetryableError, match="could not write a/x in"):
            Files(str(tmp_path)).replace("a/x", b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert list((tmp_path / "a").iterdir()) == []


def test_unknown_file_system_is_fatal() -> None:
    """A URL of no known kind can't get better."""
    with pytest.raises(FatalError, match="nosuch://"):
        Files("nosuch://x")


def test_file_holds_rows_and_end(files: Files) -> None:
    """The name says the first offset, the metadata the end, and any reader gets the rows."""
    lake = Lake(files.url)

    written = lake.put("raw/sensor=PS1", SOURCE, 4, 9, TABLE)

    path = "raw/sensor=PS1/hydraulic-PS1-0-000000000004.parquet"
    assert (written.end, written.ours) == (9, True)
    assert lake.files.names("raw") == [path]
    assert pq.read_table(pa.BufferReader(lake.files.read(path))).equals(TABLE)
    assert lake.end("raw", SOURCE) == 9


def test_a_file_says_its_units(tmp_path: Path) -> None:
    """Whoever opens it with any tool finds them in its metadata: those of the sensor, and those that are always so."""
    Lake(str(tmp_path)).put("raw/sensor=PS1", SOURCE, 4, 8, TABLE)
    Lake(str(tmp_path)).put("labels", SOURCE, 4, 8, TABLE)
    said = [pq.read_schema(path).metadata.get(b"hydrodask.units") for path in sorted(tmp_path.rglob("*.parquet"))]

    assert said == [None, b'{"value": "bar"}']


def test_second_writer_learns_the_winners_end(files: Files) -> None:
    """It is told where the file that is there ends, not what it wanted itself."""
    lake = Lake(files.url)
    lake.put("raw", SOURCE, 4, 6, TABLE.slice(0, 2))

    written = lake.put("raw", SOURCE, 4, 9, TABLE)

    assert (written.end, written.ours, written.file_bytes) == (6, False, 0)


def test_end_is_that_of_the_newest_file_of_the_source(files: Files) -> None:
    """Other partitions and topics, also ones whose name begins alike, do not count; dates do not sort."""
    lake = Lake(files.url)
    lake.put("raw/date=2026-01-02", SOURCE, 0, 9, TABLE)
    lake.put("raw/date=2026-01-01", SOURCE, 9, 20, TABLE)
    lake.put("raw/date=2026-01-03", ("hydraulic-PS1", 1), 30, 40, TABLE)
    lake.put("raw/date=2026-01-03", ("hydraulic-PS1-0", 0), 50, 60, TABLE)

    assert lake.end("raw", SOURCE) == 20
    assert lake.end("raw", ("hydraulic-PS1", 1)) == 40
    assert lake.end("raw", ("hydraulic-PS1", 2)) == 0


def test_rows_of_one_source_come_from_an_offset_on() -> None:
    """Of a file that it lies in only what follows; none of another partition's, whose files are in the same folder."""
    lake = Lake(f"memory://{uuid.uuid4().hex}")
    later = TABLE.set_column(0, "offset", pa.array([9, 11, 12], pa.int64()))
    lake.put("raw", SOURCE, 4, 9, TABLE)
    lake.put("raw", SOURCE, 9, 13, later)
    lake.put("raw", ("hydraulic-PS1", 1), 4, 9, TABLE)

    def offsets(start: int) -> list[int]:
        tables = lake.rows_from("raw", SOURCE, start, column="offset")
        return [offset for table in tables for offset in table.column("offset").to_pylist()]

    assert offsets(0) == [4, 5, 7, 9, 11, 12]
    assert offsets(5) == [5, 7, 9, 11, 12]
    assert offsets(9) == [9, 11, 12]
    assert offsets(13) == []


@pytest.mark.parametrize("cut", [0, 3, -1, -9])
def test_damaged_file_is_an_integrity_error(cut: int) -> None:
    """Nobody goes on above a file whose end can't be read; the message says which."""
    lake = Lake(f"memory://{uuid.uuid4().hex}")
    lake.put("raw", SOURCE, 0, 9, TABLE)
    path = lake.files.names("raw")[0]
    lake.files.replace(path, lake.files.read(path)[:cut])

    with pytest.raises(IntegrityError, match=path):
        lake.end("raw", SOURCE)


def test_packed_tables_come_back() -> None:
    """What waits in a snapshot is what it was, schema included."""
    assert unpack(pack(TABLE)).equals(TABLE)
    assert unpack(pack(TABLE.slice(1, 1))).equals(TABLE.slice(1, 1))


class TestAskingForWhatIsNotThere:
    """A name that is wrong is a mistake of whoever asks; no file is called damaged for it."""

    @pytest.fixture
    def lake(self, files: Files) -> Lake:
        """Return a lake with two files, of which one has a column that the other has not."""
        lake = Lake(files.url)
        lake.put("raw/sensor=PS1", SOURCE, 4, 9, TABLE)
        lake.put("raw/sensor=PS1", SOURCE, 9, 10, TABLE.append_column("new", pa.array(["x", "y", "z"])))
        return lake

    def test_column_of_newer_files_alone(self, lake: Lake) -> None:
        """Where nothing else is asked for, and no path names a sensor, the older ones' rows count all the same."""
        lake.put("labels", SOURCE, 4, 9, TABLE)
        lake.put("labels", SOURCE, 9, 10, TABLE.append_column("new", pa.array(["x", "y", "z"])))

        assert lake.table("labels", ["new"])["new"].to_pylist() == [None, None, None, "x", "y", "z"]

    def test_unknown_column(self, lake: Lake) -> None:
        """The columns that there are get listed."""
        with pytest.raises(UsageError, match=r"has no column 'valeu'; it has offset, value, sensor, new"):
            lake.table("raw", ["valeu"])

    @pytest.mark.parametrize("folder", ["rows", "raw/sensor=PS9", "raw/sensor=PS9/date=2026-01-01"])
    def test_unknown_folder(self, lake: Lake, folder: str) -> None:
        """The folders that there are get listed."""
        with pytest.raises(UsageError, match=f"no folder '{folder}' .*raw/sensor=PS1"):
            lake.table(folder)

    def test_unknown_lake(self, lake: Lake) -> None:
        """A path that does not exist is said, whatever folder is asked for."""
        with pytest.raises(UsageError, match=r"there is no lake at .*/elsewhere"):
            Lake(f"{lake.files.url}/elsewhere").table("windows")

    def test_column_of_newer_files_is_null_in_older_ones(self, lake: Lake) -> None:
        """Columns come in the order of the question."""
        table = lake.table("raw", ["new", "sensor", "offset"])

        assert table.column_names == ["new", "sensor", "offset"]
        assert table["new"].to_pylist() == [None, None, None, "x", "y", "z"]
        assert table["sensor"].to_pylist() == ["PS1"] * 6

    def test_folder_whose_files_go_again_and_again(self, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is listed anew some times, and then that is said."""

        def gone(path: str) -> bytes:
            raise FileNotFoundError(path)

        monkeypatch.setattr(lake.files, "read", gone)
        with pytest.raises(RetryableError, match="changed in each of 5 reads"):
            lake.table("raw")
        with pytest.raises(RetryableError, match="has gone while it was to be read"):
            list(lake.rows_from("raw", SOURCE, 0, column="offset"))

    @pytest.mark.parametrize("folder", ["windows", "late/sensor=PS2", "cycles", "labels/"])
    def test_folder_without_rows_yet(self, lake: Lake, folder: str) -> None:
        """It has its columns, and no rows; a wrong column is one here too."""
        column = "timestamp" if folder in {"late/sensor=PS2", "labels/"} else "revision"

        assert lake.table(folder, ["rig", column]).num_rows == 0
        assert ("sensor" in lake.table(folder).column_names) == (folder != "labels/")
        with pytest.raises(UsageError, match="no column 'colour'"):
            lake.table(folder, ["colour"])


def test_each_column_is_stored_as_it_takes_least() -> None:
    """Times and counters by their differences, means by bytes, values and names, which repeat, by a dictionary."""
    rows = pa.table({"offset": range(100), "avg_value": [0.5] * 100, "value": [1.0] * 100, "rig": ["a"] * 100})
    group = pq.ParquetFile(pa.BufferReader(encode(rows, {}))).metadata.row_group(0)
    found = {name: group.column(place).encodings for place, name in enumerate(rows.column_names)}

    assert "DELTA_BINARY_PACKED" in found["offset"]
    assert "BYTE_STREAM_SPLIT" in found["avg_value"]
    assert all("RLE_DICTIONARY" in found[name] or "PLAIN_DICTIONARY" in found[name] for name in ("value", "rig"))


def test_a_file_in_order_has_small_groups_of_rows() -> None:
    """Who wants one rig of a day's file reads a few of them."""
    rows = pa.table({"offset": range(GROUP_ROWS + 1)})
    files = [encode(rows, metadata) for metadata in ({}, {ORDER: b"rig"})]

    assert [pq.ParquetFile(pa.BufferReader(data)).num_row_groups for data in files] == [1, 2]


@pytest.mark.parametrize("back", [60, 400])
def test_nobody_goes_on_from_a_damaged_file(tmp_path: Path, back: int) -> None:
    """A bit that flips in the newest file, in its rows or where it says how far it goes, stops who builds on it."""
    lake = Lake(str(tmp_path))
    lake.put("raw", SOURCE, 4, 8, TABLE)
    [path] = lake.files.names("raw")
    data = bytearray(lake.files.read(path))
    data[-back] ^= 1
    lake.files.replace(path, bytes(data))

    with pytest.raises(IntegrityError, match=f"hydrodask aside {path}"):
        lake.end("raw", SOURCE)
    with pytest.raises(IntegrityError, match=f"hydrodask aside {path}"):
        list(lake.rows_from("raw", SOURCE, 0, column="offset"))
