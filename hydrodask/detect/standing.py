"""Incidents that no window makes: something is so, of a sensor or of a whole rig, until it is over.

Their documents have the fields of the others. `worst` and `threshold` are numbers of what `statistic` says.
"""

from collections.abc import Mapping
from typing import Any

from hydrodask.clock import US_PER_S, iso
from hydrodask.records import Change, Remove, Upsert
from hydrodask.reports import STANDING

Key = tuple[str, str]
"""Rig and sensor; `records.WHOLE_RIG` for all of a rig."""

Body = dict[str, Any]


def body_of(
    key: Key, rule: str, *, statistic: str, since_us: int, opened_us: int, limit: float, text: str, digest: str
) -> Body:
    """Return the body of an incident that opens."""
    return {
        "rig": key[0],
        "sensor": key[1],
        "rule": rule,
        "severity": STANDING[rule],
        "rules": digest,
        "statistic": statistic,
        "status": "open",
        "opened_at": iso(opened_us),
        "resolved_at": None,
        "first_window": iso(since_us),
        "last_window": iso(since_us),
        "windows": 1,
        "worst": limit,
        "threshold": limit,
        "message": text,
        "provisional": False,
    }


def opened(body: Body, revision: int) -> Change:
    """Return the change that stores an incident as it is now."""
    return Upsert("incidents", id_of(body), revision, dict(body))


def resolved(body: Body, at_us: int, worst: float, revision: int) -> Change:
    """Return the change that ends an incident at `at_us`."""
    over = {"status": "resolved", "resolved_at": iso(at_us), "worst": worst}
    return Upsert("incidents", id_of(body), revision, body | over)


def dropped(body: Body, revision: int) -> Change:
    """Return the change that ends an incident of which nothing more will be known."""
    return Upsert("incidents", id_of(body), revision, body | {"status": "resolved", "resolved_at": body["opened_at"]})


def forgotten(body: Body, revision: int) -> Change:
    """Return the change that ends an incident of a rig that is forgotten: that must not look as if all were well."""
    return dropped(
        body | {"message": f"{body['message']}; forgotten, as nothing came for limits.rig_silence"}, revision
    )


def withdrawn(body: Body, revision: int) -> Change:
    """Return the change that takes an incident back which was none."""
    return Remove("incidents", id_of(body), revision)


def id_of(body: Mapping[str, Any]) -> str:
    """Return the document's id: rig, sensor, rule and since when."""
    return f"{body['rig']}/{body['sensor']}/{body['rule']}/{body['first_window']}"


def seconds(duration_us: int) -> float:
    """Return a duration in seconds."""
    return duration_us / US_PER_S
