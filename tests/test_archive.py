"""Import: a folder of cycles becomes the records that the stream would have written, once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hydrodask.audit.doubles import check_doubles
from hydrodask.audit.finding import Results
from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.clock import parse_iso
from hydrodask.errors import ConfigError
from hydrodask.ingest.recording import Recording
from hydrodask.learn.data.archive import Archive, Imported, Place, import_archive
from hydrodask.learn.data.catalogue import Catalogue, catalogue
from hydrodask.learn.features import CLASSIC, columns, compute
from hydrodask.learn.score.batch import figures
from hydrodask.learn.targets import TARGETS
from hydrodask.settings import Settings
from hydrodask.store.lake import Lake
from hydrodask.store.profiles import LABELS
from hydrodask.store.schemas import labels_table
from tests.learned import Streamed, streamed, write_archive, write_text

START_US = parse_iso("2026-01-01T00:00:00Z")
PLACE = Place("rig-1", START_US)


def brought_in(folder: Path, lake: Path, place: Place = PLACE) -> Imported:
    """Import a folder."""
    return import_archive(Archive(folder), Lake(str(lake)), place)


def stored(lake: Path, sensor: str) -> pa.Table:
    """Return one sensor's profiles in the lake."""
    paths = sorted((lake / "cycles" / f"sensor={sensor}").glob("*.parquet"))
    return pa.concat_tables([pq.ParquetFile(path).read() for path in paths])


def as_parquet(folder: Path, target: Path, means_only: tuple[str, ...] = (), *, apart: int = 2) -> Path:
    """Write a text archive as Parquet, some sensors as means of seconds; cycles are numbered `apart`."""
    target.mkdir()
    for sensor in SENSORS:
        rows = np.loadtxt(folder / f"{sensor}.txt", ndmin=2)
        name = sensor
        if sensor in means_only:
            rows, name = rows.reshape(len(rows), 60, -1).mean(axis=2), f"{sensor}_1hz_mean"
        samples = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
        pq.write_table(
            pa.table({"cycle": np.arange(len(rows)) * apart, "samples": samples}), target / f"{name}.parquet"
        )
    return target


@pytest.fixture(scope="module")
def stream(recording: Path) -> Streamed:
    """Run the recording through the monitor's graphs once."""
    return streamed(Recording(recording, start_us=START_US), Settings())


def test_profiles_are_those_of_the_stream(recording: Path, stream: Streamed, tmp_path: Path) -> None:
    """Every column of every sensor's profiles is equal, to the last bit, and so is the revision."""
    brought_in(recording, tmp_path)

    for sensor in SENSORS:
        ours, theirs = stored(tmp_path, sensor), stream.tables[sensor]
        assert ours.num_rows == 10
        assert ours.equals(theirs.select(ours.column_names)), sensor


def test_features_are_those_of_the_stream(recording: Path, stream: Streamed, tmp_path: Path) -> None:
    """Trainer and scorer agree: features of imported cycles equal those of streamed ones, to the last bit."""
    brought_in(recording, tmp_path / "imported")
    for sensor, table in stream.tables.items():
        Lake(str(tmp_path / "streamed")).put(f"cycles/sensor={sensor}", ("x", 0), 0, 1, table)
    every = (*CLASSIC, *(name for target in TARGETS.values() for name in target.columns))

    ours, theirs = (compute(catalogue(str(tmp_path / n)).read(), every) for n in ("imported", "streamed"))

    assert np.isfinite(ours).all()
    assert ours.tobytes() == theirs.tobytes()


def test_an_import_is_not_doubled(tmp_path: Path) -> None:
    """A second import of the same folder writes no file; other content does."""
    folder = write_archive(tmp_path / "archive")
    first, second = (brought_in(folder, tmp_path / "lake") for _ in range(2))

    assert (first.files, first.known) == (18, 0)
    assert (second.files, second.known) == (0, 18)
    assert len(catalogue(str(tmp_path / "lake"))) == 3
    write_archive(folder, seed=1)  # with the same labels
    other = brought_in(folder, tmp_path / "lake")
    assert (other.files, other.replaced, other.known) == (17, 17, 1)
    assert len(catalogue(str(tmp_path / "lake"))) == 3


def rows_of(lake: Path) -> int:
    """Return how many profiles the lake holds."""
    return sum(stored(lake, sensor).num_rows for sensor in SENSORS)


@pytest.mark.parametrize("means_only", [(), ("PS1", "PS2")])
def test_a_cycle_is_there_once_whatever_it_came_in(tmp_path: Path, means_only: tuple[str, ...]) -> None:
    """Text, then the same cycles as Parquet: no row more, and nothing is lost where there are means alone."""
    text = write_archive(tmp_path / "text")
    brought_in(text, tmp_path / "lake")
    before = stored(tmp_path / "lake", "PS1")

    second = brought_in(as_parquet(text, tmp_path / "parquet", means_only, apart=1), tmp_path / "lake")

    assert (second.files, second.known) == (0, 17)
    assert rows_of(tmp_path / "lake") == 3 * len(SENSORS)
    assert stored(tmp_path / "lake", "PS1").equals(before)


@pytest.mark.parametrize(("bar", "unlike"), [(0.0, 0), (1e-5, 0), (25.0, 2)])
def test_means_that_differ_and_are_not_taken_are_said(tmp_path: Path, bar: float, unlike: int) -> None:
    """A mended folder of means beside the samples: with how to bring them; nothing of means that only are rounded."""
    text = write_archive(tmp_path / "text")
    brought_in(text, tmp_path / "lake")
    before = stored(tmp_path / "lake", "PS1")
    rows = np.loadtxt(text / "PS1.txt", ndmin=2)
    rows[1:] += bar
    write_text(text / "PS1.txt", rows.reshape(3, 60, -1).mean(axis=2))

    done = brought_in(text, tmp_path / "lake")

    assert (done.files, done.known, done.unlike, len(done.left)) == (0, 18, unlike, unlike // 2)
    assert all("PS1: the means of 2 cycles differ" in one and "PS1.txt" in one for one in done.left)
    assert stored(tmp_path / "lake", "PS1").equals(before)


def test_the_same_cycles_under_another_rig_are_said(tmp_path: Path) -> None:
    """A copied folder has another name, and so another rig; one of its cycles is mended, and one sensor of all."""
    folder = write_archive(tmp_path / "a1")
    first = brought_in(folder, tmp_path / "lake", Place("a1", START_US))
    rows = np.loadtxt(folder / "CE.txt", ndmin=2) + 1.0
    write_text(folder / "CE.txt", rows)
    rows = np.loadtxt(folder / "TS1.txt", ndmin=2)
    rows[0, 0] += 1.0
    write_text(folder / "TS1.txt", rows)

    copied = brought_in(folder, tmp_path / "lake", Place("a1-mended", START_US))
    other = brought_in(write_archive(tmp_path / "b", seed=1), tmp_path / "lake", Place("b", START_US))

    assert (first.elsewhere, copied.elsewhere, other.elsewhere) == ({}, {"a1": 2}, {})
    made = [path.name for path in (tmp_path / "lake").rglob("*.parquet") if path.name.startswith(copied.files_named)]
    assert len(made) == 18  # what there is to move away


def test_samples_take_the_place_of_means(tmp_path: Path) -> None:
    """Who has all samples later brings what was missing, in the same rows."""
    text = write_archive(tmp_path / "text")
    brought_in(as_parquet(text, tmp_path / "parquet", ("PS1",), apart=1), tmp_path / "lake")

    done = brought_in(text, tmp_path / "lake")

    assert (done.replaced, rows_of(tmp_path / "lake")) == (1, 3 * len(SENSORS))
    assert stored(tmp_path / "lake", "PS1")["min"][0].as_py()[0] is not None


def test_a_mended_folder_replaces_what_it_has_mended(tmp_path: Path) -> None:
    """One value of one cycle, and one label: two files are written anew, and no row is there twice."""
    folder = write_archive(tmp_path / "archive")
    brought_in(folder, tmp_path / "lake")
    rows = np.loadtxt(folder / "TS1.txt", ndmin=2)
    rows[1, 0] = 99.0
    write_text(folder / "TS1.txt", rows)
    write_text(folder / "profile.txt", np.tile([100, 80, 1, 115, 0], (3, 1)))

    done = brought_in(folder, tmp_path / "lake")

    assert (done.files, done.replaced, done.known) == (2, 2, 16)
    assert [row[0] for row in stored(tmp_path / "lake", "TS1")["mean"].to_pylist()] == [rows[0, 0], 99.0, rows[2, 0]]
    assert stored(tmp_path / "lake", "TS1")["revision"].to_pylist() == [59, 119, 179]
    found = catalogue(str(tmp_path / "lake"))
    assert found.target("valve").tolist() == [80] * 3
    results = Results()
    check_doubles(Lake(str(tmp_path / "lake")), results["doubles"])
    assert (results.wrong, results["doubles"].looked_at) == (0, {"cycles": 3 * 18})


def test_new_cycles_of_a_folder_come_beside_the_old_ones(tmp_path: Path) -> None:
    """A folder that has grown by two cycles: two more a sensor, in files of their own."""
    folder = write_archive(tmp_path / "archive", cycles=5)
    whole = {path: path.read_text() for path in folder.iterdir()}
    for path, text in whole.items():
        path.write_text("".join(text.splitlines(keepends=True)[:3]))
    brought_in(folder, tmp_path / "lake")
    for path, text in whole.items():
        path.write_text(text)

    done = brought_in(folder, tmp_path / "lake")

    assert (done.files, done.replaced, done.known) == (18, 0, 18)
    assert sorted(stored(tmp_path / "lake", "PS1")["cycle"].to_pylist()) == [0, 1, 2, 3, 4]
    assert len(catalogue(str(tmp_path / "lake"))) == 5


def test_what_the_stream_has_stored_stays(recording: Path, stream: Streamed, tmp_path: Path) -> None:
    """A recording that was run and is imported then: no row more, and where they differ the stream's stay."""
    lake = Lake(str(tmp_path))
    for sensor, table in stream.tables.items():
        changed = table.set_column(3, "complete", pa.array([False] * len(table))) if sensor == "CE" else table
        lake.put(f"cycles/sensor={sensor}", (f"hydraulic-{sensor}", 0), 0, 10**6, changed)

    done = brought_in(recording, tmp_path)

    assert (done.files, done.streamed, rows_of(tmp_path)) == (1, 10, 170)  # the labels
    assert not any(stored(tmp_path, "CE")["complete"].to_pylist())


def test_cycles_with_another_start_are_said(tmp_path: Path) -> None:
    """Another zone, say: they are other cycles, and whoever did not mean that learns of it."""
    folder = write_archive(tmp_path / "archive")
    brought_in(folder, tmp_path / "lake")

    again = brought_in(folder, tmp_path / "lake", Place("rig-1", START_US + 8 * 3600 * 1_000_000))

    assert (again.moved, again.files) == (3, 18)


def test_nothing_is_stored_of_a_folder_with_a_bad_value(tmp_path: Path) -> None:
    """It is in the last row of the last sensor: everything is read before anything is written."""
    folder = write_archive(tmp_path / "archive", cycles=8)
    lines = (folder / "SE.txt").read_text().splitlines()
    (folder / "SE.txt").write_text("\n".join([*lines[:7], "x" + lines[7]]))

    with pytest.raises(ConfigError, match=r"SE\.txt.* row 8"):
        brought_in(folder, tmp_path / "lake")

    assert not (tmp_path / "lake").exists()


def test_doubles_are_counted(tmp_path: Path) -> None:
    """Two imports of an older version, named by what is in them: the audit names cycle, rig, start and files."""
    folder = write_archive(tmp_path / "archive")
    for name in "ab":
        brought_in(folder, tmp_path / name)
    for path in (tmp_path / "b").rglob("*.parquet"):
        path.rename(tmp_path / "a" / path.relative_to(tmp_path / "b").with_name(f"import-other-0-{path.name[-20:]}"))
    results = Results()

    check_doubles(Lake(str(tmp_path / "a")), results["doubles"])

    assert results.wrong == 3 * 18
    assert str(results["doubles"].findings[0]).startswith(
        "cycles/sensor=PS1: cycle 0 of rig 'rig-1' from 2026-01-01T00:00:00+00:00 is there 2 times; import-"
    )


def test_both_layouts_give_the_same(tmp_path: Path) -> None:
    """Text and Parquet of the same samples become the same profiles; Parquet names its cycles."""
    text = write_archive(tmp_path / "text")
    brought_in(text, tmp_path / "a")
    brought_in(as_parquet(text, tmp_path / "parquet"), tmp_path / "b")
    a, b = (stored(tmp_path / name, "PS1") for name in "ab")

    assert a.drop(["cycle", "cycle_start"]).equals(b.drop(["cycle", "cycle_start"]))
    assert b["cycle"].to_pylist() == [0, 2, 4]


def test_means_alone_are_enough(tmp_path: Path) -> None:
    """Of a sensor with one mean a second the rest is missing, and its means are what the samples give."""
    text = write_archive(tmp_path / "text")
    done = brought_in(as_parquet(text, tmp_path / "parquet", means_only=("PS1",)), tmp_path / "lake")
    row = stored(tmp_path / "lake", "PS1").slice(0, 1).to_pydict()

    assert done.means_only == ["PS1"]
    assert row["m2"] == row["min"] == row["max"] == [[None] * 60]
    assert row["n"] == [[100] * 60]
    samples = np.loadtxt(text / "PS1.txt", ndmin=2)[0]
    assert np.allclose(row["mean"][0], samples.reshape(60, 100).mean(axis=1), rtol=1e-15)


def test_labels_belong_to_their_cycles(tmp_path: Path) -> None:
    """A label names the rig, the number and the start of its cycle, so that they find each other again."""
    brought_in(write_archive(tmp_path / "archive"), tmp_path / "lake")
    found: Catalogue = catalogue(str(tmp_path / "lake"))

    assert found.labelled.all()
    assert found.target("valve").tolist() == [90] * 3
    assert (found.start_us - START_US).tolist() == [0, 60_000_000, 120_000_000]


def test_a_folder_without_labels(tmp_path: Path) -> None:
    """Cycles come in without labels, and nobody can train on them."""
    done = brought_in(write_archive(tmp_path / "archive", labels=False), tmp_path / "lake")

    assert done.labels == 0
    assert not catalogue(str(tmp_path / "lake")).labelled.any()


def spoil_width(folder: Path) -> None:
    """Give a sensor one sample too few."""
    write_text(folder / "TS1.txt", np.ones((3, 59)))


def spoil_rows(folder: Path) -> None:
    """Give a sensor one cycle too few."""
    write_text(folder / "FS1.txt", np.ones((2, CHANNELS["FS1"].samples_per_cycle)))


def spoil_value(folder: Path) -> None:
    """Give a sensor a value that is none."""
    text = (folder / "TS2.txt").read_text(encoding="utf-8")
    (folder / "TS2.txt").write_text("inf" + text[text.index("\t") :], encoding="utf-8")


def spoil_text(folder: Path) -> None:
    """Write something else."""
    (folder / "CE.txt").write_text("no\tnumbers\there\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_width, "TS1.txt has 59 values a cycle"),
        (spoil_rows, "FS1.txt does not hold the same 3 cycles"),
        (spoil_value, "TS2.txt: row 1 has a value that is infinite"),
        (spoil_text, "could not read .*CE.txt"),
        (lambda folder: (folder / "VS1.txt").unlink(), "there is no .*VS1.txt"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, spoil: Callable[[Path], None], says: str) -> None:
    """The message names the file and what is wrong with it."""
    folder = write_archive(tmp_path / "archive")
    spoil(folder)

    with pytest.raises(ConfigError, match=says):
        brought_in(folder, tmp_path / "lake")


@pytest.mark.parametrize("numbers", [[4, 0, 2], [0, 2, 2]])
def test_cycles_out_of_order_are_refused(tmp_path: Path, numbers: list[int]) -> None:
    """Spark writes rows in any order: the kernel would pass over the earlier ones, and the rest would move up."""
    folder = as_parquet(write_archive(tmp_path / "text"), tmp_path / "parquet")
    for sensor in SENSORS:
        path = folder / f"{sensor}.parquet"
        pq.write_table(pq.read_table(path).set_column(0, "cycle", pa.array(numbers)), path)

    with pytest.raises(ConfigError, match=r"TS1\.parquet: cycles are not in rising order, .*sort the rows"):
        Archive(folder)


def with_labels(folder: Path, cycle: list[int], states: list[tuple[float | None, ...]]) -> Path:
    """Write labels of these cycles into a Parquet folder."""
    columns = {name: pa.array(list(each)) for name, each in zip(LABELS, zip(*states, strict=True), strict=True)}
    pq.write_table(pa.table({"cycle": pa.array(cycle), **columns}), folder / "profile.parquet")
    return folder


WORN: list[tuple[float | None, ...]] = [(100, 73, 0, 130, 0), (100, 80, 0, 130, 0), (100, 90, 0, 130, 0)]


def test_labels_in_another_order_find_their_cycles(tmp_path: Path) -> None:
    """Spark writes rows in any order; of a state that is null only the others are stored."""
    folder = as_parquet(write_archive(tmp_path / "text"), tmp_path / "parquet")
    states = [WORN[2], WORN[0], (None, 80, 0, 130, None)]
    done = brought_in(with_labels(folder, [4, 0, 2], states), tmp_path / "lake")
    found = catalogue(str(tmp_path / "lake"))

    assert done.labels == 3
    assert found.cycle.tolist() == [0, 2, 4]
    assert found.target("valve").tolist() == [73, 80, 90]
    assert np.isnan(found.labels).tolist() == [[False] * 5, [True, False, False, False, True], [False] * 5]
    rows = pa.concat_tables([pq.ParquetFile(path).read() for path in (tmp_path / "lake" / "labels").glob("*.parquet")])
    assert rows.sort_by("cycle")["stable"].to_pylist() == [0, None, 0]
    assert rows.schema.equals(labels_table([], [], partition=0, offsets=[]).schema)


def test_labels_without_numbers_are_of_the_rows_in_their_order(tmp_path: Path) -> None:
    """As in the archive's text, whose rows have none."""
    folder = with_labels(as_parquet(write_archive(tmp_path / "text"), tmp_path / "parquet"), [0, 2, 4], WORN)
    path = folder / "profile.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["cycle"]), path)
    brought_in(folder, tmp_path / "lake")

    assert catalogue(str(tmp_path / "lake")).target("valve").tolist() == [73, 80, 90]


@pytest.mark.parametrize(
    ("cycle", "states", "says"),
    [
        ([0, 2, 6], WORN, r"profile\.parquet does not hold the same 3 cycles as .*TS1\.parquet"),
        ([0, 2, 2], WORN, r"profile\.parquet does not hold the same 3 cycles as .*TS1\.parquet"),
        ([4, 0, 2], [*WORN[:2], (100, 55, 0, 130, 0)], "cycle 2 has valve 55; want one of 73, 80, 90, 100, or nothing"),
    ],
    ids=["another cycle", "one twice", "no such state"],
)
def test_labels_that_nobody_could_learn_are_refused(
    tmp_path: Path, cycle: list[int], states: list[tuple[float | None, ...]], says: str
) -> None:
    """They would be those of other cycles, or stop the training of the component."""
    folder = as_parquet(write_archive(tmp_path / "text"), tmp_path / "parquet")

    with pytest.raises(ConfigError, match=says):
        Archive(with_labels(folder, cycle, states))


def test_figures_are_those_of_labels_in_any_order(tmp_path: Path) -> None:
    """What is scored is held against its own label, and not at all where there is none."""
    folder = as_parquet(write_archive(tmp_path / "text"), tmp_path / "parquet")
    labels = Archive(with_labels(folder, [4, 2, 0], [WORN[0], (None, None, 0, 130, 0), WORN[2]])).labels
    said = {"valve_class": np.ma.masked_array([90, 90, 73]), "pump_class": np.ma.masked_array([0, 0, 0])}

    found = figures(said, labels)

    assert found["valve"] == {"answered": 1.0, "macro_f1_answered": 1.0, "macro_f1_unknown_wrong": 1.0}
    assert found["pump"]["macro_f1_answered"] == 1.0


def lists(folder: Path, sensor: str, rows: list[list[float] | None], cycle: list[int | None]) -> None:
    """Write a sensor's lists, which may have different lengths."""
    table = {"cycle": pa.array(cycle, pa.int64()), "samples": pa.array(rows, pa.list_(pa.float64()))}
    pq.write_table(pa.table(table), folder / f"{sensor}.parquet")


def test_a_list_that_is_null_is_a_cycle_that_was_not_measured(tmp_path: Path) -> None:
    """Of that sensor; its neighbours keep their own samples, in lists of fixed and of any length."""
    folder = as_parquet(write_archive(tmp_path / "text"), tmp_path / "parquet")
    lists(folder, "CE", [[1.0] * 60, None, [3.0] * 60], [0, 2, 4])
    fixed = pa.array([None, [5.0] * 60, [6.0] * 60], pa.list_(pa.float64(), 60))
    pq.write_table(pa.table({"cycle": [0, 2, 4], "samples": fixed}), folder / "TS1.parquet")
    archive = Archive(folder)

    assert archive.values("CE")[[0, 2], 59].tolist() == [1.0, 3.0]
    assert archive.values("TS1")[1:, 0].tolist() == [5.0, 6.0]
    assert np.isnan(archive.values("CE")[1]).all()
    assert np.isnan(archive.values("TS1")[0]).all()
    import_archive(archive, Lake(str(tmp_path / "lake")), PLACE)
    assert stored(tmp_path / "lake", "CE")["cycle"].to_pylist() == [0, 4]


@pytest.mark.parametrize(
    ("rows", "cycle", "says"),
    [
        ([[1.0] * 60, [2.0] * 59, [3.0] * 61], [0, 2, 4], "CE.parquet .*cycle 0 has 60 values, cycle 2 has 59"),
        ([[1.0] * 60] * 3, [0, None, 4], "CE.parquet .*row 2 has no number of a cycle"),
    ],
)
def test_lists_that_would_move_into_their_neighbours_are_refused(
    tmp_path: Path, rows: list[list[float] | None], cycle: list[int | None], says: str
) -> None:
    """59 and 61 values are 120, as two cycles have; and without its number nobody knows which cycle it is."""
    folder = as_parquet(write_archive(tmp_path / "text"), tmp_path / "parquet")
    lists(folder, "CE", rows, cycle)

    with pytest.raises(ConfigError, match=says):
        Archive(folder).values("CE")


def test_names_of_features_are_columns() -> None:
    """A feature is named after sensor, kind and second."""
    assert columns("shape", ["PS1"], 58) == ("PS1.shape.58", "PS1.shape.59")
