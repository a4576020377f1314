"""No false alarm on stores of different histories, whose platforms did right.

Others of their kind: killed and running (`test_verify`), other rules (`test_editions`), a topic made anew and another
broker (`test_kafka_anew`), an embedded broker that was killed (`test_seams`), silent rigs (`test_kafka_silence`).
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hydrodask.audit.backfill import backfill
from hydrodask.audit.compaction import Compaction
from hydrodask.audit.links import parse
from hydrodask.audit.windows import reset
from hydrodask.clock import parse_iso
from hydrodask.kafka import TopicPartition, admin
from hydrodask.learn.data.archive import Archive, Place, import_archive
from hydrodask.protocol import snapshot
from hydrodask.settings import load
from hydrodask.settings.model import Kafka
from hydrodask.store.lake import Lake, encode_range
from tests.audited import Stored, fine, run_real, with_value
from tests.delivery import Driver, shorten

pytestmark = [pytest.mark.integration, pytest.mark.cluster]


def compacted(store: Stored, _recording: Path) -> Stored:
    """Make large files of small ones."""
    Compaction(store.settings, rows_max=20_000, in_place=False, grace_s=0.0).run()
    return store


def backfilled(store: Stored, _recording: Path) -> Stored:
    """Compute anew a file that was damaged, one that was gone, and one whose rows were changed."""
    damaged, gone, changed = store.files("windows/sensor=PS1")[:3]
    store.path(damaged).write_bytes(b"")
    store.path(gone).unlink()
    store.rewrite(changed, lambda table: with_value(table, "avg_value", 0, 77.0))  # it may have one row only
    # One for the first two: nothing says any more where the first had ended.
    assert len(backfill(store.settings, damaged.source, write=True).mended) == 2
    return store


def imported(store: Stored, recording: Path) -> Stored:
    """Bring in cycles of another rig, of long ago, beside the stream's."""
    folder = store.settings.data_dir.parent / "archive"
    folder.mkdir()
    place = Place("rig-9", parse_iso("2020-01-01T00:00:00Z"))
    import_archive(Archive(shorten(recording, folder, 2)), Lake.of(store.settings), place)
    return store


def with_other_windows(store: Stored, _recording: Path) -> Stored:
    """Ask for other windows: what is final stays, and is judged by its own."""
    window = store.settings.window.model_copy(update={"lateness": 20.0, "slide": 5.0})
    settings = store.settings.model_copy(update={"window": window})
    assert reset(settings)
    return Stored(settings)


def upgraded(store: Stored, _recording: Path) -> Stored:
    """Make it what a release has left that knew no sums and reasons; the newest file of each chain is ours."""
    for folder in ("raw", "windows", "cycles", "labels"):
        by_source = {file.source: file for file in store.files(folder)}
        for file in store.files(folder):
            table, metadata = parse(store.path(file).read_bytes())
            first, end = (int(metadata[name]) for name in (b"hydrodask.first", b"hydrodask.end"))
            if by_source[file.source] != file or folder == "labels":
                store.path(file).write_bytes(encode_range(table, first, end))
                continue
            store.path(file).unlink()
            below = f"{file.path.rpartition('/')[0]}"
            Lake.of(store.settings).put(below, file.source, first, end, table, before=0)
    for path in (store.settings.data_dir / "snapshots").glob("*/*.snapshot"):
        state = snapshot.decode(path.read_bytes())
        for output in state["files"].values():
            del output["sums"]
        for key in ("reasons", "ended", "outbox"):
            state.pop(key, None)
        state["nodes"].pop("tally", None)
        path.write_bytes(snapshot.encode(state))
    return store


def moved_to_another_folder(store: Stored, _recording: Path) -> Stored:
    """Copy everything."""
    folder = store.settings.data_dir.with_name("elsewhere")
    shutil.copytree(store.settings.data_dir, folder)
    return Stored(store.settings.model_copy(update={"data_dir": folder}))


@pytest.mark.parametrize(
    "history", [compacted, backfilled, imported, with_other_windows, upgraded, moved_to_another_folder]
)
def test_nothing_is_wrong(
    leftover: Stored, recording: Path, tmp_path: Path, history: Callable[[Stored, Path], Stored]
) -> None:
    """Whatever it has been through since its platform stopped."""
    assert fine(history(leftover.copy(tmp_path), recording).audit())


def test_nothing_is_wrong_where_nothing_came(tmp_path: Path) -> None:
    """A platform that was up for a moment, and that nobody published to."""
    sets = [f"data_dir={tmp_path / 'data'}", "cluster.dashboard=127.0.0.1:0", "observe.metrics=127.0.0.1:0"]
    with Driver(sets, tmp_path / "log", "--until-idle") as driver:
        assert driver.wait() == 0, driver.output

    assert fine(Stored(load(sets=sets, environ={})[0]).audit())


def test_nothing_is_wrong_where_retention_has_passed(kafka: Kafka, recording: Path, tmp_path: Path) -> None:
    """The logs have lost their beginnings: what is left is compared, and the rest said."""
    store = run_real(kafka, recording, tmp_path, "retained")
    topics = [store.settings.topic(name) for name in ("PS1", "labels", "analytics", "cycles", "dead-letter")]
    client = admin(kafka)  # held: without it its futures never end
    for future in client.delete_records([TopicPartition(topic, 0, 2) for topic in topics]).values():
        future.result(30)

    results = store.audit()

    assert fine(results)
    assert {"records", "labels", "analytics", "dead"} <= {result.check for result in results if result.unchecked}
