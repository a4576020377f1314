"""Dead letters: listed, shown, and published again, each once and with the bytes that they had."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from hydrodask.audit.letters import RETRY_OF, Letter, why_again
from hydrodask.audit.retry import DeadLetters, LetterFilter
from hydrodask.clock import Zone, parse_iso
from hydrodask.errors import ConfigError
from hydrodask.ingest.topics import create
from hydrodask.kafka import KafkaError, Message, TopicPartition, consumer, producer
from hydrodask.nodes.outgoing import dead_letter
from hydrodask.records import Outgoing, Reject
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from tests.delivery import ROOT, sets_of, settings_of

GOOD = (
    b'{"sensor": "PS1", "cycle": 0, "sample_idx": %d, "value": 150.5, "timestamp": "2026-01-01T00:00:00.000000", '
    b'"sampling_rate_hz": 100, "rig": "rig-1"}'
)
ALL = LetterFilter()


def letter(value: bytes | None, topic: str = "hydraulic-PS1", truncated: int | None = None) -> Letter:
    """Return a dead letter."""
    return Letter(0, 5, 10**15, (topic, 0), 3, "some reason", b"rig-1", value, truncated)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (letter(GOOD % 1), None),
        (letter(b"nonsense"), "JSON"),
        (letter(GOOD % 1, "hydraulic-TS1"), "sensor"),
        (letter(GOOD % 1, "other-PS1"), "none of this platform"),
        (letter(GOOD % 1, "hydraulic-cycles"), "no flow reads"),
        (letter(None), "no bytes"),
        (letter(GOOD % 1, truncated=10**7), "only the beginning of 10000000 bytes"),
        (letter(b"{}", "hydraulic-labels"), "missing field"),
    ],
)
def test_what_would_fail_again_is_known(found: Letter, why: str | None) -> None:
    """By the decoder of the topic, and by what the letter has lost."""
    said = why_again(found, Settings())

    assert said is None if why is None else why in (said or "")


def test_embedded_broker_has_no_dead_letters() -> None:
    """They are gone with its run, and the message says what to do."""
    with pytest.raises(ConfigError, match="use a real broker"):
        DeadLetters(Settings())


def fill(kafka: Kafka, folder: Path, name: str) -> Settings:
    """Make topics with five dead letters, of which the first and the last are fine by now; return the settings."""
    settings = settings_of(kafka, folder, name)
    create(settings)
    values = [GOOD % 7, b"nonsense", b"x" * 100, b"not a label", GOOD % 8]
    topics = ["PS1", "PS1", "PS2", "labels", "PS1"]
    letters = [
        dead_letter(settings, Reject(settings.topic(topic), 0, offset, b"rig-%d" % offset, value, f"reason {offset}"))
        for offset, (topic, value) in enumerate(zip(topics, values, strict=True))
    ]
    send(settings, letters)
    return settings


def send(settings: Settings, letters: list[Outgoing]) -> None:
    """Publish records."""
    client = producer(settings.kafka)
    for one in letters:
        client.produce(one.topic, one.value, one.key, headers=one.headers)
    assert client.flush(60) == 0


def messages(settings: Settings, topic: str) -> list[Message]:
    """Return what read-committed readers see on a topic."""
    client = consumer(settings.kafka)
    client.assign([TopicPartition(settings.topic(topic), 0, 0)])
    found: list[Message] = []
    while True:
        for message in client.consume(100, 0.2):
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                client.close()
                return found
            found.append(message)


@pytest.mark.integration
def test_letters_are_published_again_once(kafka: Kafka, tmp_path: Path) -> None:
    """Key and bytes as they were, to where they came from; those that would fail again stay, and none goes twice."""
    settings = fill(kafka, tmp_path, "retry")
    dead = DeadLetters(settings)
    try:
        would = dead.would(ALL, force=False)
        assert messages(settings, "PS1") == []
        first = dead.retry(ALL, force=False)
        again = dead.retry(ALL, force=False)
        forced = dead.retry(LetterFilter(topic="PS2"), force=True)
    finally:
        dead.close()

    assert would.published == first.published == ["0-0", "0-4"]
    assert list(first.refused) == ["0-1", "0-2", "0-3"]
    assert again.published == []
    assert again.done_before == ["0-0", "0-4"]
    assert forced.published == ["0-2"]
    sent = messages(settings, "PS1")
    assert [(m.key(), m.value()) for m in sent] == [(b"rig-0", GOOD % 7), (b"rig-4", GOOD % 8)]
    assert [dict(m.headers() or []) for m in sent] == [{RETRY_OF: b"0-0"}, {RETRY_OF: b"0-4"}]
    assert [m.value() for m in messages(settings, "PS2")] == [b"x" * 100]


@pytest.mark.integration
def test_filters_choose_letters(kafka: Kafka, tmp_path: Path) -> None:
    """By topic, by sensor, by reason, by time, by place."""
    settings = fill(kafka, tmp_path, "filters")
    dead = DeadLetters(settings)
    try:
        by_sensor = [one.place for one in dead.find(LetterFilter(topic="PS1"))]
        by_topic = [one.place for one in dead.find(LetterFilter(topic=settings.topic("labels")))]
        by_reason = [one.place for one in dead.find(LetterFilter(reason="REASON 2"))]
        by_place = [one.place for one in dead.find(LetterFilter(places=frozenset({(0, 1)})))]
        newest_us = max(one.time_us for one in dead.find(ALL))
        by_time = [one.place for one in dead.find(LetterFilter(since_us=newest_us + 1))]
        none = dead.one((0, 99)), dead.one((7, 0))
    finally:
        dead.close()

    assert by_sensor == ["0-0", "0-1", "0-4"]
    assert (by_topic, by_reason, by_place, by_time) == (["0-3"], ["0-2"], ["0-1"], [])
    assert none == (None, None)


@pytest.mark.integration
def test_commands_say_what_they_did(kafka: Kafka, tmp_path: Path) -> None:
    """As a user types them: list, show, dry run, retry of one, and of one that there is not."""
    settings = fill(kafka, tmp_path, "commands")
    sets = [part for one in sets_of(kafka, tmp_path, "commands") for part in ("--set", one)]

    def dlq(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hydrodask", "dlq", *arguments, *sets]
        wide = {**os.environ, "COLUMNS": "200"}
        return subprocess.run(command, cwd=ROOT, env=wide, capture_output=True, text=True, check=False, timeout=600)

    shown = json.loads(dlq("show", "0-1", "--json").stdout)
    dry = json.loads(dlq("retry", "--all", "--dry-run", "--json").stdout)
    one = dlq("retry", "0-4")
    listed = json.loads(dlq("list", "--json").stdout)
    missing = dlq("retry", "0-44")
    zone, ago = Zone("Asia/Kolkata"), timedelta(hours=2)
    local = ("--set", f"observe.timezone={zone.name}")
    written = zone.text(parse_iso(listed[-1]["written"]))
    hours = [datetime.fromisoformat(written) + change for change in (-ago, ago)]
    since = [dlq("list", "--since", hour.isoformat(), *local).stdout for hour in hours]

    assert (shown["value"], shown["topic"], shown["offset"]) == ("nonsense", settings.topic("PS1"), 1)
    assert "JSON" in shown["fails_again"]
    assert (dry["dry_run"], dry["published"]) == (True, ["0-0", "0-4"])
    assert "1 published again" in one.stdout
    assert [row["letter"] for row in listed if row["retried"]] == ["0-4"]
    assert (missing.returncode, "there is no dead letter 0-44" in missing.stderr) == (2, True)
    assert [written in since[0], since[1]] == [True, "No dead letters.\n"]
