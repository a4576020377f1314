"""What a source has published against what is stored: the arithmetic, and a run that ends with an error."""

from pathlib import Path

import pytest

from hydrodask.errors import FatalError
from hydrodask.reports import Overview, PartitionReport
from hydrodask.run.reckoning import Reckoning
from hydrodask.settings.model import Kafka
from tests.delivery import Driver, sets_of


def overview(**kept: int) -> Overview:
    """Return what a driver knows when so many records of each topic are stored."""
    parts = {(t, 0): PartitionReport("monitor", t, 0, totals={"kept": n - 1, "late": 1}) for t, n in kept.items()}
    return Overview("run", 0, partitions=parts)


def test_all_that_was_published_is_there() -> None:
    """What was stored before does not count, and what others have published is no difference."""
    Reckoning(overview(a=100, b=5)).check({"a": 50, "b": 7}, None, overview(a=150, b=20))


def test_what_is_missing_is_an_error_with_its_numbers() -> None:
    """Topic by topic: more of one does not make up for less of another."""
    reckoning = Reckoning(overview(a=270_000))

    with pytest.raises(FatalError, match=r"stored 17,181 of the 287,262 records .* 270,081 of a;"):
        reckoning.check({"a": 287_261, "b": 1}, None, overview(a=287_180, b=99))


def test_a_state_that_began_anew_counts_from_nothing() -> None:
    """A topic that was made anew in mid-run has begun with none."""
    Reckoning(overview(a=100)).check({"a": 50}, None, overview(a=50))


@pytest.mark.cluster
@pytest.mark.integration
def test_until_idle_ends_with_an_error_when_records_are_missing(kafka: Kafka, short: Path, tmp_path: Path) -> None:
    """A topic refuses all of a sensor's records: exit code 1, and the message says how many of which are missing."""
    sets = [*sets_of(kafka, tmp_path, "refused", "topics.each.VS1={max.message.bytes: 100}"), "source.speed=max"]

    with Driver(sets, tmp_path / "log", "--until-idle", source=f"recording:{short}") as driver:
        assert driver.wait() == 1, driver.output

    assert "120 of refused-VS1" in driver.output
    assert "were not delivered" in driver.output


@pytest.mark.cluster
def test_until_idle_with_all_stored_ends_well(short: Path, tmp_path: Path) -> None:
    """Twice in one folder: the second run's source is compared with what came after the first."""
    sets = [f"data_dir={tmp_path}", "cluster.dashboard=127.0.0.1:0", "observe.metrics=127.0.0.1:0", "source.speed=max"]

    for _ in range(2):
        with Driver(sets, tmp_path / "log", "--until-idle", source=f"recording:{short}") as driver:
            assert driver.wait() == 0, driver.output
