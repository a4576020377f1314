"""From `helm install` to rows, documents and incidents; and what happens when a pod goes in mid-stream."""

import datetime as dt
import itertools
import os
from collections.abc import Iterator

import pytest

from hydrodask import clock
from tests.conftest import RECORDING, needs
from tests.kubernetes.figures import note
from tests.kubernetes.kit import Kit
from tests.kubernetes.platform import NAME, PLACES, Platform

RECORDS = 436_800
"""Samples of the recording, 10 minutes of 17 sensors."""
SPEED = 8
BEFORE_S = 10.0
"""How long it streams before something happens."""
APART_S = 20.0
TIMES = int(os.environ.get("K8S_TIMES", "3"))

GAP_S = {
    "worker": 5.0,
    "driver": 15.0,
    "scheduler": 20.0,
    "kafka": 60.0,
    "mongodb": 30.0,
    "namenode": 60.0,
    "datanode": 60.0,
}
"""Longest silence that is accepted, on a machine that has two cores for a cluster and all its pods and nothing else
to do; `SLOW` multiplies it on one that has."""
SLOW = float(os.environ.get("K8S_SLOW", "1"))


@pytest.fixture(scope="module")
def platform(kit: Kit, request: pytest.FixtureRequest) -> Iterator[Platform]:
    """Return a platform that runs; one that is there already is taken, and stays with K8S_KEEP."""
    needs(there=RECORDING.exists(), what=f"there is no recording in {RECORDING}")
    platform = Platform(kit)
    if NAME not in kit.inside("helm", "list", "--namespace", NAME, "--short").split():
        request.getfixturevalue("ours")
        request.getfixturevalue("servers")
        note("`helm install` in an empty cluster → driver ready", platform.install(RECORDING))
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
    first_s = clock.monotonic_s() - began_s
    platform.published(job)
    note("the recording as a Job → first records, all of its 436,800", first_s, clock.monotonic_s() - began_s)

    assert platform.consumed() - before >= RECORDS
    verified(platform)


@pytest.mark.parametrize("part", PLACES)
def test_pods_deleted_in_mid_stream_lose_nothing(platform: Platform, part: str) -> None:
    """Its pod comes again each time, the stream goes on by itself, and what is stored is as if nothing had been."""
    job = stream(platform, str(SPEED))
    clock.sleep_s(BEFORE_S)
    count = platform.ready(part)
    moments = []
    for _ in range(TIMES):
        moments.append(clock.now_us() // 1000)
        platform.kill(part)
        clock.sleep_s(APART_S)
        platform.kit.until(f"the {part} is ready again", lambda: platform.ready(part) == count, 180)
    moments.append(clock.now_us() // 1000)
    platform.published(job)

    gaps = [platform.gap_s(*moment) for moment in itertools.pairwise(moments)]
    note(f"{part} deleted by force, one time after the other: longest gap in rows", *gaps)
    verified(platform)
    assert max(gaps) < GAP_S[part] * SLOW


def test_pods_are_evicted_one_at_a_time(platform: Platform) -> None:
    """As `kubectl drain` does it: the budget lets one worker go and not the other, and nothing is lost."""
    job = stream(platform, str(SPEED))
    clock.sleep_s(BEFORE_S)
    from_ms = clock.now_us() // 1000
    first, second = platform.names("worker")
    platform.evict("worker", first)
    with pytest.raises(AssertionError, match="disruption budget"):
        platform.evict("worker", second)
    for part in ("scheduler", "driver", "datanode", "mongodb"):
        clock.sleep_s(BEFORE_S)
        platform.evict(part, platform.names(part)[0])
    until_ms = clock.now_us() // 1000
    platform.published(job)
    note(
        "worker, scheduler, driver, data node, MongoDB evicted: longest gap in rows", platform.gap_s(from_ms, until_ms)
    )
    verified(platform)


def verified(platform: Platform) -> None:
    """Let the platform's own audit look at everything."""
    results = platform.verify()
    assert results["ok"], (results["first"], results["mend"])
