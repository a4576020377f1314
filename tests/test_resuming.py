"""Where a simulated rig goes on after what is known of it, and that people are told where it does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hydrodask import clock, kafka
from hydrodask.channels import SENSORS
from hydrodask.cli import simulate
from hydrodask.clock import US_PER_S, parse_iso
from hydrodask.ingest import newest
from hydrodask.ingest.embedded import EmbeddedBroker
from hydrodask.ingest.feed import open_feed
from hydrodask.ingest.topics import all_topics
from hydrodask.reports import Overview, PartitionReport
from hydrodask.run.resuming import resumed
from hydrodask.run.source import SourceThread
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka, Observe, Source
from hydrodask.testing import messages_of
from tests.delivery import until
from tests.running import Life
from tests.test_publisher import write_cycle

NOW_US = parse_iso("2026-06-01T12:00:00Z")
HOUR_US, DAY_US = 3600 * US_PER_S, 24 * 3600 * US_PER_S

CASES: dict[str, tuple[str, str | None, int | None, int, str]] = {
    "nothing is there": ("1", None, None, 0, ""),
    "fast": ("60", None, None, -DAY_US, "begins 1 d 0 h ago, at 2026-05-31 17:30:00 IST; at real time once"),
    "fast after fast": ("60", None, -DAY_US + 600_500_000, -DAY_US + 601_000_000, "goes on where records of rig-1 end"),
    "fast after a while": (
        "60",
        None,
        -3 * DAY_US,
        -3 * DAY_US + US_PER_S,
        "end at 2026-05-29 17:30:00 IST, 2 d 23 h ago",
    ),
    "fast after real time": ("max", None, -US_PER_S, 0, "at real time once it has caught up with the clock"),
    "real time after fast": ("1", None, -DAY_US, 0, "begins now, at 2026-06-01 17:30:00 IST; records of rig-1 end at"),
    "the next second": ("1", None, 400_000, US_PER_S, "the clock has to come there first, 1.0 s"),
    "a clock that was wrong": ("1", None, 2 * HOUR_US, 0, "2 h 0 min ahead of the clock: what is simulated before"),
    "a chosen beginning": ("60", "2026-06-01T10:00:00Z", -HOUR_US, -2 * HOUR_US, "source.start, --start: leave it out"),
    "a chosen later one": ("60", "2026-06-01T10:00:00Z", -3 * HOUR_US, -2 * HOUR_US, ""),
}
"""Speed, `source.start`, how far the rig's newest event time is from now → where it begins, a part of what is said."""


@pytest.mark.parametrize("case", CASES)
def test_a_simulated_rig_goes_on_after_what_is_known_of_it(case: str) -> None:
    """Not before it, where all would be late; what could surprise is a sentence, in the zone that is shown."""
    speed, start, newest_us, begins_us, words = CASES[case]
    observe = Observe(timezone="Asia/Kolkata")
    settings = Settings(source=Source(faults=None, speed=speed, start=start), observe=observe)
    known = {"another": NOW_US} | ({} if newest_us is None else {"rig-1": NOW_US + newest_us})
    feed = open_feed(settings, NOW_US)
    assert feed is not None

    feed, said = resumed(feed, settings, NOW_US, known, topics=False)

    assert feed.start_us == NOW_US + begins_us
    assert words in said
    assert bool(said) == bool(words)


def test_a_recording_that_comes_again_is_said_to_be_late(tmp_path: Path) -> None:
    """It begins where it always does: its times are its own."""
    write_cycle(tmp_path)
    settings = Settings(source=Source(kind=f"recording:{tmp_path}"))
    feed = open_feed(settings, NOW_US)
    assert feed is not None

    again, said = resumed(feed, settings, NOW_US, {"rig-1": NOW_US}, topics=False)

    assert again.start_us == feed.start_us
    assert "late, and in no window" in said


@pytest.fixture
def named() -> Iterator[Settings]:
    """Give settings that name a broker of somebody's."""
    with EmbeddedBroker(all_topics(Settings())) as broker:
        yield Settings(kafka=Kafka(bootstrap=broker.bootstrap, embedded=False, timeout=60.0))


def times_of(settings: Settings, sensor: str) -> list[int]:
    """Return the event times of a topic, in its order."""
    client = kafka.consumer(settings.kafka)
    client.assign([kafka.TopicPartition(settings.topic(sensor), 0, kafka.OFFSET_BEGINNING)])
    times: list[int] = []
    while True:
        for message in client.consume(1000, 20):
            if message.error() is not None:
                client.close()
                return times
            times.append(parse_iso(json.loads(message.value() or b"")["timestamp"]))


def test_simulate_goes_on_where_the_topics_end(named: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice to one broker: event time never goes back, and the second time it is said where it goes on."""
    monkeypatch.setattr(newest, "LIMIT_S", 120.0)  # what takes longer is left out
    app = typer.Typer()
    app.callback()(lambda: None)
    simulate.add_to(app)
    arguments = ["--bootstrap", named.kafka.bootstrap, "--faults", "none", "--speed", "60", "--for", "1s"]

    first = CliRunner().invoke(app, ["simulate", *arguments])
    second = CliRunner().invoke(app, ["simulate", *arguments])

    assert first.exit_code == second.exit_code == 0, first.output + second.output
    assert "begins 1 d 0 h ago" in first.stderr
    assert "goes on where records of rig-1 end" in second.stderr
    times = times_of(named, "PS1")
    assert times == sorted(times)


def test_a_partition_says_how_far_its_rigs_have_come(tmp_path: Path) -> None:
    """Also after a restart, before any record: that is what a run's source goes on after."""
    life = Life(Settings(), topic="hydraulic-CE", url=str(tmp_path))
    times = ["2026-05-31T12:00:01Z", "2026-05-31T12:00:00Z"]  # the second one comes later, and is earlier
    record = '{"sensor":"CE","cycle":0,"sample_idx":1,"value":40.0,"timestamp":"%s","sampling_rate_hz":1,"rig":"a"}'
    life.feed(messages_of([(record % at).encode() for at in times], topic="hydraulic-CE", stamp_ms=NOW_US // 1000))
    life.commit()
    life.end()

    again = Life(Settings(), topic="hydraulic-CE", url=str(tmp_path))

    assert again.partition.report(2).newest_us == {"a": NOW_US - DAY_US + US_PER_S}


def test_the_source_of_a_run_goes_on_after_what_partitions_say(named: Settings) -> None:
    """Its first record comes after their newest, and people are told where it goes on."""
    kafka_here = named.kafka.model_copy(update={"embedded": True})
    settings = named.model_copy(update={"source": Source(faults=None, speed="max"), "kafka": kafka_here})
    newest_us = clock.now_us() - HOUR_US
    parts = {
        (settings.topic(sensor), 0): PartitionReport("monitor", settings.topic(sensor), 0, newest_us={"rig-1": at})
        for sensor, at in zip(SENSORS, range(newest_us, newest_us - len(SENSORS), -1), strict=True)
    }
    said: list[str] = []
    source = SourceThread(settings, lambda: Overview("r", NOW_US, steps=1, partitions=parts), said.append)

    source.start()
    until(lambda: source.began, "a record")
    source.stop()

    assert newest_us < min(times_of(named, "PS1")) < newest_us + 2 * US_PER_S
    assert len(said) == 1
    assert "goes on where records of rig-1 end" in said[0]
