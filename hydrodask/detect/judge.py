"""Judges: one row, one question, and the answer yes, no, or not enough samples to say.

A statistic that can only grow while samples come in (max, range, count; min can only fall) is
certain at once when it is beyond the threshold. Everything else needs `coverage_min` of the
window's samples, in final windows too, because the first windows of a stream are partial. Missing
samples (`coverage`, `count` with <) are judged in final windows, and only after the key has had a
full one: a stream that has just begun is not a drop-out.
"""

from collections.abc import Callable
from math import inf, isfinite
from operator import attrgetter
from typing import Protocol

from hydrodask.channels import CHANNELS, Channel
from hydrodask.detect.baseline import Baseline
from hydrodask.detect.rules import STATISTICS, Rule
from hydrodask.records import WindowRecord
from hydrodask.settings import model

Details = dict[str, object]
"""What a document says about one value: statistic, value, threshold, message."""

FULL = 0.98
"""Coverage from which a window teaches a baseline and is judged by one: a second missing from a
load cycle is harmless."""


_GETTERS: dict[str, Callable[[WindowRecord], float | None]] = {
    name: attrgetter(name) for name in STATISTICS.values() if name
}


def coverage_of(row: WindowRecord, window_s: float) -> float:
    """Return which share of a window's samples is there, at the rate that they name; the table's for older rows."""
    rate_hz = row.sampling_rate_hz
    if rate_hz is None or not 0 < rate_hz * window_s < inf:
        rate_hz = CHANNELS[row.sensor].rate_hz
    return row.sample_count / (rate_hz * window_s)


class Judge(Protocol):
    """One question about the windows of one sensor."""

    name: str
    severity: str
    windows: int

    def verdict(self, row: WindowRecord, coverage: float, *, broken: bool, steady: bool) -> bool | None:
        """Return whether the row is abnormal (`broken`: it was so before); None: can't be said."""

    def details(self, row: WindowRecord, coverage: float) -> Details:
        """Return what to say about an abnormal row."""

    def worse(self, a: float, b: float) -> bool:
        """Return whether value `a` is further out than `b`."""


class RuleJudge:
    """Judges one sensor by one rule."""

    __slots__ = (
        "_certain",
        "_coverage_min",
        "_field",
        "_of_coverage",
        "_shortfall",
        "name",
        "rule",
        "severity",
        "windows",
    )

    def __init__(self, rule: Rule, *, coverage_min: float) -> None:
        self.rule = rule
        self.name, self.severity, self.windows = rule.name, rule.severity, rule.windows
        self._coverage_min = coverage_min
        self._of_coverage = rule.statistic == "coverage"
        self._field = _GETTERS[STATISTICS[rule.statistic] or "sample_count"]
        counts = rule.statistic in ("coverage", "count")
        self._certain = rule.statistic == "min" if not rule.above else counts or rule.statistic in ("max", "range")
        self._shortfall = counts and not rule.above

    def verdict(self, row: WindowRecord, coverage: float, *, broken: bool, steady: bool) -> bool | None:
        value = coverage if self._of_coverage else self._field(row)
        if value is None:
            return None
        if self._shortfall:
            return self.rule.beyond(value, broken=broken) if row.final and steady else None
        if self._certain and self.rule.beyond(value, broken=broken):
            return True
        if coverage < self._coverage_min:
            return None
        return self.rule.beyond(value, broken=broken)

    def details(self, row: WindowRecord, coverage: float) -> Details:
        value = coverage if self._of_coverage else self._field(row)
        assert value is not None  # noqa: S101 - a verdict came before
        return {
            "statistic": self.rule.statistic,
            "value": value,
            "threshold": self.rule.threshold(value),
            "message": self.rule.text(rig=row.rig, sensor=row.sensor, value=value),
        }

    def worse(self, a: float, b: float) -> bool:
        return a > b if self.rule.above else a < b


class BaselineJudge:
    """Judges one statistic of one key by what it usually is; holds that baseline: state."""

    __slots__ = (
        "_channel",
        "_field",
        "_settings",
        "baseline",
        "name",
        "severity",
        "statistic",
        "windows",
    )

    def __init__(self, statistic: str, channel: Channel, settings: model.Baseline) -> None:
        self.name = f"baseline:{statistic}"
        self.severity = "warning"
        self.windows = 1
        self.statistic = statistic
        self.baseline = Baseline(floor=settings.floor * (channel.high - channel.low))
        self._channel = channel
        self._settings = settings
        self._field = _GETTERS[statistic]

    def verdict(
        self,
        row: WindowRecord,
        coverage: float,
        *,
        broken: bool,
        steady: bool,  # noqa: ARG002 - as the contract has it
    ) -> bool | None:
        if coverage < FULL or not self.baseline.warm:
            return None
        value = self._field(row)
        if value is None or not isfinite(value):
            return None
        return abs(self.baseline.z(value)) > (self._settings.exit if broken else self._settings.enter)

    def learn(self, row: WindowRecord, coverage: float, *, abnormal: bool | None) -> bool:
        """Learn from a final row unless it is abnormal; return True once that is normal now."""
        if abnormal:
            return self.baseline.endure()
        value = self._field(row) if coverage >= FULL else None
        if value is not None and isfinite(value):
            self.baseline.learn(value, warm_up=self._settings.warm_up)
        return False

    def details(self, row: WindowRecord, coverage: float) -> Details:  # noqa: ARG002
        value = self._field(row)
        assert value is not None  # noqa: S101 - a verdict came before
        z, centre, unit = self.baseline.z(value), self.baseline.centre, self._channel.unit
        limit = self._settings.enter if abs(z) > self._settings.enter else self._settings.exit
        threshold = centre + (limit if z > 0 else -limit) * self.baseline.scale
        return {
            "statistic": self.statistic,
            "value": value,
            "threshold": threshold,
            "message": f"{self.statistic} of {row.sensor} is {value:.4g} {unit}, "
            f"usually {centre:.4g} {unit} (z = {z:.1f})",
        }

    def worse(self, a: float, b: float) -> bool:
        return abs(a - self.baseline.centre) > abs(b - self.baseline.centre)
