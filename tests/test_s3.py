"""A lake on an object store: names are given once, or the store is refused; and it may be away for a while."""

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from hydrodask import clock
from hydrodask.audit.verify import verify
from hydrodask.errors import ConfigError, FatalError, RetryableError
from hydrodask.settings.model import Kafka
from hydrodask.store import s3 as objects
from hydrodask.store.files import Files
from tests.audited import fine
from tests.delivery import Delivered, Driver, assert_same, collect, publish, reach, sets_of, settings_of, until
from tests.s3 import BUCKET, S3Server

pytestmark = pytest.mark.integration

PUT = """
from hydrodask.store.files import Files
files = Files("s3://plant/lake")
try:
    print(files.put_if_absent("x", b"1"))
except Exception as error:
    print(type(error).__name__, error)
print(files.names("") + files.unfinished(""))
"""


def test_a_server_that_does_not_know_conditions_is_refused(tmp_path: Path, s3: S3Server) -> None:
    """It would let two workers give one name; nothing is left there, and the sentence says what it lacks."""
    deaf = S3Server(tmp_path, deaf=True)
    try:
        environ = s3.environ | deaf.environ
        done = subprocess.run([sys.executable, "-c", PUT], env=environ, capture_output=True, text=True, check=True)
    finally:
        deaf.close()
    said, left = done.stdout.splitlines()

    assert said.startswith("FatalError the server of s3://plant gives one name to two files")
    assert "If-None-Match" in said
    assert left == "[]"


def test_a_server_that_stands_still_is_waited_for_for_seconds(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt is refused as worth repeating; then the same object goes on."""
    files = Files(f"s3://{BUCKET}/still/{uuid.uuid4().hex}")
    assert files.put_if_absent("a", b"before")
    usual_s = objects.WAIT_S
    monkeypatch.setattr(objects, "WAIT_S", 2.0)  # for what stands still: what is slow has its usual limit
    with s3.standing_still():
        for attempt in (
            lambda: files.put_if_absent("b", b"x"),
            lambda: files.names(""),  # an empty list would say that the lake is empty
            lambda: files.read("a"),
        ):
            started_s = clock.monotonic_s()
            with pytest.raises(RetryableError, match=r"could not .* s3://.*no answer within 2 s"):
                attempt()
            assert clock.monotonic_s() - started_s < 30

    monkeypatch.setattr(objects, "WAIT_S", usual_s)
    assert files.read("a") == b"before"
    files.put_if_absent("b", b"x")
    assert files.names("") == ["a", "b"]


@pytest.mark.usefixtures("s3")
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that brings the client along; the folder of a bucket, beside which the snapshots go."""
    with pytest.raises(FatalError, match=r"'s3://plant' is a bucket: name a folder in it, as s3://plant/lake"):
        Files("s3://plant")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    for name in ("s3", "s3a"):
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, name, raising=False)
    with pytest.raises(ConfigError, match=r"could not open file system .*pip install 'hydrodask\[s3\]'"):
        Files("s3://plant/lake")


@pytest.mark.cluster
def test_a_run_goes_on_once_its_store_is_back_and_after_it_was_killed(
    kafka: Kafka, s3: S3Server, short: Path, wanted: Delivered, tmp_path: Path
) -> None:
    """Lake and snapshots: the store stands still in mid-stream, later the driver is killed; the same comes out."""
    places = [f"lake.url=s3://{BUCKET}/run/lake", "step.rows_max=2000", "step.snapshot_every=1s", "lake.roll_rows=4500"]
    sets, settings = sets_of(kafka, tmp_path, "on-s3", *places), settings_of(kafka, tmp_path, "on-s3", *places)
    total = publish(settings, short)
    with Driver(sets, tmp_path / "log") as driver:
        reach(driver, settings, total // 5)
        with s3.standing_still():
            until(lambda: f"s3://{BUCKET}/run/lake" in driver.output, "the store is missed")
        reach(driver, settings, total // 2)
        driver.kill()
    with Driver(sets, tmp_path / "log of the next", "--until-idle") as driver:
        assert driver.wait() == 0, driver.output

    assert_same(collect(settings), wanted)
    assert settings.snapshots_url.plain() == f"s3://{BUCKET}/run/lake-snapshots"
    assert Files(settings.snapshots_url).names("") != []
    assert fine(verify(settings))
