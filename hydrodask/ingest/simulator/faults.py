"""The fault file: what goes wrong on a simulated rig, when, for how long.

A mapping with one key, `faults`, a list. Times count from the start of the run in event time. Three
kinds of entries:

    - {component: cooler, to: 3, at: 60s, for: 45s, ramp: 10s}
    - {sensor: PS1, kind: spike, at: 2m, for: 30s, size: 40}
    - {transport: late, sensor: PS1, at: 3m, for: 30s, share: 0.05, by: 8s}

Every entry may name a `rig`; without one it concerns all. Without `for` a fault lasts until the
end.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from hydrodask.channels import CHANNELS
from hydrodask.errors import ConfigError
from hydrodask.settings.kinds import Duration, PositiveDuration, duration_s
from hydrodask.settings.load import read_yaml
from hydrodask.settings.section import Section

FAULTS_MAX = 1000
"""Entries a file may have: every one is looked at in every second."""

COMPONENT_RANGES: dict[str, tuple[float, float]] = {
    "cooler": (3.0, 100.0),
    "valve": (73.0, 100.0),
    "pump": (0.0, 2.0),
    "accumulator": (90.0, 130.0),
}
"""Lowest and highest state of each component: %, %, leakage, bar."""


def _sensor(value: object) -> object:
    if value is not None and value not in CHANNELS:
        raise ValueError(f"{value!r} is no sensor; known are {', '.join(CHANNELS)}")
    return value


def _signed_s(value: object) -> object:
    if isinstance(value, str) and value.strip().startswith("-"):
        seconds = duration_s(value.strip()[1:])
        return -seconds if isinstance(seconds, float) else value
    return duration_s(value)


Sensor = Annotated[str, BeforeValidator(_sensor)]
SignedDuration = Annotated[float, BeforeValidator(_signed_s)]


class Fault(Section):
    """What all faults have: active in `[at, at + for)`, on one rig or all."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    at: Duration
    lasts: Annotated[PositiveDuration | None, Field(alias="for")] = None
    rig: Annotated[str, Field(min_length=1)] | None = None

    def concerns(self, rig: str) -> bool:
        """Say whether the fault is one of `rig`."""
        return self.rig is None or self.rig == rig

    def active(self, second: float) -> bool:
        """Say whether the fault is active `second` seconds after the start."""
        return self.at <= second and (self.lasts is None or second < self.at + self.lasts)


class ComponentFault(Fault):
    """A component goes to `to` within `ramp` from `at` on, and back within `ramp` after `for`."""

    component: Literal["cooler", "valve", "pump", "accumulator"]
    to: float
    ramp: Duration = 0.0

    @model_validator(mode="after")
    def _check(self) -> "ComponentFault":
        low, high = COMPONENT_RANGES[self.component]
        if not low <= self.to <= high:
            raise ValueError(f"to is {self.to:g}; the {self.component} goes from {low:g} to {high:g}")
        return self

    def share(self, second: float) -> float:
        """Return how far the component is on its way, 0 (as before) to 1 (at `to`).

        >>> fault = FaultPlan.parse({"faults": [
        ...     {"component": "pump", "to": 2, "at": 10, "for": 10, "ramp": 4}]}).components[0]
        >>> [fault.share(second) for second in (9, 12, 15, 21, 30)]
        [0.0, 0.5, 1.0, 0.75, 0.0]
        """
        there = self._risen(second - self.at)
        back = 0.0 if self.lasts is None else self._risen(second - self.at - self.lasts)
        return max(0.0, there - back)

    def _risen(self, seconds: float) -> float:
        if seconds < 0:
            return 0.0
        return min(1.0, seconds / self.ramp) if self.ramp else 1.0


class SensorFault(Fault):
    """A sensor lies.

    spike: one sample a second is `size` higher · stuck: repeats its last value · drift: off by
    `size` more every minute · drop-out: sends nothing · noise: gets normal noise of standard
    deviation `size`. In the sensor's unit; by default `size` is a tenth of the sensor's range.
    """

    sensor: Sensor
    kind: Literal["spike", "stuck", "drift", "drop-out", "noise"]
    size: float | None = None

    @property
    def magnitude(self) -> float:
        """`size`, or a tenth of the sensor's range."""
        channel = CHANNELS[self.sensor]
        return (channel.high - channel.low) / 10 if self.size is None else self.size


class TransportFault(Fault):
    """Records of a `share` of the samples travel badly.

    late: sent `by` later · out-of-order: sent up to `by` later, each by another delay · duplicate:
    sent twice · malformed: sent as something that is no record · clock-jump: event time off by
    `by`, which may be negative.
    """

    transport: Literal["late", "out-of-order", "duplicate", "malformed", "clock-jump"]
    sensor: Sensor | None = None
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    by: SignedDuration = 8.0

    @model_validator(mode="after")
    def _check(self) -> "TransportFault":
        if self.by < 0 and self.transport != "clock-jump":
            raise ValueError(f"by is {self.by:g} s; only a clock-jump may be negative")
        return self


_KINDS: dict[str, type[Fault]] = {
    "component": ComponentFault,
    "transport": TransportFault,
    "sensor": SensorFault,
}


class FaultPlan:
    """All faults of a run, by what they act on; a later entry wins over an earlier one."""

    def __init__(self, faults: list[Fault]) -> None:
        self.components = [f for f in faults if isinstance(f, ComponentFault)]
        self.sensors = [f for f in faults if isinstance(f, SensorFault)]
        self.transports = [f for f in faults if isinstance(f, TransportFault)]

    @property
    def rigs(self) -> set[str]:
        """Names of the rigs that have a fault of their own."""
        every = (*self.components, *self.sensors, *self.transports)
        return {fault.rig for fault in every if fault.rig is not None}

    @classmethod
    def load(cls, path: Path) -> "FaultPlan":
        """Read a fault file. Raises ConfigError, which names entry, key and value."""
        return cls.parse(read_yaml(path), name=str(path))

    @classmethod
    def parse(cls, tree: dict[str, Any], *, name: str = "fault plan") -> "FaultPlan":
        """Return the plan that `tree` describes, as `load` does.

        >>> entry = {"component": "cooler", "to": 3, "at": "60s"}
        >>> len(FaultPlan.parse({"faults": [entry]}).components)
        1
        """
        unknown = [key for key in tree if key != "faults"]
        if unknown:
            raise ConfigError(f"{name}: {unknown[0]!r} is no key of a fault file; want `faults: [...]`")
        entries = tree.get("faults") or []
        if not isinstance(entries, list) or len(entries) > FAULTS_MAX:
            raise ConfigError(f"{name}: faults has value {entries!r:.80}; want a list of up to {FAULTS_MAX}")
        return cls([_entry(entry, f"{name}: faults[{i}]") for i, entry in enumerate(entries)])


def _entry(entry: object, where: str) -> Fault:
    kind = next((_KINDS[key] for key in _KINDS if isinstance(entry, dict) and key in entry), None)
    if kind is None:
        raise ConfigError(f"{where} is {entry!r:.80}; want a mapping with one of the keys {', '.join(_KINDS)}")
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(problem, where) for problem in error.errors())) from error


def _explain(problem: Any, where: str) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    spot = f"{where}.{key}" if key else where
    if problem["type"] == "extra_forbidden":
        return f"{spot} has value {problem['input']!r}, but there is no such key"
    if problem["type"] == "missing":
        return f"{spot} is missing"
    return f"{spot} has value {problem['input']!r}: {problem['msg']}"
