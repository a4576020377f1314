"""File outputs: every row is in exactly one file, whoever writes, dies and comes back."""

import uuid
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrodask.errors import RetryableError
from hydrodask.rigs import RIGS
from hydrodask.store.lake import Lake, Written
from hydrodask.store.output import BATCHES_MAX, FileOutput
from hydrodask.store.rowsum import rowsum
from tests.strategies import Record, samples_of

SOURCE = ("hydraulic-PS1", 0)
END = 60


def table_of(offsets: list[int]) -> pa.Table:
    """Return rows that say which offset they came of."""
    return pa.table({"offset": pa.array(offsets, pa.int64()), "text": [f"row {o}" for o in offsets]})


@dataclass
class Row:
    """A row as an object."""

    revision: int


@dataclass
class Writer:
    """A worker that has the partition, or thinks that it has: reads a log and writes its rows.

    `rows` are the offsets that give a row; with `keep` the rows that wait are in snapshots, else the log is read
    again from `output.position`.
    """

    lake: Lake
    rows: list[int]
    keep: bool
    snapshots: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    objects: bool = False
    """Whether rows are given as objects, of which the output makes a table when it needs one."""

    def __post_init__(self) -> None:
        self.start(None)

    def start(self, which: int | None) -> None:
        """Begin anew from a snapshot, with nothing else than what is in files."""
        self.output = FileOutput(self.lake, "raw", SOURCE, folder_of=lambda _t: "raw", keep=self.keep)
        at = 0
        if which is not None and self.snapshots:
            at, state = self.snapshots[which % len(self.snapshots)]
            self.output.restore(state)
        self.output.open(at)
        self.at = at if self.keep else min(at, self.output.position)

    def read(self, count: int) -> None:
        """Take the next `count` records of the log."""
        end = min(END, self.at + count)
        offsets = [o for o in self.rows if self.at <= o < end]
        if self.objects:
            self.output.add_rows([Row(o) for o in offsets], lambda rows: table_of([row.revision for row in rows]), 0.0)
        else:
            self.output.add(table_of(offsets), 0.0)
        self.at = end

    def snapshot(self) -> None:
        """Keep a snapshot of this place in the log."""
        self.snapshots.append((self.at, self.output.snapshot(self.at)))


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.one_of(
            st.tuples(st.just("read"), st.integers(0, 25)),
            st.tuples(st.sampled_from(["roll", "roll", "snapshot"]), st.just(0)),
            st.tuples(st.just("start"), st.integers(0, 5)),
        ),
    ),
    max_size=25,
)


def act(writer: Writer, name: str, number: int) -> None:
    """Do one thing."""
    if name == "read":
        writer.read(number)
    elif name == "roll":
        writer.output.roll(writer.at)
    elif name == "snapshot":
        writer.snapshot()
    else:
        writer.start(number - 1 if number else None)


def stored(lake: Lake) -> tuple[list[int], list[tuple[int, int]]]:
    """Return all rows' offsets in the order of the files, and the files' (first, end)."""
    offsets, spans = [], []
    for path in lake.files.names("raw"):
        rows = pq.read_table(pa.BufferReader(lake.files.read(path)))
        offsets += rows.column("offset").to_pylist()
        spans.append((int(path[-20:].removesuffix(".parquet")[-12:]), lake.end_of(path)))
    return offsets, spans


@settings(max_examples=150, deadline=None)
@given(
    actions=ACTIONS,
    keep=st.booleans(),
    rows=st.sets(st.integers(0, END - 1)).map(sorted),
    dense=st.booleans(),
    objects=st.booleans(),
)
def test_every_row_is_in_one_file(
    actions: list[tuple[int, tuple[str, int]]], keep: bool, rows: list[int], dense: bool, objects: bool
) -> None:
    """Two writers compete, die and restart anywhere; in the end each row is stored once, in order."""
    lake = Lake(f"memory://{uuid.uuid4().hex}")
    wanted = list(range(END)) if dense else rows
    snapshots: list[tuple[int, dict[str, Any]]] = []
    writers = [Writer(lake, wanted, keep, snapshots, objects) for _ in range(2)]
    for who, (name, number) in actions:
        act(writers[who], name, number)
    last = writers[0]
    last.read(END)
    while last.output.waiting:
        last.output.roll(END)

    offsets, spans = stored(lake)

    assert offsets == wanted
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert all(first < end for first, end in spans)


def new_output(lake: Lake) -> FileOutput:
    """Return an opened output of `raw`."""
    output = FileOutput(lake, "raw", SOURCE, folder_of=lambda _t: "raw", keep=False)
    output.open(0)
    return output


def test_due_by_rows_or_age() -> None:
    """A file is due at so many rows or when its first row is so old; without rows it never is."""
    output = new_output(Lake(f"memory://{uuid.uuid4().hex}"))
    assert not output.due(1e9, rows_max=1, age_s_max=0.0)
    output.add(table_of([0, 1]), 100.0)

    assert output.due(100.0, rows_max=2, age_s_max=300.0)
    assert not output.due(399.0, rows_max=3, age_s_max=300.0)
    assert output.due(400.0, rows_max=3, age_s_max=300.0)
    output.roll(2)
    output.add(table_of([2]), 1000.0)
    assert not output.due(1299.0, rows_max=3, age_s_max=300.0)
    assert output.due(1300.0, rows_max=3, age_s_max=300.0)


def test_the_first_file_is_due_soon() -> None:
    """Who has just begun wants to read something; raw rows and later files wait for their age."""
    output = FileOutput(Lake(f"memory://{uuid.uuid4().hex}"), "raw", SOURCE, folder_of=lambda _t: "raw", keep=True)
    output.open(0)
    output.add(table_of([0, 1]), 100.0)
    limits: Any = {"rows_max": 3, "age_s_max": 300.0, "first_s_max": 15.0}

    assert not output.due(114.0, **limits)
    assert output.due(115.0, **limits)
    output.roll(2)
    output.add(table_of([2]), 200.0)
    assert not output.due(300.0, **limits)


class FullDisk(Lake):
    """A lake that refuses everything."""

    def put(self, *_args: object, **_options: object) -> Any:
        raise RetryableError("could not create x: no space left on device")


def test_refused_file_changes_nothing() -> None:
    """What a full disk refuses waits, and goes into the next file."""
    url = f"memory://{uuid.uuid4().hex}"
    output = new_output(FullDisk(url))
    output.add(table_of([0, 1]), 0.0)

    with pytest.raises(RetryableError):
        output.roll(2)
    output._lake = Lake(url)
    output.add(table_of([2]), 0.0)
    output.roll(3)

    assert stored(Lake(url)) == ([0, 1, 2], [(0, 3)])
    assert (output.waiting, output.files) == (0, 1)
    output.add(table_of([3]), 0.0)
    output.roll(4)
    files = Lake(url).files
    assert (output.files, output.file_bytes) == (2, sum(len(files.read(path)) for path in files.names("raw")))


def test_loser_goes_on_where_the_winner_ended() -> None:
    """The second writer of a name reads the winner's end, drops those rows and keeps the others."""
    lake = Lake(f"memory://{uuid.uuid4().hex}")
    winner, loser = new_output(lake), new_output(lake)
    winner.add(table_of([0, 1, 2]), 0.0)
    loser.add(table_of([0, 1, 2, 3, 4]), 0.0)
    winner.roll(3)

    loser.roll(5)

    assert (loser.first, loser.waiting, loser.files) == (3, 2, 0)
    loser.roll(5)
    assert stored(lake) == ([0, 1, 2, 3, 4], [(0, 3), (3, 5)])


def test_samples_that_wait_are_in_a_snapshot_where_rows_are_to_be() -> None:
    """As tables are: who goes on from it reads the log from behind them."""
    lake = Lake(f"memory://{uuid.uuid4().hex}")
    outputs = [FileOutput(lake, "raw", SOURCE, folder_of=lambda _t: "raw", keep=True) for _ in range(2)]
    rows = samples_of([Record("a", offset, 1.0, offset) for offset in range(3)], RIGS)
    outputs[0].open(0)
    outputs[0].add_samples(rows, 0.0)
    outputs[1].restore(outputs[0].snapshot(3))
    outputs[1].open(3)
    outputs[1].add_samples(rows, 0.0)  # that are read again for the sake of other files
    outputs[1].roll(3)

    assert stored(lake) == ([0, 1, 2], [(0, 3)])


def test_sums_go_on_from_the_newest_file_where_a_snapshot_has_none() -> None:
    """As one of an older release: the chain's sum is that of all rows."""
    lake = Lake(f"memory://{uuid.uuid4().hex}")
    first, second = new_output(lake), FileOutput(lake, "raw", SOURCE, folder_of=lambda _t: "raw", keep=True)
    first.add(table_of([0, 1]), 0.0)
    first.roll(2)
    state = first.snapshot(2)
    del state["sums"]
    second.restore(state)
    second.open(2)
    second.add(table_of([2]), 0.0)
    second.roll(3)

    assert lake.newest("raw", SOURCE).total == rowsum(table_of([0, 1, 2]))


def test_many_small_tables_are_few_when_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A live rig adds a few rows at a time, for minutes: Parquet would take seconds for thousands of tables."""
    sizes = []
    put = Lake.put

    def watched(self: Lake, *given: Any, **options: Any) -> Written:
        sizes.append(given[-1].column("offset").num_chunks)
        return put(self, *given, **options)

    monkeypatch.setattr(Lake, "put", watched)
    lake = Lake(f"memory://{uuid.uuid4().hex}")
    output = FileOutput(lake, "raw", SOURCE, folder_of=lambda _t: "raw", keep=False)
    output.open(0)
    for offset in range(0, 2_000, 2):
        output.add(table_of([offset, offset + 1]), 0.0)

    output.roll(2_000)

    assert sizes[0] <= BATCHES_MAX
    assert lake.table("raw", ["offset"])["offset"].to_pylist() == list(range(2_000))
