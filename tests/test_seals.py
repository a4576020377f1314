"""Sums find a row that was changed together with its checksum, and seals by a key find what people have forged."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hydrodask.audit.compaction import Compaction
from hydrodask.audit.finding import Result
from hydrodask.audit.links import inspect, parse
from hydrodask.audit.sealing import seal_all
from hydrodask.cli.main import app
from hydrodask.errors import ConfigError, IntegrityError, RetryableError
from hydrodask.protocol import snapshot
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Lake as LakeSettings
from hydrodask.store import rowsum
from hydrodask.store.keyring import Keyring
from hydrodask.store.lake import Lake, encode_range
from hydrodask.store.listing import LakeFile
from hydrodask.store.schemas import FOLDERS, empty
from tests.audited import Stored, fine, with_value, wrong
from tests.simulation.bench import TS1, bench

HEX = "5ea1" * 16
OTHER = "0dd5" * 16
ROWS = pa.table(
    {
        "rig": ["a", "b", "a"],
        "value": [1.0, 0.0, -0.0],
        "stable": pa.array([1, None, 0], pa.int64()),
        "mean": pa.array([[1.0, None], [], [2.0, 3.0]], pa.list_(pa.float64())),
        "complete": [True, False, True],
        "offset": [5, 6, 9],
    }
)


def keys(folder: Path, *lines: str) -> Path:
    """Write a file of keys."""
    path = folder / "seal.keys"
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")
    return path


def keyed(stored: Stored, path: Path | None) -> Stored:
    """Return the same platform with keys."""
    lake = stored.settings.lake.model_copy(update={"key_file": path})
    return Stored(stored.settings.model_copy(update={"lake": lake}))


def forge(path: Path, change: Callable[[pa.Table], pa.Table], *, says: bytes | None = None) -> None:
    """Write a file anew with other rows and a right checksum; what it says of their sum stays, unless it is given."""
    table, metadata = parse(path.read_bytes())
    first, end = (int(metadata[name]) for name in (b"hydrodask.first", b"hydrodask.end"))
    kept = {key: value for key, value in metadata.items() if key in (rowsum.KEY, b"hydrodask.windows")}
    path.write_bytes(encode_range(change(table), first, end, kept if says is None else kept | {rowsum.KEY: says}))


@given(st.data())
@settings(deadline=None)  # the first one compiles
def test_sum_depends_on_every_bit_and_on_no_cut(data: st.DataObject) -> None:
    """Of rows in any batches; one bit of one value is another sum."""
    cut = data.draw(st.integers(0, len(ROWS)))
    column = data.draw(st.sampled_from(["value", "offset"]))
    place = data.draw(st.integers(0, len(ROWS) - 1))
    bit = data.draw(st.integers(0, 63))
    bits = ROWS.column(column).to_numpy().view(np.uint64).copy()
    bits[place] ^= np.uint64(1 << bit)
    values = bits.view(ROWS.column(column).to_numpy().dtype)
    changed = ROWS.set_column(ROWS.column_names.index(column), column, pa.array(values))

    assert (rowsum.rowsum(ROWS.slice(0, cut)) + rowsum.rowsum(ROWS.slice(cut))) & rowsum.MASK == rowsum.rowsum(ROWS)
    assert rowsum.rowsum(changed) != rowsum.rowsum(ROWS)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("rig", ["a", "c", "a"]),
        ("stable", [1, 0, 0]),
        ("stable", [1, None, None]),
        ("mean", [[1.0, None], [], [3.0, 2.0]]),
        ("mean", [[1.0], [0.0], [2.0, 3.0]]),
        ("complete", [True, True, True]),
        ("value", [1.0, 0.0, 0.0]),
    ],
)
def test_sum_tells_values_apart(column: str, values: list[object]) -> None:
    """Names, nulls and zeros, the order of lists, flags, and the two zeros."""
    changed = ROWS.set_column(ROWS.column_names.index(column), column, pa.array(values, ROWS.schema.field(column).type))

    assert rowsum.rowsum(changed) != rowsum.rowsum(ROWS)


@pytest.mark.parametrize("texts", [["ab", "a", "bab"], ["ab", "ba", "ab"], ["", "", "a"], ["ab", "ab", "ab"]])
def test_sum_of_texts_is_that_of_each(texts: list[str]) -> None:
    """Where all are the same they are not looked at one by one, whatever their bytes come to in a row."""
    parts = [pa.table({"rig": [text], "offset": [place]}) for place, text in enumerate(texts)]
    cut = pa.concat_tables([parts[0], pa.concat_tables(parts[1:]).combine_chunks()])
    wanted = sum(map(rowsum.rowsum, parts)) & rowsum.MASK

    assert [rowsum.rowsum(cut), rowsum.rowsum(cut.combine_chunks())] == [wanted] * 2


def test_the_partition_adds_nothing_to_a_sum() -> None:
    """All rows of a file have the same, and files of earlier releases do not say it."""
    named = ROWS.append_column("partition", pa.array([7, 7, 7]))

    assert rowsum.rowsum(named) == rowsum.rowsum(ROWS)


def test_sum_of_rows_is_that_of_each() -> None:
    """A row in the middle of a batch, too: what its lists hold lies between those of others."""
    assert sum(rowsum.rowsum(ROWS.slice(place, 1)) for place in range(3)) & rowsum.MASK == rowsum.rowsum(ROWS)


def test_sum_is_that_of_earlier_releases() -> None:
    """A chain goes on for years, and each file says what those before it come to."""
    assert rowsum.rowsum(ROWS) == 0xC230ACA0A3A2FFEC


def test_column_that_older_files_lack_adds_nothing() -> None:
    """So what files of two releases come to is what the large file comes to that is made of them."""
    old = ROWS.drop_columns(["stable"])
    both = pa.concat_tables([old, ROWS], promote_options="default")

    assert rowsum.rowsum(both) == (rowsum.rowsum(old) + rowsum.rowsum(ROWS)) & rowsum.MASK
    assert [rowsum.rowsum(empty(folder)) for folder in FOLDERS] == [0] * len(FOLDERS)


def test_keys_that_can_not_be_read_are_waited_for(tmp_path: Path) -> None:
    """Somebody may be at exchanging them: nothing is taken as it is meanwhile, and nothing stored without a seal."""
    lake, path = Lake(str(tmp_path / "lake"), keyring=Keyring(keys(tmp_path, f"a {HEX}"))), tmp_path / "seal.keys"
    snapshot.save(lake.files, TS1, 10, {"at": 10}, keyring=lake.keyring)
    path.write_text("")

    for call in (
        lambda: snapshot.newest(lake.files, TS1, at_most=None, keyring=lake.keyring),
        lambda: snapshot.save(lake.files, TS1, 20, {"at": 20}, keyring=lake.keyring),
        lambda: lake.put("labels", TS1, 0, 3, ROWS),
    ):
        with pytest.raises(RetryableError, match=r"could not (check the seal of|seal) .*holds no key"):
            call()


def one_bit(table: pa.Table) -> pa.Table:
    """Return raw rows with the last bit of one value changed: too little to change a mean for sure."""
    value = table.column("value")[0].as_py()
    return with_value(table, "value", 0, float(np.nextafter(value, np.inf)))


def test_one_bit_is_found_without_a_log(leftover: Stored, tmp_path: Path) -> None:
    """In the first file, one in the middle, the newest; whether it says its old sum, a right one, or none at all."""
    copy = leftover.copy(tmp_path)
    names = iter(["PS1", "PS2", "PS3", "PS4", "PS5", "PS6", "FS1", "FS2", "TS1"])
    forged = []
    for place in (0, 1, -1):
        one, two, three = (copy.files(f"raw/sensor={next(names)}")[place] for _ in range(3))
        table, metadata = parse(copy.path(two).read_bytes())
        before = rowsum.read(metadata)
        assert before is not None
        forge(copy.path(one), one_bit)
        forge(copy.path(two), one_bit, says=rowsum.text(before[0], one_bit(table)))
        copy.rewrite(three, one_bit)
        forged += [one, two, three]

    found = wrong(copy.audit())

    for file in forged:
        assert any(file.path in said for said in found["files"] + found["chain"]), file.path


def test_large_files_keep_the_sums(leftover: Stored, tmp_path: Path) -> None:
    """Of what they were made of: a row that is changed in one contradicts the file behind it."""
    copy = leftover.copy(tmp_path)
    Compaction(copy.settings, rows_max=1_000_000, in_place=True).run()
    assert fine(copy.audit())
    large = copy.files("raw/sensor=PS1")[0]
    assert large.end is not None

    copy.rewrite(large, one_bit)

    assert any(large.path in said for said in wrong(copy.audit())["chain"])


def test_forged_files_are_found_by_key_alone(leftover: Stored, tmp_path: Path) -> None:
    """Keys are exchanged without a gap; then come a file and a snapshot with checksums and sums that are right."""
    (tmp_path / "copy").mkdir()
    copy = keyed(leftover.copy(tmp_path / "copy"), keys(tmp_path, f"old {HEX}"))
    labels = copy.files("labels")[0]
    assert "it is not sealed by any key" in said_of(copy, labels)
    done = seal_all(copy.settings)
    assert done.files > 0
    assert done.snapshots > 0
    keys(tmp_path, f"new {OTHER}", f"old {HEX}")
    assert fine(copy.audit())
    assert seal_all(copy.settings).known == 0
    assert seal_all(copy.settings).known == done.files + done.snapshots
    keys(tmp_path, f"old {HEX}")
    assert "it is sealed by key 'new', which is not in the key file" in said_of(copy, labels)
    keys(tmp_path, f"new {OTHER}")
    assert fine(copy.audit())

    moved, other = copy.files("cycles")[:2]
    path = max((copy.settings.data_dir / "snapshots" / "hydraulic-labels-0").glob("*.snapshot"))
    state = snapshot.decode(path.read_bytes())
    forged = with_value(parse(copy.path(labels).read_bytes())[0], "valve", 0, 80)
    total = rowsum.text(0, forged)
    forge(copy.path(labels), lambda _table: forged, says=total)
    state["files"]["labels"]["sums"] = [int(total.split()[1], 16)] * 2
    path.write_bytes(snapshot.encode(state))
    copy.path(other).write_bytes(copy.path(moved).read_bytes())
    found = wrong(copy.audit())
    plain = wrong(keyed(copy, None).audit())

    assert not any(labels.path in said for said in plain.get("files", []))
    assert any(f"{labels.path}: it is not sealed by any key" in said for said in found["files"])
    assert any(f"{other.path}: its seal is not by our key, or of another place" in said for said in found["files"])
    assert any("it is not sealed by any key" in said and path.name in said for said in found["snapshots"])


@pytest.mark.parametrize("how", ["forged", "moved", "unsealed", "other key"])
def test_snapshot_that_we_have_not_sealed_is_not_opened(tmp_path: Path, how: str) -> None:
    """One with a false seal is ignored, and said: its state is that of the log. One that may be ours ends the run."""
    ring = Keyring(keys(tmp_path, f"first {HEX}"))
    with bench(lake={"key_file": ring.path}) as one:
        for end in (20, 40):
            one.send(TS1, end - 20, end)
            one.step(TS1, mode="flush")
        older, path = sorted(path for path in one.disk.data if path.endswith(".snapshot"))[-2:]
        place = "/".join(path.split("/")[-2:])
        state = snapshot.decode(one.disk.data[path]) | {"consumed": 10**6}
        (tmp_path / "other").mkdir()
        others = Keyring(keys(tmp_path / "other", f"{'first' if how == 'forged' else 'second'} {OTHER}"))
        data = snapshot.encode(state, None if how == "unsealed" else others, place)
        one.disk.put(path, one.disk.data[older] if how == "moved" else data)
        one.crash()

        said = {
            "unsealed": "not sealed by any key",
            "other key": "sealed by key 'second', which is not in lake.key_file",
        }
        if how in said:
            with pytest.raises(IntegrityError, match=rf"{place} in .* is {said[how]}.*`hydrodask aside {place}`"):
                one.step(TS1)
        else:
            notes = one.step(TS1).notes
            assert f"ignored snapshot {place}: its seal is not by our key, or of another place" in notes[0]
            assert one.host.partitions[TS1].consumed == 40


def said_of(stored: Stored, file: LakeFile) -> str:
    """Return what the audit says of one file."""
    result = Result("files", "")
    inspect(Lake.of(stored.settings), file, file.parts.get("sensor"), result)
    return "\n".join(map(str, result.findings))


def test_platform_seals_what_it_writes(tmp_path: Path) -> None:
    """Files and large files; another's key of the same name is no seal, and a changed key file counts at once."""
    path = keys(tmp_path, f"first {HEX}")
    settings = Settings(data_dir=tmp_path / "data", lake=LakeSettings(key_file=path))
    lake = Lake.of(settings)
    rows = empty("labels")
    place = lake.put("labels", ("hydraulic-labels", 0), 0, 5, rows, before=0)
    file = lake.files.read("labels/hydraulic-labels-0-000000000000.parquet")
    keys(tmp_path, f"second {OTHER}", f"first {HEX}")
    lake.put("labels", ("hydraulic-labels", 0), 5, 9, rows, before=place.total)
    newer = lake.files.read("labels/hydraulic-labels-0-000000000005.parquet")

    assert b"hydrodask.key" in file
    assert (b"first" in file, b"second" in file, b"second" in newer) == (True, False, True)
    assert HEX.encode() not in file
    keys(tmp_path, f"first {OTHER}")
    assert seal_all(settings).left[0].endswith("its seal by key 'first' does not hold; see `hydrodask verify`")
    keys(tmp_path, f"third {HEX}")
    assert "does not hold" in seal_all(settings).left[0]


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        (f"one {HEX}\n", 0o644, "is open to others (mode 0644); run `chmod 600"),
        (f"one {HEX}\n", 0o640, "is open to others (mode 0640)"),
        ("", 0o600, "holds no key"),
        ("# nothing but words\n", 0o600, "holds no key"),
        (f"{HEX}\n", 0o600, "key 1 of lake.key_file"),
        ("one 5ea1\n", 0o600, "key 1 of lake.key_file"),
        (f"one {HEX}\none {OTHER}\n", 0o600, "key 2 of lake.key_file"),
        (f"one {HEX[:-1]}x\n", 0o600, "key 1 of lake.key_file"),
        (f"one {HEX} more\n", 0o600, "key 1 of lake.key_file"),
    ],
)
def test_key_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, mode: int, says: str) -> None:
    """With a sentence that names the file, and never a key: at the start, and by every command that would seal."""
    path = tmp_path / "seal.keys"
    path.write_text(text)
    path.chmod(mode)
    keyring = Keyring(path)

    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        keyring.names  # noqa: B018

    secrets = [word for word in text.split() if len(word) > 8]
    assert not any(word in str(caught.value) for word in secrets)
    with pytest.raises(RetryableError, match="could not seal labels/"):
        Lake(str(tmp_path), keyring=keyring).put("labels", ("hydraulic-labels", 0), 0, 5, empty("labels"))
    result = CliRunner().invoke(app, ["config", "check", "--set", f"lake.key_file={path}"])
    assert isinstance(result.exception, ConfigError)
    assert says in str(result.exception)


def test_keys_are_nowhere_but_in_their_file(tmp_path: Path) -> None:
    """Not in settings, nor what is printed or sent of them, nor in what is kept of a keyring."""
    path = keys(tmp_path, f"first {HEX}")
    settings = load(sets=[f"data_dir={tmp_path}", "lake.key_file=seal.keys"], environ={})[0]
    keyring = Keyring.of(settings)
    assert keyring == Keyring(path)
    assert keyring.names == ["first"]
    sent = pickle.dumps((settings, keyring, Lake.of(settings).keyring))
    shown = CliRunner().invoke(app, ["config", "show", "--json", "--set", f"lake.key_file={path}"]).output

    for text in (repr(settings), settings.model_dump_json(), repr(keyring), str(vars(Lake.of(settings))), shown):
        assert HEX not in text
    assert HEX.encode() not in sent
    assert bytes.fromhex(HEX) not in sent
