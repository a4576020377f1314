"""Encoding, the order of sending, and publishing into an embedded broker."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hydrodask import clock, kafka
from hydrodask.channels import CHANNELS
from hydrodask.cli import replay, simulate
from hydrodask.clock import parse_iso
from hydrodask.errors import ConfigError, UnreachableError
from hydrodask.ingest.chunk import Chunk
from hydrodask.ingest.embedded import EmbeddedBroker
from hydrodask.ingest.encode import encode, encode_label
from hydrodask.ingest.feed import open_feed, parse_speed
from hydrodask.ingest.publisher import Publisher, Summary, producer_for
from hydrodask.ingest.schedule import schedule
from hydrodask.ingest.topics import all_topics
from hydrodask.records import LabelRecord
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka, Source

START_US = parse_iso("2026-01-01T00:00:00Z")
LABEL = LabelRecord(None, 0, "2026-01-01T00:00:00Z", 3.0, 100.0, 0.0, 130.0, 1)


def chunk_of(values: list[float], *, second: int = 0, rig: str | None = None, sensor: str = "PS1") -> Chunk:
    """Return a chunk of 100 Hz samples from `second` on."""
    index = np.arange(len(values)) + 100 * second
    time_us = START_US + index * 10_000
    cycle = np.zeros(len(values), np.int64)
    return Chunk(rig, sensor, cycle, index, np.array(values), time_us, time_us, 100)


@dataclass
class ListFeed:
    """A feed of given chunks, one list a second, with a label in second 0."""

    chunks: list[list[Chunk]]
    start_us: int = START_US
    asked: list[int] = field(default_factory=list)
    label: LabelRecord | None = LABEL

    @property
    def seconds(self) -> int:
        """Length."""
        return len(self.chunks)

    def chunk(self, second: int) -> list[Chunk]:
        """Return the given chunks."""
        self.asked.append(second)
        return self.chunks[second]

    def labels(self, second: int) -> list[LabelRecord]:
        """Return a label in second 0."""
        return [self.label] if second == 0 and self.label else []


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Give settings for an embedded broker with all topics."""
    with EmbeddedBroker(all_topics(Settings())) as broker:
        yield Settings(kafka=Kafka(bootstrap=broker.bootstrap, embedded=False, timeout=20.0))


def read(settings: Settings, name: str, count: int) -> list[kafka.Message]:
    """Return the first `count` messages of a topic with one partition."""
    consumer = kafka.consumer(settings.kafka)
    consumer.assign([kafka.TopicPartition(settings.topic(name), 0, kafka.OFFSET_BEGINNING)])
    messages: list[kafka.Message] = []
    while len(messages) < count:
        got = consumer.consume(count, timeout=20)
        assert got, f"{name}: only {len(messages)} of {count} messages came"
        messages += [m for m in got if not m.error()]
    consumer.close()
    return messages


@given(
    values=st.lists(st.floats(), min_size=1, max_size=5),
    time_us=st.integers(0, 4_000_000_000_000_000),
    rig=st.none() | st.text(min_size=1),
)
def test_records_are_what_json_dumps_writes(values: list[float], time_us: int, rig: str | None) -> None:
    """Byte by byte, for any value, time and rig."""
    chunk = chunk_of(values, rig=rig)
    chunk.time_us = time_us + chunk.time_us - START_US

    for payload, value, index, at_us in zip(
        encode(chunk), values, chunk.sample_idx.tolist(), chunk.time_us.tolist(), strict=True
    ):
        record = json.loads(payload)
        assert json.dumps(record) == payload
        assert list(record)[:6] == [
            "sensor",
            "cycle",
            "sample_idx",
            "value",
            "timestamp",
            "sampling_rate_hz",
        ]
        assert record.get("rig") == rig
        assert repr(record["value"]) == repr(value)
        assert record["sample_idx"] == index
        assert len(record["timestamp"]) == 26
        assert parse_iso(record["timestamp"]) == at_us


def test_the_canonical_layout() -> None:
    """The exact bytes that the platform's producers send."""
    (payload,) = encode(chunk_of([151.47], second=12))

    assert payload == (
        '{"sensor": "PS1", "cycle": 0, "sample_idx": 1200, "value": 151.47,'
        ' "timestamp": "2026-01-01T00:00:12.000000", "sampling_rate_hz": 100}'
    )


def test_raw_bytes_replace_the_record() -> None:
    """Only the record at that index is malformed."""
    chunk = chunk_of([1.0, 2.0, 3.0])
    chunk.raw[1] = b"{"

    assert [p == b"{" for p in encode(chunk)] == [False, True, False]


def test_labels_are_json() -> None:
    """Every field by its name."""
    assert json.loads(encode_label(LABEL))["accumulator"] == 130.0


def test_late_records_are_sent_in_their_second() -> None:
    """Sample 0 is sent with second 1, and sample 1 after the feed's end.

    second   0          1       2 (end)
    sent     2, label   0, 3    1.
    """
    first = chunk_of([0.0, 1.0, 2.0])
    first.send_us = START_US + np.array([1_500_000, 9_000_000, 0])
    second = chunk_of([3.0], second=1)
    second.send_us = START_US + np.array([1_700_000])
    feed = ListFeed([[first], [second]])

    seconds = list(schedule(feed, topic=str, key="rig-1"))

    sent = [[json.loads(payload).get("value") for topic, payload, _ in due.items if topic == "PS1"] for due in seconds]
    assert sent == [[2.0], [0.0, 3.0], [1.0]]
    assert [item[0] for item in seconds[0].items] == ["labels", "PS1"]


def test_two_records_of_a_second_are_sent_in_their_order() -> None:
    """At the times that they say, to the microsecond."""
    two = chunk_of([1.0, 2.0], second=1)
    two.send_us = START_US + np.array([1_700_000, 1_200_000])

    _, second, _ = schedule(ListFeed([[], [two]]), topic=str, key="rig-1")

    assert [json.loads(payload)["value"] for _, payload, _ in second.items] == [2.0, 1.0]
    assert (second.send_us - START_US).tolist() == [1_200_000, 1_700_000]


def test_phases_delay_sending_and_not_event_time() -> None:
    """Half a second of phase moves the second half of a second into the next."""
    feed = ListFeed([[chunk_of([0.0] * 100)]])

    first, last = schedule(feed, topic=str, key="rig-1", phase_us=lambda *_: 500_000)

    assert (len(first), len(last)) == (51, 50)  # with the label
    assert json.loads(last.items[0][1])["timestamp"] == "2026-01-01T00:00:00.500000"


def test_everything_arrives_once_and_in_order(settings: Settings) -> None:
    """Two sensors, three seconds, at full speed; the key is the rig or the default one."""
    feed = ListFeed(
        [
            [
                chunk_of([float(s)] * 100, second=s),
                chunk_of([9.0] * 100, second=s, sensor="PS2", rig="b"),
            ]
            for s in range(3)
        ]
    )
    progress: list[tuple[int, int]] = []
    publisher = Publisher(
        producer_for(settings.kafka),
        settings.topic,
        speed=None,
        key="rig-9",
        on_progress=lambda records, second: progress.append((records, second)),
    )

    summary = publisher.run(feed)

    assert (summary.published, summary.failed, summary.rate_error) == (601, 0, None)
    assert publisher.counts["hydraulic-PS1"] == 300
    assert progress[-1] == (601, 3)
    ps1 = read(settings, "PS1", 300)
    assert [json.loads(m.value() or b"")["sample_idx"] for m in ps1] == list(range(300))
    assert {m.key() for m in ps1} == {b"rig-9"}
    assert {m.key() for m in read(settings, "PS2", 300)} == {b"b"}
    assert json.loads(read(settings, "labels", 1)[0].value() or b"")["cooler"] == 3.0


class Unhurried(threading.Event):
    """A clock, and the event with which a publisher waits: time passes only while it does."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 100.0

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass."""
        self.now_s += timeout or 0.0
        return self.is_set()

    def now_us(self) -> int:
        """Return a time long after all events."""
        return round((1.9e9 + self.now_s) * 1e6)

    def monotonic_s(self) -> float:
        """Return the seconds that were waited."""
        return self.now_s

    def sleep_s(self, seconds: float) -> None:
        """Let the time pass."""
        self.wait(seconds)


def in_own_time(settings: Settings, feed: ListFeed, *, speed: float, until_s: float | None = None) -> Summary:
    """Return what comes of a feed on a machine on which only waiting takes time."""
    producer, time = producer_for(settings.kafka), Unhurried()
    with clock.replaced_by(time):
        return Publisher(producer, settings.topic, speed=speed, stop=time).run(feed, until_s)


def test_pace_is_kept(settings: Settings) -> None:
    """A minute of event time at speed 60 takes a second; the mean rate is right to what is less than a tick."""
    feed = ListFeed([[chunk_of([1.0], second=s)] for s in range(61)])

    summary = in_own_time(settings, feed, speed=60.0)
    real = Publisher(producer_for(settings.kafka), settings.topic, speed=60.0).run(feed)

    assert summary.published == real.published == 62
    assert 1.0 <= summary.seconds < 1.1
    assert summary.rate_error is not None
    assert abs(summary.rate_error) < 1e-6
    assert real.seconds >= 1.0
    assert real.rate_error is not None
    assert real.rate_error < 0.001, "nothing is sent before its time; how late it is says the machine"


def test_hold_pauses_and_does_not_count_as_delay(settings: Settings) -> None:
    """While consumers are behind nothing is sent."""
    answers = [False, True, True, True]

    def hold() -> bool:
        return answers.pop(0) if answers else False

    feed = ListFeed([[chunk_of([1.0], second=s)] for s in range(3)])
    publisher = Publisher(producer_for(settings.kafka), settings.topic, speed=None, hold=hold)

    summary = publisher.run(feed)

    assert summary.published == 4
    assert summary.held_s >= 0.06
    assert answers == []


@pytest.mark.parametrize("how", ["stop", "until"])
def test_an_endless_feed_can_be_stopped(settings: Settings, how: str) -> None:
    """What was handed over until then is delivered."""
    feed = ListFeed([[chunk_of([1.0] * 100, second=s)] for s in range(3600)])
    stop = threading.Event()
    publisher = Publisher(
        producer_for(settings.kafka),
        settings.topic,
        speed=60.0,
        stop=stop,
        on_progress=lambda _, second: stop.set() if how == "stop" and second > 5 else None,
    )

    summary = publisher.run(feed, 0.2 if how == "until" else None)

    assert 0 < summary.published < 360_000
    assert summary.published == publisher.counts.total()
    assert len(feed.asked) < 3600


def test_the_time_to_publish_begins_with_the_first_record(settings: Settings) -> None:
    """A feed whose first record is due after a second is published for 0.2 s from then on, and not for nothing."""
    feed = ListFeed([[], *([chunk_of([1.0] * 100, second=s)] for s in range(1, 3600))], label=None)

    summary = in_own_time(settings, feed, speed=1.0, until_s=0.2)

    assert 10 <= summary.published <= 40


def test_a_refused_record_is_counted_with_its_reason(settings: Settings) -> None:
    """One record that is too large does not stop the others."""
    chunk = chunk_of([1.0, 2.0, 3.0])
    chunk.raw[1] = b"x" * 20_000
    small = settings.kafka.model_copy(update={"producer": {"message.max.bytes": 10_000}})

    summary = Publisher(producer_for(small), settings.topic, speed=None).run(ListFeed([[chunk]]))

    assert (summary.published, summary.failed) == (3, 1)
    assert "MSG_SIZE_TOO_LARGE" in str(summary)


def test_no_broker_is_unreachable() -> None:
    """After the timeout, with the address and what the client said."""
    with pytest.raises(UnreachableError, match=r"broker at 127\.0\.0\.1:1 within 5 s: .*refused"):
        producer_for(Kafka(bootstrap="127.0.0.1:1", embedded=False, timeout=5.0))


def test_a_broker_that_goes_away_is_unreachable() -> None:
    """Queued records are not waited for for ever."""
    broker = EmbeddedBroker(all_topics(Settings()))
    producer = producer_for(Kafka(bootstrap=broker.bootstrap, embedded=False))
    broker.close()
    publisher = Publisher(producer, Settings().topic, speed=None, timeout_s=0.5)

    with pytest.raises(UnreachableError, match=r"could not deliver 2 records within 0\.5 s"):
        publisher.run(ListFeed([[chunk_of([1.0])]]))


@pytest.mark.parametrize("text", ["fast", "0", "-1", "nan", "inf"])
def test_a_speed_that_is_none(text: str) -> None:
    """The error shows the value."""
    with pytest.raises(ConfigError, match=text):
        parse_speed(text)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Source(kind="kafka"), "source.kind has value 'kafka'"),
        (Source(kind="recording:"), "want simulator, recording:DIR or none"),
        (Source(kind="recording:nowhere"), "nowhere: no such folder"),
        (Source(start="tomorrow"), "start has value 'tomorrow'"),
        (Source(start="2030-01-01"), "after the system's clock"),
        (Source(faults="nothing.yaml"), "source.faults has value 'nothing.yaml'"),
    ],
)
def test_a_source_that_makes_no_sense(source: Source, message: str) -> None:
    """The error names key and value."""
    with pytest.raises(ConfigError, match=message):
        open_feed(Settings(source=source), START_US + 1)


def test_sources_begin_when_they_should() -> None:
    """The simulator now at real time, a day ago when it is faster; `none` is no feed."""
    now_us = START_US + 500_000

    live = open_feed(Settings(source=Source(faults=None)), now_us)
    fast = open_feed(Settings(source=Source(faults=None, speed="60")), now_us)

    assert live is not None
    assert (live.start_us, live.seconds) == (START_US, None)
    assert len({chunk.sensor for chunk in live.chunk(0)}) == len(CHANNELS)
    assert fast is not None
    assert fast.start_us == START_US - 86_400_000_000
    assert open_feed(Settings(source=Source(kind="none")), now_us) is None


def run_command(add_to: Callable[[typer.Typer], None], *arguments: str) -> dict[str, object]:
    """Return the JSON that a command prints."""
    app = typer.Typer()
    app.callback()(lambda: None)
    add_to(app)
    result = CliRunner().invoke(app, [*arguments, "--json"], prog_name="hydrodask")
    assert result.exit_code == 0, result.output
    printed: dict[str, object] = json.loads(result.stdout)
    return printed


def test_simulate_publishes_a_fleet(settings: Settings) -> None:
    """Half a second of two healthy rigs at full speed."""
    summary = run_command(
        simulate.add_to,
        "simulate",
        *("--bootstrap", settings.kafka.bootstrap, "--rigs", "2", "--faults", "none"),
        *("--speed", "max", "--for", "500ms"),
    )

    assert summary["failed"] == 0
    assert {m.key() for m in read(settings, "TS1", 2)} == {b"rig-0001", b"rig-0002"}


def write_cycle(folder: Path, times: int = 1) -> None:
    """Write a recording of equal cycles."""
    for channel in CHANNELS.values():
        (folder / f"{channel.name}.txt").write_text(("\t".join(["1.5"] * channel.samples_per_cycle) + "\n") * times)
    (folder / "profile.txt").write_text("3\t100\t0\t130\t0\n" * times)


def test_replay_publishes_a_recording(settings: Settings, tmp_path: Path) -> None:
    """One cycle twice: 87,360 samples and two labels."""
    write_cycle(tmp_path)

    summary = run_command(
        replay.add_to,
        *("replay", str(tmp_path), "--bootstrap", settings.kafka.bootstrap),
        *("--repeat", "2", "--speed", "max", "--rig", "bench-3"),
    )

    assert summary["published"] == 2 * 43_680 + 2
    last = json.loads(read(settings, "CE", 120)[-1].value() or b"")
    assert (last["cycle"], last["timestamp"]) == (1, "2026-01-01T00:01:59.000000")
    assert last["rig"] == "bench-3"


@pytest.mark.parametrize("command", ["simulate", "replay"])
def test_no_one_publishes_to_a_broker_that_nobody_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """The default's address is no name that anybody gave; one by --set, profile or environment is."""
    write_cycle(tmp_path)
    arguments = [command, *([str(tmp_path)] if command == "replay" else []), "--speed", "max", "--for", "100ms"]
    app = typer.Typer()
    app.callback()(lambda: None)
    {"simulate": simulate, "replay": replay}[command].add_to(app)

    refused = CliRunner().invoke(app, [*arguments, "--set", "kafka.embedded=false"], prog_name="hydrodask")
    monkeypatch.setenv("HYDRODASK_KAFKA__BOOTSTRAP", settings.kafka.bootstrap)
    done = CliRunner().invoke(app, arguments, prog_name="hydrodask")

    assert isinstance(refused.exception, ConfigError)
    assert "no broker is named" in str(refused.exception)
    assert done.exit_code == 0, done.output


def test_a_recording_is_read_to_its_end_before_any_of_it_is_published(settings: Settings, tmp_path: Path) -> None:
    """A value in row 8 that is no number is one sentence, and no record."""
    write_cycle(tmp_path, times=8)
    lines = (tmp_path / "TS4.txt").read_text().splitlines()
    (tmp_path / "TS4.txt").write_text("\n".join([*lines[:7], lines[7].replace("1.5", "1,5", 1)]))
    app = typer.Typer()
    app.callback()(lambda: None)
    replay.add_to(app)

    done = CliRunner().invoke(app, ["replay", str(tmp_path), "--bootstrap", settings.kafka.bootstrap, "--speed", "max"])

    assert isinstance(done.exception, ConfigError)
    assert "TS4.txt row 8 column 1 is b'1,5'" in str(done.exception)
    consumer = kafka.consumer(settings.kafka)
    assert consumer.get_watermark_offsets(kafka.TopicPartition(settings.topic("TS1"), 0)) == (0, 0)
    consumer.close()
