"""Health of a sensor: 100, less 10 for each active warning and 20 for each active critical."""

from collections.abc import Iterable

PENALTY = {"warning": 10.0, "critical": 20.0}
BEST = 100.0


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
    return max(0.0, BEST - sum(PENALTY[severity] for severity in severities))
