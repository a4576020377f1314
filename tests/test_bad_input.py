"""Bad and odd records: kept for a stated reason, skipped, or dead letters with a reason; none stops the stream."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hydrodask import kafka as clients
from hydrodask.clock import monotonic_s
from hydrodask.decode import DECODERS, Decoder, DecoderName
from hydrodask.reports import Overview
from hydrodask.settings import Settings
from hydrodask.settings.model import Cluster, Kafka, Lake, Source, Topics
from hydrodask.testing import messages_of
from tests.running import folder, run_to_idle

GOOD = (
    b'{"sensor": "PS1", "cycle": 3, "sample_idx": 12, "value": 151.47,'
    b' "timestamp": "2026-01-01T00:00:12.340000", "sampling_rate_hz": 100}'
)
STAMP_MS = 1_767_225_672_340
"""The broker's time of all records: a minute after GOOD's own."""


def but(old: bytes, new: bytes) -> bytes:
    """Return the good record with one part changed."""
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


@dataclass(frozen=True)
class Case:
    """A record and what becomes of it: `kept` says why it is good, `dead` how its reason begins; neither: skipped."""

    name: str
    value: bytes | None
    kept: str = ""
    dead: str = ""


TIME = b"2026-01-01T00:00:12.340000"
CASES = (
    Case("canonical", GOOD, kept="it is what producers send"),
    Case("compact", GOOD.replace(b": ", b":").replace(b", ", b","), kept="spaces mean nothing"),
    Case("null value", None),
    Case("empty value", b"", dead="not JSON"),
    Case("blank", b" \n", dead="not JSON"),
    Case("truncated JSON", GOOD[:40], dead="not JSON"),
    Case("last byte missing", GOOD[:-1], dead="not JSON"),
    Case("two documents", GOOD + GOOD, dead="not JSON"),
    Case("two documents, a line each", GOOD + b"\n" + GOOD, dead="not JSON"),
    Case("space around", b"\n" + GOOD + b" ", kept="JSON allows space around a document"),
    Case("invalid UTF-8", but(b"PS1", b"PS\xff"), dead="not JSON"),
    Case("invalid UTF-8 in an extra field", GOOD[:-1] + b', "x": "\xc3("}', dead="not JSON"),
    Case("byte order mark", b"\xef\xbb\xbf" + GOOD, dead="not JSON"),
    Case("UTF-16", GOOD.decode().encode("utf-16"), dead="not JSON"),
    Case("binary", bytes(range(256)), dead="not JSON"),
    Case("null document", b"null", dead="mistyped field"),
    Case("list", b"[" + GOOD + b"]", dead="mistyped field"),
    Case("number", b"7", dead="mistyped field"),
    Case("NaN", but(b"151.47", b"NaN"), dead="not JSON"),
    Case("Infinity", but(b"151.47", b"-Infinity"), dead="not JSON"),
    Case("too large a number", but(b"151.47", b"1e400"), dead="value not finite"),
    Case("largest double", but(b"151.47", b"1.7976931348623157e308"), dead="value not finite: the square"),
    Case("large number", but(b"151.47", b"-1e99"), kept="its square is a double too"),
    Case("exponent", but(b"151.47", b"15147e-2"), kept="JSON writes numbers so too"),
    Case("integer value", but(b"151.47", b"151"), kept="an integer is a number"),
    Case("many digits", but(b"151.47", b"151.470000000000000000001"), kept="it is rounded"),
    Case("string for a number", but(b"151.47", b'"151.47"'), dead="mistyped field"),
    Case("true for a number", but(b"151.47", b"true"), dead="mistyped field"),
    Case("null for a number", but(b"151.47", b"null"), dead="mistyped field"),
    Case("fractional cycle", but(b'"cycle": 3', b'"cycle": 3.5'), dead="mistyped field"),
    Case("cycle beyond 64 bits", but(b'"cycle": 3', b'"cycle": 9223372036854775808'), dead="mistyped"),
    Case("negative cycle", but(b'"cycle": 3', b'"cycle": -3'), kept="a producer may count from anywhere"),
    Case("negative index", but(b": 12", b": -12"), kept="windows don't need it; profiles leave it out"),
    Case("missing field", but(b'"cycle": 3, ', b""), dead="missing field"),
    Case("empty object", b"{}", dead="missing field"),
    Case("extra field", GOOD[:-1] + b', "unit": "bar"}', kept="producers may say more"),
    Case("duplicate keys", GOOD[:-1] + b', "value": 1.5}', kept="the last one counts, as in most parsers"),
    Case("other key order", b'{"value": 1.5, ' + but(b'"value": 151.47, ', b"")[1:], kept="order means nothing"),
    Case("escaped key", but(b'"value"', b'"v\\u0061lue"'), kept="an escape is only a way to write"),
    Case("unknown sensor", but(b"PS1", b"PS9"), dead="unknown sensor 'PS9'"),
    Case("lower-case sensor", but(b"PS1", b"ps1"), dead="unknown sensor 'ps1'"),
    Case("sensor of another topic", but(b"PS1", b"PS2"), dead="sensor PS2 is not the topic's (PS1)"),
    Case("sensor null", but(b'"PS1"', b"null"), dead="mistyped field"),
    Case("no date", but(TIME, b"yesterday"), dead="timestamp 'yesterday' is not ISO 8601"),
    Case("empty timestamp", but(TIME, b""), dead="timestamp '' is not ISO 8601"),
    Case("timestamp as number", but(b'"' + TIME + b'"', b"1767225612"), dead="mistyped field"),
    Case("30 February", but(TIME, b"2026-02-30T00:00:00"), dead="timestamp '2026-02-30T00:00:00' is not"),
    Case("leap second", but(TIME, b"2016-12-31T23:59:60"), dead="timestamp '2016-12-31T23:59:60' is not"),
    Case("year 9999", but(TIME, b"9999-12-31T23:59:59"), dead="timestamp is 2516"),
    Case("year 1", but(TIME, b"0001-01-01T00:00:00"), dead="timestamp is before 1678"),
    Case("negative time", but(TIME, b"1969-07-20T20:17:40"), kept="an old recording may be replayed"),
    Case("a minute ahead", but(TIME, b"2026-01-01T00:02:12.34"), kept="clocks differ a little"),
    Case("more than a minute ahead", but(TIME, b"2026-01-01T00:02:12.341"), dead="timestamp is 60.001 s"),
    Case("other zone", but(TIME, b"2026-01-01T01:00:12.34+01:00"), kept="an offset says when it is"),
    Case("nanoseconds", but(TIME, b"2026-01-01T00:00:12.340000789Z"), kept="digits beyond µs are cut off"),
    Case("rate 0", but(b": 100", b": 0"), dead="sampling_rate_hz is 0.0; want more than 0"),
    Case("negative rate", but(b": 100", b": -1"), dead="sampling_rate_hz is -1.0"),
    Case("rate as text", but(b": 100", b': "100"'), dead="mistyped field"),
    Case("rate null", but(b": 100", b": null"), dead="mistyped field"),
    Case("rate NaN", but(b": 100", b": NaN"), dead="not JSON"),
    Case("rig", GOOD[:-1] + b', "rig": "rig-7"}', kept="a fleet names its rigs"),
    Case("rig null", GOOD[:-1] + b', "rig": null}', kept="that is no rig: the default one"),
    Case("rig in any alphabet", GOOD[:-1] + ', "rig": "Prüfstand 3"}'.encode(), kept="names are theirs"),
    Case("empty rig", GOOD[:-1] + b', "rig": ""}', dead="rig is empty"),
    Case("unprintable rig", GOOD[:-1] + b', "rig": "a\\u0000b"}', dead="rig is empty or has unprintable"),
    Case("long rig", GOOD[:-1] + b', "rig": "' + b"r" * 129 + b'"}', dead="rig is longer than 128"),
    Case("half a surrogate", GOOD[:-1] + b', "rig": "\\ud800"}', dead="not JSON"),
    Case("deep nesting", GOOD[:-1] + b', "x": ' + b"[" * 9000 + b"]" * 9000 + b"}", dead="nested deeper"),
    Case("deep and open", b"[" * 60_000, dead="nested deeper"),
    Case("too large", GOOD[:-1] + b', "x": "' + b"x" * 66_000 + b'"}', dead="too large: 66"),
    Case("too large by spaces", but(b"PS1", b"PS1") + b" " * 66_000, dead="too large"),
)  # fmt: skip


@pytest.mark.parametrize("first", DECODERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_outcome(case: Case, first: DecoderName) -> None:
    """Between two good records, each has the outcome that the table states, and its neighbours are kept."""
    decoder = Decoder(
        "PS1",
        default_rig="rig-1",
        future_us_max=60_000_000,
        record_bytes_max=65_536,
        rig_bytes_max=128,
        first=first,
    )

    samples, rejects = decoder.decode(messages_of([GOOD, case.value, GOOD], stamp_ms=STAMP_MS))

    assert samples.offset.tolist() == ([0, 1, 2] if case.kept else [0, 2])
    assert [(r.offset, r.value) for r in rejects] == ([(1, case.value)] if case.dead else [])
    assert all(r.reason.startswith(case.dead) for r in rejects)


def test_the_table_is_clear() -> None:
    """Each case has a name of its own and one outcome."""
    assert len({case.name for case in CASES}) == len(CASES) >= 30
    assert not any(case.kept and case.dead for case in CASES)


# The whole platform -----------------------------------------------------------------------------

# One clock for all on a live broker: cases about its time are the table's business alone.
SENT = [case for case in CASES if "ahead" not in case.name]
LATE = b'{"sensor": "PS1", "cycle": 0, "sample_idx": 0, "value": 1, "timestamp": "1999-01-01", "sampling_rate_hz": 1}'


def sent() -> Iterator[tuple[bytes, bytes | None]]:
    """Yield (key, value): each case between good records, and late ones."""
    for case in SENT:
        yield b"good", GOOD
        yield case.name.encode(), case.value
        yield b"late", LATE


def dead_letters(kafka: Kafka, topic: str, count: int) -> list[clients.Message]:
    """Return the first `count` dead letters."""
    consumer = clients.consumer(kafka)
    consumer.assign([clients.TopicPartition(topic, 0, clients.OFFSET_BEGINNING)])
    found: list[clients.Message] = []
    until_s = monotonic_s() + 20
    while len(found) < count and monotonic_s() < until_s:
        found += [m for m in consumer.consume(count - len(found), 1.0) if m.error() is None]
    consumer.close()
    return found


def headers_of(message: clients.Message) -> dict[str, bytes]:
    """Return a message's headers."""
    return dict(message.headers() or [])  # type: ignore[arg-type]


def small(data_dir: Path, **sections: Any) -> Settings:
    """Return settings of a small platform into which the test publishes."""
    return Settings(
        data_dir=data_dir,
        cluster=Cluster(dashboard="127.0.0.1:0"),
        source=Source(kind="none"),
        **sections,
    )


@pytest.mark.cluster
def test_stream_goes_on(tmp_path: Path) -> None:
    """Through a whole platform: the dead letters hold the original bytes, and read = kept + late + dead."""
    letters: list[clients.Message] = []
    dead = [case for case in SENT if case.dead]

    def publish(kafka: Kafka) -> None:
        producer = clients.producer(kafka)
        for key, value in sent():
            producer.produce("hydraulic-PS1", value, key, 0)
        assert producer.flush(30) == 0

    def collect(kafka: Kafka) -> None:
        letters.extend(dead_letters(kafka, "hydraulic-dead-letter", len(dead)))

    overview = run_to_idle(small(tmp_path / "data"), publish, collect)

    check_counts(overview, tmp_path / "data")
    assert [(m.key(), m.value()) for m in letters] == [(c.name.encode(), c.value) for c in dead]
    offsets = {key: offset for offset, (key, _) in enumerate(sent())}
    for message, case in zip(letters, dead, strict=True):
        headers = headers_of(message)
        assert headers.pop("reason").decode().startswith(case.dead)
        offset = offsets[case.name.encode()]
        assert headers == {"topic": b"hydraulic-PS1", "partition": b"0", "offset": b"%d" % offset}


def check_counts(overview: Overview, data_dir: Path) -> None:
    """Compare totals with what was sent, and the lake with the totals."""
    outcomes = Counter("kept" if c.kept else "dead" if c.dead else "skipped" for c in SENT)
    totals = {name: overview.total(name) for name in ("consumed", "kept", "late", "dead")}
    part = overview.partitions["hydraulic-PS1", 0]

    assert part.totals["consumed"] == 3 * len(SENT) - outcomes["skipped"]
    assert part.totals["consumed"] == sum(part.totals[n] for n in ("kept", "late", "dead"))
    assert totals["dead"] == outcomes["dead"]
    assert part.totals["late"] == len(SENT) + 1  # and the landing on the moon
    assert folder(data_dir, "raw").num_rows == part.totals["kept"] + part.totals["late"]
    assert folder(data_dir, "late").num_rows == part.totals["late"]


@pytest.mark.integration
@pytest.mark.cluster
def test_ten_megabytes_are_a_dead_letter(kafka: Kafka, tmp_path: Path) -> None:
    """On a real broker that lets such a record in: its bytes are in the dead letters, and the stream goes on."""
    prefix = f"bad-{tmp_path.name}-"
    broker = kafka.model_copy(update={"group": prefix.rstrip("-")})
    settings = small(tmp_path / "data", kafka=broker, topics=Topics(prefix=prefix), lake=Lake(roll_age=1.0))
    huge = GOOD[:-1] + b', "x": "' + b"x" * 10_000_000 + b'"}'
    letters: list[clients.Message] = []

    def publish(address: Kafka) -> None:
        producer = clients.producer(address, **{"compression.type": "none"})
        for value in (GOOD, huge, GOOD):
            producer.produce(prefix + "PS1", value, b"rig", 0)
        assert producer.flush(30) == 0

    def collect(address: Kafka) -> None:
        letters.extend(dead_letters(address, prefix + "dead-letter", 1))

    make_large(broker, prefix + "PS1")
    overview = run_to_idle(settings, publish, collect)

    assert [m.value() for m in letters] == [huge]
    assert headers_of(letters[0])["reason"].startswith(b"too large: 10000")
    totals = overview.partitions[prefix + "PS1", 0].totals
    assert (totals["consumed"], totals["kept"], totals["dead"]) == (3, 2, 1)


def make_large(kafka: Kafka, topic: str) -> None:
    """Make a topic that takes records of 16 MiB."""
    config = {"max.message.bytes": str(clients.MESSAGE_BYTES_MAX)}
    new = clients.NewTopic(topic, 1, 1, config=config)
    admin = clients.admin(kafka)  # kept until the answer is there, which else is that the client is gone
    for future in admin.create_topics([new]).values():
        future.result(20)
