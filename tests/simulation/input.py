"""What rigs send in a simulation: few records, and everything in them that is hard."""

import json
import math
import random
from functools import cache

from hydrodask.clock import iso
from hydrodask.testing.simulation.course import Sent
from hydrodask.testing.simulation.world import START_S

KINDS = 6
"""Different inputs that there are."""

SECONDS = 28
"""Event time that an input covers."""

PREFIX = "hydraulic-"
SENSORS = ("TS1", "CE")
RIGS = {"a": 0, "b": 0, "c": 1}
"""Each rig's partition of TS1, the second of which may come while all runs. CE has one, and one rig."""


@cache
def records(kind: int) -> tuple[Sent, ...]:
    """Return all records of an input in the order in which they are sent."""
    rng = random.Random(f"input {kind}")  # noqa: S311 - no secret
    sent: list[Sent] = []
    for sensor in SENSORS:
        for rig, partition in RIGS.items():
            if sensor == "TS1" or rig == "a":
                sent += _samples(rng, sensor, rig, partition if sensor == "TS1" else 0)
    for rig in RIGS:
        sent += [_send(second + 3.0, "labels", 0, _label(rig, second)) for second in range(0, SECONDS, 9)]
    sent += [_send(second, "TS1", 0, value) for second, value in ((4.0, b"{"), (9.0, None), (21.0, b'{"a": 1}'))]
    sent += [_send(12.0, "CE", 0, b"\xff"), _send(15.0, "labels", 0, b"[]")]
    return tuple(sorted(sent, key=lambda one: one.when))


def _samples(rng: random.Random, sensor: str, rig: str, partition: int) -> list[Sent]:
    """Return values that come and go, now and then out of order, late, twice or missing."""
    sent, phase = [], rng.uniform(0, 6)
    for second in range(SECONDS):
        value = 42 + 12 * math.sin(second / 4 + phase) + rng.uniform(-3, 3)
        delay = rng.choice([0.2] * 12 + [1.5, 3.0, 9.0, 11.0])
        record = {
            "sensor": sensor,
            "cycle": second // 12,
            "sample_idx": second % 12,
            "value": round(value, 3),
            "timestamp": iso(round((START_S + second) * 1e6)),
            "sampling_rate_hz": 1,
            "rig": rig,
        }
        spaced = {"separators": None} if rng.random() < 0.8 else {"separators": (",", ":")}
        data = json.dumps(record, **spaced).encode()
        copies = rng.choice([1] * 12 + [0, 2])
        sent += [_send(second + delay, sensor, partition, data)] * copies
    return sent


def _label(rig: str, second: int) -> bytes:
    label = {"rig": rig, "cycle": second // 9, "timestamp": iso(round((START_S + second) * 1e6))}
    return json.dumps(label | {"cooler": 100, "valve": 90, "pump": 0, "accumulator": 130, "stable": 0}).encode()


def _send(second: float, topic: str, partition: int, value: bytes | None) -> Sent:
    return Sent(second / SECONDS, PREFIX + topic, partition, value, round((START_S + second) * 1000))
