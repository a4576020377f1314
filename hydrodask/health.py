"""Health, 0..100: what is open about a sensor, component or load cycle takes from 100. A rig is as well as its worst.

Pure: no clock, no store. What health was follows from incidents, which are documents: so it is known after a restart,
of any day, and without Prometheus.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, Protocol

from hydrodask.channels import SENSORS
from hydrodask.episodes import span_of
from hydrodask.reports import UNUSUAL_CYCLES, WHOLE_RIG

PENALTY = {"warning": 10.0, "critical": 20.0}
BEST = 100.0

Level = Literal["", "warning", "critical"]
Key = tuple[str, str]
"""Rig, and sensor, component, or `cycle` for its load cycles."""


class HealthLimits(Protocol):
    """Where colours change: `observe.health` of the settings."""

    @property
    def warning_below(self) -> float:
        """Health below this is shown as a warning."""

    @property
    def critical_below(self) -> float:
        """Health below this is shown as critical."""


def less(worth: float, severities: Iterable[str]) -> float:
    """Return what is left of a health with these alarms too.

    >>> less(90.0, ["critical"])
    70.0
    """
    return max(0.0, worth - sum(PENALTY[severity] for severity in severities))


def health(severities: Iterable[str]) -> float:
    """Return the health of a sensor with these active alarms.

    >>> health([]), health(["warning", "critical"]), health(["critical"] * 9)
    (100.0, 70.0, 0.0)
    """
    return less(BEST, severities)


def level(worth: float | None, limits: HealthLimits) -> Level:
    """Return how a health is shown, everywhere: as nothing to look at, as a warning, or as critical."""
    if worth is None or worth >= limits.warning_below:
        return ""
    return "critical" if worth < limits.critical_below else "warning"


def of_rigs(parts: Mapping[Key, float], rigs_max: int) -> dict[Key, float]:
    """Return the health of the parts of the first rigs."""
    shown = set(list(dict.fromkeys(rig for rig, _ in parts))[:rigs_max])
    return {key: worth for key, worth in parts.items() if key[0] in shown}


def history(incidents: Iterable[Mapping[str, Any]], start_us: int, end_us: int) -> list[tuple[int, float]]:
    """Return the health of one rig between two times: when it changed, and to what. The first is that at the start."""
    edges = [(start_us, WHOLE_RIG, 0.0)]
    for one in incidents:
        began, ended = span_of(one)
        if began < end_us and start_us < ended and began < ended:
            part, penalty = _taken(one)
            edges.append((max(began, start_us), part, penalty))
            if ended < end_us:
                edges.append((ended, part, -penalty))
    taken: dict[str, float] = {}
    found: list[tuple[int, float]] = []
    for at, together in groupby(sorted(edges), key=itemgetter(0)):
        for _, part, change in together:
            taken[part] = taken.get(part, 0.0) + change
        worth = _left(taken)
        if not found or found[-1][1] != worth:
            found.append((at, worth))
    return found


def worst(incidents: Iterable[Mapping[str, Any]], start_us: int, end_us: int) -> float:
    """Return the worst health of one rig between two times."""
    return min(worth for _, worth in history(incidents, start_us, end_us))


def of_rig(incidents: Iterable[Mapping[str, Any]]) -> float:
    """Return the health of one rig with these open incidents; what is wrong with a whole rig is with each sensor.

    >>> cooler = {"sensor": "cooler", "rule": "component_state", "severity": "critical"}
    >>> of_rig([]), of_rig([cooler, {"sensor": "CE", "rule": "ce_low", "severity": "warning"}])
    (100.0, 80.0)
    """
    taken: dict[str, float] = {}
    for one in incidents:
        part, penalty = _taken(one)
        taken[part] = taken.get(part, 0.0) + penalty
    return _left(taken)


def _taken(incident: Mapping[str, Any]) -> tuple[str, float]:
    """Return what an incident is about, and what it takes from that. Unusual cycles are not with each sensor."""
    part = UNUSUAL_CYCLES if incident["rule"] == UNUSUAL_CYCLES else str(incident["sensor"])
    return part, PENALTY[str(incident["severity"])]


def _left(taken: Mapping[str, float]) -> float:
    """Return the health of a rig from whose parts this is taken; what is of the whole rig is of each sensor, too."""
    whole = taken.get(WHOLE_RIG, 0.0)
    return max(0.0, BEST - max([whole, *(much + whole * (part in SENSORS) for part, much in taken.items())]))
