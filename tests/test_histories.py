"""No false alarm: a platform that did right is found whole, whatever others have sent it and however it was changed."""

import json
from pathlib import Path

import pytest

from hydrodask.audit.windows import reset
from hydrodask.ingest.topics import renew
from hydrodask.kafka import producer
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka
from tests.audited import Stored, fine, mended
from tests.delivery import Driver, publish, sets_of, settings_of, shorten
from tests.test_editions import rules
from tests.test_labels import LABEL

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

ROW = {
    "rig": "rig-1", "sensor": "PS1", "window_start": "2026-01-01T00:00:00Z", "window_end": "2026-01-01T00:01:00Z",
    "avg_value": 1.0, "max_value": 1.0, "min_value": 1.0, "stddev_value": 0.0, "range_value": 0.0, "sample_count": 1,
    "revision": 1,
}  # fmt: skip
CYCLE = {
    "rig": "rig-1", "sensor": "PS1", "cycle": 0, "cycle_start": "noon", "complete": True, "revision": 1,
    "n": [], "mean": [], "m2": [], "min": [], "max": [],
}  # fmt: skip

ODD = {
    "analytics": [
        b"nonsense",
        b'{"rig": "' + b"x" * 900_000 + b'"}',
        b"[" * 5_000,
        json.dumps(ROW | {"final": True, "window_start": "noon"}).encode(),
        json.dumps(ROW | {"final": False, "window_start": "noon"}).encode(),
    ],
    "cycles": [b"nonsense", json.dumps(CYCLE).encode()],
    "labels": [b"nonsense", json.dumps(LABEL | {"stable": 2**70}).encode()],
    "PS1": [b"nonsense", b"x" * 100_000],
}
"""Records that no flow can use, by topic: each is to be a dead letter."""

COUNT = sum(map(len, ODD.values()))


def send_odd(settings: Settings) -> None:
    """Publish what no flow can use, and records without a value."""
    client = producer(settings.kafka)
    for name, values in ODD.items():
        for value in (*values, None):
            client.produce(settings.topic(name), value, b"rig-1")
    client.flush(60)


def test_platform_that_did_right_is_found_whole(kafka: Kafka, recording: Path, tmp_path: Path) -> None:
    """Odd records on every topic, other rules, other windows: nothing is wrong after each; lost letters come back."""
    folder, first = shorten(recording, tmp_path, 2), rules(tmp_path, "a", "x")
    histories = ((f"detect.rules={first}",), (f"detect.rules={rules(tmp_path, 'b', 'x')}",), ("window.slide=20s",))
    for number, changed in enumerate(histories, 1):
        sets = sets_of(kafka, tmp_path / "data", "histories", *changed)
        stored = Stored(settings_of(kafka, tmp_path / "data", "histories", *changed))
        publish(stored.settings, folder)
        if number == len(histories):
            assert len(reset(stored.settings)) == 17
        send_odd(stored.settings)
        with Driver(sets, tmp_path / f"log-{number}", "--until-idle") as driver:
            assert driver.wait() == 0, driver.output

        results = stored.audit()

        assert fine(results)
        assert results["dead"].looked_at["letters"] == number * COUNT
        assert results["analytics"].looked_at["refused"] == number * len(ODD["analytics"])
        assert results["profiles"].looked_at["refused"] == number * len(ODD["cycles"])
        assert not results["documents"].unchecked
    renew(stored.settings, "dead-letter")
    assert mended(stored) == ["hydrodask backfill --topics --write"]
    assert stored.audit()["dead"].looked_at["letters"] == len(histories) * COUNT
