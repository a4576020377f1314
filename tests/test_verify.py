"""The audit is green after an ordinary run, and names each fault that is planted in what the run has left."""

import json
import shutil
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path

import pytest

from hydrodask.audit.log import BrokerLog
from hydrodask.ingest import mark
from hydrodask.ingest.mark import Mark
from hydrodask.ingest.topics import create
from hydrodask.kafka import NewTopic, TopicPartition, admin, consumer, producer
from hydrodask.protocol import snapshot
from hydrodask.settings.model import Kafka
from hydrodask.store.seal import intact, sealed
from tests.audited import BAD, Stored, fine, mended, run_real, with_value, wrong
from tests.delivery import ROOT, Driver, publish, reach, sets_of, settings_of, shorten, until
from tests.planting import Place

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

BIT = 0b100


def test_run_is_found_whole(stored: Stored) -> None:
    """Every check looks at something and finds nothing: records, bad and late ones, tombstones, labels, documents."""
    results = stored.audit()

    assert fine(results)
    idle = [result.check for result in results if result.unchecked or not result.looked_at]
    assert idle == ["flows"]  # there are none from outside
    records = results["records"].looked_at
    assert records["records"] == records["kept"] + records["dead"]
    assert records["dead"] == BAD
    assert results["dead"].looked_at["letters"] == BAD + 1
    assert results["late"].looked_at["rows"] == 1


def test_leftover_of_an_embedded_broker_is_found_whole(leftover: Stored) -> None:
    """Without topics lake, snapshots and documents are checked, and what is not is said."""
    results = leftover.audit()

    assert fine(results)
    assert results["documents"].looked_at["documents"] > 0
    assert results["windows"].looked_at["rows"] > 0
    unchecked = {result.check for result in results if result.unchecked}
    assert {"records", "analytics", "profiles", "dead", "labels"} <= unchecked


def test_deleted_files_are_named(leftover: Stored, tmp_path: Path) -> None:
    """The first, one in the middle, and the newest, of which only the snapshot knows; of three folders.

    Of the newest two are deleted: the last one may be younger than the newest snapshot, and then nobody knows of it.
    """
    copy = leftover.copy(tmp_path)
    wanted = []
    for folder, sensors in {"raw": "PS1 PS2 PS3", "windows": "PS4 PS5 PS6", "cycles": "PS4 PS5 PS6"}.items():
        for sensor, place in zip(sensors.split(), (0, 1, -1), strict=True):
            files = copy.files(f"{folder}/sensor={sensor}")
            assert len(files) > 2
            for file in files[-2:] if place < 0 else [files[place]]:
                copy.path(file).unlink()
            chain, missing = f"hydraulic-{sensor}-0: {folder}/", f"file of {folder}/ is missing"
            wanted += [
                (chain, f"the first {missing}"),
                (f"{files[0].path}: it ends at", f"the next file, {files[2].path}, begins at {files[2].first}"),
                (chain, "the newest file is missing"),
            ][place : None if place < 0 else place + 1]

    found = wrong(copy.audit())["chain"]

    for start, what in wanted:
        assert any(said.startswith(start) and what in said for said in found), (start, what, found)


def test_flipped_bits_are_named(leftover: Stored, tmp_path: Path) -> None:
    """Anywhere in a file: pages, statistics, footer."""
    copy = leftover.copy(tmp_path)
    shares = {"PS1": 0.0, "PS2": 0.1, "PS3": 0.5, "PS4": 0.9, "PS5": 0.97, "PS6": 0.999}
    flipped = []
    for sensor, share in shares.items():
        file = copy.files(f"windows/sensor={sensor}")[1]
        data = bytearray(copy.path(file).read_bytes())
        data[int(share * len(data))] ^= BIT
        copy.path(file).write_bytes(data)
        flipped.append(file.path)

    found = wrong(copy.audit())["files"]

    assert {said.partition(":")[0] for said in found} == set(flipped)


def test_seal_finds_every_flipped_bit() -> None:
    """Of each byte of a small file, seal and its key too."""
    data = sealed(b"some rows, hydrodask.sha256" + b"\x18@" + b"0" * 64 + b" a footer")

    assert intact(data) is True
    assert not any(intact(data[:i] + bytes([data[i] ^ BIT]) + data[i + 1 :]) for i in range(len(data)))


def test_doubled_files_are_named(leftover: Stored, tmp_path: Path) -> None:
    """A copy under another valid name: of another date, beginning elsewhere, among another sensor's files."""
    copy = leftover.copy(tmp_path)
    one, two, three = (copy.files(f"raw/sensor={sensor}")[1] for sensor in ("PS1", "PS2", "PS3"))
    twins = {
        one.path.replace("date=2026-01-01", "date=2026-01-02"): one,
        two.path.replace(f"{two.first:012d}", f"{two.first + 1:012d}"): two,
        three.path.replace("sensor=PS3", "sensor=PS4"): three,
    }
    for path, file in twins.items():
        (copy.lake / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(copy.path(file), copy.lake / path)

    found = wrong(copy.audit())

    assert {said.partition(":")[0] for said in found["files"]} == set(twins)
    assert sum("rows are there twice" in said for said in found["chain"]) >= len(twins)


def test_changed_rows_are_named(stored: Stored, tmp_path: Path) -> None:
    """In files whose checksum, metadata and columns are right: the log, or the raw rows, say otherwise."""
    copy = stored.copy(tmp_path)
    columns = {"raw": "value", "windows": "avg_value", "cycles": "cycle", "late": "value", "labels": "valve"}
    # Of another sensor than the first files of the others are, for a changed sample changes windows as well.
    files = {folder: copy.files("raw/sensor=PS2" if folder == "raw" else folder)[0] for folder in columns}
    for folder, column in columns.items():
        copy.rewrite(files[folder], partial(with_value, column=column, place=0, value=77))

    found = wrong(copy.audit())

    for folder, column in columns.items():
        said = " ".join(found["records" if folder == "raw" else folder])
        assert "1 rows different" in said
        assert f"{column} is 77" in said
        assert files[folder].path in said
    assert "files" not in found


def test_rows_that_are_missing_and_changed_are_counted(leftover: Stored, tmp_path: Path) -> None:
    """Without any log, from the raw rows alone."""
    copy = leftover.copy(tmp_path)
    first, second = copy.files("windows/sensor=PS1")[:2]
    copy.rewrite(first, lambda table: table.slice(1))
    copy.rewrite(second, lambda table: with_value(table, "max_value", 0, -1.0))

    found = wrong(copy.audit())["windows"]

    assert "1 rows missing, 1 rows different" in found[0]
    assert "first missing row: rig 'rig-1', window_start 2025-12-31T23:59:10+00:00" in found[0]


@pytest.mark.parametrize("kind", ["stored", "leftover"])
def test_dropped_changed_and_invented_documents_are_named(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    """An incident that is gone, a value that the windows do not imply, an anomaly of a window that broke no rule."""
    copy: Stored = request.getfixturevalue(kind).copy(tmp_path)
    one = "(SELECT id FROM anomalies WHERE json_extract(body, '$.provisional') = 0 LIMIT 1)"
    changed = [
        copy.sql("DELETE FROM incidents WHERE id LIKE '%/cooler_failing/%'"),
        copy.sql(f"UPDATE anomalies SET body = json_set(body, '$.value', 77.5) WHERE id = {one}"),  # noqa: S608
        copy.sql(
            f"CREATE TEMP TABLE twin AS SELECT * FROM anomalies WHERE id = {one}",  # noqa: S608
            "UPDATE twin SET id = 'invented'",
            "INSERT INTO anomalies SELECT * FROM twin",
        ),
    ]

    found = wrong(copy.audit())

    assert changed == [1, 1, 1]
    assert list(found) == ["documents"]
    said = "\n".join(found["documents"])
    assert "incidents rig-1/CE/cooler_failing/2026-01-01T00:00:00Z: the document is missing" in said
    assert "the document differs; value is 77.5, want" in said
    assert "anomalies invented: it is not from us; its id says something else" in said


def test_what_is_ahead_of_the_commits_is_named(stored: Stored, tmp_path: Path) -> None:
    """A state of records that nobody has committed, and a document of a row that there is not, with nobody running."""
    copy = stored.copy(tmp_path)
    folder = copy.settings.data_dir / "snapshots" / f"{copy.settings.topic('PS1')}-0"
    newest = max(folder.glob("*.snapshot"))
    ahead = folder / f"{int(newest.stem) + 100_000:012d}.snapshot"
    newest.rename(ahead)
    copy.sql("UPDATE anomalies SET revision = 1000000 WHERE id = (SELECT id FROM anomalies LIMIT 1)")

    found = wrong(copy.audit())

    assert any(ahead.name in said and "the group has committed only" in said for said in found["snapshots"])
    assert "its revision is 1000000, and no record of that number can be there yet" in found["documents"][0]


def test_damaged_and_wrong_snapshots_are_named(leftover: Stored, tmp_path: Path) -> None:
    """One that is cut short, and one whose state is of other records."""
    copy = leftover.copy(tmp_path)
    snapshots = copy.settings.data_dir / "snapshots"
    cut = min((snapshots / "hydraulic-PS2-0").glob("*.snapshot"))
    cut.write_bytes(cut.read_bytes()[:-10])
    path = max((snapshots / "hydraulic-PS1-0").glob("*.snapshot"))
    state = snapshot.decode(path.read_bytes())
    state["nodes"]["windows"]["kept"] += 1
    path.write_bytes(snapshot.encode(state))

    found = wrong(copy.audit())["snapshots"]

    assert any(cut.name in said and "damaged or unfinished" in said for said in found)
    assert any(path.name in said and "its state of windows is not what the raw rows" in said for said in found)


def test_missing_and_doubled_topic_rows_are_named(kafka: Kafka, recording: Path, tmp_path: Path) -> None:
    """A final window that is not on the topic, one that is there twice, a dead letter and a document of nothing."""
    stored = run_real(kafka, recording, tmp_path, "rows")
    settings = stored.settings
    rows = _all(settings.topic("analytics"), kafka)
    finals = [place for place, (_, value) in enumerate(rows) if b'"final":true' in value]
    dropped, doubled = finals[3], finals[8]
    owner = admin(kafka)
    owner.delete_topics([settings.topic("analytics")])[settings.topic("analytics")].result(60)
    until(lambda: settings.topic("analytics") in create(settings), "it is made anew")
    client = producer(kafka)
    for place, (key, value) in enumerate(rows):
        for _ in range({dropped: 0, doubled: 2}.get(place, 1)):
            client.produce(settings.topic("analytics"), value, key)
    headers: list[tuple[str, str | bytes | None]] = [("reason", b"none"), ("topic", settings.topic("PS1").encode())]
    headers += [("partition", b"0"), ("offset", b"17")]
    client.produce(settings.topic("dead-letter"), b"{}", None, headers=headers)
    client.flush(60)
    planted = Place(stored)
    _, revision, body = planted.documents("anomalies")[0]
    body["rig"] = "rig-7"
    planted.put("anomalies", "{rig}/{sensor}/{window_start}/{rule}".format(**body), revision, body)

    found = wrong(stored.audit())

    row = json.loads(rows[dropped][1])
    missing, twice = found["analytics"]
    assert "1 rows are missing" in missing
    assert f"{settings.topic(row['sensor'])}-0 offset {row['revision']}" in missing
    assert "1 rows are there twice" in twice
    assert "1 letters are of no record that was refused" in found["dead"][0]
    # A group that has committed nothing in the new topic is at rest all the same.
    assert any("there is no rig 'rig-7'" in said for said in found["documents"])
    assert set(mended(stored)) == {
        "hydrodask backfill --documents --write",
        "hydrodask backfill --topics --write",
        "hydrodask topics renew analytics",
        "hydrodask topics renew dead-letter",
    }


def _all(topic: str, kafka: Kafka) -> list[tuple[bytes, bytes]]:
    """Return keys and values of a topic of one partition."""
    client = consumer(kafka)
    low, high = client.get_watermark_offsets(TopicPartition(topic, 0), 60)
    client.assign([TopicPartition(topic, 0, low)])
    rows: list[tuple[bytes, bytes]] = []
    end = low
    while end < high:
        for message in client.consume(1000, 0.2):
            end = int(message.offset() or 0) + (message.error() is None)
            if message.error() is None:
                rows.append((bytes(message.key() or b""), bytes(message.value() or b"")))
    client.close()
    return rows


def test_running_platform_is_found_whole(kafka: Kafka, recording: Path, tmp_path: Path) -> None:
    """Audited in mid-stream, what is not in files yet is not missing, and what comes meanwhile is not extra."""
    slow = ("step.rows_max=500", "step.commit_every=0", "lake.roll_rows=3000", "step.snapshot_every=100ms")
    settings = settings_of(kafka, tmp_path / "data", "running", *slow)
    total = publish(settings, shorten(recording, tmp_path))

    with Driver(sets_of(kafka, tmp_path / "data", "running", *slow), tmp_path / "log") as driver:
        reach(driver, settings, total // 10)
        assert fine(Stored(settings).audit())
        assert fine(Stored(settings).audit())
        assert driver.stop() == 0
    assert fine(Stored(settings).audit())


def test_killed_platform_is_found_whole(kafka: Kafka, recording: Path, tmp_path: Path) -> None:
    """Killed in mid-stream, what waited for its file is in a snapshot or in the log."""
    slow = (
        "step.rows_max=500", "step.commit_every=0", "lake.roll_rows=3000", "step.snapshot_every=100ms",
        "kafka.producer={transaction.timeout.ms: 5000}",  # what it left open is waited for, a minute else
    )  # fmt: skip
    waiting = 0
    for name in (
        "killed",
        "killed-2",
        "killed-3",
    ):  # a kill right after files, before snapshots, leaves nothing waiting
        settings = settings_of(kafka, tmp_path / name, name, *slow)
        total = publish(settings, shorten(recording, tmp_path))
        with Driver(sets_of(kafka, tmp_path / name, name, *slow), tmp_path / f"{name}.log") as driver:
            reach(driver, settings, total // 3)
            driver.kill()

        results = Stored(settings).audit()

        assert fine(results)
        waiting = results["records"].looked_at["waiting"]
        if waiting:
            break
    assert waiting > 0


def test_offsets_that_a_dead_run_left_open_are_waited_for(kafka: Kafka) -> None:
    """Sent and never committed, they hide the group's offsets until the broker gives the transaction up."""
    topic = f"open-{uuid.uuid4().hex}"
    ours = kafka.model_copy(update={"group": topic})
    client = admin(ours)
    client.create_topics([NewTopic(topic, 1)])[topic].result(60)
    member = consumer(ours)
    for offset, leave in ((5, False), (9, True)):
        sender = producer(ours, **{"transactional.id": topic, "transaction.timeout.ms": 2000 if leave else 60_000})
        sender.init_transactions(30)
        sender.begin_transaction()
        sent = TopicPartition(topic, 0, offset, mark.write(Mark("cluster/topic", 0, offset)))
        sender.send_offsets_to_transaction([sent], member.consumer_group_metadata(), 30)
        if not leave:
            sender.commit_transaction(30)

    log = BrokerLog(ours.model_copy(update={"timeout": 1.0}))  # which is not what it waits for
    assert log.committed([(topic, 0)]) == {(topic, 0): 5}
    log.close()
    member.close()


def test_command_exits_with_5_and_names_the_first_difference(leftover: Stored, tmp_path: Path) -> None:
    """And with 0 when all is well; as JSON for machines."""
    copy = leftover.copy(tmp_path)
    command = [sys.executable, "-m", "hydrodask", "verify", "--set", f"data_dir={copy.settings.data_dir}"]
    before = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    file = copy.files("raw/sensor=PS1")[1]
    copy.path(file).unlink()
    after = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    machine = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)

    assert (before.returncode, after.returncode, machine.returncode) == (0, 5, 5), before.stdout + before.stderr
    assert "not checked:" in before.stdout
    assert "wrong; first chain: " in after.stdout
    document = json.loads(machine.stdout)
    assert not document["ok"]
    assert "no command can: neither the log nor the lake has it" in after.stdout
    assert "a file between the two is missing" in document["first"]
