"""From `helm install` to rows, documents and incidents; and what happens when a pod goes in mid-stream."""

import datetime as dt
import itertools
import os
from collections.abc import Iterator

import pytest

from hydrodask import clock
from tests.conftest import RECORDING, needs
from tests.kubernetes.kit import Kit
from tests.kubernetes.platform import NAME, PLACES, Platform

RECORDS = 436_800
"""Samples of the recording, 10 minutes of 17 sensors."""
SPEED = 15
BEFORE_S = 12.0
"""How long it streams before something happens."""

GAP_S = {
    "worker": 30.0,
    "driver": 60.0,
    "scheduler": 60.0,
    "kafka": 90.0,
    "mongodb": 60.0,
    "namenode": 120.0,
    "datanode": 60.0,
}
"""Longest silence that is accepted, on a machine that has two cores for a cluster and all its pods, and more to do."""


@pytest.fixture(scope="module")
def platform(kit: Kit, request: pytest.FixtureRequest) -> Iterator[Platform]:
    """Return a platform that runs; one that is there already is taken, and stays with K8S_KEEP."""
    needs(there=RECORDING.exists(), what=f"there is no recording in {RECORDING}")
    platform = Platform(kit)
    if NAME not in kit.inside("helm", "list", "--namespace", NAME, "--short").split():
        request.getfixturevalue("ours")
        request.getfixturevalue("servers")
        print(f"\ninstalled, and ready after {platform.install(RECORDING):.0f} s")
    yield platform
    if "K8S_KEEP" not in os.environ:
        platform.remove()


def stream(platform: Platform, speed: str) -> str:
    """Publish the recording as that of a later hour than the last time; return the Job."""
    hours = clock.now_us() // 10**7 % 7000  # one every ten seconds, and each recording is ten minutes long
    start = dt.datetime(2026, 1, 2, tzinfo=dt.UTC) + dt.timedelta(hours=hours)
    return platform.publish("--speed", speed, "--start", start.isoformat())


def test_the_recording_goes_through(platform: Platform) -> None:
    """All of it, at once: windows in Kafka, rows in the lake, documents in the store, each equal to a recomputation."""
    before = platform.consumed()
    began_s = clock.monotonic_s()
    job = stream(platform, "max")
    platform.kit.until("the first rows", lambda: platform.consumed() > before, 120)
    print(f"\nfirst records after {clock.monotonic_s() - began_s:.0f} s", end=", ")
    platform.published(job)
    print(f"all {clock.monotonic_s() - began_s:.0f} s after the Job was made")

    assert platform.consumed() - before >= RECORDS
    verified(platform)


@pytest.mark.parametrize("part", PLACES)
def test_a_pod_deleted_in_mid_stream_loses_nothing(platform: Platform, part: str) -> None:
    """Its pod comes again, the stream goes on by itself, and what is stored is what a run without that would have."""
    job = stream(platform, str(SPEED))
    clock.sleep_s(BEFORE_S)
    count = platform.ready(part)
    from_ms = clock.now_us() // 1000
    platform.kill(part)
    platform.published(job)
    until_ms = clock.now_us() // 1000
    platform.kit.until(f"the {part} is ready again", lambda: platform.ready(part) == count, 180)
    written = [at for at in platform.written_ms() if from_ms - 5000 <= at <= until_ms]
    gap_s = max(later - earlier for earlier, later in itertools.pairwise([from_ms, *written])) / 1000
    print(f"\n{part}: longest gap in rows {gap_s:.1f} s")

    verified(platform)
    assert gap_s < GAP_S[part]


def verified(platform: Platform) -> None:
    """Let the platform's own audit look at everything."""
    results = platform.verify()
    assert results["ok"], (results["first"], results["mend"])
