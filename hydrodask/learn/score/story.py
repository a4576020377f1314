"""What is told of one component: the document of its newest cycle, incidents, changes of state, rows of `scores/`."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from hydrodask.channels import CYCLE_S
from hydrodask.clock import US_PER_S, iso, parse_iso
from hydrodask.learn.score.severity import Severity, told
from hydrodask.learn.targets import TARGETS, Target
from hydrodask.records import Upsert
from hydrodask.reports import Scored
from hydrodask.trend import Trend

RULE = "component_state"
RECENT = 60
"""Cycles that a trend is made of: an hour."""

BECAUSE_MAX = 3
"""Contributions that a document names."""

UNKNOWN = -1
"""The state of a component that is like nothing trained on."""


@lru_cache(maxsize=64)
def _end(start_us: int) -> str:
    """Return when the cycle ended that began then: all that is said of it says so."""
    return iso(start_us + CYCLE_S * US_PER_S)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one version of a model said of one cycle."""

    rig: str
    target: str
    cycle: int
    start_us: int
    state: int
    probability: float
    model: str
    version: int
    missing: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    """What spoke loudest for it, strongest first."""
    severity: Severity | None = None

    @property
    def end(self) -> str:
        """When the cycle ended."""
        return _end(self.start_us)


@dataclass(frozen=True, slots=True)
class Unknown:
    """That one cycle is unknown, and why; `model` and `version` of who does not know, if there is one.

    `novel`: it was measured, and is like nothing trained on.
    """

    rig: str
    target: str
    cycle: int
    start_us: int
    why: str
    model: str | None = None
    version: int | None = None
    missing: tuple[str, ...] = ()
    novel: bool = False

    @property
    def end(self) -> str:
        """When the cycle ended."""
        return _end(self.start_us)


@dataclass(slots=True)
class ComponentTrack:
    """What is known of one component: the settled state, the one that may follow, for how many cycles, since when.

    `unknown_since` is the end of the first of the cycles in a row that were unknown.
    """

    settled: int | None = None
    candidate: int | None = None
    run: int = 0
    since: str = ""
    changed: str = ""
    first_cycle: int = 0
    incident: str = ""
    body: dict[str, Any] | None = None
    unknown_since: str = ""
    recent: list[list[float]] = field(default_factory=list)
    """Of the newest cycles with a severity: when each began, in µs, and how far it was from the nominal state."""


def component_of(track: ComponentTrack, verdict: Verdict, trend: Trend) -> Upsert:
    """Return the component's document.

    Its revision is the cycle's start, in µs: with more partitions a rig may come to one whose offsets are smaller.
    """
    target = TARGETS[verdict.target]
    body: dict[str, object] = {
        "rig": verdict.rig,
        "component": verdict.target,
        "state": verdict.state,
        "unit": target.unit,
        "probability": round(verdict.probability, 6),
        "settled_state": known(track.settled),
        "settled_since": track.changed or None,
        "nominal": verdict.state == target.nominal,
        "cycle": verdict.cycle,
        "time": verdict.end,
        "model": verdict.model,
        "model_version": verdict.version,
        "missing_sensors": list(verdict.missing),
        "because": list(verdict.because[:BECAUSE_MAX]),
        "unknown_since": None,
        "unknown_because": None,
    } | told(verdict.severity, trend)
    return Upsert("components", f"{verdict.rig}/{verdict.target}", verdict.start_us, body)


def known(settled: int | None) -> int | None:
    """Return a settled state as documents show it: what is unknown is none."""
    return None if settled == UNKNOWN else settled


def unknown_of(track: ComponentTrack, silence: Unknown) -> Upsert:
    """Return the component's document when it is unknown: since when and why, and what was settled before."""
    body: dict[str, object] = {
        "rig": silence.rig,
        "component": silence.target,
        "state": None,
        "unit": TARGETS[silence.target].unit,
        "probability": None,
        "settled_state": known(track.settled),
        "settled_since": track.changed or None,
        "nominal": None,
        "cycle": silence.cycle,
        "time": silence.end,
        "model": silence.model,
        "model_version": silence.version,
        "missing_sensors": list(silence.missing),
        "because": [],
        "unknown_since": track.unknown_since,
        "unknown_because": silence.why,
    } | told(None, Trend())
    return Upsert("components", f"{silence.rig}/{silence.target}", silence.start_us, body)


def incident_of(
    track: ComponentTrack, verdict: Verdict | Unknown, target: Target, before: int | None
) -> dict[str, Any]:
    """Return the body of the incident that opens with a settled state."""
    was = "" if before is None or known(before) is None else f" (was {target.said(before)})"
    who = f"says {verdict.model} {verdict.version}"
    if isinstance(verdict, Unknown):
        state, says = None, f"{target.name} is unknown{was}, {who}: {verdict.why}"
    else:
        state = verdict.state
        why = f": {'; '.join(verdict.because)}" if verdict.because else ""
        says = f"{target.name} {'has' if target.names else 'is at'} {target.said(state)}{was}, {who}{why}"
    return {
        "rig": verdict.rig,
        "sensor": verdict.target,
        "rule": RULE,
        "severity": severity_of(target, track.settled),
        "statistic": "state",
        "status": "open",
        "opened_at": verdict.end,
        "resolved_at": None,
        # Not by their number: a cycle of the run that was not measured does not count.
        "first_window": iso(parse_iso(track.since) - CYCLE_S * US_PER_S),
        "last_window": iso(verdict.start_us),
        "windows": track.run,
        "worst": state,
        "threshold": target.nominal,
        "message": says,
        "because": [verdict.why] if isinstance(verdict, Unknown) else list(verdict.because[:BECAUSE_MAX]),
        "provisional": False,
    }


def worst_of(target: Target) -> int:
    """Return the class that is furthest from the nominal one."""
    return max(target.classes, key=lambda state: abs(state - target.nominal))


def change_of(track: ComponentTrack, one: Verdict | Unknown, before: int | None, revision: int) -> Upsert:
    """Return the document of a settled state that has changed: what it was, what it is, since when, and who says so."""
    target = TARGETS[one.target]
    body: dict[str, object] = {
        "rig": one.rig,
        "component": one.target,
        "before": known(before),
        "state": known(track.settled),
        "unit": target.unit,
        "verdict": verdict_of(target, track.settled),
        "severity": severity_of(target, track.settled),
        "at": track.changed,
        "confirmed_at": one.end,
        "cycle": one.cycle,
        "probability": round(one.probability, 6) if isinstance(one, Verdict) else None,
        "model": one.model,
        "model_version": one.version,
        "why": "; ".join(one.because[:BECAUSE_MAX]) or None if isinstance(one, Verdict) else one.why,
    }
    return Upsert("component_changes", f"{one.rig}/{one.target}/{track.changed}", revision, body)


def scored(track: ComponentTrack, one: Verdict | Unknown, revision: int) -> Scored:
    """Return the row of one cycle. Why is said of what is not as it should be: reasons are the longest of a row."""
    target, says = TARGETS[one.target], one if isinstance(one, Verdict) else None
    verdict = verdict_of(target, UNKNOWN if says is None else says.state)
    because = one.why if isinstance(one, Unknown) else "; ".join(one.because[:BECAUSE_MAX])
    return Scored(
        one.rig,
        one.target,
        one.cycle,
        one.start_us,
        verdict,
        "" if track.body is None else str(track.body["severity"]),
        revision,
        state=None if says is None else says.state,
        settled=known(track.settled),
        unit=target.unit,
        probability=None if says is None else round(says.probability, 6),
        why=None if verdict == "nominal" else because or None,
        model=one.model,
        version=one.version,
    )


def severity_of(target: Target, state: int | None) -> str:
    """Return how bad a settled state is, nothing if it is not bad."""
    if not target.component or state is None or state == target.nominal:
        return ""
    return "critical" if state == worst_of(target) else "warning"


def verdict_of(target: Target, state: int | None) -> str:
    """Return in a word what a state of a target is."""
    if known(state) is None:
        return "unknown"
    return "nominal" if state == target.nominal else "fault" if target.component else "unstable"
