"""The whole platform on Kafka, HDFS and MongoDB: the same rows and documents as on local disk and SQLite."""

import uuid
from pathlib import Path

import pytest

from hydrodask.audit.backfill import backfill
from hydrodask.audit.compaction import Compaction
from hydrodask.audit.links import parse
from hydrodask.audit.verify import verify
from hydrodask.errors import FatalError
from hydrodask.services import HdfsService, MongoService
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake, encode_range
from hydrodask.store.listing import named
from tests.audited import fine, with_value, wrong
from tests.delivery import (
    Delivered,
    Driver,
    assert_same,
    collect,
    publish,
    reach,
    sets_of,
    settings_of,
)
from tests.test_documents import as_admin

pytestmark = [pytest.mark.integration, pytest.mark.cluster]


@pytest.fixture(scope="module")
def stores(hdfs: HdfsService, mongodb: MongoService) -> list[str]:
    """Return what to set for real stores, with a few files and snapshots before the kill.

    Folder and database are its own: what other tests have left in the services' is none of this platform.
    """
    own, documents = f"stores-{uuid.uuid4().hex}", as_admin(mongodb, f"test-{uuid.uuid4().hex}")
    return [
        f"lake.url={hdfs.address}/{own}/lake",
        f"documents.url={documents.url}",
        f"documents.database={documents.database}",
        f"documents.username={documents.username}",
        f"documents.password_file={documents.password_file}",
        "step.rows_max=2000",
        "step.snapshot_every=1s",
        "lake.roll_rows=4500",
    ]


def test_killed_run_delivers_the_same(
    kafka: Kafka, stores: list[str], short: Path, wanted: Delivered, tmp_path: Path
) -> None:
    """Kill -9 of the driver in mid-stream, and the next run: lake and snapshots on HDFS, documents in MongoDB."""
    sets = sets_of(kafka, tmp_path, "stores", *stores)
    settings = settings_of(kafka, tmp_path, "stores", *stores)
    total = publish(settings, short)
    with Driver(sets, tmp_path / "log") as driver:
        reach(driver, settings, total // 2)
        driver.kill()
    with Driver(sets, tmp_path / "log of the next", "--until-idle") as driver:
        assert driver.wait() == 0, driver.output

    assert_same(collect(settings), wanted)
    assert settings.snapshots_url.plain().startswith("hdfs://")
    assert Files(settings.snapshots_url).names("") != []
    assert not (tmp_path / "documents.sqlite").exists()

    look_after(settings)


def look_after(settings: Settings) -> None:
    """Audit, change a row, mend, and compact: `verify` is green, names what was changed, and is green again."""
    lake, source = Lake(settings.lake_url), (settings.topic("PS1"), 0)
    path = lake.files.names("windows/sensor=PS1")[0]
    file = named(path)
    assert file is not None
    table = with_value(parse(lake.files.read(path))[0], "avg_value", 0, 77)

    assert fine(verify(settings))
    lake.files.replace(path, encode_range(table, file.first, lake.end_of(path)))
    assert list(wrong(verify(settings))) == ["chain", "windows"]
    assert backfill(settings, source, write=True).mended == [path]
    with pytest.raises(FatalError, match="can't exchange two folders"):
        Compaction(settings, rows_max=10**6, in_place=False).run()
    assert Compaction(settings, rows_max=10**6, in_place=True).run().small > 0
    assert fine(verify(settings))
