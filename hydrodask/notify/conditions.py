"""What people are told of besides incidents: components that stay unknown, and drift. In the form of incidents. Pure.

These have no documents of their own, so they can be muted (by rule, sensor or rig), and acknowledged only as part of
an episode; so they are not repeated. What is not among them any more is over.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hydrodask.clock import US_PER_S, iso, parse_iso
from hydrodask.reports import Overview

UNKNOWN = "component_unknown"
DRIFT = "drift"
CONDITIONS = (UNKNOWN, DRIFT)
"""Rules of what is told, and is no incident."""

EVERY_RIG = "all rigs"
"""Stands for the rig in what is said of the training data."""

UNKNOWN_AFTER_US = 300 * US_PER_S
"""A component is told of when nothing is known of it for this long, by the time of its load cycles."""

Document = dict[str, Any]


def rule_of(id_: str) -> str:
    """Return which condition an id is of; empty for an incident's.

    >>> rule_of("rig-1/valve/component_unknown/2026-11-28T12:00:00Z"), rule_of("rig-1/CE/oil_warm/2026-11-28T12:00:00Z")
    ('component_unknown', '')
    """
    rule = id_.rsplit("/", 2)[-2] if id_.count("/") > 1 else ""
    return rule if rule in CONDITIONS else ""


def unknown(components: Sequence[Mapping[str, Any]], silence_us: int) -> list[Document]:
    """Return the components of which nothing is known for long, of rigs that are not as long behind the newest one.

    The document of a rig that is gone stays as it was.
    """
    found = []
    newest_us = max((parse_iso(str(one["time"])) for one in components), default=0)
    for one in components:
        since = one.get("unknown_since")
        gone = newest_us - parse_iso(str(one["time"])) > silence_us
        if since and not gone and parse_iso(str(one["time"])) - parse_iso(str(since)) >= UNKNOWN_AFTER_US:
            text = f"{one['component']} is unknown: {one.get('unknown_because') or 'nobody says why'}"
            found.append(_document(str(one["rig"]), str(one["component"]), UNKNOWN, str(since), text))
    return found


Drifts = Mapping[tuple[str, int], Mapping[str, tuple[float, float]]]
"""Of partitions, what is known of each feature: index, and share that is outside."""


def drifting(overview: Overview, drifts: Drifts, outside_max: float, since_us: int) -> list[Document] | None:
    """Return the feature that is furthest beyond the training data, if it is too far; None while nobody knows.

    `drifts` is what each partition has said last. One that has cycles says nothing until it has enough of them on a
    day, at which it may be the one that is too far.
    """
    shares = sorted((outside, name) for part in drifts.values() for name, (_, outside) in part.items())
    drift = {name: outside for outside, name in shares}  # of several partitions the one that is furthest
    worst = max(sorted(drift), key=lambda name: drift[name], default="")
    if not worst or drift[worst] <= outside_max:
        return [] if drifts and not _mute(overview, drifts) else None
    text = f"{drift[worst]:.0%} of today's cycles are beyond the training data in {worst}: hydrodask train"
    found = _document(EVERY_RIG, "training data", DRIFT, iso(since_us), text)
    return [found | {"worst": round(drift[worst], 4), "threshold": outside_max}]


def _mute(overview: Overview, drifts: Drifts) -> bool:
    """Say whether a partition has rigs, and has not said anything of drift; they are those of the same topics."""
    topics = {topic for topic, _ in drifts}
    return any(
        key[0] in topics and key not in drifts and (part.health or part.components)
        for key, part in overview.partitions.items()
    )


def _document(rig: str, sensor: str, rule: str, since: str, text: str) -> Document:
    return {
        "_id": f"{rig}/{sensor}/{rule}/{since}",
        "rig": rig,
        "sensor": sensor,
        "rule": rule,
        "severity": "warning",
        "statistic": "",
        "status": "open",
        "opened_at": since,
        "resolved_at": None,
        "worst": None,
        "threshold": None,
        "message": text,
        "provisional": False,
    }
