"""Damages of every kind, planted in what a platform has left; each says which check of `verify` names it, and how."""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hydrodask.audit.links import parse
from hydrodask.protocol import snapshot
from hydrodask.store.lake import encode_range, pack, unpack
from hydrodask.store.listing import LakeFile
from tests.audited import Stored, with_value

FAST = ("PS1", "PS2", "PS3", "PS4", "PS5", "PS6", "EPS1", "FS1", "FS2")
"""Sensors of which there are several raw files."""

SLOW = ("TS1", "TS2", "TS3", "TS4", "VS1", "CE", "CP", "SE")

BIT = 0b100


@dataclass
class Place:
    """A copy of a store, of which each damage gets sensors that no other has."""

    stored: Stored
    sensors: list[str] = field(default_factory=lambda: [*SLOW, *FAST])

    def sensor(self, folder: str = "", files: int = 0) -> str:
        """Return a sensor that no damage has had yet, with so many files in a folder."""
        for sensor in self.sensors:
            if not folder or len(self.stored.files(f"{folder}/sensor={sensor}")) >= files:
                self.sensors.remove(sensor)
                return sensor
        raise AssertionError(f"no sensor is left with {files} files of {folder}")

    def files(self, folder: str, files: int) -> list[LakeFile]:
        """Return the files of such a sensor, in their order."""
        return self.stored.files(f"{folder}/sensor={self.sensor(folder, files)}")

    def file(self, folder: str, number: int = 0, of: int = 1) -> LakeFile:
        """Return one of them."""
        return self.files(folder, of)[number]

    def long_file(self, folder: str, number: int | None = None) -> LakeFile:
        """Return a file with several rows of such a sensor: that of a place, or its first; how many hangs on time."""
        for sensor in self.sensors:
            files = self.stored.files(f"{folder}/sensor={sensor}")
            long = [file for file in files if pq.read_metadata(self.path(file)).num_rows > 1]
            if chosen := [file for file in long if number is None or file == files[number]]:
                self.sensors.remove(sensor)
                return chosen[0]
        raise AssertionError(f"no sensor is left with several rows in a file of {folder}")

    def path(self, file: LakeFile) -> Path:
        """Return where a file is."""
        return self.stored.path(file)

    def folder(self, name: str) -> Path:
        """Return the folder of the snapshots of a topic's only partition."""
        return self.stored.settings.data_dir / "snapshots" / f"{self.stored.settings.topic(name)}-0"

    def newest(self, name: str) -> Path:
        """Return the newest snapshot."""
        return max(self.folder(name).glob("*.snapshot"))

    def restate(self, name: str, change: Callable[[dict[str, Any]], object], path: Path | None = None) -> Path:
        """Write a snapshot anew with another state and a right checksum."""
        path = path or self.newest(name)
        state = snapshot.decode(path.read_bytes())
        change(state)
        path.write_bytes(snapshot.encode(state))
        return path

    def documents(self, collection: str, where: str = "1") -> list[tuple[str, int, dict[str, Any]]]:
        """Return documents of a store that no platform uses."""
        with sqlite3.connect(self.stored.settings.data_dir / "documents.sqlite") as connection:
            query = f"SELECT id, revision, body FROM {collection} WHERE NOT removed AND {where} ORDER BY id"  # noqa: S608
            rows = connection.execute(query).fetchall()
        connection.close()
        return [(name, revision, json.loads(body)) for name, revision, body in rows]

    def put(self, collection: str, name: str, revision: int, body: dict[str, Any]) -> None:
        """Store a document behind the platform's back."""
        with sqlite3.connect(self.stored.settings.data_dir / "documents.sqlite") as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO {collection} (id, revision, body, written, removed) VALUES (?, ?, ?, 1, 0)",  # noqa: S608
                (name, revision, json.dumps(body)),
            )
        connection.close()


Act = Callable[[Place], "str | None"]
"""Plants a damage; returns a word more that has to be named, if there is one."""


@dataclass(frozen=True)
class Plant:
    """One damage: the check that names it, and words of what it says; with `reason` it can't be found, and why."""

    name: str
    act: Act
    check: str = ""
    says: tuple[str, ...] = ()
    reason: str = ""
    log: bool | None = None
    """Only with a real log, only without; None: both."""


PLANTS: list[Plant] = []


def plant(check: str, *says: str, log: bool | None = None, reason: str = "") -> Callable[[Act], Act]:
    """Put a damage into the table."""

    def keep(act: Act) -> Act:
        PLANTS.append(Plant(act.__name__.removeprefix("_"), act, check, says, reason, log))
        return act

    return keep


def forge(path: Path, change: Callable[[pa.Table], pa.Table], **said: bytes | None) -> None:
    """Write a file anew with other rows and a right checksum; all that it says of itself stays, or is as given."""
    table, metadata = parse(path.read_bytes())
    first, end = (int(metadata[name]) for name in (b"hydrodask.first", b"hydrodask.end"))
    first, end = int(said.pop("first", None) or first), int(said.pop("end", None) or end)
    own = (b"hydrodask.first", b"hydrodask.end", b"hydrodask.sha256", b"ARROW:schema")
    kept = {key: value for key, value in metadata.items() if key not in own}
    kept |= {f"hydrodask.{name}".encode(): value for name, value in said.items() if value is not None}
    path.write_bytes(encode_range(change(table), first, end, kept))


def same(table: pa.Table) -> pa.Table:
    """Change nothing."""
    return table


def replaced(column: str, value: object, place: int = 0) -> Callable[[pa.Table], pa.Table]:
    """Return what changes one value."""
    return lambda table: with_value(table, column, place, value)  # type: ignore[arg-type]


def nudged(column: str) -> Callable[[pa.Table], pa.Table]:
    """Return what changes the last bit of one value."""

    def change(table: pa.Table) -> pa.Table:
        value = table.column(column)[0].as_py()
        return with_value(table, column, 0, float(np.nextafter(value, np.inf)))

    return change


def nulled(column: str) -> Callable[[pa.Table], pa.Table]:
    """Return what empties a column."""

    def change(table: pa.Table) -> pa.Table:
        at = table.column_names.index(column)
        return table.set_column(at, column, pa.nulls(len(table), table.schema.field(column).type))

    return change


# --- files of the lake: gone, damaged, in a wrong place ---


def _gone(folder: str, place: int) -> Act:
    def act(at: Place) -> str:
        files = at.files(folder, 3)
        for file in files[-2:] if place < 0 else [files[place]]:
            at.path(file).unlink()
        return f"{files[0].topic}-0" if place in (0, -1) else files[place - 1].path

    return act


for _folder in ("raw", "windows"):
    PLANTS.append(Plant(f"first_file_of_{_folder}_gone", _gone(_folder, 0), "chain", ("the first file", "is missing")))
    _log = None if _folder == "raw" else False  # a real broker gives whole partitions, and windows/ few files
    _between = ("between the two is missing",)
    PLANTS.append(Plant(f"middle_file_of_{_folder}_gone", _gone(_folder, 1), "chain", _between, log=_log))
    PLANTS.append(Plant(f"newest_files_of_{_folder}_gone", _gone(_folder, -1), "chain", ("newest file is missing",)))


@plant("chain", "the first file of cycles/ is missing")
def _first_file_of_cycles_gone(at: Place) -> str:
    files = at.files("cycles", 2)
    at.path(files[0]).unlink()
    return f"{files[0].topic}-0"


@plant("chain", "windows/ ends at offset", "the newest file is missing")
def _folder_of_windows_gone(at: Place) -> str:
    sensor = at.sensor("windows", 2)
    shutil.rmtree(at.stored.lake / "windows" / f"sensor={sensor}")
    return sensor


def _bands(at: Place, number: int) -> LakeFile:
    """Return a file of bands/, which has few, of one partition: neighbours of the table are planted in other copies."""
    return at.stored.two_files("bands")[number]


@plant("chain", "bands/ ends at offset", "the newest file is missing")
def _newest_file_of_bands_gone(at: Place) -> None:
    at.path(_bands(at, -1)).unlink()


@plant("chain", "bands/ begins at offset", "the first file of bands/ is missing")
def _first_file_of_bands_gone(at: Place) -> None:
    at.path(_bands(at, 0)).unlink()


@plant("files", "its bytes are not those that were written")
def _bit_in_bands(at: Place) -> str:
    file = _bands(at, 0)
    data = bytearray(at.path(file).read_bytes())
    data[len(data) // 2] ^= BIT
    at.path(file).write_bytes(data)
    return file.path


@plant("bands", "bands/ is not what the window rows give", "centre", log=True)
def _other_centre_in_bands(at: Place) -> None:
    at.stored.rewrite(_bands(at, -1), nudged("centre"))


@plant("chain", "its rows, or what it says of their sum, are not those that there were", log=False)
def _other_centre_in_bands_without_a_log(at: Place) -> str:
    file = _bands(at, 0)
    at.stored.rewrite(file, nudged("centre"))
    return file.path


@plant("files", "its bytes are not those that were written")
def _file_cut_short(at: Place) -> str:
    file = at.file("windows")
    at.path(file).write_bytes(at.path(file).read_bytes()[:-100])
    return file.path


@plant("files", "it carries no checksum")
def _file_empty(at: Place) -> str:
    file = at.file("windows")
    at.path(file).write_bytes(b"")
    return file.path


@plant("files", "it carries no checksum")
def _file_of_text(at: Place) -> str:
    file = at.file("cycles")
    at.path(file).write_bytes(b"PAR1 nothing of ours PAR1")
    return file.path


@plant("files", "its bytes are not those that were written")
def _bit_in_a_page(at: Place) -> str:
    file = at.file("windows")
    data = bytearray(at.path(file).read_bytes())
    data[len(data) // 3] ^= BIT
    at.path(file).write_bytes(data)
    return file.path


@plant("files", "its bytes are not those that were written")
def _bit_in_the_footer(at: Place) -> str:
    file = at.file("raw")
    data = bytearray(at.path(file).read_bytes())
    data[-200] ^= BIT
    at.path(file).write_bytes(data)
    return file.path


def _copied(at: Place, file: LakeFile, path: str) -> str:
    target = at.stored.lake / path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(at.path(file), target)
    return path


@plant("files", "it is in the folder of date")
def _file_of_another_date(at: Place) -> str:
    file = at.file("raw")
    return _copied(at, file, file.path.replace("date=2026-01-01", "date=2026-01-02"))


@plant("files", "its name says that it begins at")
def _file_of_another_beginning(at: Place) -> str:
    file = at.file("raw")
    return _copied(at, file, file.path.replace(f"{file.first:012d}", f"{file.first + 1:012d}"))


@plant("files", "it is in the folder of sensor")
def _file_among_another_sensors(at: Place) -> str:
    file, other = at.file("windows"), at.sensor()
    return _copied(at, file, f"windows/sensor={other}/{file.path.rpartition('/')[2]}")


@plant("files", "it is in the folder of sensor 'ZZ'")
def _folder_of_no_sensor(at: Place) -> str:
    file = at.file("windows")
    return _copied(at, file, f"windows/sensor=ZZ/{file.path.rpartition('/')[2]}")


@plant("files", "it is in the folder of sensor 'ZZ'")
def _topic_and_folder_of_no_sensor(at: Place) -> str:
    file = at.file("windows")
    return _copied(at, file, f"windows/sensor=ZZ/{at.stored.settings.topic('ZZ')}-0-000000000000.parquet")


@plant("files", "is none of this platform")
def _rows_of_a_foreign_topic(at: Place) -> str:
    file = at.file("windows")
    name = file.path.rpartition("/")[2].replace(file.topic, "elsewhere-PS1")
    return _copied(at, file, f"windows/sensor={file.parts['sensor']}/{name}")


@plant("files", "its name is not that of a file of ours")
def _file_of_another_writer(at: Place) -> str:
    file = at.file("raw")
    return _copied(at, file, f"{file.path.rpartition('/')[0]}/part-0.parquet")


@plant("files", "no import puts anything into raw/")
def _import_of_raw_rows(at: Place) -> str:
    file = at.file("raw")
    name = file.path.rpartition("/")[2].replace(file.topic, "import-more")
    return _copied(at, file, f"{file.path.rpartition('/')[0]}/{name}")


@plant("doubles", "is there 2 times")
def _import_of_cycles_that_are_there(at: Place) -> str:
    file = at.file("cycles")
    name = file.path.rpartition("/")[2].replace(file.topic, "import-more")
    return _copied(at, file, f"{file.path.rpartition('/')[0]}/{name}").partition("/import")[0]


@plant("files", "windows/ has no rows of its topic")
def _labels_among_windows(at: Place) -> str:
    file = at.stored.files("labels")[0]
    return _copied(at, file, f"windows/sensor={at.sensor()}/{file.path.rpartition('/')[2]}")


@plant("files", "it begins at offset")
def _two_files_exchanged(at: Place) -> str:
    first, second = at.files("windows", 2)[:2]
    one, two = at.path(first).read_bytes(), at.path(second).read_bytes()
    at.path(first).write_bytes(two)
    at.path(second).write_bytes(one)
    return first.path


# --- files that are whole and say something else ---


@plant("chain", "it says that it ends at")
def _raw_file_claims_a_later_end(at: Place) -> str:
    file = at.file("raw", -2, of=3)
    forge(at.path(file), same, end=b"999999")
    return file.path


@plant("chain", "the newest file")
def _newest_raw_file_claims_an_earlier_end(at: Place) -> str:
    file = at.long_file("raw", -1)
    table = parse(at.path(file).read_bytes())[0]
    forge(at.path(file), lambda rows: rows.slice(0, 1), end=b"%d" % (table.column("offset")[0].as_py() + 1))
    return file.topic


@plant("chain", "a file between the two is missing")
def _raw_file_claims_an_earlier_end(at: Place) -> str:
    file = max(at.files("raw", 3)[1:-1], key=lambda one: at.path(one).stat().st_size)  # one may have a single row
    table = parse(at.path(file).read_bytes())[0]
    forge(at.path(file), lambda rows: rows.slice(0, 1), end=b"%d" % (table.column("offset")[0].as_py() + 1))
    return file.path


@plant("files", "its metadata 7")
def _file_claims_another_beginning(at: Place) -> str:
    file = at.file("windows")
    forge(at.path(file), same, first=b"7")
    return file.path


@plant("files", "it holds rows of partitions [3]")
def _rows_of_another_partition(at: Place) -> str:
    file = at.file("windows")

    def change(table: pa.Table) -> pa.Table:
        place = table.column_names.index("partition")
        return table.set_column(place, "partition", pa.array([3] * len(table), pa.int32()))

    forge(at.path(file), change)
    return file.path


@plant("files", "is followed by")
def _rows_out_of_order(at: Place) -> str:
    file = at.long_file("raw")
    forge(at.path(file), lambda table: table.take([1, 0, *range(2, len(table))]))
    return file.path


@plant("files", "its columns are")
def _column_renamed(at: Place) -> str:
    file = at.file("windows")
    forge(at.path(file), lambda table: table.rename_columns([f"x{n}" for n in range(table.num_columns)]))
    return file.path


@plant("files", "its columns are")
def _column_of_another_type(at: Place) -> str:
    file = at.file("raw")

    def change(table: pa.Table) -> pa.Table:
        place = table.column_names.index("value")
        return table.set_column(place, "value", table.column("value").cast(pa.float32()))

    forge(at.path(file), change)
    return file.path


@plant("windows", "it says that its windows are")
def _file_claims_other_windows(at: Place) -> str:
    file = at.file("windows")
    forge(at.path(file), same, windows=b'{"length_us": 1000000, "slide_us": 1000000, "lateness_us": 0}')
    return file.path


def _changed(folder: str, change: Callable[[pa.Table], pa.Table], *, keeps: bool, several: bool) -> Act:
    """Return what changes rows and writes a right checksum; the sum that the file says of them stays, or is gone."""

    def act(at: Place) -> str:
        file = at.long_file(folder) if several else at.file(folder)
        if keeps:
            forge(at.path(file), change)
        else:
            at.stored.rewrite(file, change)
        return file.path

    return act


_CHANGES: dict[str, tuple[str, Callable[[pa.Table], pa.Table]]] = {
    "value_by_one_bit": ("raw", nudged("value")),
    "rate": ("raw", replaced("sampling_rate_hz", 33.0)),
    "cycle": ("raw", replaced("cycle", 77)),
    "index": ("raw", replaced("sample_idx", 55)),
    "rig": ("raw", replaced("rig", "rig-7")),
    "sample_gone": ("raw", lambda table: table.slice(1)),
    "stddev_by_one_bit": ("windows", nudged("stddev_value")),
    "mean": ("windows", replaced("avg_value", 77.0)),
    "window_gone": ("windows", lambda table: table.slice(1)),
    "window_of_a_foreign_rig": ("windows", replaced("rig", "rig-7")),
    "rates_gone": ("windows", nulled("sampling_rate_hz")),
    "flag": ("cycles", lambda table: with_value(table, "complete", 0, not table.column("complete")[0].as_py())),
    "cycle_number": ("cycles", replaced("cycle", 99)),
    "curve": ("cycles", replaced("mean", [1.0] * 60)),
}
for _name, (_folder, _change) in _CHANGES.items():
    for _keeps in (False, True):
        _check = "files" if _keeps else "chain"
        _says = "its rows are not those" if _keeps else "its rows, or what it says of their sum"
        _act = _changed(_folder, _change, keeps=_keeps, several=_name.endswith("gone"))
        PLANTS.append(Plant(f"{_folder}_{_name}_{'kept' if _keeps else 'lost'}_sum", _act, _check, (_says,)))


@plant("chain", "its rows, or what it says of their sum")
def _label_changed(at: Place) -> str:
    file = at.stored.files("labels")[0]
    at.stored.rewrite(file, replaced("valve", 77.0))
    return file.path


@plant("files", "its rows are not those")
def _label_of_a_foreign_rig(at: Place) -> str:
    file = at.stored.files("labels")[0]
    forge(at.path(file), replaced("rig", "rig-7"))
    return file.path


@plant("chain", "its rows, or what it says of their sum")
def _label_gone(at: Place) -> str:
    file = at.stored.files("labels")[0]
    at.stored.rewrite(file, lambda table: table.slice(1))
    return file.path


# --- whole sensors ---


@plant("snapshots", "there is no snapshot", log=True)
def _sensor_gone_with_a_log(at: Place) -> str:
    return _sensor_gone(at)


@plant("documents", "there is nothing of", log=False)
def _sensor_gone_without_a_log(at: Place) -> str:
    return _sensor_gone(at)


def _sensor_gone(at: Place) -> str:
    sensor = at.sensor()
    for folder in ("raw", "windows", "cycles", "late"):
        shutil.rmtree(at.stored.lake / folder / f"sensor={sensor}", ignore_errors=True)
    shutil.rmtree(at.folder(sensor))
    return sensor


@plant("chain", "is missing")
def _lake_of_a_sensor_gone(at: Place) -> str:
    sensor = at.sensor()
    for folder in ("raw", "windows", "cycles", "late"):
        shutil.rmtree(at.stored.lake / folder / f"sensor={sensor}", ignore_errors=True)
    return f"{sensor}-0"


@plant("snapshots", "no snapshot")
def _snapshots_of_a_sensor_gone(at: Place) -> str:
    sensor = at.sensor()
    for path in at.folder(sensor).glob("*.snapshot"):
        path.unlink()
    return f"{sensor}-0"


# --- snapshots ---


@plant("snapshots", "it can't be used")
def _snapshot_cut_short(at: Place) -> str:
    path = at.newest(at.sensor())
    path.write_bytes(path.read_bytes()[:-10])
    return path.parent.name


@plant("snapshots", "it can't be used")
def _bit_in_a_snapshot(at: Place) -> str:
    path = at.newest(at.sensor())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= BIT
    path.write_bytes(data)
    return path.parent.name


def _state(name: str, change: Callable[[dict[str, Any]], object]) -> Act:
    def act(at: Place) -> str:
        return at.restate(name or at.sensor(), change).parent.name

    return act


def _set(*keys: str, to: object) -> Callable[[dict[str, Any]], object]:
    def change(state: dict[str, Any]) -> None:
        for key in keys[:-1]:
            state = state[key]
        state[keys[-1]] = to

    return change


def _add(*keys: str, more: int = 1) -> Callable[[dict[str, Any]], object]:
    def change(state: dict[str, Any]) -> None:
        for key in keys[:-1]:
            state = state[key]
        state[keys[-1]] = state.get(keys[-1], 0) + more

    return change


def _tallied(state: dict[str, Any]) -> None:
    state["nodes"]["tally"]["totals"][0][0] += 5


def _pane(state: dict[str, Any]) -> None:
    state["nodes"]["windows"]["panes"][0][2] += 1


_STATES: dict[str, tuple[str, Callable[[dict[str, Any]], object], tuple[str, ...]]] = {
    "kept": ("", _add("nodes", "windows", "kept"), ("its state of windows is not",)),
    "pane": ("", _pane, ("its state of windows is not",)),
    "newest_cycle": ("", _add("nodes", "cycles", "border"), ("its state of cycles is not",)),
    "rigs": ("", _set("nodes", "rigs", "rigs", to=["rig-7"]), ("its state of rigs is not",)),
    "tally": ("", _tallied, ("its tally",)),
    "consumed": ("", _add("consumed"), ("it has read",)),
    "dead": ("", _add("totals", "dead"), ("dead are others",)),
    "windows": ("", _add("totals", "windows"), ("windows, and the raw rows",)),
    "cycles": ("", _add("totals", "cycles", more=-1), ("cycles, and the raw rows",)),
    "lost": ("", _add("totals", "lost", more=10**7), ("lost",)),
    "negative": ("", _set("totals", "lost", to=-1), ("its count of lost is -1",)),
    "flow": ("", _set("flow", to="alert"), ("it is of flow 'alert'",)),
    "reasons": ("", _set("reasons", to={"not JSON": 3}), ("by their reasons",)),
    "log": ("", _set("log", to="cluster/another 0"), ("it is of log",)),
    "outbox": ("", _set("outbox", to=[["elsewhere", b"k", b"v", [], -1]]), ("which is no topic of ours",)),
    "labels": ("labels", _set("nodes", "labels", "newest", "rig-1", to=[1.0] * 5), ("newest labels",)),
    "label_count": ("labels", _add("totals", "kept"), ("it has read",)),
    "judged": ("analytics", _add("nodes", "detector", "detector", "totals", "anomalies"), ("detector",)),
    "rows": ("analytics", _add("consumed"), ("it has read",)),
    "per_rig": ("analytics", _add("nodes", "detector", "per_rig", "rig-1", "anomalies", more=-1), ("anomalies",)),
    "joined": ("cycles", _set("nodes", "joiner", "closed", to={"rig-1": 5}), ("joiner",)),
    "profiles": ("cycles", _add("consumed"), ("it has read",)),
}
for _name, (_topic, _restate, _words) in _STATES.items():
    PLANTS.append(Plant(f"snapshot_{_name}", _state(_topic, _restate), "snapshots", _words))


@plant("chain", "the newest file is missing")
def _snapshot_of_files_that_there_are_not(at: Place) -> str:
    sensor = at.sensor()
    at.restate(sensor, lambda s: s["files"]["raw"].update(first=s["files"]["raw"]["first"] + 5))
    return f"{sensor}-0"


@plant("snapshots", "that wait in it are not those")
def _waiting_rows_of_a_snapshot(at: Place) -> str:
    for sensor in list(at.sensors):
        for path in at.folder(sensor).glob("*.snapshot"):
            state = snapshot.decode(path.read_bytes())
            if state["files"]["windows"]["waiting"]:
                rows = unpack(state["files"]["windows"]["waiting"])
                state["files"]["windows"]["waiting"] = pack(with_value(rows, "avg_value", 0, 7.0))
                path.write_bytes(snapshot.encode(state))
                at.sensors.remove(sensor)
                return path.parent.name
    sensor = at.sensor()
    at.restate(sensor, lambda s: s["files"]["windows"]["sums"].__setitem__(1, 5))
    return f"{sensor}-0"


@plant("snapshots", "")
def _snapshot_under_a_later_name(at: Place) -> str:
    path = at.newest(at.sensor())
    path.rename(path.with_name(f"{int(path.stem) + 500:012d}.snapshot"))
    return path.parent.name


@plant("snapshots", "it has version 99")
def _snapshot_of_another_version(at: Place) -> str:
    path = at.newest(at.sensor())
    body = msgspec.msgpack.encode({"version": 99, "state": {}})
    path.write_bytes(b"hydrodask snapshot\n" + hashlib.sha256(body).digest() + body)
    return path.parent.name


# --- small files beside the snapshots ---


@plant("snapshots", "its name is not that of a file of ours")
def _foreign_file_among_snapshots(at: Place) -> str:
    path = at.folder(at.sensor()) / "notes.txt"
    path.write_text("x")
    return path.parent.name


@plant("snapshots", "is no topic of ours")
def _snapshots_of_no_topic(at: Place) -> str:
    shutil.copytree(at.folder("PS1"), at.folder("ZZ"))
    return at.folder("ZZ").name


def _beside(name: str, data: bytes) -> Act:
    def act(at: Place) -> str:
        path = at.folder(at.sensor()) / name
        path.write_bytes(data)
        return path.parent.name

    return act


PLANTS.append(Plant("log_record_garbage", _beside("log-000000", b"\xff{"), "snapshots", ("is damaged",)))
PLANTS.append(
    Plant("log_record_of_another_log", _beside("log-000000", b'{"log":"other/log"}'), "snapshots", ("it is of log",))
)
PLANTS.append(Plant("turn_garbage", _beside("000000000000.windows", b"[]"), "snapshots", ("it can't be read",)))
PLANTS.append(Plant("rules_garbage", _beside("000000000000.rules", b"{}"), "snapshots", ("it can't be read",)))
PLANTS.append(
    Plant(
        "turn_of_other_windows",
        _beside("000000000000.windows", b'{"length_us": 30000000, "slide_us": 10000000, "lateness_us": 10000000}'),
        "windows",
        ("windows/ is not what raw/ gives",),
    )
)


@plant("snapshots", "spread/", "is damaged")
def _spread_garbage(at: Place) -> None:
    path = at.stored.settings.data_dir / "snapshots" / "spread"
    path.mkdir(exist_ok=True)
    (path / at.stored.settings.topic("analytics")).write_bytes(b"many")


@plant("snapshots", "it is no claim of ours")
def _claim_of_nobody(at: Place) -> None:
    path = at.stored.settings.data_dir / "snapshots" / "owners" / "hydrodask"
    path.mkdir(parents=True, exist_ok=True)
    (path / "run-many").write_bytes(b"")


# --- documents ---

_FINAL = "json_extract(body, '$.provisional') = 0"


def _document(collection: str, change: Callable[[dict[str, Any]], object], where: str = _FINAL, place: int = 0) -> Act:
    """Return what changes a document under its id; `_id` and `revision` too, if they are given."""

    def act(at: Place) -> str:
        name, revision, body = at.documents(collection, where)[place]
        change(body)
        name, revision = str(body.pop("_id", name)), body.pop("revision", revision)
        at.put(collection, name, revision, body)
        return name

    return act


def _twin(**fields: object) -> Callable[[dict[str, Any]], object]:
    """Return what makes another anomaly of one, under the id that it would have."""

    def change(body: dict[str, Any]) -> None:
        body.update(fields)
        body["_id"] = "{rig}/{sensor}/{window_start}/{rule}".format(**body)

    return change


_NOT_OURS = "it is not from us"
_DOCUMENTS: dict[str, tuple[Act, tuple[str, ...]]] = {
    "value": (_document("anomalies", _set("value", to=77.5), place=1), ("value is 77.5",)),
    "severity": (_document("anomalies", _set("severity", to="info"), place=2), ("severity is 'info'",)),
    "field_gone": (_document("anomalies", lambda body: body.pop("message"), place=3), ("message is None",)),
    "rule_gone": (_document("anomalies", lambda body: body.pop("rule"), place=4), ("it lacks its rig, sensor",)),
    "no_time": (_document("anomalies", _set("window_start", to="then"), place=5), ("one of its times",)),
    "revision_huge": (_document("anomalies", _set("revision", to=10**12), place=6), ("10000000000",)),
    "revision_negative": (_document("anomalies", _set("revision", to=-3), place=7), ("its revision is -3",)),
    "other_rules": (_document("anomalies", _set("rules", to="0123456789ab"), place=8), ("have never judged here",)),
    "invented": (_document("anomalies", _set("_id", to="invented"), place=9), ("invented", "its id says")),
    "rig": (_document("anomalies", _twin(rig="rig-7"), place=10), ("there is no rig 'rig-7'",)),
    "sensor": (_document("anomalies", _twin(sensor="ZZ"), place=11), ("its sensor is 'ZZ'",)),
    "past": (
        _document("anomalies", _twin(window_start="2025-12-31T23:59:10Z", window_end="2026-01-01T00:00:10Z")),
        ("no final window implies",),
    ),
    "rule": (_document("anomalies", _twin(rule="no_rule"), place=12), ("no final window implies",)),
}
_INCIDENTS: dict[str, tuple[Act, tuple[str, ...]]] = {
    "resolved": (
        _document("incidents", lambda b: b.update(status="resolved", resolved_at="2026-01-01T00:02:00Z")),
        ("",),
    ),
    "worst": (_document("incidents", _set("worst", to=1e9), place=1), ("worst is 1000000000.0",)),
    "component_of_nobody": (
        _document(
            "incidents",
            _set("_id", to="rig-1/valve/component_state/2026-01-01T00:01:00Z"),
            place=2,
        ),
        ("its id says",),
    ),
}
for _name, (_act, _words) in {**_DOCUMENTS, **_INCIDENTS}.items():
    PLANTS.append(Plant(f"document_{_name}", _act, "documents", _words))


@plant("documents", "the document is missing")
def _anomaly_gone(at: Place) -> str:
    name = at.documents("anomalies", _FINAL)[15][0]
    at.stored.sql(f"DELETE FROM anomalies WHERE id = '{name}'")  # noqa: S608
    return name


@plant("documents", "the document is missing")
def _incident_gone(at: Place) -> str:
    name = at.documents("incidents", f"{_FINAL} AND id LIKE '%pump_leakage%'")[0][0]
    at.stored.sql(f"DELETE FROM incidents WHERE id = '{name}'")  # noqa: S608
    return name


@plant("documents", "")
def _provisional_of_a_final_window(at: Place) -> str:
    name, revision, body = at.documents("anomalies", _FINAL)[16]
    at.put("anomalies", name, revision, body | {"provisional": True})
    return name


@plant("documents", "")
def _provisional_of_an_open_window(at: Place) -> str:
    """Of a window that is open and broke no rule."""
    _, revision, body = at.documents("anomalies", _FINAL)[0]
    body |= {"sensor": "PS3", "window_start": "2026-01-01T00:02:20Z", "window_end": "2026-01-01T00:03:20Z"}
    body |= {"provisional": True}
    name = "{rig}/{sensor}/{window_start}/{rule}".format(**body)
    at.put("anomalies", name, revision, body)
    return name


@plant("documents", "")
def _standing_incident_of_a_whole_rig(at: Place) -> str:
    _, revision, body = at.documents("incidents", _FINAL)[0]
    body |= {"sensor": "*", "rule": "rig_silent", "severity": "critical", "first_window": "2026-01-01T00:01:00Z"}
    name = "{rig}/{sensor}/{rule}/{first_window}".format(**body)
    at.put("incidents", name, revision, body | {"status": "open", "resolved_at": None})
    return name


_COMPONENT: dict[str, Any] = {
    "rig": "rig-1", "component": "valve", "state": 73, "unit": "%", "probability": 0.9, "settled_state": 73,
    "settled_since": "2026-01-01T00:01:00Z", "nominal": False, "cycle": 1, "time": "2026-01-01T00:02:00Z",
    "model": "valve", "model_version": 1, "missing_sensors": [], "unknown_since": None, "unknown_because": None,
}  # fmt: skip
_CYCLE_US = 1_767_225_660_000_000
"""The start of a cycle that was recorded."""


def _component(revision: int = _CYCLE_US, **fields: object) -> Act:
    def act(at: Place) -> str:
        body = _COMPONENT | fields
        at.put("components", f"{body['rig']}/{body['component']}", revision, body)
        return f"components {body['rig']}/{body['component']}"

    return act


_COMPONENTS: dict[str, tuple[Act, str]] = {
    "of_nobody": (_component(), "no model has ever said anything"),
    "of_no_rig": (_component(rig="rig-7"), "there is no rig 'rig-7'"),
    "of_no_kind": (_component(component="paint"), "its component is 'paint'"),
    "of_the_future": (_component(revision=10**17, component="pump"), "its revision is"),
    "in_no_state": (_component(component="cooler", state=42, settled_state=20), "state is 42"),
    "beyond_chance": (
        _component(component="accumulator", state=90, settled_state=90, probability=1.5),
        "probability is 1.5",
    ),
}
for _name, (_act, _word) in _COMPONENTS.items():
    PLANTS.append(Plant(f"component_{_name}", _act, "documents", (_word,)))


@plant("documents", "incidents of components: some are missing")
def _component_incident_gone(at: Place) -> None:
    at.restate("cycles", _add("nodes", "scores", "states", "incidents", more=50))


@plant("documents", "there is no rig 'rig-7'")
def _component_incident_of_no_rig(at: Place) -> str:
    return _put_incident(at, rig="rig-7")


@plant("documents", "")
def _component_incident_that_is_open(at: Place) -> str:
    return _put_incident(at, sensor="cooler", threshold=100, worst=3)


@plant("documents", "which is no fault")
def _component_incident_of_a_good_state(at: Place) -> str:
    return _put_incident(at, sensor="pump", threshold=0, worst=0)


def _put_incident(at: Place, **fields: object) -> str:
    body: dict[str, object] = {
        "rig": "rig-1", "sensor": "valve", "rule": "component_state", "severity": "critical", "statistic": "state",
        "status": "open", "opened_at": "2026-01-01T00:02:00Z", "resolved_at": None, "windows": 2, "worst": 73,
        "first_window": "2026-01-01T00:00:00Z", "last_window": "2026-01-01T00:01:00Z", "threshold": 100,
        "message": "valve is at 73", "provisional": False,
    }  # fmt: skip
    body |= fields
    name = "{rig}/{sensor}/component_state/2026-01-01T00:01:00Z".format(**body)
    at.put("incidents", name, 5, body)
    return name


@plant("documents", "no later one of its run would count")
def _status_of_the_future(at: Place) -> str:
    name, _, body = at.documents("status")[0]
    at.put("status", name, 1 << 60, body)
    return name


# --- what can't be found: docs/audit.md says why ---


@plant("", reason="counts by rig, and offsets that were lost, within what the other counts allow")
def _fewer_samples_of_a_rig(at: Place) -> None:
    def change(state: dict[str, Any]) -> None:
        state["nodes"]["tally"]["totals"][0][0] -= 1

    at.restate(at.sensor(), change)


@plant("", reason="how often a model judged, and drift of the day")
def _cycles_that_no_model_judged(at: Place) -> None:
    at.restate("cycles", _add("totals", "unscored"))


@plant("", reason="memories of removed documents")
def _memory_of_a_removal(at: Place) -> None:
    at.stored.sql("INSERT INTO incidents (id, revision, body, written, removed) VALUES ('x', 99999, '{}', 1, 1)")
