"""On a real broker: a sensor that stops, a rig that stops, and what `verify` and the topic say afterwards."""

from pathlib import Path
from typing import Any

import pytest

from hydrodask import kafka as clients
from hydrodask.audit.verify import verify
from hydrodask.clock import US_PER_S, iso
from hydrodask.ingest.topics import create
from hydrodask.reports import STANDING, WHOLE_RIG
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from tests.audited import fine
from tests.delivery import Driver, documents, sets_of, settings_of, until

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

T0 = 1_767_225_600
SENSORS = ("TS1", "TS2", "CE")


def send(settings: Settings, rig: str, seconds: range, sensors: tuple[str, ...] = SENSORS) -> None:
    """Publish a sample a second of each sensor."""
    producer = clients.producer(settings.kafka)
    for second in seconds:
        for sensor in sensors:
            value = (
                f'{{"sensor":"{sensor}","cycle":{second // 60},"sample_idx":{second % 60},"value":{40 + second % 7},'
                f'"timestamp":"{iso((T0 + second) * US_PER_S)}","sampling_rate_hz":1.0,"rig":"{rig}"}}'
            )
            producer.produce(settings.topic(sensor), value.encode(), rig.encode())
        producer.poll(0)
    assert producer.flush(60) == 0


def standing(settings: Settings) -> dict[tuple[Any, ...], Any]:
    """Return the status of the incidents that are no rule's."""
    found = [one for one in documents(settings, "incidents") if one["rule"] in STANDING]
    return {(one["rig"], one["sensor"], one["rule"]): one["status"] for one in found}


def test_who_stops_is_said_at_once_when_all_is_read(kafka: Kafka, tmp_path: Path) -> None:
    """History at full speed: one sensor's silence is over by its end, another's is not; the audit finds the same."""
    settings = settings_of(kafka, tmp_path, "stopped")
    create(settings)
    send(settings, "rig-1", range(300))
    send(settings, "rig-1", range(300, 900), ("TS1",))
    send(settings, "rig-1", range(900, 960), ("TS1", "CE"))
    send(settings, "rig-2", range(960))
    with Driver(sets_of(kafka, tmp_path, "stopped"), tmp_path / "log", "--until-idle") as driver:
        assert driver.wait() == 0, driver.output

    assert standing(settings) == {
        ("rig-1", "CE", "sensor_silent"): "resolved",
        ("rig-1", "TS2", "sensor_silent"): "open",
    }
    assert fine(verify(settings))


def test_a_rig_and_a_sensor_that_stop_and_come_back(kafka: Kafka, tmp_path: Path) -> None:
    """While nobody sends anything, too; what comes back is over, and the audit finds the same."""
    sets = sets_of(kafka, tmp_path, "silent", "detect.silent_after=25s")
    settings = settings_of(kafka, tmp_path, "silent", "detect.silent_after=25s")
    create(settings)
    send(settings, "rig-1", range(300))
    send(settings, "rig-1", range(300, 400), ("TS1",))
    with Driver(sets, tmp_path / "log") as driver:
        until(lambda: standing(settings).get(("rig-1", "CE", "sensor_silent")) == "open", "the sensor is silent")
        until(lambda: standing(settings).get(("rig-1", WHOLE_RIG, "rig_silent")) == "open", "the rig is silent")
        send(settings, "rig-1", range(400, 410))
        until(lambda: set(standing(settings).values()) == {"resolved"}, "both are back")
        assert driver.stop() == 0, driver.output

    assert len(standing(settings)) == 3
    assert fine(verify(settings))


def test_what_comes_on_two_partitions_or_by_a_wrong_clock_is_said(kafka: Kafka, tmp_path: Path) -> None:
    """Null keys on two partitions, and a rig that is an hour behind from some time on; the audit finds the same."""
    sets = ("rig.from_key=true", "topics.each={TS1: {partitions: 2}}")
    settings = settings_of(kafka, tmp_path, "split", *sets)
    create(settings)
    producer = clients.producer(settings.kafka)
    stamp_ms = T0 * 1000
    for second in range(600):
        for sensor, key, partition, at in (
            ("TS1", None, second // 5 % 2, second),
            ("CE", b"by-key", 0, second),
            ("CE", b"odd", 0, second - 3600 * (second >= 240)),
        ):
            value = (
                f'{{"sensor":"{sensor}","cycle":{second // 60},"sample_idx":{second % 60},"value":{40 + second % 7},'
                f'"timestamp":"{iso((T0 + at) * US_PER_S)}","sampling_rate_hz":1.0}}'
            )
            producer.produce(settings.topic(sensor), value.encode(), key, partition, timestamp=stamp_ms + second * 1000)
        producer.poll(0)
    assert producer.flush(60) == 0
    with Driver(sets_of(kafka, tmp_path, "split", *sets), tmp_path / "log", "--until-idle") as driver:
        assert driver.wait() == 0, driver.output

    found = standing(settings)
    assert found["rig-1", WHOLE_RIG, "two_partitions"] == "open"
    assert {rig for rig, _, rule in found if rule == "unusable_samples"} <= {"odd"}
    assert fine(verify(settings))
