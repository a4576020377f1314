"""Real processes that die at a fail point, on a real Kafka: a few of the table that the simulation goes through."""

from pathlib import Path

import pytest

from hydrodask.failpoints import VARIABLE
from hydrodask.settings.model import Kafka
from tests.delivery import NEVER_QUICK, Delivered, Driver, assert_same, collect, publish, sets_of, settings_of

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

OFTEN = (*NEVER_QUICK, "step.rows_max=4000", "lake.roll_rows=8000")
"""Half a dozen deaths in a run, not fifty: each costs a second for the next process."""

PLACES = {"transaction.committed:9": "20", "commit.documents_written:2": "6"}
"""Where a worker dies, and the time which → the speed of the records."""


@pytest.mark.parametrize("place", PLACES)
def test_worker_that_dies_again_and_again_changes_nothing(
    kafka: Kafka, short: Path, wanted: Delivered, tmp_path: Path, place: str
) -> None:
    """Each worker process dies when it comes to the place for the N-th time; its nanny starts the next.

    The records come at a pace: of a topic that is full, all documents may be written in one commit. What is said of
    the second half takes ten seconds to come, which are several commits of any machine.
    """
    name = place.partition(":")[0].replace(".", "-")
    settings = settings_of(kafka, tmp_path, name, *OFTEN)
    source, options = f"recording:{short}", ("--speed", PLACES[place], "--until-idle")

    sets, environment = sets_of(kafka, tmp_path, name, *OFTEN), {VARIABLE: place}
    with Driver(sets, tmp_path / "log", *options, source=source, environment=environment) as driver:
        assert driver.wait() == 0

    assert "lost: " in driver.output  # at least one has died
    assert_same(collect(settings), wanted)


def test_driver_that_dies_with_a_report_changes_nothing(
    kafka: Kafka, short: Path, wanted: Delivered, tmp_path: Path
) -> None:
    """The driver dies with a step's report in its hands; the next one goes on from what is committed."""
    sets = sets_of(kafka, tmp_path, "reported", *OFTEN)
    settings = settings_of(kafka, tmp_path, "reported", *OFTEN)
    publish(settings, short)

    with Driver(sets, tmp_path / "log", environment={VARIABLE: "drive.reported:6"}) as driver:
        assert driver.wait() == -9
    with Driver(sets, tmp_path / "log of the next", "--until-idle") as driver:
        assert driver.wait() == 0
    assert_same(collect(settings), wanted)
