"""Topics that are deleted and made anew, another broker, and offsets that others commit, on real Kafka."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hydrodask import kafka as clients
from hydrodask.audit.verify import verify
from hydrodask.ingest.topics import create
from hydrodask.kafka import ConsumerGroupTopicPartitions, TopicPartition
from hydrodask.services.kafkanodes import KafkaService
from hydrodask.services.ports import free_port
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from hydrodask.store.lake import Lake
from tests.audited import fine
from tests.conftest import quiet, running
from tests.delivery import Driver, reach, read, sets_of, settings_of, until

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

QUICK = ("kafka.discover_every=500ms", "cluster.workers=1")
SENSOR = "TS1"
PER_HOUR = 240
"""Records of one publication of SENSOR: four minutes at one a second."""


def hours(settings: Settings, *, first: int = 0, count: int = PER_HOUR, rig: str = "rig-1") -> None:
    """Publish so many seconds of one sensor; the same ones again have the same bytes."""
    producer = clients.producer(settings.kafka)
    for second in range(first, first + count):
        value = (
            f'{{"sensor":"{SENSOR}","cycle":{second // 60},"sample_idx":{second % 60},"value":{40 + second % 7}.5,'
            f'"timestamp":"2026-01-01T00:{second // 60:02}:{second % 60:02}","sampling_rate_hz":1.0,"rig":"{rig}"}}'
        )
        producer.produce(settings.topic(SENSOR), value.encode(), rig.encode())
    assert producer.flush(60) == 0


def make_anew(settings: Settings, *names: str) -> None:
    """Delete topics and make them anew."""
    admin = clients.admin(settings.kafka)
    topics = [settings.topic(name) for name in names]
    for request in admin.delete_topics(topics).values():
        request.result(60)
    until(lambda: not set(topics) & set(admin.list_topics(timeout=60).topics), "they are gone")
    create(settings)


def to_the_end(sets: Sequence[str], log: Path) -> str:
    """Run until all is stored; return what was said."""
    with Driver(sets, log, "--until-idle") as driver:
        assert driver.wait() == 0, driver.output
        return driver.output


def lake(settings: Settings, folder: str) -> list[dict[str, Any]]:
    """Return the rows of SENSOR in a folder of the lake."""
    return Lake(settings.lake_url).table(f"{folder}/sensor={SENSOR}").to_pylist()  # type: ignore[no-any-return]


def finals(settings: Settings) -> Counter[tuple[str, int]]:
    """Count the final rows of SENSOR by window, and by which log they are of."""
    rows = [r for r in read(settings, "analytics") if r["final"] and r["sensor"] == SENSOR]
    return Counter((row["window_start"], row["revision"] // 10**9) for row in rows)


def assert_read_twice(settings: Settings) -> None:
    """Fail unless both publications of the same hours are stored, and gave the same final windows, none late."""
    raw = [row["offset"] for row in lake(settings, "raw")]
    assert sorted(raw) == [*range(PER_HOUR), *range(10**9, 10**9 + PER_HOUR)]
    assert not lake(settings, "late")
    rows = finals(settings)
    assert set(rows.values()) == {1}
    first, second = ({window for window, log in rows if log == which} for which in (0, 1))
    assert second <= first
    assert len(second) > PER_HOUR // 10 - 5
    fine(verify(settings))


def again(settings: Settings, sets: list[str], folder: Path) -> str:
    """Make the topic anew with the same hours, and run to the end; return what the run has said."""
    make_anew(settings, SENSOR)
    hours(settings)
    return to_the_end(sets, folder / "log of the next")


def test_same_hours_again_in_a_topic_made_anew_between_two_runs(kafka: Kafka, tmp_path: Path) -> None:
    """All of them are read, give final windows of their own and no late rows; the run says so."""
    sets, settings = sets_of(kafka, tmp_path, "between", *QUICK), settings_of(kafka, tmp_path, "between")
    create(settings)
    hours(settings)
    to_the_end(sets, tmp_path / "log")

    said = again(settings, sets, tmp_path)

    assert f"between-{SENSOR}-0: between-{SENSOR}-0 is another log than before" in said.replace("\n", " ")
    assert_read_twice(settings)


def test_same_hours_again_in_a_topic_made_anew_while_it_runs(kafka: Kafka, tmp_path: Path) -> None:
    """The running platform notices, with fewer records than it had read, and says so; others go on."""
    sets, settings = sets_of(kafka, tmp_path, "midrun", *QUICK), settings_of(kafka, tmp_path, "midrun")
    create(settings)
    hours(settings)
    with Driver(sets, tmp_path / "log") as driver:
        reach(driver, settings, PER_HOUR)
        make_anew(settings, SENSOR)
        hours(settings)
        until(
            lambda: committed(settings, f"{settings.kafka.group}.marks") == PER_HOUR,
            "the new ones are read",
        )
        assert driver.stop() == 0, driver.output
        assert "is another log than before" in driver.output
    to_the_end(sets, tmp_path / "log of the next")

    assert_read_twice(settings)


def committed(settings: Settings, group: str, name: str = SENSOR) -> int:
    """Return what a group has committed of a topic."""
    admin = clients.admin(settings.kafka)
    wanted = [TopicPartition(settings.topic(name), 0)]
    request = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)])
    return int(request[group].result(60).topic_partitions[0].offset)


def commit(settings: Settings, offset: int, name: str = SENSOR) -> None:
    """Commit an offset for the group, as Kafka's own tool does."""
    admin = clients.admin(settings.kafka)
    group = settings.kafka.group
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(settings.topic(name), 0, offset)])
    admin.alter_consumer_group_offsets([wanted])[group].result(60)


def test_killed_run_and_a_topic_made_anew(kafka: Kafka, tmp_path: Path) -> None:
    """What the log took with it is said; what was published stays, and the new log is read from its beginning."""
    sets, settings = sets_of(kafka, tmp_path, "struck", *QUICK), settings_of(kafka, tmp_path, "struck")
    create(settings)
    hours(settings)
    with Driver(sets, tmp_path / "log") as driver:
        reach(driver, settings, PER_HOUR)
        driver.kill()

    said = again(settings, sets, tmp_path)

    assert "is another log than before" in said
    offsets = [int(str(row["offset"])) for row in lake(settings, "raw")]
    assert [offset for offset in offsets if offset >= 10**9] == [*range(10**9, 10**9 + PER_HOUR)]
    assert set(finals(settings).values()) == {1}
    fine(verify(settings))


def test_topic_of_a_broker_that_was_restarted_is_made_anew(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With a leader epoch above 0 a consumer reads nothing of the new log, without an error: the platform does."""
    service = another(tmp_path_factory.mktemp("kafka"))
    for kafka in started(service):
        sets, settings = sets_of(kafka, tmp_path, "epoch", *QUICK), settings_of(kafka, tmp_path, "epoch")
        create(settings)
        service.stop()
        service.start(quiet)
        hours(settings)
        with Driver(sets, tmp_path / "log") as driver:
            reach(driver, settings, PER_HOUR)
            make_anew(settings, SENSOR)
            hours(settings)
            until(
                lambda s=settings: committed(s, "epoch.marks") == PER_HOUR,  # type: ignore[misc]
                "the new ones are read",
            )
            assert driver.stop() == 0, driver.output
        assert_read_twice(settings)


def another(folder: Path) -> KafkaService:
    """Return a broker of one's own, installed and not started."""
    service = KafkaService(folder, port=free_port(3), heap="256m", with_parent=True)
    service.install(quiet)
    return service


def started(service: KafkaService) -> Iterator[Kafka]:
    """Run a broker of one's own."""
    for one in running(service):
        yield one.login()


def test_same_folder_with_another_broker(
    kafka: Kafka, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its logs are other logs; and the first broker's, when it comes back, goes on where it was left."""
    sets, settings = sets_of(kafka, tmp_path, "moved", *QUICK), settings_of(kafka, tmp_path, "moved")
    create(settings)
    hours(settings)
    to_the_end(sets, tmp_path / "log")
    for other in started(another(tmp_path_factory.mktemp("kafka"))):
        there = settings_of(other, tmp_path, "moved")
        create(there)
        hours(there)
        assert "this is another broker" in to_the_end(sets_of(other, tmp_path, "moved", *QUICK), tmp_path / "log there")
        assert sorted(row["offset"] for row in lake(there, "raw"))[PER_HOUR:] == [*range(10**9, 10**9 + PER_HOUR)]
        fine(verify(there))

    hours(settings, first=PER_HOUR, count=60)
    to_the_end(sets, tmp_path / "log back")

    back = sorted(row["offset"] for row in lake(settings, "raw"))[2 * PER_HOUR :]
    assert back == [*range(2 * 10**9 + PER_HOUR, 2 * 10**9 + PER_HOUR + 60)]
    assert set(finals(settings).values()) == {1}


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("offset", [20, 10_000])
def test_offset_of_somebody_else_is_not_obeyed(kafka: Kafka, tmp_path: Path, offset: int, killed: bool) -> None:
    """Ahead or back, after a stop or a kill: each final row once, all of them; and it is said and put right."""
    name = f"foreign-{offset}-{killed}".lower()
    sets, settings = sets_of(kafka, tmp_path, name, *QUICK), settings_of(kafka, tmp_path, name)
    create(settings)
    hours(settings, count=PER_HOUR // 2)
    with Driver(sets, tmp_path / "log") as driver:
        reach(driver, settings, PER_HOUR // 2)
        if killed:
            driver.kill()
        else:
            assert driver.stop() == 0

    commit(settings, offset)
    hours(settings, first=PER_HOUR // 2, count=PER_HOUR // 2)
    said = to_the_end(sets, tmp_path / "log of the next")

    assert f"the group's offset {offset} was not committed by hydrodask" in said
    assert committed(settings, name) == committed(settings, f"{name}.marks") == PER_HOUR
    assert [row["offset"] for row in lake(settings, "raw")] == [*range(PER_HOUR)]
    rows = finals(settings)
    assert set(rows.values()) == {1}
    assert len(rows) == len(lake(settings, "windows")) > PER_HOUR // 10 - 5
    profiles = Counter(row["cycle"] for row in read(settings, "cycles"))
    assert set(profiles.values()) == {1}
    fine(verify(settings))


def test_loss_of_a_log_ends_a_run_that_wants_it_so(kafka: Kafka, tmp_path: Path) -> None:
    """`kafka.on_data_loss: fail`: exit code 1, the sentence, and how to go on."""
    sets, settings = sets_of(kafka, tmp_path, "fails", *QUICK), settings_of(kafka, tmp_path, "fails")
    create(settings)
    hours(settings)
    to_the_end(sets, tmp_path / "log")
    make_anew(settings, SENSOR)
    hours(settings)

    with Driver([*sets, "kafka.on_data_loss=fail"], tmp_path / "log of the next", "--until-idle") as driver:
        assert driver.wait() == 1
        assert "is another log than before" in driver.output
        assert "kafka.on_data_loss=continue" in driver.output
