"""What is told of a rig's cycles: the document of its newest one, and the incident while they are unusual."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from hydrodask.channels import CYCLE_S
from hydrodask.clock import US_PER_S, iso
from hydrodask.detect.usual.judgement import Contribution, Judgement
from hydrodask.records import Change, Upsert
from hydrodask.reports import UNUSUAL_CYCLES, WHOLE_RIG, Scored
from hydrodask.trend import Trend

COLLECTION = "components"
NAME = "cycle"
"""The documents stand beside those of components: what is said of the rig's cycle as a whole."""

LEARNING, USUAL, UNUSUAL, UNKNOWN = "learning", "usual", "unusual", "unknown"
CRITICAL = 4.0
"""An incident that is so many times the threshold is critical."""


class At(NamedTuple):
    """Which cycle it is, when it began, and the revision of incidents that follow from it."""

    rig: str
    cycle: int
    start_us: int
    revision: int

    @property
    def end(self) -> str:
        """When the cycle ended."""
        return iso(self.start_us + CYCLE_S * US_PER_S)


@dataclass(frozen=True, slots=True)
class CycleVerdict:
    """What is said of one cycle. `learned`: cycles that the reference has, and that it wants; `heat`: its oil, °C."""

    state: str
    judgement: Judgement
    threshold: float
    trend: Trend
    attention: int
    at: At
    learned: tuple[int, int]
    heat: tuple[float, float]
    unknown_since: str | None = None

    @property
    def why(self) -> str | None:
        """Why the cycle is unknown, or what it is in words; None: nothing is to be said."""
        found = self.judgement
        if self.state == LEARNING:
            return f"{self.learned[0]} of {self.learned[1]} cycles learned"
        if self.state == UNUSUAL:
            return words(found.contributions)
        if self.state == USUAL:
            return None
        if found.missing:
            return f"not measured: {', '.join(found.missing)}"
        if math.isnan(found.oil):
            return "the oil's temperature (TS1) was not measured whole"
        return f"oil of {found.oil:.1f} °C is new here: known is {self.heat[0]:.1f} to {self.heat[1]:.1f} °C"

    def body(self) -> dict[str, object]:
        """Return the document."""
        found = self.judgement
        return {
            "rig": self.at.rig,
            "component": NAME,
            "state": self.state,
            "nominal": {USUAL: True, UNUSUAL: False}.get(self.state),
            "why": self.why,
            "unknown_since": self.unknown_since,
            "score": _number(found.score),
            "threshold": self.threshold,
            "regime": _regime(found),
            "oil": _number(found.oil),
            "contributions": [as_plain(one) for one in found.contributions],
            "trend_per_hour": self.trend.per_hour,
            "threshold_in_hours": self.trend.in_hours,
            "attention": self.attention,
            "cycle": self.at.cycle,
            "time": self.at.end,
            "missing_sensors": list(found.missing),
        }


def scored(said: CycleVerdict, severity: str) -> Scored:
    """Return the row of a cycle, and of what is open about it."""
    at = said.at
    return Scored(
        at.rig,
        NAME,
        at.cycle,
        at.start_us,
        said.state,
        severity,
        at.revision,
        score=_number(said.judgement.score),
        threshold=said.threshold,
        attention=said.attention,
        why=said.why,
    )


def changed(at: At, before: str | None, said: CycleVerdict, state: str, severity: str) -> Change:
    """Return the document of a rig whose cycles are not what they were: learned, unusual, usual again."""
    body: dict[str, object] = {
        "rig": at.rig,
        "component": NAME,
        "before": before,
        "state": state,
        "unit": "",
        "verdict": state,
        "severity": severity,
        "at": at.end,
        "confirmed_at": at.end,
        "cycle": at.cycle,
        "probability": None,
        "model": None,
        "model_version": None,
        "why": said.why,
    }
    return Upsert("component_changes", f"{at.rig}/{NAME}/{at.end}", at.revision, body)


def _regime(found: Judgement) -> str:
    """Return what regime the rig is in: the relief valve open, oil as never before, or one that is known."""
    if found.relief:
        return "relief"
    return "new oil temperature" if found.new else "known"


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def words(contributions: tuple[Contribution, ...]) -> str:
    """Return contributions as a sentence, the strongest first."""
    return "; ".join(one.text for one in contributions) or "nothing stands out"


def as_plain(one: Contribution) -> dict[str, object]:
    """Return a contribution as a document has it."""
    seconds = [one.start, one.end - 1]
    return {
        "text": one.text,
        "sensor": one.sensor,
        "seconds": seconds,
        "deviation": _number(one.deviation),
        "share": _number(one.share),
    }


def opened(at: At, found: Judgement, first_us: int, cycles: int, threshold: float) -> dict[str, Any]:
    """Return the body of an incident that opens with this cycle, the last of so many in a row."""
    body = {
        "rig": at.rig,
        "sensor": WHOLE_RIG,
        "rule": UNUSUAL_CYCLES,
        "severity": "warning",
        "statistic": "score",
        "status": "open",
        "opened_at": at.end,
        "resolved_at": None,
        "first_window": iso(first_us),
        "last_window": iso(at.start_us),
        "windows": cycles,
        "worst": 0.0,
        "threshold": threshold,
        "message": "",
        "provisional": False,
    }
    _worst(body, found)
    return body


def go_on(body: dict[str, Any], found: Judgement, start_us: int) -> None:
    """Take another unusual cycle into the body of an open incident."""
    body |= {"windows": body["windows"] + 1, "last_window": iso(start_us)}
    if found.score > body["worst"]:
        _worst(body, found)


def _worst(body: dict[str, Any], found: Judgement) -> None:
    """Take the furthest cycle so far: its score, and what it comes from."""
    body["worst"] = round(found.score, 6)
    body["severity"] = "critical" if found.score >= CRITICAL * body["threshold"] else body["severity"]
    body["message"] = f"load cycles are unlike the rig's own: {words(found.contributions)}"
    body["contributions"] = [as_plain(one) for one in found.contributions]


def stored(body: dict[str, Any], revision: int) -> Change:
    """Return the change that stores an incident as it is now."""
    return Upsert("incidents", id_of(body), revision, dict(body))


def resolved(body: dict[str, Any], at: str, revision: int, more: str = "") -> Change:
    """Return the change that ends an incident."""
    over = {"status": "resolved", "resolved_at": at, "message": body["message"] + more}
    return Upsert("incidents", id_of(body), revision, body | over)


def id_of(body: dict[str, Any]) -> str:
    """Return an incident's id: rig, sensor, rule and since when."""
    return f"{body['rig']}/{body['sensor']}/{body['rule']}/{body['first_window']}"
